//! What operators sign in to the console with: roles, passwords and one-time codes.
//!
//! | file | contents |
//! | --- | --- |
//! | `role` | what an operator may do |
//! | `account` | a named operator, as stored |
//! | `password` | passwords: rules, and hashes (Argon2id) |
//! | `code` | one-time codes (RFC 6238) |
//! | `id_token` | ID tokens of an OpenID provider |
//! | `sealed` | secrets of one-time codes, encrypted |

mod account;
mod code;
mod id_token;
mod password;
mod role;
mod sealed;

pub use account::{MAX_NAME, OperatorAccount, check_name};
pub use code::{CODE_SECRET_BYTES, CodeSecret, STEP};
pub use id_token::{ExpectedIdToken, IdToken, ProvenUser};
pub use password::{
    MAX_PASSWORD, MIN_PASSWORD, Password, PasswordHash, SALT_BYTES, check_new_password,
};
pub use role::OperatorRole;
pub use sealed::{CodeKey, NONCE_BYTES, SealedSecret};
