//! The settings of an application: a program that reads the directory.

use std::collections::BTreeSet;

use super::address_set::AddressSet;
use crate::text::keyword::keyword;

/// The settings of one application. It has no brake and no daily quota: it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationSettings {
    /// What its tokens permit; never empty.
    pub scopes: BTreeSet<ApplicationScope>,
    /// The addresses that requests may come from; `None` means any.
    pub ip_allowlist: Option<AddressSet>,
}

/// What the tokens of an application may permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApplicationScope {
    /// To read resources and discovery.
    Read,
    /// To follow the change feed.
    Events,
}

impl ApplicationScope {
    /// Both values, in the order of the documentation.
    pub const ALL: &[Self] = &[Self::Read, Self::Events];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Events => "events",
        }
    }
}

keyword!(ApplicationScope, "scope");
