//! Bulk (RFC 7644, section 3.7): many operations, one request, one sync.

use std::collections::HashMap;
use std::sync::Arc;

use crate::directory::error::DirectoryError;
use crate::directory::resource::create::Create;
use crate::directory::resource::delete::Delete;
use crate::directory::resource::patch::Patch;
use crate::directory::resource::replace::Replace;
use crate::directory::stored::StoredResource;
use crate::directory::transaction::{Command, Transaction};
use crate::scim::error::ScimError;
use crate::scim::json;
use crate::scim::schema::ResourceType;

/// After how many operations the time that the command takes is checked.
const TIMED_EVERY: usize = 16;

/// One operation of a bulk request, ready to run.
#[derive(Clone)]
pub enum BulkOperation {
    /// POST.
    Create(Create),
    /// PUT.
    Replace(Replace),
    /// PATCH.
    Patch(Patch),
    /// DELETE.
    Delete(Delete),
    /// It can't be run, for this reason.
    Refused(ScimError),
}

/// Runs operations one after the other; each happens or not on its own.
pub struct Bulk {
    /// The operations, each after those that it refers to.
    pub operations: Vec<BulkOperation>,
    /// After how many failures to stop; `None` for never.
    pub fail_on_errors: Option<usize>,
}

/// What became of an operation: the resource as it is now, nothing after a delete, or why not.
pub type BulkOutcome = Result<Option<(Arc<ResourceType>, StoredResource)>, DirectoryError>;

impl Command for Bulk {
    /// The outcomes, in the order of the operations; shorter if it was stopped.
    type Output = Vec<BulkOutcome>;

    /// # Errors
    ///
    /// `Storage`, or `Invalid` with `tooMany` past the command's budget; then nothing has happened.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Vec<BulkOutcome>, DirectoryError> {
        let mut outcomes = Vec::new();
        let mut failures = 0;
        // The ids that were foreseen for resources, and those of the accounts that were opened instead.
        let mut reopened: HashMap<String, String> = HashMap::new();
        for operation in &self.operations {
            if self.fail_on_errors.is_some_and(|limit| failures >= limit) {
                break;
            }
            let outcome = if reopened.is_empty() {
                run(tx, operation)
            } else {
                let mut renamed = operation.clone();
                renamed.rename_ids(&reopened);
                run(tx, &renamed)
            };
            if let (BulkOperation::Create(Create { id: Some(foreseen), .. }), Ok(Some((_, stored)))) =
                (operation, &outcome)
                && stored.id != *foreseen
            {
                reopened.insert(foreseen.to_string(), stored.id.to_string());
            }
            match outcome {
                Err(error @ (DirectoryError::Storage(_) | DirectoryError::Stopped)) => {
                    return Err(error);
                }
                Err(_) => failures += 1,
                Ok(_) => {}
            }
            outcomes.push(outcome);
            // All operations share one budget: past it all of them fail.
            tx.budget().check()?;
            if outcomes.len() % TIMED_EVERY == 0 {
                tx.budget().check_time()?;
            }
        }
        Ok(outcomes)
    }
}

impl BulkOperation {
    /// Replaces the ids that stand in a table, wherever the operation refers to them.
    fn rename_ids(&mut self, ids: &HashMap<String, String>) {
        match self {
            Self::Create(create) => create.resource.rename_ids(ids),
            Self::Replace(replace) => {
                json::rename(&mut replace.id, ids);
                replace.resource.rename_ids(ids);
            }
            Self::Patch(patch) => {
                json::rename(&mut patch.id, ids);
                patch.request.rename_ids(ids);
            }
            Self::Delete(delete) => json::rename(&mut delete.id, ids),
            Self::Refused(_) => {}
        }
    }
}

fn run(tx: &mut Transaction<'_>, operation: &BulkOperation) -> BulkOutcome {
    let of = |resource_type: &Arc<ResourceType>, stored| Some((Arc::clone(resource_type), stored));
    match operation {
        BulkOperation::Create(create) => {
            tx.nested(create).map(|stored| of(&create.resource_type, stored))
        }
        BulkOperation::Replace(replace) => {
            tx.nested(replace).map(|stored| of(&replace.resource_type, stored))
        }
        BulkOperation::Patch(patch) => {
            tx.nested(patch).map(|stored| of(&patch.resource_type, stored))
        }
        BulkOperation::Delete(delete) => tx.nested(delete).map(|()| None),
        BulkOperation::Refused(error) => Err(error.clone().into()),
    }
}
