//! The form of the log: one event is one line, whatever a client has sent.
//!
//! A value is cut at 1 KiB, and no control character gets out: neither a line feed that would fake a line
//! nor what a terminal takes for a command. In text a value that could be mistaken for more than one
//! stands in quotes, with what is special escaped.

use std::fmt::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock::{Clock, rfc3339};
use crate::config::Format;

/// How many bytes of a value are logged.
const MAX_VALUE: usize = 1024;

/// How lines are written.
#[derive(Clone, Copy)]
pub(super) struct Line {
    format: Format,
    /// Whether journald reads them: it keeps the time itself, and takes the priority from the front.
    journal: bool,
}

impl Line {
    /// Lines of that form, for whoever reads standard error.
    pub(super) fn new(format: Format) -> Self {
        Self { format, journal: stderr_is_journal() }
    }

    fn write(self, level: Level, time: Timestamp, fields: &Fields) -> String {
        let mut line = String::with_capacity(256);
        if self.journal {
            line.push_str(priority(level));
        }
        match self.format {
            Format::Text => {
                if !self.journal {
                    line.push_str(&rfc3339(time));
                    line.push(' ');
                }
                line.push_str(&format!("{level:>5} "));
                fields.write_text(&mut line);
            }
            Format::Json => {
                line.push_str(&format!(
                    "{{\"timestamp\":\"{}\",\"level\":\"{level}\"",
                    rfc3339(time)
                ));
                fields.write_json(&mut line);
                line.push('}');
            }
        }
        line
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = self.write(*event.metadata().level(), Clock::System.now(), &fields);
        writeln!(writer, "{line}")
    }
}

/// Whether standard error is the stream that systemd has connected to its journal.
fn stderr_is_journal() -> bool {
    let Ok(told) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stream| told == format!("{}:{}", stream.dev(), stream.ino()))
}

/// The level as sd-daemon(3) has it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

enum Value {
    /// A number, true or false.
    Plain(String),
    /// A text.
    Text(String),
    /// Something as it shows itself.
    Shown(String),
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::Plain(text) | Value::Text(text) | Value::Shown(text)) => {
                self.message = text;
            }
            (name, value) => self.others.push((name, value)),
        }
    }

    fn write_text(&self, line: &mut String) {
        if self.message.contains(char::is_control) {
            line.extend(self.message.escape_debug());
        } else {
            line.push_str(&self.message);
        }
        for (name, value) in &self.others {
            let (text, quoted) = match value {
                Value::Plain(text) => (text, false),
                Value::Text(text) => (text, true),
                Value::Shown(text) => (text, !text.bytes().all(is_unmistakable)),
            };
            // Writing to a string can't fail.
            let _ = if quoted {
                write!(line, " {name}={text:?}")
            } else {
                write!(line, " {name}={text}")
            };
        }
    }

    fn write_json(&self, line: &mut String) {
        write_json_member("message", &self.message, line);
        for (name, value) in &self.others {
            match value {
                Value::Plain(text) => line.push_str(&format!(",\"{name}\":{text}")),
                Value::Text(text) | Value::Shown(text) => write_json_member(name, text, line),
            }
        }
    }
}

/// Whether a byte needs no quotes around it.
fn is_unmistakable(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\')
}

fn write_json_member(name: &str, text: &str, line: &mut String) {
    let text = serde_json::Value::from(text).to_string();
    line.push_str(&format!(",\"{name}\":"));
    for character in text.chars() {
        // JSON lets some pass that a terminal does not.
        if character.is_control() {
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
}

/// A text, cut where it is too long.
fn cut(mut text: String) -> String {
    if text.len() > MAX_VALUE {
        text.truncate(text.floor_char_boundary(MAX_VALUE));
        text.push('…');
    }
    text
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::Shown(cut(format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::Text(cut(value.to_owned())));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, Value::Shown(cut(value.to_string())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.add(field, Value::Plain(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let text = value.to_string();
        self.add(field, if value.is_finite() { Value::Plain(text) } else { Value::Text(text) });
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Plain(value.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [Format; 2] = [Format::Text, Format::Json];

    fn line(format: Format, journal: bool, fields: &Fields) -> String {
        Line { format, journal }.write(Level::WARN, Timestamp::UNIX_EPOCH, fields)
    }

    fn fields(value: &str) -> Fields {
        let others = vec![
            ("text", Value::Text(cut(value.to_owned()))),
            ("shown", Value::Shown(cut(value.to_owned()))),
            ("count", Value::Plain("7".to_owned())),
        ];
        Fields { message: "refused".to_owned(), others }
    }

    #[test]
    fn an_event_is_a_line_of_text_or_json_for_people_programs_and_journald() {
        let fields = fields("a b");
        let said = "refused text=\"a b\" shown=\"a b\" count=7";
        assert_eq!(
            line(Format::Text, false, &fields),
            format!("1970-01-01T00:00:00.000Z  WARN {said}")
        );
        assert_eq!(line(Format::Text, true, &fields), format!("<4> WARN {said}"));
        let said = "{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"WARN\",\"message\":\"refused\",\
                    \"text\":\"a b\",\"shown\":\"a b\",\"count\":7}";
        assert_eq!(line(Format::Json, false, &fields), said);
        assert_eq!(line(Format::Json, true, &fields), format!("<4>{said}"));
    }

    #[test]
    fn what_shows_itself_is_quoted_where_it_could_be_mistaken() {
        let text = |value: &str| line(Format::Text, true, &fields(value));
        assert!(text("127.0.0.1:8443").contains("shown=127.0.0.1:8443 "));
        assert!(text("x status=200").contains("shown=\"x status=200\""));
        assert!(text("").contains("text=\"\""));
    }

    proptest::proptest! {
        #[test]
        fn no_value_gets_out_of_its_line(value in "(\\PC|[\\x00-\\x20\\x7f-\\x9f\"\\\\=]){0,40}") {
            for format in FORMS {
                let line = line(format, false, &fields(&value));
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            let json: serde_json::Value =
                serde_json::from_str(&line(Format::Json, false, &fields(&value))).unwrap();
            assert_eq!(json["text"], value.as_str());
            assert_eq!(json["shown"], value.as_str());
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "ä".repeat(10_000);
        let shown = line(Format::Json, false, &fields(&long));
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let text = json["text"].as_str().unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (513, true));
        assert_eq!(cut("x".repeat(MAX_VALUE)), "x".repeat(MAX_VALUE));
    }
}
