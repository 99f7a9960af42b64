//! Lengths of time as operators write them: `10s`, `5m`, `24h`, `365d`.

use std::fmt;
use std::time::Duration;

use super::InvalidText;

/// The units, largest first, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest accepted duration: a hundred years, so that adding one to a date cannot overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Reads a whole number followed by `s`, `m`, `h` or `d`; spaces around it are ignored.
///
/// # Errors
///
/// Any other text, and anything above `36500d`.
pub fn parse(text: &str) -> Result<Duration, InvalidText> {
    let wrong = || {
        InvalidText::new(format!(
            "{text:?} is not a duration; expected a whole number and a unit (s, m, h or d), \
             such as \"30s\" or \"365d\", at most \"36500d\""
        ))
    };
    let trimmed = text.trim();
    let (_, seconds, number) = UNITS
        .into_iter()
        .find_map(|(unit, seconds)| Some((unit, seconds, trimmed.strip_suffix(unit)?)))
        .ok_or_else(wrong)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .filter(|&duration| duration <= LONGEST)
        .ok_or_else(wrong)
}

/// Writes a duration in the largest unit that divides it, as [`parse`] reads it.
///
/// Parts of a second are left out.
pub fn display(duration: Duration) -> impl fmt::Display {
    let seconds = duration.as_secs();
    let (unit, size) = UNITS
        .into_iter()
        .find(|&(_, size)| seconds != 0 && seconds.is_multiple_of(size))
        .unwrap_or(('s', 1));
    format!("{}{unit}", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_survive_the_round_trip() {
        for (text, seconds) in [
            ("0s", 0),
            ("10s", 10),
            ("90s", 90),
            ("5m", 300),
            ("24h", 86_400),
            ("365d", 31_536_000),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration.as_secs(), seconds);
            assert_eq!(parse(&display(duration).to_string()).unwrap(), duration);
        }
        assert_eq!(display(Duration::from_secs(86_400)).to_string(), "1d");
        assert_eq!(display(Duration::from_secs(90)).to_string(), "90s");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "s",
            "10",
            "-1s",
            "+1s",
            "1.5h",
            "1 s",
            "10ms",
            "1w",
            "٣s",
            "99999999999999999999d",
            "36501d",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")) && error.contains("expected"), "{error}");
        }
    }
}
