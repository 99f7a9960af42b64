//! The audit trail for operators: the changes that were made, in parts of bounded size, and whether
//! their chain is whole.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::rfc3339;
use crate::directory::{ChangeFilter, NameHistory};
use crate::event::{Actor, Details, Head};
use crate::log::{ChainReport, Frame, LogError, Position, ReadLog};
use crate::scim::resource::ResourceId;
use crate::scim::schema::Registry;
use crate::store::StoreError;
use crate::text::with_causes;

/// How many changes one part tells of.
const CHANGES: usize = 2_000;
/// How many bytes of changes are looked at for one part.
const LOOKED_AT: usize = 64 * 1024 * 1024;
/// How many faults are told in full.
const FAULTS: usize = 20;

/// Which changes an operator wants to see.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Those made at this moment or later.
    pub since: Option<Timestamp>,
    /// Those that concern one of these accounts, by their ids; all if there is none.
    pub accounts: Vec<String>,
    /// Also what scimd notes for itself.
    pub notes: bool,
}

/// What an operator asks of the trail.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditQuery {
    /// The next part behind a change; without one, from where the first can be that is sought.
    Behind {
        /// The change.
        after: Option<u64>,
        /// What is sought.
        sought: AuditFilter,
    },
    /// The part up to a change, or to the end.
    UpTo {
        /// The change.
        upto: Option<u64>,
        /// What is sought.
        sought: AuditFilter,
        /// How many changes are enough; the last ones are told of.
        count: usize,
    },
    /// The ids of accounts that had a name, by the next part behind a change.
    NameHistory {
        /// The name, in any letter case.
        name: String,
        /// The change; `None` for the beginning.
        after: Option<u64>,
    },
    /// The last change.
    Head,
    /// Whether the chain is whole, and passes through these places, as [`Position`] displays them.
    Verify {
        /// The places.
        anchors: Vec<String>,
    },
}

/// What the trail says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditReply {
    /// A part of it.
    Part {
        /// The changes that are sought, oldest first.
        changes: Vec<AuditEntry>,
        /// Up to which change it was looked through; backwards, behind which.
        reached: u64,
        /// The last change that there is.
        end: u64,
        /// Whether that was all in this direction.
        whole: bool,
    },
    /// Accounts, by their ids.
    Accounts {
        /// The ids.
        ids: Vec<String>,
        /// Up to which change was looked.
        reached: u64,
        /// Whether that was all.
        whole: bool,
    },
    /// The last change, as [`Position`] displays it.
    Head(String),
    /// Whether the chain is whole.
    Verified(AuditVerification),
}

/// One change, as the trail tells of it. The fields are those of `scimd audit --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number.
    pub sequence: u64,
    /// When it was made.
    #[serde(serialize_with = "in_milliseconds")]
    pub time: Timestamp,
    /// Who made it.
    pub actor: AuditActor,
    /// What happened, as in `user.patched`.
    pub event: String,
    /// To whom, by its id; empty if to nobody.
    pub subject: String,
    /// What is told besides.
    #[serde(flatten)]
    pub details: Details,
    /// The hash of the change, in hexadecimal: with the number, a place of the chain.
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
    /// Somebody at the command line.
    Operator {
        /// The name of the Unix user; absent in what earlier versions recorded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// The id of that user; `null` for a command that ran without a server.
        uid: Option<u32>,
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
            Actor::Operator { name, uid } => Self::Operator { name, uid },
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

/// What a check of the chain found. The fields are those of `scimd audit --verify --json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct AuditVerification {
    /// The number of the first change that is there.
    pub first: u64,
    /// The last change, as [`Position`] displays it.
    pub head: String,
    /// How many changes were read.
    pub changes: u64,
    /// In how many files.
    pub files: u64,
    /// How many bytes behind the last change are of a write that was never acknowledged.
    pub torn_bytes: u64,
    /// How many faults there are.
    pub faults: u64,
    /// The first faults, each a sentence; the first of all is the first in the journal.
    pub told: Vec<String>,
}

impl AuditVerification {
    /// Notes a fault.
    pub fn fault(&mut self, error: &LogError) {
        self.faults += 1;
        if self.told.len() < FAULTS {
            self.told.push(with_causes(error));
        }
    }

    /// Notes what was read.
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

/// Answers what an operator asks of a trail.
///
/// # Errors
///
/// The trail can't be read, or not so far back.
pub fn answer(
    log: &dyn ReadLog,
    registry: &Registry,
    ask: AuditQuery,
) -> Result<AuditReply, StoreError> {
    match ask {
        AuditQuery::Behind { after, sought } => behind(log, after, &sought.into()),
        AuditQuery::UpTo { upto, sought, count } => up_to(log, upto, &sought.into(), count),
        AuditQuery::NameHistory { name, after } => {
            namesakes(log, &NameHistory::new(registry, &name), after)
        }
        AuditQuery::Head => Ok(AuditReply::Head(log.head().to_string())),
        AuditQuery::Verify { anchors } => {
            let anchors: Vec<Position> =
                anchors.iter().filter_map(|anchor| Position::parse(anchor)).collect();
            let mut verified = AuditVerification::default();
            let checked = log.verify(&anchors, &mut |error| verified.fault(&error))?;
            Ok(AuditReply::Verified(verified.read(&checked)))
        }
    }
}

impl From<AuditFilter> for ChangeFilter {
    fn from(AuditFilter { since, accounts, notes }: AuditFilter) -> Self {
        let accounts = accounts.iter().filter_map(|id| ResourceId::parse(id)).collect();
        Self { since, accounts, notes }
    }
}

fn behind(
    log: &dyn ReadLog,
    after: Option<u64>,
    wanted: &ChangeFilter,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let mut reached = match after {
        Some(after) => after,
        None => beginning(log, wanted)?,
    };
    let mut changes = Vec::new();
    look(log, &mut reached, |frame| {
        if wanted.takes(&frame) {
            changes.push(AuditEntry::from(Arc::unwrap_or_clone(frame)));
        }
        changes.len() < CHANGES
    })?;
    Ok(AuditReply::Part { changes, reached, end, whole: reached >= end })
}

/// Behind which change those stand that are wanted.
fn beginning(log: &dyn ReadLog, wanted: &ChangeFilter) -> Result<u64, StoreError> {
    let begin = log.start()?.sequence;
    Ok(match wanted.since {
        Some(since) => log.before(since)?.max(begin),
        None => begin,
    })
}

/// Visits changes from the one behind `reached` on, until that is enough for one part or for `visit`.
fn look(
    log: &dyn ReadLog,
    reached: &mut u64,
    mut visit: impl FnMut(Arc<Frame>) -> bool,
) -> Result<(), StoreError> {
    let mut bytes = 0;
    log.read(*reached, &mut |frame| {
        *reached = frame.sequence;
        let size = |value: &Option<bytes::Bytes>| value.as_ref().map_or(0, bytes::Bytes::len);
        bytes += frame.writes.iter().map(|write| size(&write.value) + 128).sum::<usize>();
        match visit(frame) && bytes < LOOKED_AT {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(())
}

fn up_to(
    log: &dyn ReadLog,
    upto: Option<u64>,
    wanted: &ChangeFilter,
    count: usize,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let upto = upto.unwrap_or(end).min(end);
    let beginning = beginning(log, wanted)?;
    let mut reached = log.before_part_of(upto)?.max(beginning).min(upto);
    let count = count.clamp(1, CHANGES);
    let mut changes: VecDeque<AuditEntry> = VecDeque::new();
    log.read(reached, &mut |frame| {
        if frame.sequence > upto {
            return ControlFlow::Break(());
        }
        if wanted.takes(&frame) {
            changes.push_back(AuditEntry::from(Arc::unwrap_or_clone(frame)));
            if changes.len() > count {
                changes.pop_front();
                reached = changes.front().map_or(reached, |oldest| oldest.sequence - 1);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(AuditReply::Part { changes: changes.into(), reached, end, whole: reached <= beginning })
}

fn namesakes(
    log: &dyn ReadLog,
    namesakes: &NameHistory,
    after: Option<u64>,
) -> Result<AuditReply, StoreError> {
    let end = log.head().sequence;
    let mut reached = match after {
        Some(after) => after,
        None => log.start()?.sequence,
    };
    let mut ids: Vec<ResourceId> = Vec::new();
    look(log, &mut reached, |frame| {
        if let Some(id) = namesakes.holder_in(&frame)
            && !ids.contains(&id)
        {
            ids.push(id);
        }
        ids.len() < CHANGES
    })?;
    let ids = ids.iter().map(ToString::to_string).collect();
    Ok(AuditReply::Accounts { ids, reached, whole: reached >= end })
}
