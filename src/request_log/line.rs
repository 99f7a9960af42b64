//! A record as one line of JSON, written by hand: every request pays for it.

use std::io::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use super::entry::RequestEntry;
use super::mask::has_token;
use crate::text::digits::{push_decimal, push_padded, push_time};
use crate::text::json_text::push_string;

impl RequestEntry {
    /// Appends the record as one line, in which everything that looks like a token of scimd is masked: a client
    /// with a wrong configuration may send it anywhere.
    pub(super) fn encode(&self, line: &mut Vec<u8>) {
        let start = line.len();
        write(self, line);
        if line.get(start..).is_some_and(has_token) {
            line.truncate(start);
            let mut masked = self.clone();
            masked.mask_tokens();
            write(&masked, line);
        }
    }
}

/// Appends a record, in the form in which [`RequestEntry`] is read.
fn write(entry: &RequestEntry, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"time\":\"");
    push_time(entry.time, 9, line);
    line.push(b'"');
    write_text("id", &entry.id, line);
    for (name, text) in [
        ("connection", &entry.connection),
        ("application", &entry.application),
        ("token", &entry.token),
    ] {
        write_optional(name, text.as_deref(), line);
    }
    if let Some(address) = entry.address {
        write_name("address", line);
        write_address(address, line);
    }
    write_text("method", &entry.method, line);
    write_text("path", &entry.path, line);
    write_name("status", line);
    push_decimal(entry.status.into(), line);
    write_name("ms", line);
    write_hundredths(entry.ms, line);
    for (name, text) in [
        ("resource_type", entry.resource_type.as_deref()),
        ("resource", entry.resource.as_deref()),
        ("filter", entry.filter.as_deref()),
        ("scim_type", entry.scim_type.as_deref()),
        ("detail", entry.detail.as_deref()),
        ("reason", entry.reason.as_deref()),
    ] {
        write_optional(name, text, line);
    }
    if !entry.claimed.is_empty() {
        write_value("claimed", &entry.claimed, line);
    }
    if !entry.ignored.is_empty() {
        write_value("ignored", &entry.ignored, line);
    }
    if let Some(change) = &entry.change {
        write_value("change", change, line);
    }
    if let Some(bodies) = &entry.bodies {
        write_value("bodies", bodies, line);
    }
    if let Some(repeated) = &entry.repeated {
        write_value("repeated", repeated, line);
    }
    line.extend_from_slice(b"}\n");
}

fn write_name(name: &str, line: &mut Vec<u8>) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

fn write_value(name: &str, value: &impl Serialize, line: &mut Vec<u8>) {
    write_name(name, line);
    // Texts and numbers always have a JSON form, and writing to memory does not fail.
    let _ = serde_json::to_writer(line, value);
}

fn write_optional(name: &str, text: Option<&str>, line: &mut Vec<u8>) {
    if let Some(text) = text {
        write_text(name, text, line);
    }
}

fn write_text(name: &str, text: &str, line: &mut Vec<u8>) {
    write_name(name, line);
    push_string(text, line);
}

fn write_address(address: IpAddr, line: &mut Vec<u8>) {
    line.push(b'"');
    match address {
        IpAddr::V4(address) => {
            for (number, octet) in address.octets().into_iter().enumerate() {
                if number > 0 {
                    line.push(b'.');
                }
                push_decimal(octet.into(), line);
            }
        }
        IpAddr::V6(address) => {
            let _ = write!(line, "{address}");
        }
    }
    line.push(b'"');
}

/// Writes a number that has two decimals at most.
fn write_hundredths(number: f64, line: &mut Vec<u8>) {
    // What is negative or too large becomes the nearest number there is.
    let hundredths = (number * 100.0).round() as u64;
    push_decimal(hundredths / 100, line);
    line.push(b'.');
    push_padded(hundredths % 100, 2, line);
}

#[cfg(test)]
mod tests {
    use super::super::bodies::KeptBodies;
    use super::super::entry::{CommittedChange, Repetition, sample};
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let full = RequestEntry {
            time: "2026-02-03T04:05:06.000000789Z".parse().unwrap(),
            id: "a\u{1}-\"1".to_owned(),
            token: Some("t\\1".to_owned()),
            address: Some("192.0.2.100".parse().unwrap()),
            path: "/scim/v2/\u{e4}\n".to_owned(),
            ms: 12_345.07,
            resource_type: Some("Users".to_owned()),
            resource: Some("0190".to_owned()),
            filter: Some("userName eq".to_owned()),
            scim_type: Some("uniqueness".into()),
            detail: Some("two\nlines".to_owned()),
            reason: Some("why".to_owned()),
            ignored: vec!["x".to_owned(), "\"".to_owned()],
            change: Some(CommittedChange { sequence: 7, records: 2 }),
            bodies: Some(KeptBodies { request: "{}".to_owned(), answer: String::new() }),
            repeated: Some(Repetition { count: 3, seconds: 60 }),
            ..sample("")
        };
        let far = |text: &str| RequestEntry { time: text.parse().unwrap(), ..sample("1") };
        let from = |text: &str| RequestEntry { address: text.parse().ok(), ..sample("1") };
        for entry in [
            sample("a-1"),
            RequestEntry { ms: 0.0, ..sample("1") },
            RequestEntry { ms: 100.1, ..sample("1") },
            far("-000044-03-15T12:00:00Z"),
            far("9999-12-30T21:59:59.999999999Z"),
            from("::ffff:192.0.2.1"),
            from("0.0.0.0"),
            from("2001:db8::1"),
            full,
        ] {
            let mut line = b"before".to_vec();
            write(&entry, &mut line);
            assert_eq!(RequestEntry::decode(&line[6..]), Some(entry));
        }
    }
}
