//! `[metrics]`: the listener for metrics.

use std::net::SocketAddr;

use super::listen::ListenAddress;
use super::reader::Section;

/// The listener for metrics and health checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricsConfig {
    /// The loopback address and port to bind; `None` for no listener.
    pub listen: Option<SocketAddr>,
}

impl MetricsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let listen = section.optional("listen").map(|ListenAddress(address)| address);
        let foreign = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        if let Some(address) = listen.filter(foreign) {
            section.problem(
                "listen",
                format!(
                    "\"{address}\" can be reached from other machines, and metrics are told to whoever \
                     asks; expected a loopback address such as \"127.0.0.1:9464\", with a proxy that \
                     knows who may ask in front of it"
                ),
            );
        }
        Self { listen }
    }
}
