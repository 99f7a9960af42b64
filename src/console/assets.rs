//! Stylesheet, script and icon, built into the binary. Their names hold a hash, so that browsers keep them for good.

use std::sync::LazyLock;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::reply::ConsoleReply;

const STYLE: &[u8] = include_bytes!("assets/console.css");
const SCRIPT: &[u8] = include_bytes!("assets/console.js");
const ICON: &[u8] = include_bytes!("assets/icon.svg");

/// The paths of all assets.
pub(super) struct Assets {
    pub(super) style: String,
    pub(super) script: String,
    pub(super) icon: String,
}

/// Where the assets are.
pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| Assets {
    style: path(STYLE, "css"),
    script: path(SCRIPT, "js"),
    icon: path(ICON, "svg"),
});

/// The first bytes of the hash are enough to tell versions apart.
fn path(content: &[u8], ending: &str) -> String {
    let hash = HEXLOWER.encode(&Sha256::digest(content));
    format!("/assets/{}.{ending}", hash.get(..16).unwrap_or_default())
}

/// The asset at a path.
pub(super) fn find(path: &str) -> Option<ConsoleReply> {
    let Assets { style, script, icon } = &*ASSETS;
    let (kind, content) = match path {
        path if path == style => ("text/css; charset=utf-8", STYLE),
        path if path == script => ("text/javascript; charset=utf-8", SCRIPT),
        path if path == icon => ("image/svg+xml", ICON),
        _ => return None,
    };
    Some(ConsoleReply::of(kind, Bytes::from_static(content)).immutable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_small_and_found_by_their_hash_alone() {
        assert!(STYLE.len() + SCRIPT.len() + ICON.len() < 40 * 1024);
        assert!(find(&ASSETS.style).is_some() && find(&ASSETS.script).is_some());
        assert!(find("/assets/console.css").is_none());
        assert_ne!(ASSETS.style, ASSETS.script);
    }
}
