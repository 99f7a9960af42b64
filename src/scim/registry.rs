//! The resource types that are served: built-in ones, with custom schemas and attributes.

use std::sync::Arc;

use super::custom::{self, SchemaPlace, SchemaProblem, SchemaSettings};
use super::schema::ResourceType;
use super::schemas;

/// All resource types that this service provider serves.
#[derive(Clone, Debug)]
pub struct Registry {
    resource_types: Vec<Arc<ResourceType>>,
    offered: Vec<Arc<ResourceType>>,
}

impl Registry {
    /// The built-in resource types.
    pub fn built_in() -> Self {
        Self {
            resource_types: finished([
                schemas::user::resource_type(),
                schemas::group::resource_type(),
            ]),
            offered: vec![
                Arc::new(schemas::offer::role()),
                Arc::new(schemas::offer::entitlement()),
            ],
        }
    }

    /// Returns the built-in resource types with the custom schemas and attributes.
    ///
    /// # Errors
    ///
    /// Every problem, with its position in `configured`: an unknown resource type, a name that is
    /// already in use, or an unsupported characteristic.
    pub fn with(configured: &[SchemaSettings]) -> Result<Self, Vec<SchemaProblem>> {
        let mut resource_types: Vec<ResourceType> =
            Self::built_in().resource_types.iter().map(|built_in| (**built_in).clone()).collect();
        let mut problems = Vec::new();
        for (number, schema) in configured.iter().enumerate() {
            let place = SchemaPlace { schema: number, ..SchemaPlace::default() };
            custom::extend(&mut resource_types, schema, place, &mut problems);
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { resource_types: finished(resource_types), ..Self::built_in() })
    }

    /// Returns the registry with `change` applied to each resource type.
    #[must_use]
    pub fn map(self, change: impl Fn(&mut ResourceType)) -> Self {
        let resource_types = self.resource_types.into_iter().map(|resource_type| {
            let mut resource_type = Arc::unwrap_or_clone(resource_type);
            change(&mut resource_type);
            resource_type
        });
        Self { resource_types: finished(resource_types), ..self }
    }

    /// Returns the resource types of roles and entitlements: served from the configuration, never
    /// stored.
    pub fn offered(&self) -> &[Arc<ResourceType>] {
        &self.offered
    }

    /// Every resource type whose resources are stored.
    pub fn resource_types(&self) -> &[Arc<ResourceType>] {
        &self.resource_types
    }

    /// The resource type served at `/{endpoint}`, in the letter case of the registry.
    pub fn by_endpoint(&self, endpoint: &str) -> Option<&Arc<ResourceType>> {
        self.resource_types.iter().find(|resource_type| resource_type.endpoint == endpoint)
    }

    /// Returns the resource type with that tag in keys.
    pub fn by_tag(&self, tag: u8) -> Option<&Arc<ResourceType>> {
        self.resource_types.iter().find(|resource_type| resource_type.tag == tag)
    }
}

/// Resource types that change no more.
fn finished(resource_types: impl IntoIterator<Item = ResourceType>) -> Vec<Arc<ResourceType>> {
    let finish = |mut resource_type: ResourceType| {
        resource_type.work_out_served_as_stored();
        Arc::new(resource_type)
    };
    resource_types.into_iter().map(finish).collect()
}
