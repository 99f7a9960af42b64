//! `scimd requests`: what clients asked, what they were answered, and why.

mod explain;

use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::arguments::{check_searched, the_connection};
use super::exit::CliError;
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use super::time_arg;
use crate::app;
use crate::config::Config;
use crate::operator::resource::ResourceKind;
use crate::operator::{MAX_CAPTURE, OperatorReply, OperatorRequest, ResourceView};
use crate::request_log::{self, RequestEntry, RequestPage, RequestQuery};
use crate::text::duration;

/// The number of requests that are shown by default.
const LIMIT: u32 = 50;
/// The number of records that are asked for at once.
const PART: usize = 500;
/// The columns of the list.
const HEAD: [&str; 7] = ["TIME", "ID", "CALLER", "METHOD", "PATH", "STATUS", "RESULT"];
/// The time between two looks for later requests.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct RequestsArgs {
    #[command(subcommand)]
    command: Option<RequestsCommand>,
    /// Show requests of one connection
    #[arg(long, value_name = "CONNECTION")]
    connection: Option<String>,
    /// Show requests of one application
    #[arg(long, value_name = "APPLICATION", conflicts_with = "connection")]
    application: Option<String>,
    /// Show failed requests
    #[arg(long)]
    failed: bool,
    /// Show requests about a user (id or userName)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Show requests since a time (RFC 3339, such as 2026-03-01T08:15:00Z) or for a duration such as 24h
    #[arg(long, value_name = "TIME", value_parser = time_arg::parse)]
    since: Option<Timestamp>,
    /// Show the newest N requests
    #[arg(long, value_name = "N", default_value_t = LIMIT, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Keep the bodies of the requests of one connection for a time such as 10m, 24h at most, with secrets masked; 0s ends it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, conflicts_with_all = ["application", "failed", "user", "since", "follow", "json"])]
    capture: Option<Duration>,
    /// Keep printing new requests (Ctrl-C to stop)
    #[arg(long)]
    follow: bool,
    #[command(flatten)]
    output: ListOutput,
    /// Print JSON, one object on each line
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum RequestsCommand {
    /// Explain one request: the reason, and what to change
    Show {
        /// The id of the request, from the list, the log, or the X-Request-Id of the answer
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl RequestsArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        if let Some(RequestsCommand::Show { id, json }) = self.command {
            return show(config, &id, json);
        }
        if let Some(lasts) = self.capture {
            return capture(config, self.connection, lasts);
        }
        let mut query = RequestQuery {
            connection: self.connection,
            application: self.application,
            failed: self.failed,
            subjects: self.user.map_or_else(Vec::new, |user| subjects(config, user)),
            since: self.since,
            limit: self.limit as usize,
            ..RequestQuery::default()
        };
        let json = self.json.then_some(ListFormat::Jsonl);
        let mut printer = self.output.printer(json, HEAD);
        let RequestPage { entries, mut reached } = find(config, &query)?;
        if entries.is_empty() && !has_any(config, &query)? {
            check_searched(config, query.connection.as_ref())?;
        }
        printer.print(&entries, |entry| entry, row)?;
        if !self.follow {
            return printer.end("No requests found.");
        }
        query.limit = PART;
        loop {
            let page = find(config, &RequestQuery { after: Some(reached), ..query.clone() })?;
            printer.print(&page.entries, |entry| entry, row)?;
            // Nothing more is there yet.
            if page.reached == reached {
                std::thread::sleep(PAUSE);
            }
            reached = page.reached;
        }
    }
}

/// Whether the request log has anything at all of the connection of a query, which may have been removed since.
fn has_any(config: &Config, query: &RequestQuery) -> Result<bool> {
    let all = RequestQuery { connection: query.connection.clone(), limit: 1, ..Default::default() };
    Ok(query.connection.is_some() && !find(config, &all)?.entries.is_empty())
}

/// Has the running server keep the bodies of a connection.
fn capture(config: &Config, connection: Option<String>, lasts: Duration) -> Result<()> {
    if lasts > MAX_CAPTURE {
        return Err(CliError::usage(format!(
            "--capture keeps bodies for {} at most; give a shorter time",
            duration::display(MAX_CAPTURE)
        )));
    }
    let connection = the_connection(config, connection)?;
    let request = OperatorRequest::CaptureBodies { connection, lasts };
    match OperatorClient::new(config).ask_server(&request)? {
        Some(OperatorReply::Capturing { connection, until }) => output::note(&format!(
            "Request bodies of connection {connection} are kept until {}, with secrets masked. `scimd requests show \
             ID` shows them.",
            until.strftime("%Y-%m-%d %H:%M:%S UTC")
        )),
        Some(_) => unexpected(),
        None => Err(CliError::not_running(
            "scimd is not running, so there are no requests to keep; start it first",
        )),
    }
}

/// Searches the request log: through the running server, which has all up to now, or in its files.
pub(super) fn find(config: &Config, query: &RequestQuery) -> Result<RequestPage> {
    let request = OperatorRequest::FindRequests(query.clone());
    match OperatorClient::new(config).ask_server(&request)? {
        Some(OperatorReply::Requests(page)) => Ok(page),
        Some(_) => unexpected(),
        None => read_files(config, query),
    }
}

fn read_files(config: &Config, query: &RequestQuery) -> Result<RequestPage> {
    let folder = config.data_dir.join(request_log::FOLDER);
    request_log::read(&folder, query)
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                anyhow::anyhow!("permission denied; run as root or as the user that runs scimd")
            }
            _ => error.into(),
        })
        .with_context(|| format!("can't read {}", folder.display()))
}

/// What a search for a user looks for: its id, and the name that was given.
fn subjects(config: &Config, user: String) -> Vec<String> {
    let request = OperatorRequest::ShowResource {
        kind: ResourceKind::User,
        name: user.clone(),
        access: false,
    };
    let mut subjects = vec![user];
    // A user that is not there, or no more, may still have requests.
    if let Ok(OperatorReply::Resource(ResourceView { resource, .. })) =
        OperatorClient::new(config).ask(request)
    {
        let id = resource.get("id").and_then(|id| id.as_str());
        subjects.extend(id.map(ToOwned::to_owned));
    }
    subjects
}

fn show(config: &Config, id: &str, json: bool) -> Result<()> {
    let query = RequestQuery { id: Some(id.to_owned()), limit: 1, ..RequestQuery::default() };
    let found = find(config, &query)?.entries.into_iter().next();
    let Some(entry) = found else {
        return Err(CliError::not_found(format!(
            "request \"{}\" not found; run `scimd requests` to list requests (repeated denied requests are counted, \
             not kept)",
            id.escape_debug()
        )));
    };
    match json {
        true => output::json(&entry),
        false => explain::print(&entry),
    }
}

fn row(entry: &RequestEntry) -> [Cell; 7] {
    let or_dash = |text: &str| -> Cell {
        if text.is_empty() { "-".into() } else { output::sanitize(text).into() }
    };
    let status = entry.status.to_string();
    [
        Cell::Time(Some(entry.time), ""),
        or_dash(&entry.id),
        or_dash(entry.caller()),
        or_dash(&entry.method),
        or_dash(&entry.path),
        if entry.status >= 500 {
            Cell::Alert(status)
        } else {
            Cell::warning_if(entry.status >= 400, status)
        },
        output::sanitize(&entry.result()).into(),
    ]
}
