//! `[oauth]`: access tokens.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Section;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How access tokens are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthConfig {
    /// The file with the key of access tokens; `None` for the one in the data directory.
    pub key_file: Option<PathBuf>,
    /// How long an access token is valid; 1h to 6h.
    pub access_token_lifetime: Duration,
}

impl Default for OauthConfig {
    fn default() -> Self {
        Self { key_file: None, access_token_lifetime: 2 * HOUR }
    }
}

impl OauthConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default().access_token_lifetime;
        let range = HOUR..=6 * HOUR;
        Self {
            key_file: section.path("key_file"),
            access_token_lifetime: section.duration("access_token_lifetime", range, default),
        }
    }
}
