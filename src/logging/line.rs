//! The form of a log line: one event is one line, whatever a client has sent.
//!
//! A value is cut at 1 KiB. Control characters are escaped, so that a value can neither fake another line
//! nor send a command to a terminal. In text, a value that could be mistaken for several fields is quoted.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::level::LogFormat;
use crate::clock::Clock;
use crate::text::digits::push_time;
use crate::text::shorten;

/// The length of a value in bytes, beyond which it is cut.
const MAX_VALUE: usize = 1024;

/// Formats events as lines.
#[derive(Clone, Copy)]
pub(super) struct LineFormat {
    format: LogFormat,
    /// Whether journald reads the lines: it records the time itself, and takes a priority from the front.
    journal: bool,
}

impl LineFormat {
    /// Creates a formatter for the reader of standard error: journald or any other.
    pub(super) fn new(format: LogFormat) -> Self {
        Self { format, journal: stderr_is_journal() }
    }

    /// Creates a formatter for a reader that is not journald.
    #[cfg(test)]
    pub(super) fn plain(format: LogFormat) -> Self {
        Self { format, journal: false }
    }

    /// Returns the line, with its line feed, that reports lines missing from the log. It is a warning at
    /// every log level, because lines of any level may be missing.
    pub(super) fn dropped(self, lines: usize) -> String {
        let mut fields = self.begin(Level::WARN, Clock::System.now());
        fields.text("message", "log lines dropped: standard error did not accept them");
        fields.plain("lines", lines);
        fields.end() + "\n"
    }

    /// Begins a line.
    fn begin(self, level: Level, time: Timestamp) -> Fields {
        let mut line = Vec::with_capacity(384);
        if self.journal {
            line.extend_from_slice(priority(level).as_bytes());
        }
        match self.format {
            LogFormat::Text => {
                if !self.journal {
                    push_time(time, 3, &mut line);
                    line.push(b' ');
                }
                let level = level.as_str();
                line.extend(std::iter::repeat_n(b' ', 5_usize.saturating_sub(level.len())));
                line.extend_from_slice(level.as_bytes());
                line.push(b' ');
            }
            LogFormat::Json => {
                line.extend_from_slice(b"{\"timestamp\":\"");
                push_time(time, 3, &mut line);
                line.extend_from_slice(b"\",\"level\":\"");
                line.extend_from_slice(level.as_str().as_bytes());
                line.push(b'"');
            }
        }
        Fields { format: self.format, message_at: line.len(), line }
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
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
        let mut fields = self.begin(*event.metadata().level(), Clock::System.now());
        event.record(&mut fields);
        let mut line = fields.end();
        line.push('\n');
        writer.write_str(&line)
    }
}

/// Returns whether standard error is the stream that systemd has connected to its journal.
fn stderr_is_journal() -> bool {
    let Ok(stream_id) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2")
        .is_ok_and(|stream| stream_id == format!("{}:{}", stream.dev(), stream.ino()))
}

/// Returns the prefix of sd-daemon(3) for a level.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    }
}

/// A line to which the fields of an event are added.
struct Fields {
    format: LogFormat,
    /// UTF-8.
    line: Vec<u8>,
    /// Where the message belongs: before all other fields, whenever it is recorded.
    message_at: usize,
}

impl Fields {
    /// Adds a field that is a number or a boolean.
    fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        // Writing to memory can't fail.
        let _ = write!(self.line, "{value}");
    }

    /// Begins a field.
    fn name(&mut self, name: &str) {
        let (before, behind) = match self.format {
            LogFormat::Text => (" ", "="),
            LogFormat::Json => (",\"", "\":"),
        };
        for part in [before, name, behind] {
            self.line.extend_from_slice(part.as_bytes());
        }
    }

    /// Adds a field that is text. In text format it is quoted.
    fn text(&mut self, name: &str, value: &str) {
        let value = &*shorten(value, MAX_VALUE);
        match self.format {
            _ if name == "message" => self.message(value),
            _ if value.bytes().all(is_as_it_is) => {
                self.name(name);
                self.line.push(b'"');
                self.line.extend_from_slice(value.as_bytes());
                self.line.push(b'"');
            }
            LogFormat::Text => {
                self.name(name);
                let _ = write!(self.line, "{value:?}");
            }
            LogFormat::Json => write_json_member(name, value, &mut self.line),
        }
    }

    /// Adds a field by its `Display` or `Debug` output, which is quoted only where it could be mistaken for
    /// several fields.
    fn shown(&mut self, name: &str, value: &str) {
        if self.format == LogFormat::Text && name != "message" && value.bytes().all(is_unmistakable)
        {
            self.plain(name, shorten(value, MAX_VALUE));
        } else {
            self.text(name, value);
        }
    }

    fn message(&mut self, message: &str) {
        let other_fields = self.line.split_off(self.message_at);
        match self.format {
            LogFormat::Text if message.contains(char::is_control) => {
                let _ = write!(self.line, "{}", message.escape_debug());
            }
            LogFormat::Text => self.line.extend_from_slice(message.as_bytes()),
            LogFormat::Json => write_json_member("message", message, &mut self.line),
        }
        self.line.extend_from_slice(&other_fields);
    }

    fn end(mut self) -> String {
        if self.format == LogFormat::Json {
            self.line.push(b'}');
        }
        String::from_utf8(self.line).unwrap_or_default()
    }
}

/// Returns whether a value with this byte needs no quotes.
fn is_unmistakable(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\')
}

/// Returns whether a quoted value has this byte as it is, in both forms.
fn is_as_it_is(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn write_json_member(name: &str, text: &str, line: &mut Vec<u8>) {
    let text = serde_json::Value::from(text).to_string();
    let _ = write!(line, ",\"{name}\":");
    for character in text.chars() {
        // JSON allows some control characters that a terminal interprets.
        let _ = match character.is_control() {
            true => write!(line, "\\u{:04x}", u32::from(character)),
            false => write!(line, "{character}"),
        };
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.shown(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.shown(field.name(), &value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.plain(field.name(), value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field.name(), value);
        } else {
            self.text(field.name(), &value.to_string());
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMS: [LogFormat; 2] = [LogFormat::Text, LogFormat::Json];

    fn line(format: LogFormat, journal: bool, value: &str) -> String {
        let mut fields = LineFormat { format, journal }.begin(Level::WARN, Timestamp::UNIX_EPOCH);
        fields.text("text", value);
        fields.shown("shown", value);
        fields.shown("message", "refused");
        fields.plain("count", 7);
        fields.end()
    }

    #[test]
    fn an_event_is_a_line_of_text_or_json_for_people_programs_and_journald() {
        let value = "a b";
        let said = "refused text=\"a b\" shown=\"a b\" count=7";
        assert_eq!(
            line(LogFormat::Text, false, value),
            format!("1970-01-01T00:00:00.000Z  WARN {said}")
        );
        assert_eq!(line(LogFormat::Text, true, value), format!("<4> WARN {said}"));
        let said = "{\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"level\":\"WARN\",\"message\":\"refused\",\
                    \"text\":\"a b\",\"shown\":\"a b\",\"count\":7}";
        assert_eq!(line(LogFormat::Json, false, value), said);
        assert_eq!(line(LogFormat::Json, true, value), format!("<4>{said}"));
    }

    #[test]
    fn what_shows_itself_is_quoted_where_it_could_be_mistaken() {
        let text = |value: &str| line(LogFormat::Text, true, value);
        assert!(text("127.0.0.1:8443").contains("shown=127.0.0.1:8443 "));
        assert!(text("x status=200").contains("shown=\"x status=200\""));
        assert!(text("").contains("text=\"\""));
    }

    proptest::proptest! {
        #[test]
        fn no_value_gets_out_of_its_line(value in "(\\PC|[\\x00-\\x20\\x7f-\\x9f\"\\\\=]){0,40}") {
            for format in FORMS {
                let line = line(format, false, &value);
                assert!(!line.contains(char::is_control), "{line:?}");
            }
            let json: serde_json::Value =
                serde_json::from_str(&line(LogFormat::Json, false, &value)).unwrap();
            assert_eq!(json["text"], value.as_str());
            assert_eq!(json["shown"], value.as_str());
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let long = "ä".repeat(10_000);
        let shown = line(LogFormat::Json, false, &long);
        let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
        let text = json["text"].as_str().unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (513, true));
        assert_eq!(shorten(&"x".repeat(MAX_VALUE), MAX_VALUE), "x".repeat(MAX_VALUE));
    }
}
