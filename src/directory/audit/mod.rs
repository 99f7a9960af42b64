//! The audit trail: what a change records, which requests were denied, and how changes are found again.

pub(crate) mod denied;
pub(crate) mod details;
pub(crate) mod query;
pub(crate) mod settings_details;
