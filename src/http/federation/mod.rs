//! Workload identity federation: assertions of issuers that the configuration trusts.
//!
//! | file | contents |
//! | --- | --- |
//! | `trusts` | which trust an assertion is of, and whether it proves it |
//! | `keys` | the keys of issuers, kept |

mod keys;
mod trusts;

pub(super) use keys::IssuerKeys;
pub(super) use trusts::Trusts;
