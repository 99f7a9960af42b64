//! Events, derived from a frame of the log and the state before and after it.
//!
//! Nothing else goes into an event: the same frames give the same bytes. Frames before the first
//! `settings.changed` are for the audit trail alone.

mod access;
mod difference;
mod emit;
mod members;
mod resources;

use std::sync::Arc;

use super::cursor::FeedId;
use super::ring::{ChangeEnd, RingWriter};
use crate::access::AccessNames;
use crate::directory::membership::Voids;
use crate::directory::settings::{Settings, saved_json};
use crate::directory::{DirectoryError, LocalSettings};
use crate::log::Frame;
use crate::store::Read;
use crate::store::keys::{self, Kind};
use crate::store::overlay::WrittenState;
use emit::{Emitter, unwritten};

/// Derives the events of frames, in order.
pub(super) struct Deriver {
    feed: FeedId,
    local: LocalSettings,
    /// The settings in force; `None` before the first frame that has any.
    settings: Option<Arc<Settings>>,
}

impl Deriver {
    /// Begins behind a state.
    ///
    /// # Errors
    ///
    /// `Storage` if its settings can't be read or used.
    pub(super) fn new(
        feed: FeedId,
        local: LocalSettings,
        state: &dyn Read,
    ) -> Result<Self, DirectoryError> {
        let settings = settings_of(state, &local)?;
        Ok(Self { feed, local, settings })
    }

    /// Puts the events of a frame into the files; `before` is the state that it changes.
    ///
    /// # Errors
    ///
    /// `Storage`. What was put into the files is then cut off when they are opened again.
    pub(super) fn derive(
        &mut self,
        frame: &Frame,
        before: &dyn Read,
        ring: &mut RingWriter,
    ) -> Result<(), DirectoryError> {
        let after = WrittenState::new(before, &frame.writes);
        let of_settings = |key: &[u8]| [keys::SETTINGS, keys::CATALOGUE].contains(&key);
        let next = match frame.writes.iter().any(|write| of_settings(&write.key)) {
            true => settings_of(&after, &self.local)?,
            false => self.settings.clone(),
        };
        if let (Some(old), Some(new)) = (&self.settings, &next)
            && (!Arc::ptr_eq(old, new) || frame.writes.iter().any(|write| is_visible(&write.key)))
        {
            let change = Change {
                frame,
                before: Side { voids: Voids::load(before)?, state: before, settings: old },
                after: Side { voids: Voids::load(&after)?, state: &after, settings: new },
                written: &after,
            };
            change.emit(&mut Emitter::new(self.feed, frame, new, ring))?;
        }
        let end = ChangeEnd { sequence: frame.sequence, hash: frame.hash };
        ring.end_change(end).map_err(|error| unwritten(&error))?;
        self.settings = next;
        Ok(())
    }
}

/// Whether consumers may see a change of a key.
fn is_visible(key: &[u8]) -> bool {
    matches!(keys::kind(key), Some(Kind::Record(..) | Kind::Member(..) | Kind::Void(_)))
}

/// The settings that a state holds. The names that accounts may still hold from an earlier catalogue count, too, so that
/// nothing is taken away between a change of the catalogue and the migration of accounts.
pub(super) fn settings_of(
    state: &dyn Read,
    local: &LocalSettings,
) -> Result<Option<Arc<Settings>>, DirectoryError> {
    let Some(json) = saved_json(state)? else { return Ok(None) };
    let names = state.get(keys::CATALOGUE)?;
    let former: Option<AccessNames> = names.and_then(|names| serde_json::from_slice(&names).ok());
    Settings::new(json, former.as_ref(), local.clone()).map(|settings| Some(Arc::new(settings)))
}

/// The state before or after a frame.
struct Side<'a> {
    state: &'a dyn Read,
    settings: &'a Settings,
    voids: Voids,
}

/// A frame, with the state before and after it.
struct Change<'a> {
    frame: &'a Frame,
    before: Side<'a>,
    after: Side<'a>,
    /// What the frame writes, over the state before it.
    written: &'a WrittenState<'a>,
}

impl Change<'_> {
    /// Emits the events of the frame: those of accounts, of groups, then of access.
    fn emit(&self, emitter: &mut Emitter<'_>) -> Result<(), DirectoryError> {
        let records = self.records(emitter)?;
        let members = self.members()?;
        self.groups(&records, &members, emitter)?;
        self.access(&records, &members, emitter)
    }
}
