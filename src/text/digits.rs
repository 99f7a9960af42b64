//! Numbers and times as digits, for text that is written for every request: quicker than formatting.

use std::io::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

/// Appends a number.
pub fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let digits = number.checked_ilog10().map_or(1, |log| log as usize + 1);
    push_padded(number, digits, out);
}

/// Appends the last digits of a number, with zeros before if there are not as many.
pub fn push_padded(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + digits, b'0');
    for digit in out.iter_mut().skip(start).rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Appends a time of UTC as RFC 3339 has it, with so many decimals of the second, at most 9; the rest is cut off.
pub fn push_time(time: Timestamp, decimals: u32, out: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(time);
    let Ok(year @ 0..=9999) = u64::try_from(civil.year()) else {
        let _ = write!(out, "{time}");
        return;
    };
    push_padded(year, 4, out);
    for (before, part) in [
        (b'-', civil.month()),
        (b'-', civil.day()),
        (b'T', civil.hour()),
        (b':', civil.minute()),
        (b':', civil.second()),
    ] {
        out.push(before);
        push_padded(part.unsigned_abs().into(), 2, out);
    }
    out.push(b'.');
    let decimals = decimals.min(9);
    let nanosecond = civil.subsec_nanosecond().unsigned_abs() / 10_u32.pow(9 - decimals);
    push_padded(nanosecond.into(), decimals as usize, out);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_library() {
        for nanosecond in [0, 1, 123_456_789, 999_999_999] {
            let time = Timestamp::new(1_800_000_000, nanosecond).unwrap();
            for decimals in [3_u32, 9] {
                let mut out = Vec::new();
                push_time(time, decimals, &mut out);
                let shown = format!("{time:.0$}", decimals as usize);
                assert_eq!(String::from_utf8(out).unwrap(), shown);
            }
        }
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [0, 1, 9, 10, 99, 100, 1_000_000, u64::MAX] {
            let mut out = b"x".to_vec();
            push_decimal(number, &mut out);
            assert_eq!(out, format!("x{number}").into_bytes());
        }
        let mut out = Vec::new();
        push_padded(7, 4, &mut out);
        push_padded(12_345, 2, &mut out);
        assert_eq!(out, b"000745");
    }
}
