//! Connections: the methods of clients, their dialects, their tokens, and the setup guides for
//! identity providers.

pub mod access_token;
mod address_set;
mod application;
pub mod assertion;
mod brake;
pub mod client;
pub mod dialect;
pub mod federation;
pub mod flat;
mod host;
mod may_grant;
pub mod method;
mod origin;
mod public_url;
mod settings;
pub mod setup;
pub mod token;

pub use address_set::AddressSet;
pub use application::{ApplicationScope, ApplicationSettings};
pub use brake::{Brake, BrakeAction};
pub use may_grant::MayGrant;
pub use origin::Origin;
pub use public_url::PublicUrl;
pub use settings::{
    Compat, ConnectionMethod, ConnectionSettings, OnInactiveCreate, Scope, UnknownMembers,
};
