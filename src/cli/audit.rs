//! `scimd audit`: who changed what, when and from where, and whether the trail is whole.

mod show;

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;

use super::arguments::check_searched;
use super::exit::CliError;
use super::list::{ListFormat, ListOutput, ListPrinter};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::progress::Progress;
use super::time_arg;
use crate::app;
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::event::Event;
use crate::log::Position;
use crate::log::local::LogFiles;
use crate::operator::audit::{
    self, AuditEntry, AuditFilter, AuditQuery, AuditReply, AuditVerification,
};
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorReply, OperatorRequest, ResourceView};
use crate::scim::registry::Registry;
use crate::scim::resource::ResourceId;
use crate::store::signatures::{self, SignatureReport};
use crate::store::signing::VerifyingKey;
use crate::text::nearest;

/// The number of changes that are shown by default.
const LIMIT: usize = 100;
/// How long a running server may wait for changes to follow before it answers.
const WAIT: Duration = Duration::from_secs(10);
/// The time between queries while no server waits for changes.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(super) struct AuditArgs {
    /// Show entries since a time (RFC 3339, such as 2026-03-01T08:15:00Z) or for a duration such as 24h
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse)]
    since: Option<Timestamp>,
    /// Show entries before a time
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// Show entries of one connection, including its brake
    #[arg(long)]
    connection: Option<String>,
    /// Show these events, such as user.patched, or all events of a kind, such as user (comma-separated)
    #[arg(long, value_name = "EVENT,...", value_delimiter = ',', value_parser = event)]
    event: Vec<String>,
    /// Show entries about a user (id, or current or former userName)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Show the newest N entries [default: 100, or all with --since]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: Option<u32>,
    /// Include token-use records
    #[arg(long)]
    all: bool,
    /// Keep printing new entries (Ctrl-C to stop)
    #[arg(long)]
    follow: bool,
    /// Verify the integrity of the audit log
    #[arg(long, conflicts_with_all = ["since", "until", "connection", "event", "user", "limit", "all", "follow"])]
    verify: bool,
    /// With --verify: a head printed earlier by --head, which the log must contain (repeatable)
    #[arg(long, value_name = "SEQUENCE:HASH", value_parser = anchor, requires = "verify")]
    anchor: Vec<Position>,
    /// With --verify: the public key of the signatures [default: the one in the data directory]
    #[arg(long, value_name = "FILE", requires = "verify")]
    key: Option<PathBuf>,
    /// Print the head of the hash chain as SEQUENCE:HASH, to store on another machine
    #[arg(long, conflicts_with_all = ["since", "until", "connection", "event", "user", "limit", "all", "follow", "verify", "json"])]
    head: bool,
    #[command(flatten)]
    output: ListOutput,
    /// Print JSON, one object on each line
    #[arg(long)]
    json: bool,
}

/// An event, or a kind of events.
fn event(text: &str) -> Result<String, String> {
    let kinds: BTreeSet<&str> =
        Event::NAMES.iter().filter_map(|name| name.split('.').next()).collect();
    if Event::NAMES.contains(&text) || kinds.contains(text) {
        return Ok(text.to_owned());
    }
    let kind = text.split('.').next().unwrap_or_default();
    let of_kind: Vec<&str> = Event::NAMES
        .into_iter()
        .filter(|name| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')))
        .collect();
    Err(match nearest(text, Event::NAMES.into_iter().chain(kinds.iter().copied())) {
        Some(near) => format!("unknown event; did you mean {near}?"),
        None if !of_kind.is_empty() => {
            format!("unknown event; expected one of {}", of_kind.join(", "))
        }
        None => format!(
            "unknown event; expected a kind ({}) or an event such as user.patched",
            kinds.into_iter().collect::<Vec<_>>().join(", ")
        ),
    })
}

fn anchor(text: &str) -> Result<Position, String> {
    let wrong = || "expected SEQUENCE:HASH, as `scimd audit --head` prints it".to_owned();
    Position::parse(text.trim()).ok_or_else(wrong)
}

impl AuditArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        let mut reader = AuditReader::new(config);
        if self.head {
            return match reader.ask(AuditQuery::Head)? {
                AuditReply::Head(head) => output::line(&head),
                _ => unexpected(),
            };
        }
        if self.verify {
            let progress = Progress::of("Verifying the audit log");
            let verified = reader.verify(&self.anchor, self.key.as_deref())?;
            drop(progress);
            return report(&verified, self.anchor.len(), self.json);
        }
        let accounts = match &self.user {
            Some(user) => reader.accounts(user)?,
            None => Vec::new(),
        };
        let since = self.since;
        let filter = AuditFilter {
            since,
            until: self.until,
            connection: self.connection.clone(),
            events: self.event.clone(),
            accounts,
            notes: self.all,
        };
        let json = self.json.then_some(ListFormat::Jsonl);
        let mut printer = self.output.printer(json, show::HEAD);
        let reached = match (self.limit, since) {
            (None, Some(_)) => reader.print_after(None, &filter, &mut printer)?,
            (limit, _) => {
                let limit = limit.map_or(LIMIT, |limit| limit as usize);
                reader.print_newest(limit, &filter, &mut printer)?
            }
        };
        if self.follow {
            return reader.follow(reached, &filter, &mut printer);
        }
        if printer.is_empty() && !reader.has_any(self.connection.as_ref())? {
            check_searched(config, self.connection.as_ref())?;
        }
        printer.end("No changes found.")
    }
}

/// Reads the audit trail, from the running server or from the files in the data folder.
struct AuditReader<'a> {
    config: &'a Config,
    /// The resource types. Names of accounts depend on nothing that settings can change.
    registry: Registry,
    /// The files of the log, once it is known that no server runs. Reading them needs no lock.
    files: Option<LogFiles>,
}

impl<'a> AuditReader<'a> {
    fn new(config: &'a Config) -> Self {
        Self { config, registry: Registry::built_in(), files: None }
    }

    fn ask(&mut self, ask: AuditQuery) -> Result<AuditReply> {
        if self.files.is_none()
            && let Some(told) = self.ask_server(ask.clone())?
        {
            return Ok(told);
        }
        let files = match &self.files {
            Some(files) => files,
            None => self.files.insert(app::change_log(self.config)?),
        };
        Ok(audit::answer(files, &self.registry, ask)?)
    }

    /// Sends a query to the running server; `None` if none runs.
    fn ask_server(&self, ask: AuditQuery) -> Result<Option<AuditReply>> {
        match OperatorClient::new(self.config).ask_server(&OperatorRequest::Audit(ask))? {
            Some(OperatorReply::Audit(told)) => Ok(Some(told)),
            Some(_) => unexpected(),
            None => Ok(None),
        }
    }

    /// Whether the log has anything of a connection, which may have been removed since.
    fn has_any(&mut self, connection: Option<&String>) -> Result<bool> {
        let Some(connection) = connection else { return Ok(false) };
        if self.config.connections.contains_key(connection) {
            return Ok(true);
        }
        let filter =
            AuditFilter { connection: Some(connection.clone()), notes: true, ..Default::default() };
        let mut upto = None;
        loop {
            match self.ask(AuditQuery::UpTo { upto, filter: filter.clone(), count: 1 })? {
                AuditReply::Part { changes, reached, whole, .. } => {
                    if whole || !changes.is_empty() {
                        return Ok(!changes.is_empty());
                    }
                    upto = Some(reached);
                }
                _ => return unexpected(),
            }
        }
    }

    /// The ids of all accounts that have or had a name; an id stands for itself.
    fn accounts(&mut self, user: &str) -> Result<Vec<String>> {
        if let Some(id) = ResourceId::parse(&user.to_ascii_lowercase()) {
            return Ok(vec![id.to_string()]);
        }
        let mut accounts = BTreeSet::new();
        // Who got the name before the trail begins is known to the directory alone.
        let (kind, name) = (ResourceKind::User, user.to_owned());
        let request = OperatorRequest::ShowResource { kind, name, access: false };
        if let Some(OperatorReply::Resource(ResourceView { resource, .. })) =
            OperatorClient::new(self.config).reply_of_server(&request)?
        {
            let id = resource.get("id").and_then(|id| id.as_str());
            accounts.extend(id.map(ToOwned::to_owned));
        }
        let mut after = None;
        loop {
            match self.ask(AuditQuery::NameHistory { name: user.to_owned(), after })? {
                AuditReply::Accounts { ids, reached, whole } => {
                    accounts.extend(ids);
                    after = Some(reached);
                    if whole {
                        break;
                    }
                }
                _ => return unexpected(),
            }
        }
        if accounts.is_empty() {
            return Err(CliError::not_found(format!(
                "no audit entries for userName \"{}\", current or former; try the id of the user",
                user.escape_debug()
            )));
        }
        Ok(accounts.into_iter().collect())
    }

    /// Prints all matching changes after a change; returns the sequence up to which the trail was read.
    fn print_after(
        &mut self,
        mut after: Option<u64>,
        filter: &AuditFilter,
        printer: &mut ListPrinter<6>,
    ) -> Result<u64> {
        let mut last = None;
        loop {
            match self.ask(AuditQuery::After { after, filter: filter.clone(), wait: None })? {
                AuditReply::Part { changes, reached, end, whole } => {
                    printer.print(&changes, |change| change, show::row)?;
                    after = Some(reached);
                    // What comes in meanwhile is left to those who follow.
                    if whole || reached >= *last.get_or_insert(end) {
                        return Ok(reached);
                    }
                }
                _ => return unexpected(),
            }
        }
    }

    /// Prints the newest matching changes; returns the sequence up to which the trail was read.
    fn print_newest(
        &mut self,
        limit: usize,
        filter: &AuditFilter,
        printer: &mut ListPrinter<6>,
    ) -> Result<u64> {
        let mut newest: VecDeque<AuditEntry> = VecDeque::new();
        let (mut upto, mut last) = (None, None);
        loop {
            let count = limit - newest.len();
            match self.ask(AuditQuery::UpTo { upto, filter: filter.clone(), count })? {
                AuditReply::Part { changes, reached, end, whole } => {
                    changes.into_iter().rev().for_each(|change| newest.push_front(change));
                    upto = Some(reached);
                    let end = *last.get_or_insert(end);
                    if whole || newest.len() >= limit {
                        printer.print(newest.make_contiguous(), |change| change, show::row)?;
                        return Ok(end);
                    }
                }
                _ => return unexpected(),
            }
        }
    }

    /// Prints matching changes as they are made, until the process is stopped. Only a server makes
    /// changes that can be followed: while none runs, this waits for one.
    fn follow(
        &mut self,
        reached: u64,
        filter: &AuditFilter,
        printer: &mut ListPrinter<6>,
    ) -> Result<()> {
        self.files = None;
        // Everything after the first change that was printed is later.
        let filter = AuditFilter { since: None, ..filter.clone() };
        let (mut reached, mut served) = (reached, true);
        loop {
            let watch = Stopwatch::start();
            let query = AuditQuery::After {
                after: Some(reached),
                filter: filter.clone(),
                wait: Some(WAIT),
            };
            match self.ask_server(query)? {
                Some(AuditReply::Part { changes, reached: now, whole, .. }) => {
                    let has_changes = !changes.is_empty();
                    (reached, served) = (now, true);
                    printer.print(&changes, |change| change, show::row)?;
                    if has_changes || !whole {
                        continue;
                    }
                }
                Some(_) => return unexpected(),
                None if served => {
                    served = false;
                    output::note("scimd is not running; waiting for it to start.")?;
                }
                None => {}
            }
            // A server that has nothing to wait for answers at once: one that stops, or an older one.
            std::thread::sleep(PAUSE.saturating_sub(watch.elapsed()));
        }
    }

    /// Checks the signatures, then that the chain passes through the newest signed head and the anchors.
    fn verify(&mut self, anchors: &[Position], key: Option<&Path>) -> Result<AuditVerification> {
        let data = &self.config.data_dir;
        let known = match key {
            Some(file) => Some(VerifyingKey::read(file)?),
            None => VerifyingKey::of_folder(data)?,
        };
        let mut signed = match &known {
            Some(known) => signatures::check(data, known)?,
            None => SignatureReport::default(),
        };
        if key.is_some() && signed.newest.is_none() {
            signed.faults.push("no signature was made with this key".to_owned());
        }
        let newest = signed.newest.as_ref().map(|newest| newest.position);
        let anchors: Vec<Position> = anchors.iter().copied().chain(newest).collect();
        let asked = anchors.iter().map(ToString::to_string).collect();
        let mut verified =
            match self.ask_server(AuditQuery::Verify { anchors: asked, signatures: false })? {
                Some(AuditReply::Verified(verified)) => verified,
                Some(_) => return unexpected(),
                None => app::verify_trail(self.config, &anchors)?,
            };
        verified.signatures(signed);
        Ok(verified)
    }
}

/// The ids of all accounts that have or had a name.
///
/// # Errors
///
/// There is none.
pub(super) fn former_accounts(config: &Config, user: &str) -> Result<Vec<String>> {
    AuditReader::new(config).accounts(user)
}

/// Prints the newest changes of users or groups, by id; the newest last.
///
/// # Errors
///
/// There is none, or why they can't be read.
pub(super) fn print_history(
    config: &Config,
    ids: Vec<String>,
    limit: usize,
    json: bool,
) -> Result<()> {
    let shown = ids.join(", ");
    let filter = AuditFilter { accounts: ids, ..AuditFilter::default() };
    let json = json.then_some(ListFormat::Json);
    let mut printer = ListOutput::default().printer(json, show::HEAD);
    AuditReader::new(config).print_newest(limit, &filter, &mut printer)?;
    if printer.is_empty() {
        let trimmed = "those beyond `keep_journal` are gone";
        return Err(CliError::not_found(format!(
            "no changes of {shown} in the audit log; {trimmed}"
        )));
    }
    printer.end("No changes found.")
}

/// The last change of a kind to a subject; `None` if the audit trail has none.
pub(super) fn last_change(
    config: &Config,
    event: &str,
    subject: &str,
) -> Result<Option<AuditEntry>> {
    let mut reader = AuditReader::new(config);
    let filter = AuditFilter { events: vec![event.to_owned()], ..AuditFilter::default() };
    let mut upto = None;
    loop {
        match reader.ask(AuditQuery::UpTo { upto, filter: filter.clone(), count: LIMIT })? {
            AuditReply::Part { changes, reached, whole, .. } => {
                let found = changes.into_iter().rev().find(|change| change.subject == subject);
                if found.is_some() || whole {
                    return Ok(found);
                }
                upto = Some(reached);
            }
            _ => return unexpected(),
        }
    }
}

fn report(verified: &AuditVerification, anchors: usize, json: bool) -> Result<()> {
    if json {
        output::json(verified)?;
    } else {
        show::verified(verified, anchors)?;
    }
    match verified.first_faults.first() {
        None => Ok(()),
        Some(_) if verified.faults == 1 => bail!("audit log verification failed: 1 problem found"),
        Some(_) => bail!("audit log verification failed: {} problems found", verified.faults),
    }
}
