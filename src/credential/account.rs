//! A named operator of the console.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::password::PasswordHash;
use super::role::OperatorRole;
use super::sealed::SealedSecret;
use crate::text::InvalidText;

/// The size of a name, in bytes.
pub const MAX_NAME: usize = 64;

/// A named operator of the console, as stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct OperatorAccount {
    /// The name, in lower case.
    pub name: String,
    /// What the operator may do.
    pub role: OperatorRole,
    /// When it was added.
    pub created: Timestamp,
    /// The password; `None` until one is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// The secret of the one-time codes; `None` until codes are enrolled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<SealedSecret>,
    /// The time step of the last code that was accepted: neither it nor an earlier one is accepted again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_step: Option<i64>,
    /// The time of the last sign-in by password and code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sign_in: Option<Timestamp>,
    /// Changes whenever the sessions of the operator have to end: sessions that began under another value have ended.
    pub epoch: String,
}

impl fmt::Debug for OperatorAccount {
    /// Writes the name only: hashes do not belong in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorAccount").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks the name of an operator, and returns it in lower case.
///
/// # Errors
///
/// A sentence that says what a name consists of.
pub fn check_name(name: &str) -> Result<String, InvalidText> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@+".contains(&byte);
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if name.len() > MAX_NAME || !begins || !name.bytes().all(fits) {
        return Err(InvalidText::new(format!(
            "{name:?} is no name of an operator; use 1 to {MAX_NAME} letters, digits and . _ - @ +, such as ada or \
             ada@example.com"
        )));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_plain_and_in_lower_case() {
        let longest = "a".repeat(MAX_NAME);
        for (name, kept) in [
            ("Ada", "ada"),
            ("a.b-c_d+e@example.com", "a.b-c_d+e@example.com"),
            ("7", "7"),
            (longest.as_str(), longest.as_str()),
        ] {
            assert_eq!(check_name(name).unwrap(), kept);
        }
        let long = "a".repeat(MAX_NAME + 1);
        for bad in ["", " ", ".a", "-a", "a b", "a:b", "a/b", "<b>", "ä", "a\n", long.as_str()] {
            assert!(check_name(bad).unwrap_err().to_string().contains("such as ada"), "{bad}");
        }
    }
}
