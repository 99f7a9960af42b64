//! Handlers of SCIM: written once for all resource types. They never check permissions: the gate has.

mod body_writer;
pub(super) mod bulk;
mod call;
pub(super) mod discovery;
pub(super) mod me;
pub(super) mod offers;
mod representation;
pub(super) mod resources;
pub(super) mod search;

pub(super) use call::Call;
