//! A frame of the journal is read, or refused with a reason; one that is read is written again as
//! what it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use scimd_fuzz::journal::{around, decode, encode};

fuzz_target!(|bytes: &[u8]| {
    // Most bytes fail at the checksum, so they are also taken as a body that passes it.
    for bytes in [bytes.to_vec(), around(bytes)] {
        let Ok((frame, length)) = decode(&bytes) else { continue };
        assert!(length <= bytes.len());
        assert!((0..length).all(|end| decode(&bytes[..end]).is_err()), "a part is a whole");
        let (written, hash) = encode(&frame);
        // All but the head, which is JSON, has one spelling: numbers and hash before it, changes behind.
        assert_eq!(written[8..56], bytes[8..56]);
        let head_length = u32::from_le_bytes(bytes[56..60].try_into().expect("four bytes"));
        assert!(written.ends_with(&bytes[60 + head_length as usize..length]));
        let (mut again, written_length) = decode(&written).expect("what was written");
        assert_eq!((written_length, again.hash), (written.len(), hash));
        again.hash = frame.hash;
        assert_eq!(again, frame);
    }
});
