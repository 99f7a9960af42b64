//! The documents that the discovery endpoints serve, written once for a configuration.

use bytes::Bytes;
use serde_json::Value;

use crate::scim::discovery::{self, OfferUrns};
use crate::scim::query::PageLimits;
use crate::scim::registry::Registry;

/// The bodies of all responses of the discovery endpoints.
pub(super) struct DiscoveryDocuments {
    service_provider_config: Bytes,
    /// The same for a connection that has OAuth clients.
    service_provider_config_with_oauth: Bytes,
    /// For clients that know roles and entitlements by the URNs of the draft.
    draft: AnnouncedTypes,
    /// For those that know them by Okta's.
    okta: AnnouncedTypes,
}

/// The bodies of the endpoints that announce resource types and schemas.
pub(super) struct AnnouncedTypes {
    pub(super) resource_types: DocumentList,
    pub(super) schemas: DocumentList,
}

impl AnnouncedTypes {
    fn new(base: &str, registry: &Registry, urns: OfferUrns) -> Self {
        let types = registry.resource_types().iter().chain(registry.offered());
        let resource_types: Vec<Value> =
            types.map(|one| discovery::resource_type(base, one, urns)).collect();
        Self {
            resource_types: DocumentList::new(&resource_types),
            schemas: DocumentList::new(&discovery::schemas(base, registry, urns)),
        }
    }
}

/// The bodies for a list of documents and for each of them.
pub(super) struct DocumentList {
    pub(super) all: Bytes,
    by_id: Vec<(String, Bytes)>,
}

impl DocumentList {
    fn new(entries: &[Value]) -> Self {
        let id =
            |entry: &Value| entry.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            all: discovery::list_response(entries).to_string().into(),
            by_id: entries.iter().map(|entry| (id(entry), entry.to_string().into())).collect(),
        }
    }

    /// The document with that id, in upper or lower case.
    pub(super) fn get(&self, id: &str) -> Option<Bytes> {
        let found = self.by_id.iter().find(|(known, _)| known.eq_ignore_ascii_case(id));
        found.map(|(_, entry)| entry.clone())
    }
}

impl DiscoveryDocuments {
    /// The body of the service provider's configuration.
    pub(super) fn service_provider_config(&self, has_oauth: bool) -> Bytes {
        match has_oauth {
            true => self.service_provider_config_with_oauth.clone(),
            false => self.service_provider_config.clone(),
        }
    }

    pub(super) fn new(base: &str, limits: PageLimits, registry: &Registry) -> Self {
        let service_provider_config = |oauth| -> Bytes {
            discovery::service_provider_config(base, limits, oauth).to_string().into()
        };
        Self {
            service_provider_config: service_provider_config(false),
            service_provider_config_with_oauth: service_provider_config(true),
            draft: AnnouncedTypes::new(base, registry, OfferUrns::Draft),
            okta: AnnouncedTypes::new(base, registry, OfferUrns::Okta),
        }
    }

    /// The bodies that announce roles and entitlements under these URNs.
    pub(super) fn announced(&self, urns: OfferUrns) -> &AnnouncedTypes {
        match urns {
            OfferUrns::Draft => &self.draft,
            OfferUrns::Okta => &self.okta,
        }
    }
}
