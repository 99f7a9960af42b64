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
    for digit in out.get_mut(start..).unwrap_or_default().iter_mut().rev() {
        if number == 0 {
            break;
        }
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The last two digits of a number.
fn pair(number: u64) -> [u8; 2] {
    let number = (number % 100) as u8;
    [b'0' + number / 10, b'0' + number % 10]
}

/// Appends a time of UTC as RFC 3339 has it, with so many decimals of the second, at most 9; the rest is cut off.
pub fn push_time(time: Timestamp, decimals: u32, out: &mut Vec<u8>) {
    let civil = Offset::UTC.to_datetime(time);
    let Ok(year @ 0..=9999) = u64::try_from(civil.year()) else {
        let _ = write!(out, "{time}");
        return;
    };
    let part = |part: i8| pair(part.unsigned_abs().into());
    let ([y0, y1], [y2, y3]) = (pair(year / 100), pair(year));
    let ([m0, m1], [d0, d1]) = (part(civil.month()), part(civil.day()));
    let ([h0, h1], [i0, i1], [s0, s1]) =
        (part(civil.hour()), part(civil.minute()), part(civil.second()));
    out.extend_from_slice(&[
        y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1, b'.',
    ]);
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
        let seconds = [0, 951_782_399, 951_868_799, 1_798_761_599, 1_800_000_000, 253_402_207_199];
        let nanoseconds = [0, 1, 10, 123_456_789, 987_000_000, 999_999_999];
        for (second, nanosecond) in
            seconds.iter().flat_map(|second| nanoseconds.map(|nano| (*second, nano)))
        {
            let time = Timestamp::new(second, nanosecond).unwrap();
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
