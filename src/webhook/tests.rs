//! What a webhook that fails does to the log, and when it is parked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::endpoint::{NOTE_EVERY, NextDelivery};
use super::*;
use crate::clock::Clock;
use crate::directory::{
    ConnectionRules, Create, LocalSettings, SaveWebhookState, TakeUpWebhook, UnknownAccess,
    WebhookState,
};
use crate::event::Actor;
use crate::feed::EventFilter;
use crate::scim::exchange::Exchange;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::folder::DataFolder;
use crate::store::local::{LocalStore, StoreLimits};
use crate::store::maintenance::RetentionPolicy;

/// A directory with its feed; records of 64 KiB make files of the log full soon.
struct World {
    directory: Arc<Directory>,
    feed: Arc<Feed>,
}

impl World {
    fn open(folder: &Path) -> Self {
        let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
        let data = DataFolder::open(folder).unwrap();
        let store = Arc::new(LocalStore::open(data, limits, [7; 16], Clock::System.now()).unwrap());
        let (shared, local) = (SharedSettings::default(), LocalSettings::for_tests(Clock::System));
        let unknown = UnknownAccess::Refuse;
        let directory = Directory::open(store.log(), store.clone(), &shared, unknown, local);
        let directory = directory.unwrap();
        directory.migrate_accounts(&|| true).unwrap();
        let feed = Feed::start(&directory, folder).unwrap();
        Self { directory: Arc::new(directory), feed: Arc::new(feed) }
    }

    fn webhooks(&self) -> Webhooks {
        Webhooks::new(Arc::clone(&self.directory), Arc::clone(&self.feed))
    }

    fn create(&self, number: usize) {
        let resource_type = self.directory.registry().by_endpoint("Users").unwrap().clone();
        let body = json!({"userName": format!("u{number}"), "title": "x".repeat(60_000)});
        let Value::Object(body) = body else { unreachable!() };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let rules = ConnectionRules::default();
        let create = Create { resource_type, id: None, resource, rules };
        self.directory.submit(Actor::System, create).wait().unwrap();
    }

    /// Removes everything up to a change; how many files of the log were removed.
    fn keep(&self, needed: u64) -> usize {
        let needed = Some(needed);
        let policy = RetentionPolicy { snapshots: 1, journal: Some(Duration::ZERO), needed };
        self.directory.keep(policy).unwrap().trimmed
    }
}

/// A webhook with a receiver.
fn webhook(name: &str, url: &str) -> (String, WebhookSettings) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let receiver = Receiver {
        url: url.parse().ok().unwrap(),
        keys: SigningKeys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok().unwrap(),
        tls: Arc::new(tls),
    };
    let filter = EventFilter::default();
    (name.to_owned(), WebhookSettings { receiver, filter })
}

/// A webhook whose receiver refuses connections.
fn unreachable_webhook() -> BTreeMap<String, WebhookSettings> {
    [webhook("crm", "http://127.0.0.1:1/")].into()
}

/// The address of a receiver that takes every delivery.
fn willing_receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut request = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while request.read_line(&mut line).unwrap() > 2 {
                length = line
                    .strip_prefix("content-length: ")
                    .map_or(length, |text| text.trim().parse().unwrap());
                line.clear();
            }
            std::io::copy(&mut request.by_ref().take(length), &mut std::io::sink()).unwrap();
            request.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        }
    });
    format!("http://{address}/")
}

/// Waits until the webhook is as it should be; what it then is.
fn until(webhooks: &Webhooks, holds: impl Fn(&WebhookInfo) -> bool) -> WebhookInfo {
    loop {
        let info = webhooks.list().swap_remove(0);
        if holds(&info) {
            return info;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn only_the_slowest_webhook_is_parked_when_the_log_is_too_large() {
    let runtime = Runtime::new().unwrap();
    let _context = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let webhooks = world.webhooks();
    let slow = webhook("crm", "http://127.0.0.1:1/");
    webhooks.set([slow, webhook("erp", &willing_receiver())].into());
    until(&webhooks, |info| !info.after.is_empty());
    // Three files of the log.
    (0..600).for_each(|number| world.create(number));
    let head = world.directory.log().head().sequence;
    let fast = || webhooks.list().swap_remove(1);
    while fast().events < 600 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let bytes = || world.directory.log().stats().bytes.unwrap();
    let before = bytes();
    let trim = |needed: Option<u64>| {
        let itself = world.feed.needed_by_itself();
        world.keep(needed.map_or(itself, |needed| needed.min(itself))) > 0
    };
    webhooks.give_up_slowest(|| bytes() > before, trim);
    assert!(
        webhooks.list().iter().all(|info| info.parked.is_none()),
        "the log is as large as it may be"
    );
    webhooks.give_up_slowest(|| bytes() >= before, trim);
    let [crm, erp] = webhooks.list().try_into().unwrap();
    let parked = crm.parked.unwrap();
    assert!(
        parked.contains("`max_log_mib`") && parked.contains("resend crm --after oldest"),
        "{parked}"
    );
    assert!(erp.parked.is_none() && bytes() < before);
    // It is not the fast one that keeps the log large, so it goes on.
    webhooks.give_up_slowest(|| true, trim);
    assert!(fast().parked.is_none());
    world.create(600);
    while fast().events < 601 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(world.feed.needed() >= head, "the parked one holds nothing");
    webhooks.stop();
}

#[test]
fn the_log_is_held_for_what_is_not_delivered_and_a_webhook_parked_whose_events_are_missing() {
    let runtime = Runtime::new().unwrap();
    let _context = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let webhooks = world.webhooks();
    assert_eq!(world.feed.needed(), world.feed.needed_by_itself());
    webhooks.set(unreachable_webhook());
    let begin = world.directory.log().head().sequence;
    // Three files of the log.
    (0..600).for_each(|number| world.create(number));
    until(&webhooks, |info| info.failed > 0);
    while world.feed.needed_by_itself() < begin + 600 {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(world.feed.needed() <= begin + 1, "{} {begin}", world.feed.needed());
    assert_eq!(world.keep(world.feed.needed()), 0);
    assert!(webhooks.list()[0].parked.is_none());
    // As when the webhook was not there while the log was trimmed.
    assert!(world.keep(world.feed.needed_by_itself()) > 0);
    let parked = until(&webhooks, |info| info.parked.is_some()).parked.unwrap();
    assert!(parked.contains("scimd webhook resend crm --after oldest"), "{parked}");
    // It no longer holds anything.
    assert_eq!(world.feed.needed(), world.feed.needed_by_itself());
    webhooks.stop();
}

#[test]
fn a_webhook_that_fails_for_24_hours_is_parked_and_not_before() {
    let runtime = Runtime::new().unwrap();
    let _context = runtime.enter();
    for (failing, is_parked) in
        [(SignedDuration::from_hours(24), true), (SignedDuration::from_mins(24 * 60 - 5), false)]
    {
        let folder = tempfile::tempdir().unwrap();
        let world = World::open(folder.path());
        let after = world.feed.cursor_at(world.directory.log().head().sequence).to_string();
        let failing_since: Option<Timestamp> = Some(world.directory.now() - failing);
        let state = WebhookState { after, failing_since, ..WebhookState::default() };
        let save = SaveWebhookState { name: "crm".to_owned(), state };
        world.directory.submit(Actor::System, save).wait().unwrap();
        world.create(0);
        let webhooks = world.webhooks();
        webhooks.set(unreachable_webhook());
        let info = until(&webhooks, |info| info.failed > 1 || info.parked.is_some());
        assert_eq!(info.parked.is_some(), is_parked, "{:?}", info.parked);
        if let Some(parked) = info.parked {
            assert!(parked.starts_with("deliveries failed for 24 hours"), "{parked}");
        }
        webhooks.stop();
    }
}

#[test]
fn what_is_stored_after_another_node_has_taken_a_webhook_up_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let take_up = |state| {
        let (name, begin) = ("crm".to_owned(), "begin".to_owned());
        let take_up = TakeUpWebhook { name, state, begin };
        world.directory.submit(Actor::System, take_up).wait().unwrap()
    };
    let save = |state: &WebhookState, after: &str| {
        let state = WebhookState { after: after.to_owned(), ..state.clone() };
        let save = SaveWebhookState { name: "crm".to_owned(), state };
        world.directory.submit(Actor::System, save).wait().unwrap()
    };
    let stored = || world.directory.webhook_state("crm").unwrap().unwrap();
    let first = take_up(None);
    assert_eq!((first.after.as_str(), first.term), ("begin", 1));
    assert!(save(&first, "one"));
    let second = take_up(None);
    assert_eq!((second.after.as_str(), second.term), ("one", 2));
    assert!(!save(&first, "late"), "the first node was paused meanwhile");
    assert_eq!(stored(), second);
    assert!(save(&second, "two"));
    let third = take_up(Some(WebhookState { after: "again".to_owned(), ..first }));
    assert_eq!((third.after.as_str(), third.term), ("again", 3));
    assert_eq!(stored(), third);
}

#[test]
fn a_webhook_that_is_sent_again_where_there_were_nodes_stores_how_far_it_is() {
    let runtime = Runtime::new().unwrap();
    let _context = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let oldest = world.feed.oldest().to_string();
    let (name, begin) = ("crm".to_owned(), oldest);
    let take_up = TakeUpWebhook { name, state: None, begin };
    world.directory.submit(Actor::System, take_up).wait().unwrap();
    world.create(0);
    let webhooks = world.webhooks();
    webhooks.set([webhook("crm", &willing_receiver())].into());
    until(&webhooks, |info| info.events == 1);
    webhooks.resend("crm", "oldest").unwrap();
    world.create(1);
    let after = until(&webhooks, |info| info.events == 3).after;
    let stored = || world.directory.webhook_state("crm").unwrap().unwrap();
    for _ in 0..1_000 {
        if stored().after == after {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((stored().after, stored().term), (after, 1));
    webhooks.stop();
}

#[test]
fn where_a_webhook_is_for_which_nothing_happens_is_recorded_once_an_hour() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = World::open(folder.path());
    let (name, settings) = webhook("crm", "http://127.0.0.1:1/");
    let filter = EventFilter::new(["user.deleted"], [], []).ok().unwrap();
    let settings = ArcSwap::from_pointee(WebhookSettings { filter, ..settings });
    let (directory, feed) = (Arc::clone(&world.directory), Arc::clone(&world.feed));
    let endpoint = Endpoint::new(name, settings, directory, feed);
    endpoint.progress().state.after = endpoint.begin.to_string();
    let passes = |number, hours_ago: Duration| {
        world.create(number);
        while world.feed.head().sequence() < world.directory.log().head().sequence {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut saved = tokio::time::Instant::now() - hours_ago;
        let next = runtime.block_on(endpoint.next(&mut saved)).unwrap();
        assert!(matches!(next, NextDelivery::Wait));
        assert_eq!(endpoint.progress().state.after, world.feed.head().to_string());
        endpoint.progress().unsaved
    };
    assert!(!passes(1, NOTE_EVERY / 2), "that is not worth a record each time");
    assert!(passes(2, NOTE_EVERY));
}
