//! The brake: raises an alarm for, or holds, a connection that takes access from too many accounts, or gives
//! too many accounts access that does harm in the wrong hands.
//!
//! Only the writer knows which accounts lose or gain something by a change, so it counts there: each account
//! once within a moving window. The counts are in memory. A hold is state like any other and survives a
//! restart.

mod effects;
mod tally;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Stopwatch;
use crate::connection::{Brake, BrakeAction};
use crate::directory::error::DirectoryError;
use crate::directory::settings::{DirectoryView, Settings};
use crate::directory::stored;
use crate::directory::transaction::{Command, PendingChange, Transaction};
use crate::event::{Actor, Details, Difference, Event, Verb};
use crate::log::Frame;
use crate::store::keys::Kind;
use crate::store::{Read, StoreError, Write, keys};
use crate::text::duration;
use effects::{Effects, Enough};
use tally::{Accounts, ConnectionTally, Excess, Noted};

/// Why the changes of a connection are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When the hold began.
    pub since: Timestamp,
    /// The reason, as a clause.
    pub reason: String,
}

/// The state of the brake of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrakeStatus {
    /// The connection. A held one may be gone from the configuration.
    pub connection: String,
    /// The action when the limit is exceeded; `None` if the connection is not configured.
    pub action: Option<BrakeAction>,
    /// The hold, if its changes are held.
    pub hold: Option<Hold>,
    /// The number of accounts that lost something within the window.
    pub counted: u64,
    /// The number of alarms about these since the start.
    pub alarms: u64,
    /// The number of accounts that were reactivated or given company permissions within the window.
    pub gained: u64,
    /// The number of alarms about these since the start.
    pub gain_alarms: u64,
}

/// The tally of each connection.
pub(crate) struct Brakes {
    clock: Stopwatch,
    tallies: Mutex<BTreeMap<String, ConnectionTally>>,
    /// What was noted of commands whose changes are not committed yet, oldest first.
    uncommitted: Mutex<Vec<(String, Noted)>>,
}

/// The brake's verdict on the changes of a command.
pub(crate) enum Judged {
    /// The changes are made.
    Pass(Vec<PendingChange>),
    /// The changes are not made; these are made instead, and the command fails with the error.
    Held(Vec<PendingChange>, DirectoryError),
}

impl Brakes {
    pub(crate) fn new() -> Self {
        Self { clock: Stopwatch::start(), tallies: Mutex::default(), uncommitted: Mutex::default() }
    }

    fn tallies(&self) -> MutexGuard<'_, BTreeMap<String, ConnectionTally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of the brake of each configured connection, and of each one that is held.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn status(
        &self,
        view: DirectoryView<'_>,
    ) -> Result<Vec<BrakeStatus>, DirectoryError> {
        let configured = &view.settings.local.brakes;
        let mut holds = holds(view.state)?;
        let mut names: Vec<String> = configured.keys().cloned().collect();
        names.extend(holds.keys().filter(|name| !configured.contains_key(*name)).cloned());
        let mut tallies = self.tallies();
        let now = self.clock.elapsed();
        let status = |connection: String| {
            let brake = configured.get(&connection);
            let (action, window) = brake.map(|brake| (brake.action, brake.window)).unzip();
            let window = window.unwrap_or_default();
            let [(counted, alarms), (gained, gain_alarms)] = match tallies.get_mut(&connection) {
                Some(ConnectionTally { lost, gained, .. }) => {
                    [lost, gained].map(|tally| (tally.counted(now, window), tally.alarms()))
                }
                None => [(0, 0); 2],
            };
            let hold = holds.remove(&connection);
            BrakeStatus { connection, action, hold, counted, alarms, gained, gain_alarms }
        };
        Ok(names.into_iter().map(status).collect())
    }

    /// Counts the accounts that lose or gain something by the changes of a command, and judges the changes.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn judge(
        &self,
        state: &dyn Read,
        settings: &Settings,
        actor: &Actor,
        now: Timestamp,
        mut changes: Vec<PendingChange>,
    ) -> Result<Judged, DirectoryError> {
        let Actor::Connection { name, .. } = actor else {
            self.count_anew(&changes);
            return Ok(Judged::Pass(changes));
        };
        let Some(brake) = settings.local.brakes.get(name) else { return Ok(Judged::Pass(changes)) };
        if brake.action == BrakeAction::Off || changes.is_empty() {
            return Ok(Judged::Pass(changes));
        }
        let (accounts, began) = self.base(name, brake, accounts(state, settings)?);
        let lost = brake.limit(accounts.counted().max(began.counted()));
        let enough = Enough { lost, gained: brake.max_gains as u64 };
        let effects = effects::of(state, settings, &changes, enough)?;
        for excess in self.count(name, brake, accounts, enough, effects) {
            let reason = excess.reason(brake);
            if brake.action == BrakeAction::Hold {
                tracing::error!(
                    connection = name, %reason,
                    "a connection changes too many accounts: its changes are held and answered with 503; see \
                     whether it is meant, then `scimd brake release --connection {name}`"
                );
                let hold = Hold { since: now, reason };
                let error = held(name, &hold);
                let details = details(&hold.reason);
                let change = PendingChange { details, ..change(name, Some(&hold)) };
                return Ok(Judged::Held(vec![change], error));
            }
            tracing::warn!(
                connection = name, %reason,
                "a connection changes many accounts at once: if it is not meant, `scimd brake hold --connection \
                 {name}` holds its changes, and `scimd undo --dry-run` shows what can be put back"
            );
            let (event, details) = (event(name, Verb::Alarmed), details(&reason));
            changes.push(PendingChange { event, details, writes: Vec::new() });
        }
        Ok(Judged::Pass(changes))
    }

    /// The accounts that there are, and those that there were when the first that counts lost something.
    fn base(&self, connection: &str, brake: &Brake, all: u64) -> (Accounts, Accounts) {
        let mut tallies = self.tallies();
        let Some(tally) = tallies.get_mut(connection) else {
            let accounts = Accounts { all, new: 0 };
            return (accounts, accounts);
        };
        let new = tally.created.within(self.clock.elapsed(), brake.window);
        let accounts = Accounts { all, new };
        (accounts, tally.lost.accounts().unwrap_or(accounts))
    }

    /// Counts what a command does; what exceeds a limit. What is not made, because more is lost than the brake
    /// allows, is not counted as gained or created.
    fn count(
        &self,
        connection: &str,
        brake: &Brake,
        accounts: Accounts,
        enough: Enough,
        effects: Effects,
    ) -> Vec<AccountExcess> {
        let Effects { lost, gained, created } = effects;
        let mut exceeded = Vec::new();
        if lost.is_empty() && gained.is_empty() && created == 0 {
            return exceeded;
        }
        let now = self.clock.elapsed();
        let (mut tallies, mut uncommitted) = (self.tallies(), self.uncommitted());
        let tally = tallies.entry(connection.to_owned()).or_default();
        let mut keep = |noted| uncommitted.push((connection.to_owned(), noted));
        if !lost.is_empty() {
            // Accounts beyond the limit were not looked for.
            let at_least = lost.len() as u64 > enough.lost;
            let limit = |accounts: Accounts| brake.limit(accounts.counted());
            let (excess, counting) = tally.lost.note(now, brake, limit, accounts, lost);
            keep(Noted::Lost(counting));
            exceeded.extend(excess.map(|excess| AccountExcess::Lost { excess, at_least }));
            if brake.action == BrakeAction::Hold && !exceeded.is_empty() {
                return exceeded;
            }
        }
        if !gained.is_empty() {
            let at_least = gained.len() as u64 > enough.gained;
            let (excess, counting) =
                tally.gained.note(now, brake, |_| enough.gained, accounts, gained);
            keep(Noted::Gained(counting));
            exceeded.extend(excess.map(|excess| AccountExcess::Gained { excess, at_least }));
            if brake.action == BrakeAction::Hold && !exceeded.is_empty() {
                return exceeded;
            }
        }
        if created > 0 {
            tally.created.note(now, brake.window, created);
            keep(Noted::Created(created));
        }
        exceeded
    }
}

/// The limit that a change exceeds, and whether more accounts may be affected than were counted.
enum AccountExcess {
    Lost { excess: Excess, at_least: bool },
    Gained { excess: Excess, at_least: bool },
}

impl AccountExcess {
    /// Says what is exceeded, as a clause.
    fn reason(&self, brake: &Brake) -> String {
        let window = duration::display(brake.window);
        let (Self::Lost { excess, at_least } | Self::Gained { excess, at_least }) = self;
        let at_least = if *at_least { "at least " } else { "" };
        let Excess { affected, accounts: Accounts { all, new } } = excess;
        match self {
            Self::Lost { .. } if *new == 0 => {
                format!(
                    "it takes something from {at_least}{affected} of {all} accounts within {window}"
                )
            }
            Self::Lost { .. } => format!(
                "it takes something from {at_least}{affected} of {all} accounts within {window}, and created \
                 {new} accounts itself within that time, which do not count for the limit"
            ),
            Self::Gained { .. } => format!(
                "it reactivates, or gives company permissions to, {at_least}{affected} accounts within \
                 {window} (max_gains = {})",
                brake.max_gains
            ),
        }
    }
}

/// The details of an alarm or a hold.
fn details(reason: &str) -> Details {
    Details::of(None, [Difference::values("reason", None, Some(&reason.into()))])
}

impl Brakes {
    /// Restarts the tally of a released connection, before its next change is judged.
    fn count_anew(&self, changes: &[PendingChange]) {
        let released = |change: &&PendingChange| change.event.verb == Verb::Released;
        for PendingChange { event, .. } in changes.iter().filter(released) {
            if let Some(tally) = self.tallies().get_mut(&event.subject) {
                let noted = tally.restart().map(|noted| (event.subject.clone(), noted));
                self.uncommitted().extend(noted);
            }
        }
    }

    /// Keeps the counts since the last call: the changes are committed.
    pub(crate) fn commit(&self) {
        self.uncommitted().clear();
    }

    /// Takes back the counts since the last [`Brakes::commit`]: none of the changes has happened.
    pub(crate) fn roll_back(&self) {
        let mut tallies = self.tallies();
        for (name, noted) in self.uncommitted().drain(..).rev() {
            if let Some(tally) = tallies.get_mut(&name) {
                tally.take_back(noted);
            }
        }
    }

    /// Observes a hold or release that another writer of the log has committed: the tally of a released
    /// connection restarts.
    pub(crate) fn observe_other(&self, frame: &Frame) {
        if frame.head.event.verb == Verb::Released
            && let Some(tally) = self.tallies().get_mut(&frame.head.event.subject)
        {
            tally.restart();
        }
    }

    fn uncommitted(&self) -> MutexGuard<'_, Vec<(String, Noted)>> {
        self.uncommitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of accounts.
fn accounts(state: &dyn Read, settings: &Settings) -> Result<u64, StoreError> {
    let types = settings.registry.resource_types().iter();
    types
        .filter(|resource_type| resource_type.is_account)
        .try_fold(0, |sum, resource_type| Ok(sum + stored::total(state, resource_type)?))
}

/// Whether changes only take access away, so that they may use what is kept for that: deletions, deactivations and
/// memberships that end, in changes that give nothing; and what operators do with tokens and holds.
///
/// # Errors
///
/// `Storage`.
pub(crate) fn only_take_away(
    state: &dyn Read,
    settings: &Settings,
    actor: &Actor,
    changes: &[PendingChange],
) -> Result<bool, DirectoryError> {
    let takes_away = |change: &PendingChange| -> Result<bool, DirectoryError> {
        match (actor, change.event.verb) {
            (Actor::System, _) => Ok(false),
            (Actor::Operator { .. }, _)
                if ["token", "connection"].contains(&change.event.kind.as_str()) =>
            {
                Ok(true)
            }
            (Actor::Connection { .. }, Verb::Deleted | Verb::Alarmed | Verb::Held) => Ok(true),
            (_, Verb::Patched | Verb::Replaced) => {
                let enough = Enough { lost: 0, gained: 0 };
                let effects = effects::of(state, settings, std::slice::from_ref(change), enough)?;
                let adds = |write: &Write| {
                    let kind = keys::kind(&write.key);
                    write.value.is_some()
                        && matches!(kind, Some(Kind::Member(..) | Kind::Unique(_)))
                };
                let gives = !effects.gained.is_empty() || change.writes.iter().any(adds);
                Ok(!effects.lost.is_empty() && !gives)
            }
            (Actor::Connection { .. } | Actor::Operator { .. }, _) => Ok(false),
        }
    };
    changes.iter().try_fold(true, |all, change| Ok(all && takes_away(change)?))
}

/// Refuses the changes of a connection that is held.
///
/// # Errors
///
/// `Held`; `Storage`.
pub(crate) fn check(state: &dyn Read, actor: &Actor) -> Result<(), DirectoryError> {
    let Actor::Connection { name, .. } = actor else { return Ok(()) };
    match state.get(&keys::held(name))? {
        Some(value) => Err(held(name, &read(&value))),
        None => Ok(()),
    }
}

fn held(connection: &str, hold: &Hold) -> DirectoryError {
    DirectoryError::Held(format!(
        "Changes of the connection \"{connection}\" are held since {:.0}: {}. Nothing of this request was \
         done. The operator of scimd ends it with `scimd brake release --connection {connection}`; ask again then.",
        hold.since, hold.reason
    ))
}

/// Reads a stored hold. A hold that can't be read is still a hold.
fn read(value: &[u8]) -> Hold {
    serde_json::from_slice(value).unwrap_or_else(|_| Hold {
        since: Timestamp::UNIX_EPOCH,
        reason: "the reason can't be read".to_owned(),
    })
}

fn event(connection: &str, verb: Verb) -> Event {
    Event { kind: "connection".to_owned(), verb, subject: connection.to_owned() }
}

/// The change that holds a connection or releases it.
fn change(connection: &str, hold: Option<&Hold>) -> PendingChange {
    let value = hold.map(|hold| serde_json::to_vec(hold).unwrap_or_default().into());
    let verb = if hold.is_some() { Verb::Held } else { Verb::Released };
    let writes = vec![Write { key: keys::held(connection), value }];
    let (event, details) = (event(connection, verb), Details::default());
    PendingChange { event, details, writes }
}

/// The connections that are held.
fn holds(state: &dyn Read) -> Result<BTreeMap<String, Hold>, StoreError> {
    let mut holds = BTreeMap::new();
    state.scan(keys::HELD, None, &mut |key, value| {
        let name = key.strip_prefix(keys::HELD).unwrap_or_default();
        holds.insert(String::from_utf8_lossy(name).into_owned(), read(&value));
        ControlFlow::Continue(())
    })?;
    Ok(holds)
}

/// Holds the changes of a connection on behalf of an operator.
pub struct HoldBrake {
    /// The connection.
    pub connection: String,
}

impl Command for HoldBrake {
    type Output = Hold;
    const OUTLASTS_SETTINGS: bool = true;

    /// A connection that is held already keeps its reason.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<Hold, DirectoryError> {
        if let Some(value) = tx.get(&keys::held(&self.connection))? {
            return Ok(read(&value));
        }
        let hold = Hold { since: tx.now(), reason: "an operator holds it".to_owned() };
        apply(tx, change(&self.connection, Some(&hold)));
        Ok(hold)
    }
}

/// Releases a connection. Its tally restarts.
pub struct ReleaseBrake {
    /// The connection; `None` for the only one that is held.
    pub connection: Option<String>,
}

impl Command for ReleaseBrake {
    /// The connection that was held, and why.
    type Output = (String, Hold);
    const OUTLASTS_SETTINGS: bool = true;

    /// # Errors
    ///
    /// `Unfit` if it is not held, or if several are and none is named.
    fn run(&self, tx: &mut Transaction<'_>) -> Result<(String, Hold), DirectoryError> {
        let mut holds = holds(tx)?;
        let listed = holds.keys().cloned().collect::<Vec<_>>().join(", ");
        let found = match &self.connection {
            Some(name) => holds.remove_entry(name),
            None if holds.len() > 1 => {
                return Err(DirectoryError::Unfit(format!(
                    "several connections are held: {listed}; say which with --connection"
                )));
            }
            None => holds.pop_first(),
        };
        let (name, hold) = found.ok_or_else(|| {
            DirectoryError::Unfit(match (&self.connection, listed.as_str()) {
                (None, _) => "no connection is held".to_owned(),
                (Some(name), "") => format!("connection {name} is not held, and no other is"),
                (Some(name), _) => format!("connection {name} is not held; held are: {listed}"),
            })
        })?;
        apply(tx, change(&name, None));
        Ok((name, hold))
    }
}

fn apply(tx: &mut Transaction<'_>, change: PendingChange) {
    for Write { key, value } in change.writes {
        match value {
            Some(value) => tx.put(key, value),
            None => tx.delete(key),
        }
    }
    tx.record(change.event);
}
