//! Passwords of operators: what a new one must be, and how it is stored.
//!
//! Argon2id with 19 MiB, two passes and one lane: the least that OWASP's Password Storage Cheat Sheet advises.

use std::collections::HashSet;
use std::fmt;

use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::text::{InvalidText, fold};

/// The fewest characters of a new password.
pub const MIN_PASSWORD: usize = 12;
/// The fewest different characters of a new password, without the parts of the name.
const MIN_DIFFERENT: usize = 6;
/// The size of a password, in bytes.
pub const MAX_PASSWORD: usize = 1_024;
/// The size of a salt, in bytes.
pub const SALT_BYTES: usize = 16;
/// The memory of one hash, in KiB.
const MEMORY: u32 = 19_456;
/// The most memory of a hash that is read, in KiB.
const MAX_MEMORY: u32 = 65_536;
/// The passes over the memory.
const PASSES: u32 = 2;
/// The most passes of a hash that is read.
const MAX_PASSES: u32 = 10;
/// A hash that no password has: verifying against it costs what it costs for an operator that exists.
const OF_NO_PASSWORD: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2NpbWQgLSBuby1vbmUhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A password, as it was entered; wiped from memory.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password as entered. What Unicode writes in two ways is one password (NFC).
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.nfc().collect()))
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Checks a new password of an operator: its length, and that it isn't the name. There are no rules of composition
/// (NIST SP 800-63B).
///
/// # Errors
///
/// A sentence that says what is wrong.
pub fn check_new_password(password: &Password, name: &str) -> Result<(), InvalidText> {
    let text = password.0.as_str();
    if text.chars().count() < MIN_PASSWORD {
        return Err(InvalidText::new(format!(
            "the password is too short; choose at least {MIN_PASSWORD} characters, such as four random words"
        )));
    }
    if text.len() > MAX_PASSWORD {
        return Err(InvalidText::new(format!(
            "the password is too long; choose at most {MAX_PASSWORD} bytes"
        )));
    }
    // What is left once the name is taken out has to be a password still.
    let mut rest = Zeroizing::new(fold(text).into_owned());
    let name = fold(name);
    for part in name.split(|letter: char| !letter.is_alphanumeric()).chain(["scimd"]) {
        if !part.is_empty() {
            *rest = rest.replace(part, "");
        }
    }
    let different: HashSet<char> = rest.chars().collect();
    if different.len() < MIN_DIFFERENT {
        return Err(InvalidText::new(
            "the password is little more than the name of the operator or a few characters repeated; choose another",
        ));
    }
    Ok(())
}

/// The hash of a password, as a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password with a random salt: takes 19 MiB and some ten milliseconds.
    ///
    /// # Errors
    ///
    /// There is no memory for it.
    pub fn of(password: &Password, salt: &[u8; SALT_BYTES]) -> Result<Self, InvalidText> {
        let params = Params::new(MEMORY, PASSES, 1, None);
        let hash = params
            .map_err(|error| error.to_string())
            .and_then(|params| {
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                argon2
                    .hash_password_with_salt(password.bytes(), salt)
                    .map_err(|error| error.to_string())
            })
            .map_err(|error| InvalidText::new(format!("can't hash the password: {error}")))?;
        Ok(Self(hash.to_string()))
    }

    /// A hash that no password has.
    pub fn of_no_password() -> Self {
        Self(OF_NO_PASSWORD.to_owned())
    }

    /// Whether it is the hash of a password: takes as much memory and time as making it.
    pub fn fits(&self, password: &Password) -> bool {
        argon2::PasswordHash::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(password.bytes(), &hash).is_ok())
    }
}

impl TryFrom<String> for PasswordHash {
    type Error = InvalidText;

    /// Takes a hash that costs what ours cost at least, and not so much that verifying it is a danger.
    fn try_from(text: String) -> Result<Self, InvalidText> {
        let wrong = || {
            InvalidText::new(
                "it is no Argon2id hash of a password, of 19 to 64 MiB and 2 to 10 passes",
            )
        };
        let hash = argon2::PasswordHash::new(&text).map_err(|_| wrong())?;
        let params = Params::try_from(&hash).map_err(|_| wrong())?;
        let is_ours = hash.algorithm.as_str() == "argon2id"
            && hash.hash.is_some()
            && hash.salt.is_some()
            && (MEMORY..=MAX_MEMORY).contains(&params.m_cost())
            && (PASSES..=MAX_PASSES).contains(&params.t_cost())
            && params.p_cost() == 1;
        if is_ours { Ok(Self(text)) } else { Err(wrong()) }
    }
}

impl From<PasswordHash> for String {
    fn from(hash: PasswordHash) -> Self {
        hash.0
    }
}

impl fmt::Debug for PasswordHash {
    /// Writes no part of it: a hash does not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), InvalidText> {
        check_new_password(&Password::new(text), "ada.lovelace@example.com")
    }

    #[test]
    fn a_hash_fits_its_password_alone() {
        let password = Password::new("correct horse battery staple");
        let hash = PasswordHash::of(&password, &[7; SALT_BYTES]).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert!(hash.fits(&password));
        assert!(!hash.fits(&Password::new("correct horse battery stapl")));
        assert!(!hash.fits(&Password::new("")));
        let read = PasswordHash::try_from(hash.0.clone()).unwrap();
        assert!(read == hash && format!("{read:?}") == "PasswordHash");
    }

    #[test]
    fn two_spellings_of_one_character_are_one_password() {
        let composed = Password::new("zw\u{f6}lf Zeichen");
        let hash = PasswordHash::of(&composed, &[1; SALT_BYTES]).unwrap();
        assert!(hash.fits(&Password::new("zwo\u{308}lf Zeichen")));
    }

    #[test]
    fn the_hash_of_no_password_is_one_that_is_verified_at_full_cost() {
        let hash = PasswordHash::try_from(OF_NO_PASSWORD.to_owned()).unwrap();
        assert!(hash == PasswordHash::of_no_password() && !hash.fits(&Password::new("")));
    }

    #[test]
    fn a_hash_that_is_cheap_or_dangerous_to_verify_is_refused() {
        let with = |from: &str, to: &str| OF_NO_PASSWORD.replace(from, to);
        for good in [with("m=19456", "m=65536"), with("t=2", "t=10")] {
            assert!(PasswordHash::try_from(good).is_ok());
        }
        for bad in [
            with("m=19456", "m=19455"),
            with("m=19456", "m=65537"),
            with("t=2", "t=1"),
            with("t=2", "t=11"),
            with("p=1", "p=2"),
            with("argon2id", "argon2i"),
            with("argon2id", "scrypt"),
            "$2y$10$abcdefghijklmnopqrstuv".to_owned(),
            String::new(),
        ] {
            assert!(PasswordHash::try_from(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_password_has_twelve_characters_of_any_kind_and_is_not_the_name() {
        let longest = "ab cd ".repeat(MAX_PASSWORD / 6) + "wxyz";
        assert_eq!(longest.len(), MAX_PASSWORD);
        for good in ["twelve chars", "correct horse battery staple", "ααβγδεζηθικλ", &longest]
        {
            check(good).unwrap();
        }
        let long = format!("{longest}!");
        for (bad, why) in [
            ("eleven char", "too short"),
            ("", "too short"),
            (long.as_str(), "too long"),
            ("ada.lovelace@example.com", "name"),
            ("Ada-Lovelace1", "name"),
            ("ada.lovelace1985", "name"),
            ("adalovelaceadalovelace", "name"),
            ("aaaaaaaaaaaaaaaa", "name"),
        ] {
            assert!(check(bad).unwrap_err().to_string().contains(why), "{bad}");
        }
    }
}
