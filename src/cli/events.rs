//! `scimd events`: the change feed, as an application sees it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use serde_json::Value;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::{Cell, TextTable};
use crate::app;
use crate::config::Config;
use crate::feed::{self, Cursor, EventFilter, Feed};
use crate::operator::{EventPage, EventQuery, OperatorReply, OperatorRequest, read_page};
use crate::text::InvalidText;

/// The time between two looks for later events.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct EventsArgs {
    /// Begin behind this cursor: `next` of a page, the id of an event, or Scimd-Cursor of a list [default: the oldest
    /// event that is kept]
    #[arg(long, value_name = "CURSOR", value_parser = cursor)]
    after: Option<String>,
    /// Keep printing events as they come, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Show events of these types, as in user.*,access.changed
    #[arg(long, value_name = "TYPES", value_delimiter = ',', value_parser = event_type)]
    types: Vec<String>,
    /// Show changes by one connection; may be given several times
    #[arg(long, value_name = "CONNECTION")]
    connection: Vec<String>,
    /// Print JSON, one event on each line
    #[arg(long)]
    json: bool,
}

fn cursor(text: &str) -> Result<String, InvalidText> {
    Cursor::parse(text).map(|_| text.to_owned())
}

fn event_type(text: &str) -> Result<String, InvalidText> {
    EventFilter::new([text], [], []).map(|_| text.to_owned())
}

impl EventsArgs {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        app::check_exists(config)?;
        let Self { after, follow, types, connection, json } = self;
        let mut query = EventQuery { after, types, connections: connection };
        let head = ["TIME (UTC)", "TYPE", "SUBJECT", "NAME", "CHANGED", "CURSOR"];
        let mut table = TextTable::new(head, true);
        let mut is_empty = true;
        loop {
            let EventPage { events, next, is_last } = read(config, &query, follow)?;
            is_empty &= events.is_empty();
            if json {
                events.iter().try_for_each(|event| output::line(event))?;
            } else {
                table.print(
                    &events.iter().map(|event| row(event).map(Cell::Text)).collect::<Vec<_>>(),
                )?;
            }
            query.after = Some(next);
            if is_last && !follow {
                break;
            }
            if is_last {
                std::thread::sleep(PAUSE);
            }
        }
        if is_empty && !json { output::note("No events found.") } else { Ok(()) }
    }
}

/// Reads a page: from the running server, or from the files of the feed.
fn read(config: &Config, query: &EventQuery, follow: bool) -> Result<EventPage> {
    let request = OperatorRequest::ReadEvents(query.clone());
    match OperatorClient::new(config).ask_server(&request)? {
        Some(OperatorReply::Events(page)) => return Ok(page),
        Some(OperatorReply::Failed(reason)) => return Err(anyhow!(reason)),
        Some(_) => return unexpected(),
        None => {}
    }
    if follow {
        return Err(CliError::not_running(
            "scimd does not run, so that no events come; start it first",
        ));
    }
    if !config.data_dir.join(feed::FOLDER).exists() {
        return Err(CliError::not_running(
            "scimd does not run, and the data directory has no change feed; start scimd, which makes it",
        ));
    }
    let feed = Feed::open_read_only(&config.data_dir)
        .map_err(|error| CliError::not_running(format!("{error}; start scimd and try again")))?;
    read_page(&feed, query).map_err(|reason| anyhow!(reason))
}

fn row(event: &str) -> [String; 6] {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    let text = |pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        output::sanitize(text)
    };
    let name = match text("/data/resource/userName") {
        name if name.is_empty() => text("/data/resource/displayName"),
        name => name,
    };
    let time = text("/time").replace('T', " ");
    [
        time.get(..19).unwrap_or(&time).to_owned(),
        text("/type"),
        text("/subject"),
        name,
        output::sanitize(&changed(&event)),
        text("/id"),
    ]
}

/// What an event says has changed, in a few words.
fn changed(event: &Value) -> String {
    let list = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
    };
    let mut parts: Vec<String> =
        list("/data/changed").iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    for (sign, pointer) in [("+", "/data/members/added"), ("-", "/data/members/removed")] {
        if !list(pointer).is_empty() {
            parts.push(format!("{sign}{} members", list(pointer).len()));
        }
    }
    let (before, after) = (list("/data/access/before"), list("/data/access/after"));
    let only_in =
        |one: &[Value], other: &[Value]| one.iter().filter(|piece| !other.contains(piece)).count();
    for (sign, count) in [("+", only_in(after, before)), ("-", only_in(before, after))] {
        if count > 0 {
            parts.push(format!("{sign}{count} access"));
        }
    }
    parts.join(", ")
}
