//! What the console needs of a configuration.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Config;

/// The configuration in force, and what the roof derives from it.
pub struct ConsoleSettings {
    /// The configuration.
    pub config: Arc<Config>,
    /// The URL below which SCIM resources are served.
    pub endpoint: String,
    /// The URL where OAuth clients get access tokens.
    pub token_url: String,
    /// The self-signed certificate, if clients of SCIM are shown that one.
    pub self_signed: Option<PathBuf>,
    /// Until when the certificate is valid.
    pub certificate_expires: Option<Timestamp>,
}
