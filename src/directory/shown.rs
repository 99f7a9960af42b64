//! Resources as they are shown: with their relations and effective access.

use crate::access::Effective;
use crate::directory::access::effective;
use crate::directory::error::DirectoryError;
use crate::directory::membership::{self, ReferenceList, ReferenceWriter, Voids};
use crate::directory::settings::DirectoryView;
use crate::directory::stored::{self, StoredResource};
use crate::scim::resource::{EntityTag, serve};
use crate::scim::schema::ResourceType;
use crate::scim::schemas::access::ACCESS;
use crate::store::keys;

/// A resource with its relations, as the answer to a request.
#[derive(Clone, Debug)]
pub struct ShownResource {
    /// The resource.
    pub stored: StoredResource,
    /// The resources that it refers to, by attribute; empty if they are not wanted.
    pub references: Vec<(String, ReferenceList)>,
    /// Its effective access, if that is wanted.
    pub access: Option<Effective>,
    /// Its entity tag, which changes with the groups that it shows.
    pub tag: EntityTag,
}

impl ShownResource {
    /// A resource whose relations are not looked up yet.
    pub(crate) fn new(stored: StoredResource) -> Self {
        let tag = stored.record.version.into();
        Self { stored, references: Vec::new(), access: None, tag }
    }

    /// Appends its JSON, as it is served below a URL.
    pub fn serve(&self, base_url: &str, resource_type: &ResourceType, out: &mut Vec<u8>) {
        let location = self.stored.id.location(base_url, &resource_type.endpoint);
        let relations = |out: &mut Vec<u8>| self.serve_relations(base_url, out);
        let (record, related) = (&self.stored.record, self.tag.related);
        serve(&record.json, record.meta_at, related, &location, relations, out);
    }

    /// About how many bytes the resources that it refers to have as they are served.
    pub fn reference_bytes(&self, base_url: &str) -> usize {
        self.references.iter().map(|(_, list)| list.served_bytes(base_url)).sum()
    }

    fn serve_relations(&self, base_url: &str, out: &mut Vec<u8>) {
        for (name, references) in &self.references {
            // The buffer grows once, also for a long list.
            out.reserve(references.served_bytes(base_url));
            out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
            let mut writer = ReferenceWriter::new(base_url);
            for (number, reference) in references.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                writer.push(reference, out);
            }
            out.push(b']');
        }
        if let Some(effective) = &self.access {
            let access = effective::served(effective, self.stored.record.manager());
            out.extend_from_slice(format!(",\"{ACCESS}\":{access}").as_bytes());
        }
    }
}

impl DirectoryView<'_> {
    pub(crate) fn retrieve(
        self,
        resource_type: &ResourceType,
        id: &str,
        wanted: &dyn Fn(&str) -> bool,
        most_bytes: usize,
    ) -> Result<ShownResource, DirectoryError> {
        let id = stored::parse_id(resource_type, id)?;
        let stored = stored::find(self.state, resource_type, id)?;
        self.with_relations(resource_type, stored, wanted, most_bytes)
    }

    pub(crate) fn look_up(
        self,
        resource_type: &ResourceType,
        attribute: &str,
        name: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<ShownResource, DirectoryError> {
        match self.retrieve(resource_type, &name.to_ascii_lowercase(), wanted, usize::MAX) {
            Err(DirectoryError::NotFound { .. }) => {}
            found_or_failed => return found_or_failed,
        }
        let unique = resource_type
            .indexed()
            .find(|indexed| indexed.leaf().is_unique() && indexed.leaf().name == attribute);
        let holder = match unique {
            Some(indexed) => self.state.get(&keys::unique(resource_type.tag, &indexed, name))?,
            None => None,
        };
        let id = holder.as_deref().and_then(keys::trailing_id);
        let id = id.ok_or_else(|| stored::not_found(resource_type, name))?;
        let stored = stored::find(self.state, resource_type, id)?;
        self.with_relations(resource_type, stored, wanted, usize::MAX)
    }

    pub(crate) fn with_relations(
        self,
        resource_type: &ResourceType,
        stored: StoredResource,
        wanted: &dyn Fn(&str) -> bool,
        most_bytes: usize,
    ) -> Result<ShownResource, DirectoryError> {
        let (mut shown, voids) = (ShownResource::new(stored), Voids::load(self.state)?);
        self.attach_relations(&voids, resource_type, &mut shown, wanted, most_bytes)?;
        Ok(shown)
    }

    /// Looks up the relations of a resource, and its effective access, as far as they are wanted.
    pub(crate) fn attach_relations(
        self,
        voids: &Voids,
        resource_type: &ResourceType,
        shown: &mut ShownResource,
        wanted: &dyn Fn(&str) -> bool,
        most_bytes: usize,
    ) -> Result<(), DirectoryError> {
        let (state, registry, id) = (self.state, self.registry(), shown.stored.id);
        shown.references =
            membership::references(state, registry, voids, resource_type, id, wanted, most_bytes)?;
        shown.tag.related = membership::digest_of_groups(&shown.references);
        if resource_type.is_account && wanted(ACCESS) {
            shown.access = Some(self.access(voids, resource_type, &shown.stored)?);
        }
        Ok(())
    }
}
