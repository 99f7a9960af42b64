//! The digest of a plan, by which an operator confirms this plan and no other.

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};

use super::plan::Plan;

/// The number of bytes of the hash that are kept.
const BYTES: usize = 16;

/// A digest of all that a plan does, in hexadecimal.
pub(super) fn of(plan: &Plan) -> String {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    for record in &plan.records {
        add(&[
            record.resource_type.tag,
            u8::from(record.only_active),
            u8::from(record.is_deactivated),
        ]);
        add(record.id.as_bytes());
        for value in [&record.was, &record.is] {
            add(value.as_deref().unwrap_or_default());
        }
    }
    for membership in &plan.memberships {
        add(membership.group.as_bytes());
        add(membership.member.as_bytes());
        let presence = [&membership.was, &membership.is].map(|value| u8::from(value.is_some()));
        add(&presence);
    }
    HEXLOWER.encode(hash.finalize().get(..BYTES).unwrap_or_default())
}
