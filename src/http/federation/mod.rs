//! Workload identity federation: assertions of issuers that the configuration trusts.
//!
//! | file | contents |
//! | --- | --- |
//! | `trusts` | which trust an assertion is of, and whether it proves it |
//! | `keys`, `fetch` | the keys of issuers, kept and fetched |

mod fetch;
mod keys;
mod trusts;

pub(super) use keys::IssuerKeys;
pub(super) use trusts::Trusts;
