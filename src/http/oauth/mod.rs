//! What OAuth clients get: access tokens (RFC 6749, section 4.4), and a description of how (RFC 8414).
//!
//! | file | contents |
//! | --- | --- |
//! | `token_request` | the form that clients send, and how they prove themselves |
//! | `key_proof` | clients that prove themselves by their own key |
//! | `grant` | the access token for a client that has proved itself |
//! | `metadata` | the description |

mod grant;
mod key_proof;
mod metadata;
mod token_request;

pub(super) use grant::issue;
pub(super) use key_proof::prove;
pub(super) use metadata::metadata;
pub(super) use token_request::{ClientCredentials, TokenRequest};
