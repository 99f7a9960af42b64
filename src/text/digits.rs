//! Numbers as digits, for text that is written for every request: quicker than formatting.

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

#[cfg(test)]
mod tests {
    use super::*;

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
