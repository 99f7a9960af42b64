//! The issuers that a configuration trusts, put into the log.

use crate::config::Config;
use crate::connection::token::TokenOwner;
use crate::directory::{Directory, ProvenClient};

/// Has a directory trust the issuers of a configuration and no others. If the log can't take that, access tokens of
/// trusts that went have ended all the same; the log of the server says so.
pub fn trust_issuers(config: &Config, directory: &Directory) {
    let trusts = config.connections.iter().filter_map(|(name, connection)| {
        let id = connection.federation.as_ref()?.trust_id(name);
        Some(ProvenClient { id, owner: TokenOwner::Connection(name.clone()) })
    });
    if let Err(error) = directory.trust(trusts.collect()) {
        tracing::error!(
            %error,
            "the federations of the configuration could not be recorded; new ones do not work until a reload or restart"
        );
    }
}
