//! `[requests] bodies_for`: the bodies of all connections, from a start on.

use std::time::Duration;

use crate::config::Config;
use crate::directory::Directory;
use crate::event::Actor;
use crate::operator::keep_bodies;
use crate::request_log::RequestLog;

/// Keeps the bodies of all connections for as long as the configuration says, from now on; for no time, it ends
/// what it began before.
pub(super) fn begin(config: &Config, directory: &Directory, requests: &RequestLog) {
    let lasts = config.requests.bodies_for;
    for name in config.connections.keys() {
        match keep_bodies(directory, requests, Actor::System, name, lasts) {
            Ok(until) if lasts > Duration::ZERO => {
                tracing::warn!(connection = name, %until, "bodies of requests are kept, with secrets masked (requests.bodies_for)");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(
                connection = name, %error, "bodies of requests are not kept: the audit log could not be written"
            ),
        }
    }
}
