//! `[metrics]`: the listener for metrics.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::listen::ListenAddress;
use super::reader::Section;

/// The listener for metrics and health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The address and port to bind; `None` for no listener.
    pub listen: Option<SocketAddr>,
    /// Whether it uses TLS, with the certificate of `[listen]`.
    pub tls: bool,
    /// The file with the token that a scraper presents; `None` if it needs none.
    pub token_file: Option<PathBuf>,
}

impl MetricsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>, serves_tls: bool) -> Self {
        let listen = section.optional("listen").map(|ListenAddress(address)| address);
        let tls = section.boolean("tls", false);
        let token_file = section.path("token_file");
        let foreign = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        if let Some(address) = listen.filter(foreign)
            && (!tls || !section.is_written("token_file"))
        {
            section.problem(
                "listen",
                format!(
                    "\"{address}\" can be reached from other machines; add tls = true and token_file = \"FILE\", which holds \
                     the token that the scraper sends, or use a loopback address such as \"127.0.0.1:9464\""
                ),
            );
        }
        if tls && !serves_tls {
            section.problem(
                "tls",
                "true needs a certificate, and listen.tls is false; set listen.tls = true, or use a loopback address \
                 and a proxy",
            );
        }
        Self { listen, tls, token_file }
    }
}
