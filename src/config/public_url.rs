//! `public_url`: the URL by which clients reach scimd, without the path of SCIM.

use std::str::FromStr;

use crate::connection::PublicUrl;
use crate::text::InvalidText;

/// What scimd itself appends to the URL.
const BASE_PATH: &str = "/scim/v2";

/// A public URL as it may be configured.
pub(super) struct ConfiguredUrl(pub(super) PublicUrl);

impl FromStr for ConfiguredUrl {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let url: PublicUrl = text.parse()?;
        match url.as_str().strip_suffix(BASE_PATH) {
            Some(bare) => Err(InvalidText::new(format!(
                "{text:?} ends with {BASE_PATH}, which scimd appends; use \"{bare}\""
            ))),
            None => Ok(Self(url)),
        }
    }
}
