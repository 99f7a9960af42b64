//! Secrets of one-time codes as they are stored: encrypted with a key that is in no log and no backup.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::code::{CODE_SECRET_BYTES, CodeSecret};

/// The size of a nonce, in bytes. Random nonces of this size are safe for far more secrets than a site has operators.
pub const NONCE_BYTES: usize = 12;

/// The key that encrypts the secrets (AES-256-GCM).
pub struct CodeKey(LessSafeKey);

/// An encrypted secret: nonce, ciphertext and tag in base64. Its operator's name is part of what the tag vouches for,
/// so that no secret can be moved to another operator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret(String);

impl CodeKey {
    /// A key of 256 random bits.
    pub fn new(random: &[u8; 32]) -> Option<Self> {
        UnboundKey::new(&AES_256_GCM, random).ok().map(|key| Self(LessSafeKey::new(key)))
    }

    /// Encrypts a secret for an operator, with a nonce that was never used before.
    pub fn seal(
        &self,
        name: &str,
        secret: &CodeSecret,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<SealedSecret> {
        let mut text = Zeroizing::new(secret.bytes().to_vec());
        let aad = Aad::from(name.as_bytes());
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .ok()?;
        let whole = [nonce.as_slice(), &text, tag.as_ref()].concat();
        Some(SealedSecret(BASE64.encode(&whole)))
    }

    /// Decrypts the secret of an operator; `None` if it was encrypted with another key, for another operator, or is
    /// damaged.
    pub fn open(&self, name: &str, sealed: &SealedSecret) -> Option<CodeSecret> {
        let whole = BASE64.decode(sealed.0.as_bytes()).ok()?;
        let (nonce, rest) = whole.split_first_chunk::<NONCE_BYTES>()?;
        let mut text = Zeroizing::new(rest.to_vec());
        let aad = Aad::from(name.as_bytes());
        let opened =
            self.0.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text).ok()?;
        let secret = <[u8; CODE_SECRET_BYTES]>::try_from(&*opened).ok()?;
        Some(CodeSecret::from_random(secret))
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_opened_by_its_key_for_its_operator_alone() {
        let key = CodeKey::new(&[1; 32]).unwrap();
        let secret = CodeSecret::from_random([9; CODE_SECRET_BYTES]);
        let sealed = key.seal("ada", &secret, [3; NONCE_BYTES]).unwrap();
        assert_eq!(key.open("ada", &sealed).unwrap().bytes(), secret.bytes());
        assert!(key.open("bob", &sealed).is_none());
        assert!(CodeKey::new(&[2; 32]).unwrap().open("ada", &sealed).is_none());
        let bytes = BASE64.decode(sealed.0.as_bytes()).unwrap();
        assert!(!bytes.windows(8).any(|part| part == [9; 8]), "the secret is legible");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(key.open("ada", &SealedSecret(BASE64.encode(&changed))).is_none(), "{at}");
        }
        for bad in ["", "AAAA", "?"] {
            assert!(key.open("ada", &SealedSecret(bad.to_owned())).is_none());
        }
    }
}
