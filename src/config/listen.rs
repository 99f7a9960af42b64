//! `[listen]`: where connections are accepted, and under which certificate.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::reader::Section;
use crate::connection::{AddressSet, PublicUrl};
use crate::text::InvalidText;

/// The listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// The address and port to bind.
    pub address: SocketAddr,
    /// Whether connections use TLS; plain text is allowed on a loopback address only.
    pub tls: bool,
    /// The PEM file with the certificate chain; `None` for a generated self-signed certificate.
    pub certificate: Option<PathBuf>,
    /// The PEM file with the private key; present if and only if `certificate` is.
    pub private_key: Option<PathBuf>,
    /// The peers whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: AddressSet,
    /// The Unix socket for a proxy on this machine that sends PROXY headers; `None` for no such socket.
    pub unix: Option<PathBuf>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 8443).into(),
            tls: true,
            certificate: None,
            private_key: None,
            trusted_proxies: AddressSet::default(),
            unix: None,
        }
    }
}

impl ListenConfig {
    /// Returns the URL by which clients reach the listener directly.
    pub fn public_url(&self) -> PublicUrl {
        PublicUrl::of_listener(self.address, self.tls)
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let listen = Self {
            address: section.parsed("address", ListenAddress(default.address)).0,
            tls: section.boolean("tls", default.tls),
            certificate: section.path("certificate"),
            private_key: section.path("private_key"),
            trusted_proxies: section.list("trusted_proxies").unwrap_or_default(),
            unix: section.path("unix"),
        };
        if !listen.tls && !listen.address.ip().to_canonical().is_loopback() {
            section.problem(
                "tls",
                format!(
                    "false is allowed on a loopback address only, and address is \"{}\"; expected \
                     tls = true, or an address such as \"127.0.0.1:8443\"",
                    listen.address
                ),
            );
        }
        for (given, needed) in [("certificate", "private_key"), ("private_key", "certificate")] {
            if section.is_written(given) && !section.is_written(needed) {
                section
                    .missing(given, &format!("given without {needed}; expected both or neither"));
            }
        }
        listen
    }
}

/// A socket address whose error says what is expected.
pub(super) struct ListenAddress(pub(super) SocketAddr);

impl FromStr for ListenAddress {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        text.parse().map(Self).map_err(|_| {
            InvalidText::new(format!(
                "{text:?} is not an IP address and port; expected for example \"0.0.0.0:8443\" or \"[::]:8443\""
            ))
        })
    }
}
