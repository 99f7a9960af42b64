//! The operator API: what operators can do to a directory, whichever door they come through.
//!
//! One request enum, one reply enum, and one function, [`execute`]. The admin socket calls it in a running
//! server; without one the command line opens the data folder and calls the same function.

mod access;
mod access_request;
mod account;
mod account_request;
pub mod actor;
pub mod audit;
mod brake;
mod change;
mod client;
mod client_request;
mod clock;
mod configuration;
mod connection;
mod console;
mod context;
mod event_page;
mod events;
mod feed_info;
mod findings;
mod history;
mod identity;
mod import;
mod kind;
mod lookup;
mod maintenance;
mod newest_events;
mod nodes;
mod reply;
mod request;
mod requests;
pub mod resource;
mod search;
mod setting;
mod sign_in;
mod status;
mod token;
mod webhook;
pub mod words;

pub use access_request::{
    AccessChanges, AccessDifference, AccessExplanation, AccessHolderPage, AccessReply,
    AccessRequest, AccessUser, ExplainedItem, HeldAccess, HolderInfo,
};
pub use account_request::{
    AccountReply, AccountRequest, CodeEnrolment, OperatorInfo, OperatorStatus,
};
pub use change::OperatorChange;
pub use client_request::{ClientInfo, ClientReply, ClientRequest};
pub use context::{OperatorContext, RunningServer, SiteInfo};
pub use event_page::{EventPage, EventQuery};
pub use events::read_page;
pub use feed_info::{ConsumerInfo, EventInfo, FeedInfo};
pub use findings::{Finding, StatusLimits, findings};
pub use identity::{ConsoleControl, Identity, IdentitySource};
pub use import::{
    ImportBatch, ImportMembers, ImportOutcome, ImportRow, ImportVerb, ImportedMembers,
};
pub use reply::{
    AccessPiece, BrakeInfo, ChangeReport, ClockInfo, ConnectionStatus, NodeInfo, NotificationTest,
    OperatorReply, ReloadReport, ResourceView, ServerStatus, TokenInfo, WideningInfo,
};
pub use request::{OperatorMessage, OperatorRequest};
pub use requests::{MAX_CAPTURE, keep_bodies};
pub use search::ResourceSearch;
pub use setting::SettingInfo;
pub use sign_in::{SignInAttempt, SignInRefusal, SignIns};
pub use webhook::{WebhookControl, WebhookInfo};

use std::path::Path;

use self::audit::AuditQuery;
use crate::connection::token::TokenOwner;
pub use crate::credential::OperatorRole;
use crate::directory::{AllowBrake, DirectoryError, GenerateToken, ResetTokens};
use crate::event::Actor;
use crate::text::with_causes;
pub use configuration::{ConfigurationJob, ConfigurationQueue, ConfigurationTask};
pub use connection::{ConnectionChange, ConnectionChanged, ConnectionRefusal};

/// Executes a request on behalf of an actor, and waits until it is done; not for a thread that drives
/// asynchronous tasks.
pub fn execute(context: &OperatorContext, actor: Actor, request: OperatorRequest) -> OperatorReply {
    try_execute(context, actor, request).unwrap_or_else(failed)
}

fn try_execute(
    context: &OperatorContext,
    actor: Actor,
    request: OperatorRequest,
) -> Result<OperatorReply, DirectoryError> {
    use OperatorRequest as Request;
    let OperatorContext { directory, site, server } = context;
    match request {
        Request::GenerateToken { owner, .. } | Request::ResetTokens { owner, .. }
            if !site.knows(&owner) =>
        {
            Ok(unknown_owner(site, &owner))
        }
        Request::Client(
            ClientRequest::Generate { connection, .. } | ClientRequest::Register { connection, .. },
        )
        | Request::HoldBrake { connection, .. }
        | Request::AllowBrake { connection, .. }
        | Request::ShowWithheld { connection }
        | Request::Change { change: OperatorChange::Transfer { connection, .. }, .. }
        | Request::CaptureBodies { connection, .. }
            if !site.connections.contains(&connection) =>
        {
            Ok(unknown_connection(site, &connection))
        }
        Request::GenerateToken { owner, valid_for, description } => {
            let command = GenerateToken { owner, valid_for, description };
            token::generate(context, actor, command)
        }
        Request::ResetTokens { owner, valid_for, overlap, description } => {
            let command = ResetTokens { owner, valid_for, overlap, description };
            token::generate(context, actor, command)
        }
        Request::Client(request) => client::execute(directory, actor, request),
        Request::Account(request) => account::execute(context, actor, request),
        Request::ListTokens => Ok(token::list(context)),
        Request::RevokeToken { id } => token::revoke(context, actor, &id),
        Request::ListResources { kind, cursor, access, only } => {
            resource::list(directory, &site.base_url, kind, cursor, access, &only)
        }
        Request::ShowResource { kind, name, access } => {
            resource::show(directory, &site.base_url, kind, &name, access)
        }
        Request::ListMembers { group, after } => {
            resource::members(directory, &site.base_url, &group, after.as_deref())
        }
        Request::Access(request) => access::execute(directory, request),
        Request::Change { change, reason } => change::make(directory, actor, change, reason),
        Request::Import(batch) => {
            import::rows(directory, &site.default_access, actor, batch).map(OperatorReply::Imported)
        }
        Request::ImportMembers(members) => {
            import::members(directory, &actor, members).map(OperatorReply::ImportedMembers)
        }
        Request::Snapshot => maintenance::snapshot(directory),
        Request::Verify => Ok(maintenance::verify(directory)),
        Request::Compact => maintenance::compact(directory),
        Request::ShowBrakes => brake::show(directory),
        Request::ShowWithheld { connection } => brake::withheld(directory, connection),
        Request::HoldBrake { connection, reason } => {
            brake::hold(directory, actor, connection, reason)
        }
        Request::AllowBrake { connection, accounts, valid_for, reason } => {
            let allow = AllowBrake { connection, accounts, valid_for, reason };
            brake::allow(directory, actor, allow)
        }
        Request::ReleaseBrake { connection } => {
            let (released, hold) = brake::release(directory, actor, connection)?;
            Ok(match released {
                Some(name) if hold.is_none() && !site.connections.contains(&name) => {
                    unknown_connection(site, &name)
                }
                connection => OperatorReply::BrakeReleased { connection, hold },
            })
        }
        Request::ChangeConnection(change) => {
            let change = Box::new(change);
            let task = ConfigurationTask::ChangeConnection { actor, change };
            Ok(configuration::run(queue(server.as_ref()), task))
        }
        Request::CheckConfiguration => {
            Ok(configuration::run(queue(server.as_ref()), ConfigurationTask::Check))
        }
        Request::Reload { force } => {
            Ok(configuration::run(queue(server.as_ref()), ConfigurationTask::Reload { force }))
        }
        Request::CreateConsoleLink { operator, valid_for } => {
            Ok(console::create_link(context, &actor, operator, valid_for))
        }
        Request::ShowClock => Ok(clock::show(directory)),
        Request::ListNodes => nodes::list(directory),
        Request::RaiseFormat => nodes::raise_format(directory),
        Request::AcceptClock => clock::accept(directory, actor),
        Request::FindRequests(query) => Ok(requests::find(server.as_ref(), &query)),
        Request::CaptureBodies { connection, lasts } => {
            requests::capture(context, actor, connection, lasts)
        }
        Request::ListWebhooks => Ok(with_webhooks(server.as_ref(), |webhooks| {
            Ok(OperatorReply::Webhooks(webhooks.list()))
        })),
        Request::TestWebhook { name } => Ok(with_webhooks(server.as_ref(), |webhooks| {
            webhooks.test(&name).map(|()| OperatorReply::WebhookDone)
        })),
        Request::ResendWebhook { name, after } => Ok(with_webhooks(server.as_ref(), |webhooks| {
            webhooks.resend(&name, &after).map(|()| OperatorReply::WebhookDone)
        })),
        Request::TestNotifications => Ok(match server {
            Some(server) => OperatorReply::NotificationsTested((server.test_notifications)()),
            None => OperatorReply::Failed("scimd is not running on this data directory".to_owned()),
        }),
        Request::ReadEvents(query) => Ok(events::read(server.as_ref(), &query)),
        Request::ShowFeed => Ok(events::show(server.as_ref())),
        Request::Search(search) => search::find(directory, &site.base_url, &search),
        Request::ShowSettings => Ok(OperatorReply::Settings(site.settings.to_vec())),
        Request::ShowStatus => status::show(context),
        Request::Undo(undo) => match (directory.undo(&actor, &undo), undo.connection) {
            // One that was removed may have made changes.
            (Err(DirectoryError::Unfit(_)), Some(name)) if !site.connections.contains(&name) => {
                Ok(unknown_connection(site, &name))
            }
            (report, _) => Ok(OperatorReply::Undone(report?)),
        },
        Request::Audit(AuditQuery::Verify { anchors, signatures: true }) => {
            let data = Path::new(&site.data_dir);
            let reply = audit::verify_with_signatures(directory.log(), data, anchors);
            Ok(reply.map_or_else(
                |error| OperatorReply::Failed(with_causes(&error)),
                OperatorReply::Audit,
            ))
        }
        Request::Audit(query) => {
            let reply = audit::answer_waiting(directory.log(), directory.registry(), query);
            Ok(reply.map_or_else(
                |error| OperatorReply::Failed(with_causes(&error)),
                OperatorReply::Audit,
            ))
        }
    }
}

/// What comes of a request about the webhooks of a running server.
fn with_webhooks(
    server: Option<&RunningServer>,
    work: impl FnOnce(&dyn WebhookControl) -> Result<OperatorReply, String>,
) -> OperatorReply {
    match server {
        Some(server) => work(server.webhooks.as_ref()).unwrap_or_else(OperatorReply::Failed),
        None => OperatorReply::Failed("no server runs".to_owned()),
    }
}

/// The way to the configuration of a running server.
fn queue(server: Option<&RunningServer>) -> Option<&ConfigurationQueue> {
    server.map(|server| &server.configuration)
}

fn unknown_connection(site: &SiteInfo, connection: &str) -> OperatorReply {
    unknown_owner(site, &TokenOwner::Connection(connection.to_owned()))
}

fn unknown_owner(site: &SiteInfo, owner: &TokenOwner) -> OperatorReply {
    let (kind, known) = (owner.kind(), site.of_kind(owner));
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let name = owner.name().escape_debug();
    OperatorReply::NotFound(format!("{kind} \"{name}\" not found; the configuration has {known}"))
}

fn failed(error: DirectoryError) -> OperatorReply {
    OperatorReply::Failed(match error {
        DirectoryError::NotFound { kind, id } => {
            let (kind, id) = (kind.to_lowercase(), id.escape_debug());
            return OperatorReply::NotFound(format!(
                "{kind} \"{id}\" not found; run `scimd {kind} list` to list all {kind}s"
            ));
        }
        DirectoryError::Storage(error) => format!("storage failed: {}", with_causes(&error)),
        other => other.to_string(),
    })
}
