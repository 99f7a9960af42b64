//! The frames of the log, without its files.

#[path = "../../src/log/frame.rs"]
mod frame;
#[path = "../../src/log/position.rs"]
mod position;

pub use frame::{Frame, LogEntry, Write};
pub use position::{Hash, Position};

/// The frame at the beginning of some bytes, and how many it takes.
pub fn decode(bytes: &[u8]) -> Result<(Frame, usize), &'static str> {
    frame::decode(bytes)
}

/// The frame around a body, right in everything but perhaps the body.
pub fn around(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short body");
    [&length.to_le_bytes(), &crc32c::crc32c(body).to_le_bytes(), body].concat()
}

/// The frame of a change, and its hash.
pub fn encode(frame: &Frame) -> (Vec<u8>, Hash) {
    let mut out = Vec::new();
    let entry = LogEntry { head: frame.head.clone(), writes: frame.writes.clone() };
    let hash = frame::encode(frame.sequence, frame.group, frame.previous, &entry, &mut out);
    (out, hash.expect("a frame that was read can be written"))
}
