//! The audit trail for operators: the changes that were made, in parts of bounded size, and whether
//! their chain is unbroken.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::{self, NewestChanges};
use crate::clock::{Stopwatch, rfc3339};
use crate::directory::{ChangeFilter, NameHistory};
use crate::event::{Actor, Details, Head, SudoUser};
use crate::log::{ChainReport, Frame, Log, LogError, Position, ReadLog};
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::store::StoreError;
use crate::store::signatures::{self, SignatureReport};
use crate::store::signing::VerifyingKey;
use crate::text::with_causes;

/// The number of changes in one part.
const CHANGES: usize = 2_000;
/// The number of bytes of changes that are read for one part.
const READ_BYTES: usize = 64 * 1024 * 1024;
/// The number of faults that are described in full.
const FAULTS: usize = 20;
/// The longest time that a query waits for changes.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Which changes an operator wants to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Only changes made at this moment or later.
    pub since: Option<Timestamp>,
    /// Only changes made before this moment.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Only changes through this connection, or of its brake.
    #[serde(default)]
    pub connection: Option<String>,
    /// Only these events, such as `user.created` or all of `user`; empty for all.
    #[serde(default)]
    pub events: Vec<String>,
    /// Only changes that concern one of these accounts, by id; empty for all accounts.
    pub accounts: Vec<String>,
    /// Whether to include what scimd records for itself: when tokens were used.
    pub notes: bool,
}

/// A query of the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditQuery {
    /// The next part after a change.
    #[serde(rename = "behind")]
    After {
        /// The sequence of the change; `None` to begin where the first matching change can be.
        after: Option<u64>,
        /// Which changes to return.
        #[serde(rename = "sought")]
        filter: AuditFilter,
        /// How long to wait for the first matching change, 10 seconds at most. Only a running server
        /// waits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<Duration>,
    },
    /// The part up to a change.
    UpTo {
        /// The sequence of the change; `None` for the end of the trail.
        upto: Option<u64>,
        /// Which changes to return.
        #[serde(rename = "sought")]
        filter: AuditFilter,
        /// The most changes to return; the last ones are.
        count: usize,
    },
    /// The newest part up to a change, of bounded size and time.
    Newest {
        /// The sequence of the change; `None` for the end of the trail.
        upto: Option<u64>,
        /// Which changes to return.
        filter: AuditFilter,
        /// The most changes to return; the last ones are.
        count: usize,
    },
    /// The ids of the accounts that had a name, from the next part after a change.
    #[serde(rename = "namesakes")]
    NameHistory {
        /// The name, in any letter case.
        name: String,
        /// The sequence of the change; `None` for the beginning of the trail.
        after: Option<u64>,
    },
    /// The last change.
    Head,
    /// Whether the chain is unbroken and passes through anchors.
    Verify {
        /// The anchors, as [`Position`] displays them.
        anchors: Vec<String>,
        /// Whether to check the signatures of the data directory as well, and that the chain passes through the newest
        /// signed head. Only a running server does.
        #[serde(default)]
        signatures: bool,
    },
}

/// The reply to a query of the audit trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditReply {
    /// A part of the trail.
    Part {
        /// The matching changes, oldest first.
        changes: Vec<AuditEntry>,
        /// The sequence up to which the trail was read; of a part up to a change, the sequence after
        /// which it was read.
        reached: u64,
        /// The sequence of the last change of the trail.
        end: u64,
        /// Whether there is nothing more in this direction.
        whole: bool,
    },
    /// Accounts that had a name.
    Accounts {
        /// Their ids.
        ids: Vec<String>,
        /// The sequence up to which the trail was read.
        reached: u64,
        /// Whether there is nothing more.
        whole: bool,
    },
    /// The last change, as [`Position`] displays it.
    Head(String),
    /// Whether the chain is unbroken.
    Verified(AuditVerification),
}

/// One change. The fields are those of `scimd audit --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    /// The number of the change.
    pub sequence: u64,
    /// When it was made.
    #[serde(serialize_with = "in_milliseconds")]
    pub time: Timestamp,
    /// Who made it.
    pub actor: AuditActor,
    /// What happened, as in `user.patched`.
    pub event: String,
    /// The id of what it happened to; may be empty.
    pub subject: String,
    /// Names, differences and denied requests.
    #[serde(flatten)]
    pub details: Details,
    /// The hash of the change in hexadecimal: `sequence:hash` is an anchor.
    pub hash: String,
}

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AuditActor {
    /// A client.
    Connection {
        /// The name of its connection.
        connection: String,
        /// The id of its token.
        token: String,
        /// Where it spoke from.
        address: String,
    },
    /// An operator.
    Operator {
        /// The name of the Unix user; absent in what earlier versions recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The id of that user; `null` in records of earlier versions for commands without a server.
        uid: Option<u32>,
        /// The user who ran the command through sudo.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sudo: Option<SudoUser>,
    },
    /// scimd itself.
    System,
}

impl From<Actor> for AuditActor {
    fn from(actor: Actor) -> Self {
        match actor {
            Actor::Connection { name, token, address } => {
                Self::Connection { connection: name, token, address: address.to_string() }
            }
            Actor::Operator { name, uid, sudo } => Self::Operator { name, uid, sudo },
            Actor::System => Self::System,
        }
    }
}

impl From<Frame> for AuditEntry {
    fn from(frame: Frame) -> Self {
        let Frame { sequence, hash, head: Head { time, actor, event, details }, .. } = frame;
        let actor = actor.into();
        let hash = HEXLOWER.encode(&hash);
        Self {
            sequence,
            time,
            actor,
            event: event.to_string(),
            subject: event.subject,
            details,
            hash,
        }
    }
}

fn in_milliseconds<S: serde::Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&rfc3339(*time))
}

/// The result of a check of the chain. The fields are those of `scimd audit --verify --json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditVerification {
    /// The number of the first change of the log.
    pub first: u64,
    /// The last change, as [`Position`] displays it.
    pub head: String,
    /// The number of changes that were read.
    pub changes: u64,
    /// The number of files that hold them.
    pub files: u64,
    /// The number of bytes after the last change that belong to a write that was never acknowledged.
    pub torn_bytes: u64,
    /// The number of signatures that were checked.
    #[serde(default)]
    pub signatures: u64,
    /// The newest signed head, as [`Position`] displays it; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<String>,
    /// When it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<Timestamp>,
    /// The number of faults.
    pub faults: u64,
    /// The first faults, each a sentence, in the order of the log.
    #[serde(rename = "findings", alias = "told")]
    pub first_faults: Vec<String>,
}

impl AuditVerification {
    /// Records a fault.
    pub fn fault(&mut self, error: &LogError) {
        self.note(with_causes(error));
    }

    /// Records what a check of the signatures found.
    pub fn signatures(&mut self, report: SignatureReport) {
        self.signatures = report.count;
        self.signed = report.newest.as_ref().map(|newest| newest.position.to_string());
        self.signed_at = report.newest.map(|newest| newest.time);
        report.faults.into_iter().for_each(|fault| self.note(fault));
    }

    fn note(&mut self, fault: String) {
        self.faults += 1;
        if self.first_faults.len() < FAULTS {
            self.first_faults.push(fault);
        }
    }

    /// Records what was read.
    #[must_use]
    pub fn read(self, checked: &ChainReport) -> Self {
        Self {
            first: checked.begin.sequence + 1,
            head: checked.end.to_string(),
            changes: checked.changes,
            files: checked.files,
            torn_bytes: checked.torn_bytes,
            ..self
        }
    }
}

/// Answers a query.
///
/// # Errors
///
/// The log can't be read, or not that far back.
pub fn answer(
    log: &dyn ReadLog,
    registry: &Registry,
    query: AuditQuery,
) -> Result<AuditReply, StoreError> {
    match query {
        AuditQuery::After { after, filter, wait: _ } => part_after(log, after, &filter.into()),
        AuditQuery::Newest { upto, filter, count } => {
            let NewestChanges { frames, reached, is_whole } =
                history::newest(log, upto, &filter.into(), count)?;
            let changes = frames.into_iter().map(|frame| Arc::unwrap_or_clone(frame).into());
            let (changes, end) = (changes.collect(), log.head().sequence);
            Ok(AuditReply::Part { changes, reached, end, whole: is_whole })
        }
        AuditQuery::UpTo { upto, filter, count } => part_up_to(log, upto, &filter.into(), count),
        AuditQuery::NameHistory { name, after } => {
            accounts_named(log, &NameHistory::new(registry, &name), after)
        }
        AuditQuery::Head => Ok(AuditReply::Head(log.head().to_string())),
        AuditQuery::Verify { anchors, signatures: _ } => {
            Ok(AuditReply::Verified(verify(log, &anchors)?))
        }
    }
}

/// Whether the chain is unbroken, and passes through anchors and through the newest head that is signed in a data
/// directory, with the public key there.
///
/// # Errors
///
/// The log or the signatures can't be read.
pub(super) fn verify_with_signatures(
    log: &dyn ReadLog,
    data: &Path,
    mut anchors: Vec<String>,
) -> Result<AuditReply, StoreError> {
    let signed = match VerifyingKey::of_folder(data)? {
        Some(key) => signatures::check(data, &key)?,
        None => SignatureReport::default(),
    };
    anchors.extend(signed.newest.as_ref().map(|newest| newest.position.to_string()));
    let mut verified = verify(log, &anchors)?;
    verified.signatures(signed);
    Ok(AuditReply::Verified(verified))
}

fn verify(log: &dyn ReadLog, anchors: &[String]) -> Result<AuditVerification, StoreError> {
    let anchors: Vec<Position> =
        anchors.iter().filter_map(|anchor| Position::parse(anchor)).collect();
    let mut verified = AuditVerification::default();
    let checked = log.verify(&anchors, &mut |error| verified.fault(&error))?;
    Ok(verified.read(&checked))
}

/// Like [`answer`], but waits for changes if the query says so: until there is one that matches, the time
/// is over, or the log is closed because the server stops.
pub(super) fn answer_waiting(
    log: &dyn Log,
    registry: &Registry,
    query: AuditQuery,
) -> Result<AuditReply, StoreError> {
    let AuditQuery::After { after: Some(after), filter, wait: Some(wait) } = query else {
        return answer(log, registry, query);
    };
    let (filter, wait, watch) = (filter.into(), wait.min(MAX_WAIT), Stopwatch::start());
    let mut after = after;
    loop {
        let part = part_after(log, Some(after), &filter)?;
        let AuditReply::Part { changes, reached, .. } = &part else { return Ok(part) };
        let left = wait.saturating_sub(watch.elapsed());
        if !changes.is_empty() || left.is_zero() {
            return Ok(part);
        }
        after = *reached;
        if log.wait_beyond(after, left).sequence <= after {
            return Ok(part);
        }
    }
}

impl From<AuditFilter> for ChangeFilter {
    fn from(filter: AuditFilter) -> Self {
        let AuditFilter { since, until, connection, events, accounts, notes } = filter;
        let accounts = accounts.iter().filter_map(|id| ResourceId::parse(id)).collect();
        Self { since, until, connection, events, accounts, notes }
    }
}

fn part_after(
    log: &dyn ReadLog,
    after: Option<u64>,
    filter: &ChangeFilter,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let mut reached = match after {
        Some(after) => after,
        None => first_possible(log, filter)?,
    };
    let mut changes = Vec::new();
    read_part(log, &mut reached, |frame| {
        if filter.takes(&frame) {
            changes.push(AuditEntry::from(Arc::unwrap_or_clone(frame)));
        }
        changes.len() < CHANGES
    })?;
    Ok(AuditReply::Part { changes, reached, end, whole: reached >= end })
}

/// A sequence that every matching change comes after.
fn first_possible(log: &dyn ReadLog, filter: &ChangeFilter) -> Result<u64, StoreError> {
    let start = log.start()?.sequence;
    Ok(match filter.since {
        Some(since) => log.before(since)?.max(start),
        None => start,
    })
}

/// Visits the changes after `reached` and moves it on, until `visit` has enough or the part is large
/// enough.
fn read_part(
    log: &dyn ReadLog,
    reached: &mut u64,
    mut visit: impl FnMut(Arc<Frame>) -> bool,
) -> Result<(), StoreError> {
    let mut bytes = 0;
    log.read(*reached, &mut |frame| {
        *reached = frame.sequence;
        let size = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
        bytes += frame.writes.iter().map(|write| size(&write.value) + 128).sum::<usize>();
        match visit(frame) && bytes < READ_BYTES {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(())
}

fn part_up_to(
    log: &dyn ReadLog,
    upto: Option<u64>,
    filter: &ChangeFilter,
    count: usize,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let upto = upto.unwrap_or(end).min(end);
    let first_possible = first_possible(log, filter)?;
    let mut reached = log.before_part_of(upto)?.max(first_possible).min(upto);
    let count = count.clamp(1, CHANGES);
    let mut changes: VecDeque<AuditEntry> = VecDeque::new();
    log.read(reached, &mut |frame| {
        if frame.sequence > upto {
            return ControlFlow::Break(());
        }
        if filter.takes(&frame) {
            changes.push_back(AuditEntry::from(Arc::unwrap_or_clone(frame)));
            if changes.len() > count {
                changes.pop_front();
                reached = changes.front().map_or(reached, |oldest| oldest.sequence - 1);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(AuditReply::Part { changes: changes.into(), reached, end, whole: reached <= first_possible })
}

fn accounts_named(
    log: &dyn ReadLog,
    history: &NameHistory,
    after: Option<u64>,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let mut reached = match after {
        Some(after) => after,
        None => log.start()?.sequence,
    };
    let mut ids: Vec<ResourceId> = Vec::new();
    read_part(log, &mut reached, |frame| {
        if let Some(id) = history.holder_in(&frame)
            && !ids.contains(&id)
        {
            ids.push(id);
        }
        ids.len() < CHANGES
    })?;
    let ids = ids.iter().map(ToString::to_string).collect();
    Ok(AuditReply::Accounts { ids, reached, whole: reached >= end })
}
