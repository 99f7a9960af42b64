//! What is in snapshots and backups, whose writes are compressed: a search through the bytes of the files finds none of it.

use std::fs;
use std::path::Path;

use sha2::Digest as _;

const MAGIC: &[u8] = b"SCIMDS\x00\x02";
const END: u8 = 2;
const COMPRESSED: u8 = 3;
/// What a block has at most before compression.
const LIMIT: usize = 64 * 1024 * 1024;

/// The bytes of a file, and behind them what is compressed in it if it is a snapshot or a backup.
pub(crate) fn contents(path: &Path) -> Vec<u8> {
    let file = fs::read(path).unwrap();
    let inside = if file.starts_with(MAGIC) { bodies(&file).concat() } else { Vec::new() };
    [file, inside].concat()
}

/// The bodies of the blocks that are whole, without compression.
fn bodies(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[MAGIC.len()..];
    let mut bodies = Vec::new();
    while let Some((length, block)) = rest.split_first_chunk()
        && let Some(body) = block.get(4..4 + u32::from_le_bytes(*length) as usize)
    {
        rest = &block[4 + body.len()..];
        bodies.push(if body[0] == COMPRESSED {
            let writes = zstd::bulk::decompress(&body[5..], LIMIT).unwrap();
            [&[COMPRESSED], &writes[..]].concat()
        } else {
            body.to_vec()
        });
        if body[0] == END {
            break;
        }
    }
    bodies
}

/// A backup with its checksums and its hash made right, and without a signature, after `change` has had each block's
/// body without compression.
pub(crate) fn resealed(backup: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut forged = MAGIC.to_vec();
    for mut body in bodies(backup) {
        change(&mut body);
        if body[0] == COMPRESSED {
            let length = u32::try_from(body.len() - 1).unwrap().to_le_bytes();
            let frame = zstd::bulk::compress(&body[1..], 1).unwrap();
            body = [&[COMPRESSED], &length[..], &frame].concat();
        }
        forged.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        forged.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        forged.extend_from_slice(&body);
    }
    let hash = sha2::Sha256::digest(&forged);
    [&forged[..], &hash].concat()
}
