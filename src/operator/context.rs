//! What requests are executed on.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::configuration::ConfigurationQueue;
use super::identity::ConsoleControl;
use super::newest_events::NewestEvents;
use super::reply::NotificationTest;
use super::setting::SettingInfo;
use super::sign_in::SignIns;
use super::webhook::WebhookControl;
use crate::access::DefaultAccess;
use crate::connection::token::TokenOwner;
use crate::directory::Directory;
use crate::feed::Feed;
use crate::request_log::RequestLog;

/// What requests are executed on: the directory, and what the configuration says of the site.
pub struct OperatorContext {
    /// The directory.
    pub directory: Arc<Directory>,
    /// What the configuration says.
    pub site: SiteInfo,
    /// The server that executes the request; `None` without one.
    pub server: Option<RunningServer>,
}

/// What a running server has besides the directory.
#[derive(Clone)]
pub struct RunningServer {
    /// The way to the configuration in force.
    pub configuration: ConfigurationQueue,
    /// The request log.
    pub requests: Arc<RequestLog>,
    /// The change feed.
    pub feed: Arc<Feed>,
    /// Its newest events.
    pub newest_events: Arc<NewestEvents>,
    /// Returns each application, with how many of its consumers wait for events or stream them.
    pub consumers: Arc<dyn Fn() -> Vec<(String, u64)> + Send + Sync>,
    /// When the server was started.
    pub since: Timestamp,
    /// Returns the number of TLS handshakes that have failed since then.
    pub failed_handshakes: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Delivers a test by every way of notification, and returns what came of each.
    pub test_notifications: Arc<dyn Fn() -> Vec<NotificationTest> + Send + Sync>,
    /// What signing in to the console needs.
    pub sign_ins: Arc<SignIns>,
    /// The console; `None` if it is disabled.
    pub console: Option<Arc<dyn ConsoleControl>>,
    /// The webhooks.
    pub webhooks: Arc<dyn WebhookControl>,
}

/// The part of the configuration that requests are checked against and replies are made with.
#[derive(Clone, Debug)]
pub struct SiteInfo {
    /// The names of the connections.
    pub connections: Vec<String>,
    /// The names of the applications.
    pub applications: Vec<String>,
    /// What accounts that name no workspace get, by connection.
    pub default_access: BTreeMap<String, Arc<DefaultAccess>>,
    /// The URL below which SCIM resources are served.
    pub base_url: String,
    /// The configuration file; `None` for the built-in configuration.
    pub config_file: Option<String>,
    /// The data directory.
    pub data_dir: String,
    /// The settings that the configuration puts in force.
    pub settings: Arc<Vec<SettingInfo>>,
}

impl SiteInfo {
    /// The names of the configuration that are of the same kind as an owner of tokens.
    pub(super) fn of_kind(&self, owner: &TokenOwner) -> &[String] {
        match owner {
            TokenOwner::Connection(_) => &self.connections,
            TokenOwner::Application(_) => &self.applications,
        }
    }

    /// Whether the configuration has an owner of tokens.
    pub(super) fn knows(&self, owner: &TokenOwner) -> bool {
        self.of_kind(owner).iter().any(|name| name == owner.name())
    }
}
