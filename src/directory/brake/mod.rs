//! The brake: raises an alarm for, or holds, a connection that takes access from too many accounts, or gives
//! too many accounts access that does harm in the wrong hands.
//!
//! Only the writer knows which accounts lose or gain something by a change, so it counts there: each account
//! once within a moving window. The counts are in memory. A hold is state like any other and survives a
//! restart.

mod alarm;
mod allowance;
mod commands;
mod effects;
mod hold;
mod tally;
mod withheld;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::clock::Stopwatch;
use crate::connection::{Brake, BrakeAction};
use crate::directory::error::DirectoryError;
use crate::directory::settings::{DirectoryView, Settings};
use crate::directory::stored;
use crate::directory::transaction::PendingChange;
use crate::event::{Actor, Details, Difference, Verb};
use crate::log::Frame;
use crate::store::keys::Kind;
use crate::store::{Read, StoreError, Write, keys};
use crate::text::duration;
pub use alarm::{BrakeAlarm, undo_command};
pub use allowance::Allowance;
pub use commands::{AllowBrake, HoldBrake, ReleaseBrake};
use effects::{Effects, Enough};
pub use hold::Hold;
pub(crate) use hold::check;
use tally::{Accounts, ConnectionTally, Excess, Noted};
pub use withheld::{WithheldChange, WithheldChanges};

/// The state of the brake of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrakeStatus {
    /// The connection. A held one may be gone from the configuration.
    pub connection: String,
    /// The action when the limit is exceeded; `None` if the connection is not configured.
    pub action: Option<BrakeAction>,
    /// The hold, if its changes are held.
    pub hold: Option<Hold>,
    /// What an operator allows it beyond its limits.
    pub allowance: Option<Allowance>,
    /// The number of accounts that lost something within the window.
    pub counted: u64,
    /// The number of all accounts then or now, whichever is more.
    pub accounts: u64,
    /// When the first of those that are counted lost something.
    pub counting_since: Option<Timestamp>,
    /// The number of alarms about these since the start.
    pub alarms: u64,
    /// The number of accounts that were reactivated or given company permissions within the window.
    pub gained: u64,
    /// The number of alarms about these since the start.
    pub gain_alarms: u64,
    /// The last alarm since the start.
    pub last_alarm: Option<BrakeAlarm>,
}

/// The tally of each connection.
pub(crate) struct Brakes {
    clock: Stopwatch,
    tallies: Mutex<BTreeMap<String, ConnectionTally>>,
    /// What was noted of commands whose changes are not committed yet, oldest first.
    uncommitted: Mutex<Vec<(String, Noted)>>,
    /// The changes of each connection that were refused while it was held.
    withheld: Mutex<BTreeMap<String, WithheldChanges>>,
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
        let (tallies, uncommitted, withheld) = Default::default();
        Self { clock: Stopwatch::start(), tallies, uncommitted, withheld }
    }

    fn tallies(&self) -> MutexGuard<'_, BTreeMap<String, ConnectionTally>> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of the brake of each configured connection, and of each one that is held, at a moment.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub(crate) fn status(
        &self,
        view: DirectoryView<'_>,
        at: Timestamp,
    ) -> Result<Vec<BrakeStatus>, DirectoryError> {
        let configured = &view.settings.local.brakes;
        let mut holds = hold::all(view.state)?;
        let mut names: Vec<String> = configured.keys().cloned().collect();
        names.extend(holds.keys().filter(|name| !configured.contains_key(*name)).cloned());
        let all = accounts(view.state, view.settings)?;
        let mut tallies = self.tallies();
        let now = self.clock.elapsed();
        let status = |connection: String| -> Result<BrakeStatus, DirectoryError> {
            let brake = configured.get(&connection);
            let (action, window) = brake.map(|brake| (brake.action, brake.window)).unzip();
            let window = window.unwrap_or_default();
            let [(counted, alarms), (gained, gain_alarms)] = match tallies.get_mut(&connection) {
                Some(ConnectionTally { lost, gained, .. }) => {
                    [lost, gained].map(|tally| (tally.counted(now, window), tally.alarms()))
                }
                None => [(0, 0); 2],
            };
            let began = tallies.get(&connection).and_then(|tally| tally.lost.began());
            let counting_since = began.map(|began| alarm::began(at, now.saturating_sub(began)));
            let then = tallies.get(&connection).and_then(|tally| tally.lost.accounts());
            let accounts = then.map_or(all, |then| then.all.max(all));
            let last_alarm = tallies.get(&connection).and_then(|tally| tally.last_alarm.clone());
            let hold = holds.remove(&connection);
            let allowance = Allowance::in_force(view.state, &connection, at)?;
            Ok(BrakeStatus {
                connection,
                action,
                hold,
                allowance,
                counted,
                accounts,
                counting_since,
                alarms,
                gained,
                gain_alarms,
                last_alarm,
            })
        };
        names.into_iter().map(status).collect()
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
        let allowance =
            Allowance::in_force(state, name, now)?.filter(|allowance| allowance.left > 0);
        let spare = allowance
            .as_ref()
            .map_or(0, |allowance| allowance.left + self.counted_for(name, allowance));
        let sought = Enough { lost: lost + spare, gained: enough.gained + spare };
        let mut effects = effects::of(state, settings, &changes, sought)?;
        if let Some(allowance) = allowance {
            let write = self.charge(name, allowance, &mut effects, sought);
            changes.last_mut().into_iter().for_each(|change| change.writes.extend(write.clone()));
        }
        for excess in self.count(name, brake, accounts, enough, effects) {
            let reason = excess.reason(brake);
            let began = self.note_alarm(name, now, &excess, &reason);
            let figures = excess.figures(brake, &reason, began);
            let undo = undo_command(name, began);
            if brake.action == BrakeAction::Hold {
                tracing::error!(
                    connection = name, %reason, %began, undo,
                    "a connection changed too many accounts and is paused: its changes get 503; if they are intended, \
                     run `scimd brake resume --connection {name}`"
                );
                let hold = Hold { since: now, reason, began: Some(began) };
                self.withhold(name, now, now, &changes);
                let change = hold::begin(name, &hold, figures);
                return Ok(Judged::Held(vec![change], hold::refusal(name, &hold)));
            }
            tracing::warn!(
                connection = name, %reason, %began, undo,
                "a connection changed many accounts at once; if that is not intended, `scimd brake pause --connection \
                 {name}` pauses it, and the command in `undo` shows what can be reverted"
            );
            let (event, details) = (hold::event(name, Verb::Alarmed), Details::of(None, figures));
            changes.push(PendingChange { event, details, writes: Vec::new() });
        }
        Ok(Judged::Pass(changes))
    }

    /// How many accounts have counted for an allowance, by what is in memory.
    fn counted_for(&self, connection: &str, allowance: &Allowance) -> u64 {
        self.tallies().get(connection).map_or(0, |tally| tally.allowed.counted(allowance))
    }

    /// Keeps an alarm of a connection; returns when it began.
    fn note_alarm(
        &self,
        connection: &str,
        now: Timestamp,
        excess: &AccountExcess,
        reason: &str,
    ) -> Timestamp {
        let (AccountExcess::Lost { excess, .. } | AccountExcess::Gained { excess, .. }) = excess;
        let began = alarm::began(now, self.clock.elapsed().saturating_sub(excess.began));
        let alarm = BrakeAlarm { time: now, began, reason: reason.to_owned() };
        self.tallies().entry(connection.to_owned()).or_default().last_alarm = Some(alarm);
        began
    }

    /// Counts the accounts that change for an allowance; what stores the rest of it.
    fn charge(
        &self,
        connection: &str,
        mut allowance: Allowance,
        effects: &mut Effects,
        sought: Enough,
    ) -> Option<Write> {
        let (mut tallies, mut uncommitted) = (self.tallies(), self.uncommitted());
        let tally = tallies.entry(connection.to_owned()).or_default();
        let charged = tally.allowed.charge(&mut allowance, effects, sought);
        if charged.is_empty() {
            return None;
        }
        uncommitted.push((connection.to_owned(), Noted::Allowed(charged)));
        Some(allowance.write(connection))
    }

    /// Notes changes that are refused, because their connection is held since a moment.
    fn withhold(
        &self,
        connection: &str,
        since: Timestamp,
        now: Timestamp,
        changes: &[PendingChange],
    ) {
        let mut withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        withheld.entry(connection.to_owned()).or_default().note(since, now, changes);
    }

    /// Notes changes that a client's command would have made, if its connection were not held.
    pub(crate) fn note_withheld(
        &self,
        state: &dyn Read,
        actor: &Actor,
        now: Timestamp,
        changes: &[PendingChange],
    ) {
        if let Actor::Connection { name, .. } = actor
            && let Ok(Some(value)) = state.get(&keys::held(name))
        {
            self.withhold(name, hold::read(&value).since, now, changes);
        }
    }

    /// The changes of a connection that were refused in the last hold since the start.
    pub(crate) fn withheld(&self, connection: &str) -> WithheldChanges {
        let withheld = self.withheld.lock().unwrap_or_else(PoisonError::into_inner);
        withheld.get(connection).cloned().unwrap_or_default()
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
    /// The reason and the figures, for the audit trail.
    fn figures(&self, brake: &Brake, reason: &str, began: Timestamp) -> Vec<Difference> {
        let (Self::Lost { excess, .. } | Self::Gained { excess, .. }) = self;
        let limit = match self {
            Self::Lost { .. } => brake.limit(excess.accounts.counted()),
            Self::Gained { .. } => brake.max_gains as u64,
        };
        let window = duration::display(brake.window).to_string();
        let figure =
            |name: &str, value: serde_json::Value| Difference::values(name, None, Some(&value));
        vec![
            figure("reason", reason.into()),
            figure("affected", excess.affected.into()),
            figure("accounts", excess.accounts.all.into()),
            figure("limit", limit.into()),
            figure("window", window.into()),
            figure("began", began.to_string().into()),
        ]
    }

    /// Says what is exceeded, as a clause.
    fn reason(&self, brake: &Brake) -> String {
        let window = duration::display(brake.window);
        let (Self::Lost { excess, at_least } | Self::Gained { excess, at_least }) = self;
        let at_least = if *at_least { "at least " } else { "" };
        let Excess { affected, accounts: Accounts { all, new }, .. } = excess;
        match self {
            Self::Lost { .. } if *new == 0 => {
                format!("{at_least}{affected} of {all} accounts lost access within {window}")
            }
            Self::Lost { .. } => format!(
                "{at_least}{affected} of {all} accounts lost access within {window}; the {new} accounts that the \
                 connection created in that time do not count for the limit"
            ),
            Self::Gained { .. } => format!(
                "{at_least}{affected} accounts were reactivated or given company permissions within {window} \
                 (max_gains = {})",
                brake.max_gains
            ),
        }
    }
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
                if ["token", "client", "connection"].contains(&change.event.kind.as_str()) =>
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
