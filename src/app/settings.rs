//! What the parts need of a configuration.

use std::sync::Arc;

use crate::access::{self, AccessNames, Catalogue};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::directory::Settings;
use crate::operator::SiteInfo;
use crate::scim::registry::Registry;

/// The access catalogue and the resource types of a configuration.
///
/// # Errors
///
/// Schemas that can't be added, each with its line.
pub fn vocabulary(config: &Config) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    build(config, Catalogue::new(&config.access_settings()))
}

fn build(config: &Config, catalogue: Catalogue) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    let registry =
        Registry::with(&config.schemas).map_err(|problems| config.schema_error(problems))?;
    let catalogue = Arc::new(catalogue);
    let registry = registry.map(|resource_type| access::install(resource_type, &catalogue));
    Ok((catalogue, registry))
}

/// The settings of the directory under a configuration. `former` names of the catalogue are understood as
/// well, for as long as accounts still have them.
pub(super) fn settings(
    config: &Config,
    former: Option<&AccessNames>,
) -> Result<Settings, ConfigError> {
    let catalogue = Catalogue::new(&config.access_settings());
    let catalogue = match former {
        Some(former) => catalogue.remembering(former),
        None => catalogue,
    };
    let (catalogue, registry) = build(config, catalogue)?;
    let brakes = config.connections.iter();
    let brakes = brakes.map(|(name, connection)| (name.clone(), connection.brake.clone()));
    Ok(Settings {
        registry: Arc::new(registry),
        catalogue,
        brakes: Arc::new(brakes.collect()),
        clock: Clock::System,
        max_resource_bytes: config.limits.max_resource_bytes,
        max_scan: config.limits.max_scan,
        max_search_time: config.limits.request_timeout,
    })
}

/// The part of a configuration that the operator API needs.
pub fn site_info(config: &Config) -> SiteInfo {
    SiteInfo {
        connections: config.connections.keys().cloned().collect(),
        base_url: endpoint(config),
    }
}

/// The base URL that identity providers are configured with.
pub fn endpoint(config: &Config) -> String {
    format!("{}{}", config.public_url.as_str(), crate::http::BASE_PATH)
}
