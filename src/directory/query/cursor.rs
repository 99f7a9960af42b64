//! Cursors: where the next page begins (RFC 9865).
//!
//! A cursor holds all that is needed to go on, and a code that only this directory can make: one that
//! was altered, or that belongs to another query, is none.

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::scim::error::{ScimError, ScimType};
use crate::scim::resource::ResourceId;

/// How many bytes of the code are kept.
const CODE_BYTES: usize = 16;
const BODY_BYTES: usize = 17;

/// Makes and checks cursors.
#[derive(Clone, Debug)]
pub(crate) struct Cursors {
    key: [u8; 32],
}

/// Where the next page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CursorPosition {
    /// Behind this resource, in the order of creation.
    After(ResourceId),
    /// After this number of results.
    Offset(u64),
}

impl Cursors {
    /// Cursors that only a holder of the secret can make.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let key = Sha256::new().chain_update(b"cursor").chain_update(secret).finalize();
        Self { key: key.into() }
    }

    /// The cursor of a position in the results of a query.
    pub(crate) fn make(&self, query: &str, position: CursorPosition) -> String {
        let mut body = [0; BODY_BYTES];
        match position {
            CursorPosition::After(id) => {
                body[0] = 1;
                body[1..].copy_from_slice(id.as_bytes());
            }
            CursorPosition::Offset(offset) => body[1..9].copy_from_slice(&offset.to_le_bytes()),
        }
        let code = self.code(query, &body);
        HEXLOWER.encode(&[&body[..], &code].concat())
    }

    /// The position that a cursor of that query means.
    ///
    /// # Errors
    ///
    /// `invalidCursor`.
    pub(crate) fn read(&self, query: &str, cursor: &str) -> Result<CursorPosition, ScimError> {
        self.try_read(query, cursor).ok_or_else(|| {
            ScimError::new(
                ScimType::InvalidCursor,
                "Invalid cursor for this query; start again with an empty cursor.",
            )
        })
    }

    fn try_read(&self, query: &str, cursor: &str) -> Option<CursorPosition> {
        let bytes = HEXLOWER_PERMISSIVE.decode(cursor.as_bytes()).ok()?;
        let bytes: [u8; BODY_BYTES + CODE_BYTES] = bytes.try_into().ok()?;
        let (body, code) = bytes.split_at_checked(BODY_BYTES)?;
        let genuine: bool = self.code(query, body).ct_eq(code).into();
        let id: [u8; 16] = body.get(1..)?.try_into().ok()?;
        genuine.then_some(match body.first()? {
            1 => CursorPosition::After(ResourceId::from_bytes(id)),
            _ => CursorPosition::Offset(u64::from_le_bytes(*id.first_chunk()?)),
        })
    }

    fn code(&self, query: &str, body: &[u8]) -> [u8; CODE_BYTES] {
        // Every part but the last has one length, so that no two inputs are alike.
        let parts = Sha256::new().chain_update(self.key).chain_update(body).chain_update(query);
        let whole: [u8; 32] = parts.finalize().into();
        whole.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_for_its_query_alone() {
        let cursors = Cursors::new(b"secret");
        let id = ResourceId::from_bytes([7; 16]);
        for position in
            [CursorPosition::After(id), CursorPosition::Offset(0), CursorPosition::Offset(u64::MAX)]
        {
            let cursor = cursors.make("q", position);
            assert_eq!(cursors.read("q", &cursor).unwrap(), position);
            assert!(cursors.read("p", &cursor).is_err());
            assert!(Cursors::new(b"other").read("q", &cursor).is_err());
            for place in 0..cursor.len() {
                let mut forged = cursor.clone().into_bytes();
                forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
                assert!(cursors.read("q", std::str::from_utf8(&forged).unwrap()).is_err());
            }
        }
        for text in ["", "x", "zz", &"0".repeat(66), &"é".repeat(33)] {
            assert!(cursors.read("q", text).is_err(), "{text}");
        }
    }
}
