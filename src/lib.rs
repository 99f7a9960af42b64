//! scimd
pub mod clock;
pub mod scim;
pub mod secret;
