//! How clients reach scimd.

use std::net::SocketAddr;
use std::path::Path;

use crate::connection::{AddressSet, PublicUrl};

/// The address under which clients reach scimd, and the listener behind it.
#[derive(Clone, Copy, Debug)]
pub struct Reachability<'a> {
    /// The address under which clients reach scimd.
    pub public_url: &'a PublicUrl,
    /// The URL below which resources are served.
    pub endpoint: &'a str,
    /// The URL where OAuth clients get access tokens.
    pub token_endpoint: &'a str,
    /// The address of the listener.
    pub listen: SocketAddr,
    /// Whether the listener uses TLS.
    pub tls: bool,
    /// The proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: &'a AddressSet,
    /// The self-signed certificate, if the listener presents it.
    pub self_signed: Option<&'a Path>,
}
