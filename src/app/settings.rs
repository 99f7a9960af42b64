//! What the parts need of a configuration.

use std::sync::Arc;

use crate::access::{self, Catalogue, Names};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::directory::Settings;
use crate::operator::SiteInfo;
use crate::scim::schema::Registry;

/// What resources may say: the access catalogue and the resource types, as the configuration has them.
///
/// # Errors
///
/// Schemas that can't be added, each with its line.
pub fn vocabulary(config: &Config) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    speak(config, Catalogue::new(&config.access_settings()))
}

fn speak(config: &Config, catalogue: Catalogue) -> Result<(Arc<Catalogue>, Registry), ConfigError> {
    let registry =
        Registry::with(&config.schemas).map_err(|problems| config.schema_error(problems))?;
    let catalogue = Arc::new(catalogue);
    let registry = registry.map(|resource_type| access::install(resource_type, &catalogue));
    Ok((catalogue, registry))
}

/// What the directory works by under a configuration. `former` names are understood as well, for the time
/// in which accounts still have them.
pub(super) fn settings(config: &Config, former: Option<&Names>) -> Result<Settings, ConfigError> {
    let catalogue = Catalogue::new(&config.access_settings());
    let catalogue = match former {
        Some(former) => catalogue.remembering(former),
        None => catalogue,
    };
    let (catalogue, registry) = speak(config, catalogue)?;
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

/// What commands need of the configuration.
pub fn site_info(config: &Config) -> SiteInfo {
    SiteInfo {
        connections: config.connections.keys().cloned().collect(),
        base_url: endpoint(config),
    }
}

/// The URL that is told to identity providers.
pub fn endpoint(config: &Config) -> String {
    format!("{}{}", config.public_url.as_str(), crate::http::BASE_PATH)
}
