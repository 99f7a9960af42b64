//! What a consumer of the change feed has got, over all restarts of the server, and what must hold of it: no event is
//! lost, comes before an earlier one, or comes again with other bytes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::finding::{Finding, Harm};
use crate::history::{History, Mark};

/// How long the events of what was acknowledged may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// Small, so that pages end in the middle of what happens.
const PAGE: usize = 25;

/// An event as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its id.
    pub(crate) id: String,
    /// All of it.
    pub(crate) text: String,
}

impl Event {
    /// Reads the events of a JSON array, and keeps their bytes.
    pub(crate) fn of_array(text: &str) -> Result<Vec<Self>, String> {
        let events: Vec<Box<RawValue>> = serde_json::from_str(text).map_err(unexpected)?;
        let event = |raw: Box<RawValue>| {
            let value: Value = serde_json::from_str(raw.get()).map_err(unexpected)?;
            let id = value["id"].as_str().ok_or_else(|| format!("an event without id: {raw}"))?;
            Ok(Self { id: id.to_owned(), text: raw.get().to_owned() })
        };
        events.into_iter().map(event).collect()
    }

    /// Change and place in it.
    fn order(&self) -> Option<(u64, u64)> {
        let mut parts = self.id.split('.').skip(1).map(str::parse);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    }

    /// Which change of a client it reports.
    fn mark(&self) -> Option<Mark> {
        let event: Value = serde_json::from_str(&self.text).ok()?;
        let id = event["subject"].as_str()?.rsplit('/').next()?.to_owned();
        match event["type"].as_str()? {
            "user.deleted" | "group.deleted" => Some(Mark::Deleted(id)),
            "user.deactivated" => Some(Mark::Deactivated(id)),
            "access.changed" => None,
            _ => {
                let name = event["data"]["resource"]["displayName"].as_str()?;
                name.rsplit(' ').next()?.parse().ok().map(Mark::Wrote)
            }
        }
    }
}

/// A consumer that reads the feed page by page from its beginning, and keeps everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    /// What it has got.
    pub(crate) events: Vec<Event>,
    after: Option<String>,
}

/// How the next page came.
enum Step {
    /// With this number of events.
    Page(usize),
    /// Not at all: the server is gone, or can't read the feed now.
    None,
    Bad(Finding),
}

impl Received {
    /// One that has these events.
    pub(crate) fn of(events: &[Event]) -> Self {
        Self { events: events.to_vec(), after: events.last().map(|event| event.id.clone()) }
    }

    fn step(&mut self, client: &Client, wait: u8) -> Step {
        let after = self.after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/events?limit={PAGE}&wait={wait}{after}");
        let (status, text) = match client.text(&path) {
            Ok((503, _)) | Err(_) => return Step::None,
            Ok(answer) => answer,
        };
        if status != 200 {
            let harm = if status == 410 { Harm::Lost } else { Harm::WrongAnswer };
            return Step::Bad(Finding::new(harm, format!("{path}: {status}: {text}")));
        }
        match page(&text) {
            Ok((events, next)) => {
                let count = events.len();
                self.events.extend(events);
                self.after = Some(next);
                Step::Page(count)
            }
            Err(error) => Step::Bad(Finding::new(Harm::WrongAnswer, format!("{path}: {error}"))),
        }
    }

    /// Follows the feed by long polls until the server is gone; `told` is called with the number of events after each page.
    pub(crate) fn follow(&mut self, client: &Client, told: &dyn Fn(usize)) -> Vec<Finding> {
        loop {
            match self.step(client, 1) {
                Step::Page(_) => told(self.events.len()),
                Step::None => return Vec::new(),
                Step::Bad(finding) => return vec![finding],
            }
        }
    }

    /// Reads everything that there is now.
    fn drain(&mut self, client: &Client) -> Result<(), Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.step(client, 0) {
                Step::Page(0) => return Ok(()),
                Step::Page(_) => {}
                Step::Bad(finding) => return Err(finding),
                Step::None if Instant::now() > deadline => {
                    return Err(Finding::new(Harm::Unserved, "the change feed can't be read"));
                }
                Step::None => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// Events, and where the next page begins.
fn page(text: &str) -> Result<(Vec<Event>, String), String> {
    let page: HashMap<String, Box<RawValue>> = serde_json::from_str(text).map_err(unexpected)?;
    let field = |name: &str| page.get(name).ok_or_else(|| format!("a page without {name}"));
    let next = serde_json::from_str(field("next")?.get()).map_err(unexpected)?;
    Ok((Event::of_array(field("events")?.get())?, next))
}

fn unexpected(error: serde_json::Error) -> String {
    format!("not as expected: {error}")
}

/// Reads the whole feed once the events of what was acknowledged are there, and holds it against that and against what
/// a consumer has received before; the consumer reads what it has not.
pub(crate) fn check<'a>(
    client: &Client,
    received: &mut Received,
    histories: impl Iterator<Item = (&'a History, usize)>,
) -> (Vec<Event>, Vec<Finding>) {
    let wanted: Vec<Vec<Mark>> =
        histories.map(|(history, acknowledged)| history.marks(acknowledged)).collect();
    let deadline = Instant::now() + PATIENCE;
    let (all, mut findings) = loop {
        let mut all = Received::default();
        if let Err(finding) = all.drain(client) {
            return (all.events, vec![finding]);
        }
        let missing = missing(&all.events, &wanted);
        if missing.is_empty() || Instant::now() > deadline {
            break (all.events, missing);
        }
        std::thread::sleep(PAUSE);
    };
    let old = received.events.len();
    if let Err(finding) = received.drain(client) {
        findings.push(finding);
    }
    if received.events.len() < all.len() {
        let text = format!("a consumer that goes on has {old} events of {}", all.len());
        findings.push(Finding::new(Harm::Lost, text));
    }
    // It may have read more than there was before.
    let same = received.events.get(..all.len()).unwrap_or(&received.events);
    findings.extend(differs("a consumer", same, &all));
    for pair in all.windows(2) {
        if pair[0].order() >= pair[1].order() || pair[0].order().is_none() {
            let text = format!("event {} comes before {}", pair[0].id, pair[1].id);
            findings.push(Finding::new(Harm::Inconsistent, text));
        }
    }
    (all, findings)
}

/// What was received is the beginning of the whole, byte for byte.
pub(crate) fn differs(who: &str, received: &[Event], all: &[Event]) -> Option<Finding> {
    let place = received.iter().zip(all).position(|(got, now)| got != now);
    let place = place.or((received.len() > all.len()).then_some(all.len()))?;
    let brief = |event: Option<&Event>| {
        let text = event.map_or("nothing", |event| event.text.as_str());
        text.chars().take(300).collect::<String>()
    };
    let (got, now) = (brief(received.get(place)), brief(all.get(place)));
    let text = format!("{who} has got as event {place}: {got}; the feed has: {now}");
    let is_there = received.get(place).is_some_and(|got| all.iter().any(|one| one.id == got.id));
    Some(Finding::new(if is_there { Harm::Inconsistent } else { Harm::Lost }, text))
}

/// The changes of each client that no event reports, or not in the order in which they were made.
fn missing(events: &[Event], wanted: &[Vec<Mark>]) -> Vec<Finding> {
    let told: Vec<Mark> = events.iter().filter_map(Event::mark).collect();
    let mut findings = Vec::new();
    for marks in wanted {
        let mut rest = told.iter();
        for mark in marks {
            if rest.any(|one| one == mark) {
                continue;
            }
            let finding = match told.contains(mark) {
                true => Finding::new(Harm::Inconsistent, format!("{mark:?} comes too early")),
                false => Finding::new(Harm::Lost, format!("no event reports {mark:?}")),
            };
            findings.push(finding);
            break;
        }
    }
    findings
}
