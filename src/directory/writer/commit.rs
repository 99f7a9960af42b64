//! The commit loop: runs queued commands as groups, and makes each group durable before it is answered.
//!
//! A group is run against the state at some position of the log and appended behind that position. If
//! another writer of the log was faster, nothing of the group has happened: the state follows the log, and
//! the whole group is run again. So a command never relies on anything that is no longer true, and needs no
//! preconditions of its own.

use std::sync::Arc;

use super::job::{QueuedJob, size};
use super::queue::WriterMessage;
use super::{GROUP_BYTES, GROUP_TIME, Writer};
use crate::clock::Stopwatch;
use crate::directory::connection_record;
use crate::directory::core::DirectoryCore;
use crate::directory::error::DirectoryError;
use crate::directory::settings::{Settings, saved_json};
use crate::directory::stored::reindex;
use crate::log::{Append, Frame, LogEntry, LogError};
use crate::store::overlay::Overlay;
use crate::store::{StoreError, follow};
use crate::text::causes;

/// How often a group is run because another writer was faster.
const ATTEMPTS: usize = 64;

impl Writer {
    /// Follows what other nodes have appended, the settings among it.
    pub(super) fn follow(&mut self) {
        if let Err(error) = self.shared.follow() {
            report(&error);
            return;
        }
        self.look_at_settings();
    }

    /// Goes by the settings that the state has followed to, if another node has changed them.
    fn look_at_settings(&mut self) {
        match saved_json(self.shared.store.as_ref()) {
            Ok(Some(json)) if json != self.settings.json => self.follow_settings(json),
            Ok(_) => {}
            Err(error) => report(&error),
        }
    }

    /// Goes by the settings that another node has put into the log; the doors are rung for.
    fn follow_settings(&mut self, json: String) {
        let settings = Settings::new(json, None, self.settings.local.clone());
        let same_schemas = |settings: &Settings| {
            reindex::fingerprint(&settings.registry)
                == reindex::fingerprint(&self.settings.registry)
        };
        let problem = match settings {
            Ok(settings) if same_schemas(&settings) => {
                self.settings = Arc::new(settings);
                self.shared.settings_followed.notify_one();
                return;
            }
            Ok(_) => "another node has changed the schemas; restart this one".to_owned(),
            Err(error) => {
                format!("another node has changed the settings: {error}; upgrade this one")
            }
        };
        if !self.is_outdated {
            tracing::error!(%problem, "rejecting writes");
        }
        self.is_outdated = true;
        self.shared.note_problem(Some(problem));
    }

    /// Runs, commits and answers commands in order.
    pub(super) fn commit(&mut self, mut jobs: Vec<Box<dyn QueuedJob>>) {
        let mut attempts = 0;
        while !jobs.is_empty() {
            if self.is_outdated {
                jobs.drain(..).for_each(|job| job.fail(DirectoryError::Stopped));
                return;
            }
            let (writable, shortage) = self.look_for_room();
            let (counts, entries) = self.run_group(&mut jobs, shortage.as_ref());
            let ran = counts.len();
            match self.append(entries, writable) {
                Ok(Some(mut sequence)) => {
                    self.shared.brakes.commit();
                    for (job, count) in jobs.drain(..ran).zip(counts) {
                        let changes = (count > 0).then_some(sequence..sequence + count);
                        sequence += count;
                        job.answer(&self.shared, changes);
                    }
                    attempts = 0;
                    // Between two groups as well, operators go ahead of clients.
                    if !jobs.is_empty() {
                        jobs.splice(..0, self.jobs_that_go_first());
                    }
                }
                Ok(None) => {
                    self.shared.brakes.roll_back();
                    // What was prepared under settings that another node has changed is not done.
                    self.look_at_settings();
                    attempts += 1;
                    if attempts == ATTEMPTS {
                        tracing::warn!(
                            commands = ran,
                            attempts,
                            "other writers of the log were faster each time; commands are answered with busy"
                        );
                        jobs.drain(..ran).for_each(|job| job.fail(DirectoryError::Busy));
                        attempts = 0;
                    }
                }
                // One command wants something that the log does not take; the others do not.
                Err(StoreError::Log(LogError::Refused(reason))) => {
                    self.shared.brakes.roll_back();
                    if ran == 1 {
                        tracing::error!(reason, "the log rejected a change; nothing was written");
                        let refused = || StoreError::Log(LogError::Refused(reason)).into();
                        jobs.drain(..ran).for_each(|job| job.fail(refused()));
                    } else {
                        let group: Vec<_> = jobs.drain(..ran).collect();
                        group.into_iter().for_each(|job| self.commit(vec![job]));
                    }
                }
                Err(error) => {
                    self.shared.brakes.roll_back();
                    report(&error);
                    for job in jobs {
                        job.fail(DirectoryError::Storage(error.for_waiting()));
                    }
                    return;
                }
            }
        }
    }

    /// The jobs that wait and go ahead of those of clients.
    fn jobs_that_go_first(&self) -> Vec<Box<dyn QueuedJob>> {
        let mut jobs = Vec::new();
        while let Some(message) = self.queue.try_pop_first() {
            // A group follows by itself if it has to.
            if let WriterMessage::Run(job) = message {
                self.shared.counters.waiting.take_one();
                jobs.push(job);
            }
        }
        jobs
    }

    /// Whether changes can be made, and if the disk has only room for those that take access away, the error for
    /// the others.
    fn look_for_room(&self) -> (Result<(), StoreError>, Option<StoreError>) {
        let store = &self.shared.store;
        match store.check_writable() {
            Err(error @ StoreError::Full { .. }) if store.check_reserve().is_ok() => {
                (Ok(()), Some(error))
            }
            writable => (writable, None),
        }
    }

    /// Runs as many commands as make a group, each against the state with all earlier ones in place;
    /// returns for each how many entries it wants appended, and all of these.
    fn run_group(
        &self,
        jobs: &mut [Box<dyn QueuedJob>],
        shortage: Option<&StoreError>,
    ) -> (Vec<u64>, Vec<LogEntry>) {
        let mut pending = Overlay::new(self.shared.store.as_ref());
        let mut entries = Vec::new();
        let (mut counts, mut bytes) = (Vec::with_capacity(jobs.len()), 0);
        let since = Stopwatch::start();
        for job in jobs {
            // The answers to what came before do not wait for it.
            if !counts.is_empty() && job.is_large() {
                break;
            }
            let before = entries.len();
            for entry in job.run(&pending, &self.shared, &self.settings, shortage) {
                bytes += size(&entry.writes);
                pending.absorb(&entry.writes);
                entries.push(entry);
            }
            counts.push((entries.len() - before) as u64);
            if bytes > GROUP_BYTES || since.elapsed() > GROUP_TIME {
                break;
            }
        }
        (counts, entries)
    }

    /// Makes a group durable that was run against the present state, and applies it; returns the sequence of its
    /// first entry. `None`: another writer was faster, and the state has followed it. A group without entries
    /// is as good as committed if the state it was run against still is the newest.
    fn append(
        &self,
        entries: Vec<LogEntry>,
        writable: Result<(), StoreError>,
    ) -> Result<Option<u64>, StoreError> {
        let DirectoryCore { log, store, .. } = &*self.shared;
        let expected = store.applied();
        let size = entries.len() as u64;
        if size > 0 {
            writable?;
        }
        let appended = log.append(entries, expected);
        // The state can't follow after an error; what is answered from it is still what was committed.
        let is_known = matches!(appended, Ok(Append::Done(_))) || log.is_shared();
        if size == 0 && !is_known && store.is_stopped() {
            return Ok(Some(expected.sequence));
        }
        let appended = appended.map_err(|error| match error {
            LogError::Unavailable(reason) => StoreError::Unavailable { reason },
            error if error.is_momentary() => StoreError::NoFiles,
            error => StoreError::Log(error),
        })?;
        if let Append::Done(frames) = appended {
            if size > 0 {
                self.shared.counters.groups.observe(size);
                self.shared.observe(&frames)?;
            }
            return Ok(Some(expected.sequence + 1));
        }
        self.shared.follow()?;
        Ok(None)
    }
}

impl DirectoryCore {
    /// Observes committed frames of any writer: applies them to the state, then to every cache.
    fn observe(&self, frames: &[Arc<Frame>]) -> Result<(), StoreError> {
        self.store.apply(frames)?;
        for frame in frames {
            self.tokens.observe(frame);
            self.clients.observe(frame);
            self.operators.observe(frame);
            self.time.observe(frame);
        }
        if self.log.is_shared() {
            if frames.iter().any(|frame| frame.head.event.kind == connection_record::KIND) {
                self.connections_followed.notify_one();
            }
            self.latest.moved();
        }
        Ok(())
    }

    /// Follows what other writers have appended to the log.
    fn follow(&self) -> Result<(), StoreError> {
        follow::read_on(self.log.as_ref(), self.store.as_ref(), &mut |frames| {
            self.observe(frames)?;
            frames.iter().for_each(|frame| self.brakes.observe_other(frame));
            Ok(())
        })
    }
}

fn report(error: &StoreError) {
    // The store itself logs when there is too little disk space, or when too few files can be opened; a log in a
    // database when that can't be reached.
    if matches!(
        error,
        StoreError::Stopped
            | StoreError::Full { .. }
            | StoreError::RoomUnknown { .. }
            | StoreError::NoFiles
            | StoreError::Unavailable { .. }
            | StoreError::ReadOnly
            | StoreError::Log(LogError::Stopped)
    ) {
        return;
    }
    let reading = match error {
        StoreError::Log(_) => "continues",
        _ => "continues for state in memory only: half of the change may be in the database",
    };
    tracing::error!(
        %error, cause = causes(error), reading,
        "write failed; rejecting writes until restart: check the disk, then restart scimd"
    );
}
