//! Undo: restores users, groups and memberships to a moment, as one change.
//!
//! The state at that moment is read from the log while the writer goes on. The command then checks that
//! nothing that it relies on has changed meanwhile; otherwise everything is read again. An undo can be undone.

mod apply;
mod digest;
mod history;
mod plan;
mod report;
mod request;
mod user;

#[cfg(test)]
mod laws;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Stopwatch;
use crate::directory::Directory;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::budget::MAX_BYTES;
use crate::event::Actor;
use crate::store::{StoreError, keys};
use apply::{Apply, Outcome};
use history::ChangedItems;
use plan::Plan;
pub use report::{UndoAction, UndoReport, UndoRow};
pub use request::{Undo, UndoKind};

/// The number of attempts before an undo gives up because the directory keeps changing.
const ATTEMPTS: usize = 5;
/// How long an undo waits for memberships to be cleared, and how long between two looks.
const CLEARING: Duration = Duration::from_secs(60);
const CLEARING_PAUSE: Duration = Duration::from_millis(5);
/// The share of the largest change that each part of a large undo is meant to take.
const PART: f64 = 0.8;

impl Directory {
    /// Restores users, groups and memberships to a moment, all or nothing. Resources deleted since come back
    /// under the same id; resources created since are kept, unless the request says to delete them. Tokens do
    /// not change.
    ///
    /// # Errors
    ///
    /// `Unfit`, naming the obstacle, also if the plan is not the one that was confirmed; `AccessInUse`; `NotFound`
    /// if the request is limited to a user that is not known; `Storage`, also if the log and the snapshots do not reach
    /// back that far. Then nothing has changed.
    pub fn undo(&self, actor: &Actor, asked: &Undo) -> Result<UndoReport, DirectoryError> {
        self.undo_within(actor, asked, MAX_BYTES)
    }

    /// Like `undo`, but limited to `most` bytes of changes.
    fn undo_within(
        &self,
        actor: &Actor,
        asked: &Undo,
        most: usize,
    ) -> Result<UndoReport, DirectoryError> {
        for _ in 0..ATTEMPTS {
            self.wait_for_clearing()?;
            let (plan, mut report) = self.plan_undo(asked)?;
            if asked.confirmed.as_ref().is_some_and(|confirmed| *confirmed != report.plan) {
                return Err(DirectoryError::Unfit(
                    "the directory has changed since the plan was shown, and with it what an undo does; \
                     nothing was undone: run the command again to see the new plan"
                        .to_owned(),
                ));
            }
            if plan.is_empty() {
                return Ok(report);
            }
            // The writer does not spend time on a plan that is too large.
            let (least, about) = plan.bytes();
            if least > most {
                return Err(too_large(asked, &plan, about, most));
            }
            let plan = Arc::new(plan);
            let command = Apply {
                plan: Arc::clone(&plan),
                subject: subject(asked, &report),
                most,
                dry_run: asked.dry_run,
                keeps_created: !asked.delete_created,
            };
            match self.submit(actor.clone(), command).wait()? {
                Outcome::Fits { without_end } => {
                    report.done = !asked.dry_run;
                    report.members_without_end = without_end;
                    report.members_back -= without_end.min(report.members_back);
                    return Ok(report);
                }
                Outcome::TooLarge(bytes) => return Err(too_large(asked, &plan, bytes, most)),
                Outcome::Overtaken => {
                    tracing::info!("what is to be undone has changed meanwhile: reading it again");
                }
            }
        }
        Err(DirectoryError::Unfit(
            "what is to be undone keeps changing; pause the connection first (`scimd brake pause \
             --connection NAME`), then undo again"
                .to_owned(),
        ))
    }

    /// Waits until no membership is left to be cleared: only then does the log say of each what became of it.
    fn wait_for_clearing(&self) -> Result<(), DirectoryError> {
        let since = Stopwatch::start();
        while self.is_clearing_memberships()? {
            if self.shared.store.check_writable().is_err() {
                return Err(DirectoryError::Unfit(
                    "an earlier change to very many memberships is not completed yet, and nothing can be \
                     written now that completes it; start scimd, or make room on its disk, then try again"
                        .to_owned(),
                ));
            }
            if since.elapsed() > CLEARING {
                return Err(DirectoryError::Unfit(
                    "an earlier change to very many memberships is still being completed; try again in a minute"
                        .to_owned(),
                ));
            }
            std::thread::sleep(CLEARING_PAUSE);
        }
        Ok(())
    }

    /// Reads the changes and plans the undo.
    fn plan_undo(&self, asked: &Undo) -> Result<(Plan, UndoReport), DirectoryError> {
        let store = self.shared.store.as_ref();
        let past = store.maintenance().ok_or(StoreError::Unsupported("snapshots"))?;
        let changed =
            ChangedItems::read(self.log(), past, asked.since, asked.until).map_err(|error| {
                match error {
                    StoreError::Folder(reason) => DirectoryError::Unfit(reason),
                    other => other.into(),
                }
            })?;
        if let Some(connection) = &asked.connection
            && !changed.has(connection)
        {
            return Err(DirectoryError::Unfit(format!(
                "connection {connection} has changed nothing since {}",
                asked.since
            )));
        }
        let kept = store.get(keys::CATALOGUE)?;
        let names = kept.and_then(|names| serde_json::from_slice(&names).ok());
        let names = names.unwrap_or_else(|| self.catalogue().names());
        let users =
            asked.user.as_deref().map(|user| self.users_named(&changed, user)).transpose()?;
        let (plan, mut report) = plan::plan(store, changed, self.registry(), names, asked, users)?;
        report.plan = digest::of(&plan);
        Ok((plan, report))
    }
}

/// The subject of its event.
fn subject(asked: &Undo, report: &UndoReport) -> String {
    let through = asked.connection.as_ref();
    let through = through.map(|name| format!(" through connection {name}")).unwrap_or_default();
    let narrowed = Undo { connection: None, ..asked.clone() };
    format!("{} users and groups since {}{through}{narrowed}", report.changed(), asked.since)
}

/// The error for an undo that is too large for one change.
fn too_large(asked: &Undo, plan: &Plan, bytes: usize, most: usize) -> DirectoryError {
    let mib = |bytes: usize| bytes.div_ceil(1024 * 1024);
    let how = match plan.later(most as f64 * PART / bytes as f64) {
        Some(later) => {
            format!(
                "undo what came last first: `scimd undo --since {later}{asked}`, then this again"
            )
        }
        None => "it was changed all at once, so there are no parts; restore a backup".to_owned(),
    };
    DirectoryError::Unfit(format!(
        "that would change {} MiB at once, and {} are the most; {how}",
        mib(bytes),
        mib(most)
    ))
}
