//! What the parts need of a configuration.

use std::path::Path;
use std::sync::Arc;

use crate::access::{Catalogue, DefaultAccess};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, EffectiveSetting, ReadsConfig};
use crate::directory::{self, Directory, LocalSettings};
use crate::operator::{SettingInfo, SiteInfo};
use crate::request_log::RequestLogLimits;
use crate::scim::registry::Registry;

/// The access catalogue and the resource types of a configuration.
///
/// # Errors
///
/// Schemas that can't be added, each with its line.
pub fn vocabulary(config: &Config) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    directory::vocabulary(&config.shared_settings())
        .map_err(|problems| config.schema_error(problems))
}

/// Checks that accounts hold no access that a configuration does not have, as a start does.
///
/// # Errors
///
/// Names who holds what.
pub(super) fn check_access(config: &Config, directory: &Directory) -> anyhow::Result<()> {
    Ok(directory.check_settings(&config.shared_settings(), local_settings(config))?)
}

/// The settings of the directory that are this process's own.
pub(super) fn local_settings(config: &Config) -> LocalSettings {
    let brakes = config.connections.iter();
    let brakes = brakes.map(|(name, connection)| (name.clone(), connection.brake.clone()));
    let may_grant = config
        .connections
        .iter()
        .filter_map(|(name, connection)| Some((name.clone(), connection.may_grant.clone()?)));
    LocalSettings {
        brakes: Arc::new(brakes.collect()),
        may_grant: Arc::new(may_grant.collect()),
        clock: Clock::System,
        max_resource_bytes: config.limits.max_resource_bytes,
        max_scan: config.limits.max_scan,
        max_search_time: config.limits.request_timeout,
        reads_latest: config.store.reads == ReadsConfig::Latest,
    }
}

/// What the operator API needs beside a directory: the connections of a configuration, and the base URL
/// by the settings in force.
pub fn site_info(config: &Config, directory: &Directory) -> SiteInfo {
    let public_url = directory.public_url().unwrap_or(&config.public_url);
    SiteInfo {
        connections: config.connections.keys().cloned().collect(),
        applications: config.applications.keys().cloned().collect(),
        default_access: config
            .connections
            .iter()
            .map(|(name, connection)| {
                let (workspace, permissions) =
                    (&connection.default_workspace, &connection.default_permissions);
                (name.clone(), Arc::new(DefaultAccess::new(workspace, permissions)))
            })
            .collect(),
        base_url: format!("{}{}", public_url.as_str(), crate::http::BASE_PATH),
        config_file: config.file.as_ref().map(|file| shown(file)),
        data_dir: shown(&config.data_dir),
        settings: Arc::new(effective_settings(config)),
    }
}

/// The settings that a configuration puts in force, each with where it comes from.
pub fn effective_settings(config: &Config) -> Vec<SettingInfo> {
    let setting = |EffectiveSetting { key, value, place }| {
        let (file, line) = place.map(|place| (shown(&place.file), place.line)).unzip();
        SettingInfo { key, value, file, line }
    };
    config.effective().into_iter().map(setting).collect()
}

/// A path as operators read it: whole, wherever they are.
fn shown(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// The limits of the request log.
pub(super) fn request_log_limits(config: &Config) -> RequestLogLimits {
    let (max_bytes, max_age) = (config.requests.max_bytes(), config.requests.max_age());
    let min_free = u64::from(config.store.min_free_mib) << 20;
    RequestLogLimits { max_bytes, max_age, min_free }
}

/// The URL where OAuth clients get access tokens.
pub fn token_url(config: &Config) -> String {
    format!("{}{}", config.public_url.as_str(), crate::http::TOKEN_PATH)
}

/// The base URL that identity providers are configured with.
pub fn endpoint(config: &Config) -> String {
    format!("{}{}", config.public_url.as_str(), crate::http::BASE_PATH)
}
