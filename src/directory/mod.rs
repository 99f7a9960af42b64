//! The directory: the operations on resources and tokens.
//!
//! Reading asks the store directly, from any thread. Every change is a [`Command`] that the one writer
//! thread runs against state as it will be when all earlier commands are done: uniqueness and versions
//! are checked there, so that there is no race to be lost. A change is answered once it is on disk.

mod access;
mod adoption;
mod audit;
mod brake;
mod capture;
mod clock;
mod connection_record;
mod core;
mod counters;
mod deactivation;
mod error;
mod follower;
mod grant_check;
mod latest;
mod lookup;
mod maintenance;
mod may_grant;
pub(crate) mod membership;
mod migration;
mod operator;
mod operator_sign_in;
mod query;
mod resource;
mod rules;
pub(crate) mod settings;
mod shown;
mod sign_in;
mod stats;
pub(crate) mod stored;
mod token;
mod transaction;
mod trusted_time;
mod undo;
mod verify;
mod webhook_state;
mod writer;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

pub use access::explain::{
    AccessPath, AccessPaths, Assumption, ExplainedAccess, PathGrant, PathGroup,
};
pub use access::holders::{AccessHolder, AccessHolders};
pub use access::migrate::UnknownAccess;
pub use audit::denied::DeniedRequest;
pub use audit::query::{ChangeFilter, NameHistory};
pub use brake::{
    AllowBrake, Allowance, BrakeAlarm, BrakeStatus, Hold, HoldBrake, ReleaseBrake, WithheldChange,
    WithheldChanges, undo_command,
};
pub use capture::RecordCapture;
use clock::AcceptClock;
pub(crate) use connection_record::changed_elsewhere;
pub use connection_record::{ConnectionFile, RecordConnectionChange};
pub use deactivation::Deactivation;
pub use error::DirectoryError;
pub use grant_check::MissedGrant;
pub use maintenance::Restored;
use membership::Voids;
pub use membership::{Reference, ReferenceList, ReferenceWriter};
pub use operator::commands::{
    AddOperator, EndOperatorSessions, NoteLink, NoteSignIn, RecordSignIn, RemoveOperator,
    SetOperatorCredentials, SetOperatorRole,
};
pub use operator::table::CodeKeyLoader;
pub use query::part::SearchPart;
pub use query::{Page, Search, SearchWork};
pub use resource::bulk::{Bulk, BulkOperation, BulkOutcome};
pub use resource::create::Create;
pub use resource::delete::Delete;
pub use resource::import::{Import, ImportAction, ImportedResource};
pub use resource::operator_change::{ChangeMember, SetActive, Transfer};
pub use resource::patch::Patch;
pub use resource::replace::Replace;
pub use rules::ConnectionRules;
pub use settings::{LocalSettings, vocabulary};
pub use shown::ShownResource;
pub use stats::DirectoryStats;
pub use stored::StoredResource;
pub use token::client_commands::{
    GenerateClient, GeneratedClient, NewClient, RegisterClient, RevokeClient,
};
pub use token::client_table::{
    AccessToken, InvalidClient, NoAccessToken, ProvenClient, UnusableAssertion,
};
pub use token::commands::{GenerateToken, GeneratedToken, ResetTokens, RevokeToken};
pub use token::table::{InvalidToken, PresentedToken};
pub use transaction::{Command, Transaction};
pub use trusted_time::ClockStatus;
pub use undo::{Undo, UndoAction, UndoKind, UndoReport, UndoRow};
pub use verify::{verify, verify_as_saved};
pub use webhook_state::{SaveWebhookState, TakeUpWebhook, WebhookState};
pub use writer::pending::Pending;

use crate::access::{AccessNames, Catalogue, Effective};
use crate::connection::PublicUrl;
use crate::connection::token::Token;
use crate::event::{Actor, Reason};
use crate::log::Log;
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::settings::SharedSettings;
use crate::store::{Store, StoreError};
use access::migrate::AccessCheck;
use core::DirectoryCore;
use settings::{DirectoryView, Settings, canonical_json};
use trusted_time::TrustedTime;
use writer::job::QueuedCommand;
use writer::liveness::Ping;
use writer::queue::{PushError, WriterMessage};
use writer::settings_change::{CheckAndSave, SettingsChange};
use writer::{Writer, WriterHandle};

/// The open directory under one configuration. Reads and commands go by the same settings from beginning to
/// end. [`Directory::change_settings`] makes one under later settings, with the same store and the same
/// writer.
///
/// Dropping the last one lets the writer finish the commands that wait.
pub struct Directory {
    shared: Arc<DirectoryCore>,
    settings: Arc<Settings>,
    writer: Arc<WriterHandle>,
}

impl Directory {
    /// Opens the directory whose changes are in a log and whose state is in a store that follows the log,
    /// for a server, and starts its writer. The wanted settings are put into the log, unless the state holds
    /// the same ones already, and are in force from then on. Accounts still have to follow the catalogue:
    /// [`Directory::migrate_accounts`].
    ///
    /// # Errors
    ///
    /// `AccessInUse` if accounts have access that the settings do not know, unless `unknown` says to drop
    /// it. [`DirectoryError::Storage`] if the tokens can't be read, no thread can be started, or resources
    /// share a value that the schemas make unique. Then the settings in force stay as they were.
    pub fn open(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        wanted: &SharedSettings,
        unknown: UnknownAccess,
        local: LocalSettings,
    ) -> Result<Self, DirectoryError> {
        let next = Settings::new(canonical_json(wanted)?, None, local.clone())?;
        let time = trusted_time(log.as_ref(), &next)?;
        let now = time.for_records(next.local.clock);
        adoption::adopt(log.as_ref(), store.as_ref(), &next, unknown, now)?;
        let settings = Settings::of_state(store.as_ref(), wanted, local)?;
        Self::start(log, store, settings, time)
    }

    /// Opens the directory for a change without a server, under the settings that the state holds, or under
    /// `unless_saved` if it holds none. None are put into the log: that is for a server's start to do.
    ///
    /// # Errors
    ///
    /// As [`Directory::open`], less `AccessInUse`.
    pub fn open_as_saved(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        unless_saved: &SharedSettings,
        local: LocalSettings,
    ) -> Result<Self, DirectoryError> {
        let settings = Settings::of_state(store.as_ref(), unless_saved, local)?;
        let time = trusted_time(log.as_ref(), &settings)?;
        let (registry, now) = (&settings.registry, time.for_records(settings.local.clock));
        stored::reindex::follow_schemas(log.as_ref(), store.as_ref(), registry, now)?;
        Self::start(log, store, settings, time)
    }

    /// Opens the directory for reading, under the settings that the state holds, or under `unless_saved` if
    /// it holds none. Nothing is re-indexed, and the store refuses every change.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Storage`] if the tokens can't be read or no thread can be started.
    pub fn open_read_only(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        unless_saved: &SharedSettings,
        local: LocalSettings,
    ) -> Result<Self, DirectoryError> {
        let settings = Settings::of_state(store.as_ref(), unless_saved, local)?;
        let time = trusted_time(log.as_ref(), &settings)?;
        Self::start(log, store, settings, time)
    }

    fn start(
        log: Arc<dyn Log>,
        store: Arc<dyn Store>,
        settings: Settings,
        time: TrustedTime,
    ) -> Result<Self, DirectoryError> {
        let shared = Arc::new(DirectoryCore::load(log, store, time)?);
        let settings = Arc::new(settings);
        let writer = Arc::new(Writer::start(Arc::clone(&shared), Arc::clone(&settings))?);
        Ok(Self { shared, settings, writer })
    }

    /// The resource types that it holds.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.settings.registry
    }

    /// Hands a command to the writer. The answer comes once the change is on disk.
    pub fn submit<C: Command>(&self, actor: Actor, command: C) -> Pending<C::Output> {
        let (reply, answer) = oneshot::channel();
        self.hand_in(QueuedCommand::new(Arc::clone(&self.settings), actor, command, reply));
        Pending::new(answer)
    }

    fn hand_in<C: Command>(&self, queued: QueuedCommand<C>) {
        // Before the writer can take it.
        self.shared.counters.waiting.add_one();
        match self.writer.try_send(WriterMessage::Run(Box::new(queued))) {
            Ok(()) => {}
            Err(PushError::Full(order)) => self.fail(order, DirectoryError::Busy),
            Err(PushError::Stopped(order)) => self.fail(order, DirectoryError::Stopped),
        }
    }

    /// Hands in a command of a client's request: its id goes into the log, its size limits what the command may write.
    pub fn submit_request<C: Command>(
        &self,
        actor: Actor,
        (request, body_bytes): (&str, usize),
        command: C,
    ) -> Pending<C::Output> {
        let (reply, answer) = oneshot::channel();
        let queued = QueuedCommand::new(Arc::clone(&self.settings), actor, command, reply);
        self.hand_in(queued.of_request(request, body_bytes));
        Pending::new(answer)
    }

    /// The same, from a thread that may wait for a place in the queue.
    fn submit_in_turn<C: Command>(&self, actor: Actor, command: C) -> Pending<C::Output> {
        let (order, pending) = self.order(actor, command);
        if let Err(PushError::Full(order) | PushError::Stopped(order)) = self.writer.send(order) {
            self.fail(order, DirectoryError::Stopped);
        }
        pending
    }

    fn order<C: Command>(&self, actor: Actor, command: C) -> (WriterMessage, Pending<C::Output>) {
        let (reply, answer) = oneshot::channel();
        let queued = QueuedCommand::new(Arc::clone(&self.settings), actor, command, reply);
        // Before the writer can take it.
        self.shared.counters.waiting.add_one();
        (WriterMessage::Run(Box::new(queued)), Pending::new(answer))
    }

    fn fail(&self, order: WriterMessage, error: DirectoryError) {
        self.shared.counters.waiting.take_one();
        order.fail(error);
    }

    /// How many requests with the credential of a known token were refused, by reason.
    pub fn refusals_of_known_tokens(&self) -> impl Iterator<Item = (Reason, u64)> {
        self.shared.denied.of_known_tokens()
    }

    /// The time, as records have it: never before the last record, and never that of a clock that is not
    /// trusted.
    pub fn now(&self) -> Timestamp {
        self.shared.time.for_records(self.settings.local.clock)
    }

    /// Trusts the clock as it stands from now on, and records it. Returns what the clock was held against
    /// until then.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn accept_clock(&self, actor: Actor) -> Result<ClockStatus, DirectoryError> {
        let before = self.clock_status();
        self.submit(actor, AcceptClock { before }).wait()?;
        Ok(before)
    }

    /// Records that a request was denied. It is in the audit trail within a minute, usually within ten
    /// seconds, or when the directory is closed.
    pub fn record_denied(&self, request: DeniedRequest) {
        self.shared.denied.note(request, self.now());
    }

    /// Every token, oldest first.
    pub fn tokens(&self) -> Vec<Token> {
        self.shared.tokens.list()
    }

    /// The access that accounts can have.
    pub fn catalogue(&self) -> &Catalogue {
        &self.settings.catalogue
    }

    /// The base of `meta.location` by the settings in force; `None` where it is not known.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.settings.public_url.as_ref()
    }

    /// State under the settings of this directory.
    fn view(&self) -> DirectoryView<'_> {
        DirectoryView { state: self.shared.store.as_ref(), settings: &self.settings }
    }

    /// Retrieves a resource by its id, as a client gave it, with its relations in the wanted attributes.
    ///
    /// # Errors
    ///
    /// `NotFound`, also for a text that is not an id; `Large` if its members take more than `most_bytes` of memory; `Storage`.
    pub fn retrieve(
        &self,
        resource_type: &ResourceType,
        id: &str,
        wanted: &dyn Fn(&str) -> bool,
        most_bytes: usize,
    ) -> Result<ShownResource, DirectoryError> {
        self.view().retrieve(resource_type, id, wanted, most_bytes)
    }

    /// Finds a resource by its id or by the value of a unique attribute, both in any letter case if the
    /// attribute is case-insensitive.
    ///
    /// # Errors
    ///
    /// As [`Directory::retrieve`].
    pub fn look_up(
        &self,
        resource_type: &ResourceType,
        attribute: &str,
        name: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<ShownResource, DirectoryError> {
        self.view().look_up(resource_type, attribute, name, wanted)
    }

    /// Adds a resource's relations, as they are now, in the wanted attributes.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn with_relations(
        &self,
        resource_type: &ResourceType,
        stored: StoredResource,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<ShownResource, DirectoryError> {
        self.view().with_relations(resource_type, stored, wanted, usize::MAX)
    }

    /// The resources that a search finds, with their relations in the wanted attributes.
    ///
    /// # Errors
    ///
    /// `Invalid` with `tooMany` if the search would read more resources than the settings allow, or with
    /// `invalidCursor`; `Large` if the members of all take more than `most_bytes` of memory; `Storage`.
    pub fn query(
        &self,
        search: &Search,
        wanted: &dyn Fn(&ResourceType, &str) -> bool,
        most_bytes: usize,
        add: &mut dyn FnMut(&ResourceType, ShownResource) -> bool,
    ) -> Result<Page, DirectoryError> {
        query::run(self.view(), &self.shared.cursors, search, wanted, most_bytes, add)
    }

    /// How much work a search is.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn search_work(
        &self,
        search: &Search,
        wanted: &dyn Fn(&ResourceType, &str) -> bool,
    ) -> Result<SearchWork, DirectoryError> {
        query::work(self.view(), search, wanted)
    }

    /// The effective access of an account; none for an inactive account.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn access(
        &self,
        resource_type: &ResourceType,
        stored: &StoredResource,
    ) -> Result<Effective, DirectoryError> {
        let view = self.view();
        view.access(&Voids::load(view.state)?, resource_type, stored)
    }

    /// A part of a group's members, in the order of their ids: those after a member, or the first. Each is shown
    /// by the name that the directory has for it, whatever a client called it.
    ///
    /// # Errors
    ///
    /// `Storage`.
    pub fn members(
        &self,
        group: ResourceId,
        after: Option<ResourceId>,
        count: usize,
    ) -> Result<ReferenceList, DirectoryError> {
        let state = self.shared.store.as_ref();
        let (registry, voids) = (self.registry(), Voids::load(state)?);
        let stored = membership::some_members(state, registry, &voids, group, after, count)?;
        let mut members = ReferenceList::default();
        for member in stored.iter() {
            let name = membership::name_of(state, registry, member.id)?;
            members.push_as(member, &name.unwrap_or_default());
        }
        Ok(members)
    }

    /// An id for a resource that others refer to before it is created.
    pub fn new_id(&self) -> ResourceId {
        resource::create::new_id(self.now())
    }

    /// Answers once the writer reaches it, so that the writer is neither stuck nor gone. It changes
    /// nothing, and so is answered also while the disk is full.
    pub fn ping_writer(&self) -> Pending<()> {
        self.submit(Actor::System, Ping)
    }

    /// Replaces the settings: puts the shared ones into the log, unless the state holds the same ones, and
    /// gives the directory under the new ones to `publish`, on the writer's thread, before any later change
    /// is made. `former` names of the catalogue are understood as well, until the next call. Accounts still have to follow the catalogue:
    /// [`Directory::migrate_accounts`].
    ///
    /// # Errors
    ///
    /// `AccessInUse` if accounts hold access that the new catalogue does not know: then all stays as it
    /// is, and `publish` is not called. `Storage`, also if schemas differ in what is indexed; `Stopped`.
    pub fn change_settings(
        &self,
        wanted: &SharedSettings,
        former: Option<&AccessNames>,
        local: LocalSettings,
        publish: impl FnOnce(Self) + Send + 'static,
    ) -> Result<(), DirectoryError> {
        let settings = Settings::new(canonical_json(wanted)?, former, local)?;
        // The writer then looks only at what was changed meanwhile.
        let checked = AccessCheck::beside_writer(self.shared.store.as_ref(), &settings)?;
        self.put_in_force(settings, Some(checked), false, publish)
    }

    fn put_in_force(
        &self,
        settings: Settings,
        checked: Option<AccessCheck>,
        only_if_saved: bool,
        publish: impl FnOnce(Self) + Send + 'static,
    ) -> Result<(), DirectoryError> {
        let (reply, answer) = oneshot::channel();
        let next = Self {
            shared: Arc::clone(&self.shared),
            settings: Arc::new(settings),
            writer: Arc::clone(&self.writer),
        };
        let (settings, log) = (Arc::clone(&next.settings), Arc::clone(&self.shared.log));
        let save = CheckAndSave { next: settings, log, checked, only_if_saved };
        let change = SettingsChange::new(save, move || publish(next), reply);
        if self.writer.send(WriterMessage::ChangeSettings(Box::new(change))).is_err() {
            return Err(DirectoryError::Stopped);
        }
        answer.blocking_recv().unwrap_or(Err(DirectoryError::Stopped))
    }

    /// The log: every change that was made.
    pub fn log(&self) -> &dyn Log {
        self.shared.log.as_ref()
    }

    /// The log, for who outlives the directory.
    pub fn log_handle(&self) -> Arc<dyn Log> {
        Arc::clone(&self.shared.log)
    }

    /// Whether changes can be made.
    pub fn is_writable(&self) -> bool {
        self.writer.is_running() && !self.shared.store.is_stopped()
    }
}

fn trusted_time(log: &dyn Log, settings: &Settings) -> Result<TrustedTime, DirectoryError> {
    Ok(TrustedTime::of(log, settings.local.clock).map_err(StoreError::from)?)
}
