//! Bringing state up to the head of a log.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{Store, StoreError};
use crate::log::{Frame, Log};

/// How many frames are taken over at once.
const FRAMES: usize = 1_000;
/// How many bytes of frames are taken over at once, roughly.
const BYTES: usize = 32 * 1024 * 1024;

/// Applies frames to the store, and whatever else follows the log.
pub type Observe<'a> = dyn FnMut(&[Arc<Frame>]) -> Result<(), StoreError> + 'a;

/// Reads what the store lacks of the log, in steps; `observe` applies each to the store.
///
/// # Errors
///
/// The log can't be read, or what `observe` answers.
pub fn read_on(
    log: &dyn Log,
    store: &dyn Store,
    observe: &mut Observe<'_>,
) -> Result<(), StoreError> {
    loop {
        let mut frames: Vec<Arc<Frame>> = Vec::new();
        let mut bytes = 0;
        log.read(store.applied().sequence, &mut |frame| {
            bytes += frame.bytes();
            frames.push(frame);
            match frames.len() < FRAMES && bytes < BYTES {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        if frames.is_empty() {
            return Ok(());
        }
        observe(&frames)?;
    }
}
