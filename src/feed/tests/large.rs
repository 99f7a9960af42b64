//! The feed of large groups and of many changes, and what a trimmed log leaves of it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::super::*;
use super::world::{self, FeedWorld};
use crate::access::{Grant, GroupName};
use crate::clock::{Clock, Stopwatch};
use crate::event::{Actor, Details, Event, Head, Verb};
use crate::log::{Append, LogEntry, Write};
use crate::scim::resource::{Rendered, ResourceId, Version};
use crate::store::maintenance::{Maintenance as _, RetentionPolicy};
use crate::store::{Store as _, keys, record};

fn grant() -> Grant {
    Grant {
        group: GroupName::DisplayName("Large".to_owned()),
        managers: None,
        company_permissions: vec!["admin".to_owned()],
        roles: Vec::new(),
        workspaces: Vec::new(),
    }
}

fn id(number: u32) -> ResourceId {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    ResourceId::from_bytes(bytes)
}

fn set(key: Vec<u8>, value: impl Into<Bytes>) -> Write {
    Write { key, value: Some(value.into()) }
}

/// The record of an account, about as large as identity providers make them.
fn account(tag: u8, number: u32) -> Write {
    let id = id(number);
    let attributes = format!(
        "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"id\":\"{id}\",\"userName\":\
         \"user{number}@example.com\",\"name\":{{\"familyName\":\"F{number}\",\"givenName\":\"G{number}\"}},\
         \"displayName\":\"G{number} F{number}\",\"title\":\"Engineer\",\"active\":true,\"emails\":[{{\"value\":\
         \"user{number}@example.com\",\"type\":\"work\",\"primary\":true}}]"
    );
    let meta = ",\"meta\":{\"resourceType\":\"User\",\"created\":\"2026-03-01T08:15:00.000Z\",\"lastModified\":\
         \"2026-03-01T08:15:00.000Z\",\"version\":\"W/\\\"1\\\"\"}}";
    let meta_at = attributes.len();
    let rendered = Rendered { json: (attributes + meta).into_bytes(), meta_at };
    set(keys::record(tag, id), record::encode(Version::FIRST, &rendered, None))
}

impl FeedWorld {
    /// Appends a group of changes, as another writer would.
    fn append(&self, changes: Vec<Vec<Write>>, time: Timestamp) {
        let entries = changes.into_iter().map(|writes| {
            let event =
                Event { kind: "user".to_owned(), verb: Verb::Created, subject: String::new() };
            let head = Head { time, actor: Actor::System, event, details: Details::default() };
            LogEntry { head, writes }
        });
        let store = self.store.as_ref().unwrap();
        let appended = store.log().append(entries.collect(), store.applied()).unwrap();
        let Append::Done(frames) = appended else { panic!("the log has moved") };
        store.apply(&frames).unwrap();
    }

    /// Creates accounts, 500 at once.
    fn fill(&self, count: u32) {
        let tag = self.resource_type("Users").tag;
        for first in (0..count).step_by(500) {
            let changes = (first..count.min(first + 500)).map(|number| vec![account(tag, number)]);
            self.append(changes.collect(), Clock::System.now());
        }
    }
}

fn check_group(members: u32) {
    let mut world = FeedWorld::new(&[grant()]);
    world.fill(members);
    let group = world.create("Groups", json!({"displayName": "Large"}));
    let (after, tag) = (world.settle(), world.resource_type("Users").tag);
    let membership = |number| {
        let member = id(number);
        let value = [&[tag], "G".as_bytes()].concat();
        [set(keys::member(group, member), value), set(keys::membership(member, group), "")]
    };
    world.append(vec![(0..members).flat_map(membership).collect()], Clock::System.now());
    // The writer goes on meanwhile.
    let waited = Stopwatch::start();
    world.create("Users", json!({"userName": "another"}));
    assert!(waited.elapsed() < Duration::from_secs(2), "{:?}", waited.elapsed());
    world.delete("Groups", group);
    world.settle();
    let (events, _) = world.events_after(after);
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    let updates = of("group.updated");
    assert_eq!(updates.len() as u32, members.div_ceil(1_000));
    let added =
        |event: &&serde_json::Value| event["data"]["members"]["added"].as_array().unwrap().len();
    assert_eq!(updates.iter().map(added).sum::<usize>() as u32, members);
    assert!(updates.iter().map(added).all(|count| count <= 1_000));
    let access: Vec<String> = of("access.changed").into_iter().map(world::outline).collect();
    let count = |sign: &str| access.iter().filter(|line| line.ends_with(sign)).count() as u32;
    assert_eq!((count("+company:admin"), count("-company:admin")), (members, members));
    assert_eq!(of("group.deleted").len(), 1);
}

#[test]
fn a_group_of_many_has_an_event_for_a_thousand_members_and_one_for_each_account() {
    check_group(2_500);
}

#[test]
#[ignore = "takes minutes without optimisation; CI runs it"]
fn a_group_of_100_000_has_its_events_while_the_writer_goes_on() {
    check_group(100_000);
}

#[test]
#[ignore = "measures, for docs/performance.md; CI runs it"]
fn all_events_are_derived_and_read_again_from_the_start() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 200_000 };
    let mut world = FeedWorld::new(&[grant()]);
    world.fill(count);
    world.settle();
    world.stop_feed();
    std::fs::remove_dir_all(world.folder.path().join(FOLDER)).unwrap();
    let watch = Stopwatch::start();
    world.start_feed();
    world.settle();
    let derived = watch.elapsed();
    let (watch, feed) = (Stopwatch::start(), world.feed());
    let (mut after, mut read) = (feed.oldest(), 0);
    while after < feed.head() {
        let page = feed.read(&after, &EventFilter::default(), MAX_EVENTS).unwrap();
        (after, read) = (page.next, read + page.events.len());
    }
    let rate = |time: Duration| f64::from(count) / time.as_secs_f64();
    let (derived, read_rate) = (rate(derived), rate(watch.elapsed()));
    println!("derived {derived:.0} events/s, read {read_rate:.0} events/s");
    assert_eq!(read as u32, count);
}

#[test]
fn a_feed_is_trimmed_with_the_log_and_never_while_a_consumer_needs_it() {
    const MIB: usize = 1024 * 1024;
    let mut world = FeedWorld::new(&[]);
    world.create("Users", json!({"userName": "ada"}));
    let first = world.settle();
    let long_ago = Timestamp::from_second(1_000).unwrap();
    let filler = || vec![set(b"xbig".to_vec(), vec![7; MIB])];
    for _ in 0..130 {
        world.append(vec![filler()], long_ago);
    }
    world.create("Users", json!({"userName": "ben"}));
    world.settle();
    let store = world.store.clone().unwrap();
    let keep = |needed| {
        let policy = RetentionPolicy { snapshots: 1, journal: Some(Duration::ZERO), needed };
        store.keep(Clock::System.now(), policy).unwrap().trimmed
    };
    world.feed().hold(move || Some(first.sequence()));
    let (held, free) = (world.feed().needed(), world.feed().needed_by_itself());
    assert_eq!((held, free), (first.sequence(), world.feed().head().sequence()));
    assert_eq!(keep(Some(held)), 0);
    assert!(keep(Some(free)) > 0);
    let begin = store.log().start().unwrap().sequence;
    while world.feed().oldest() == world.feed().cursor_at(0) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let oldest = world.feed().oldest();
    assert!(oldest.sequence() <= begin && oldest > first, "{oldest} {begin}");
    let error = world.feed().read(&first, &EventFilter::default(), 9).unwrap_err();
    assert_eq!(error, FeedError::Trimmed { oldest });
    assert!(error.to_string().contains("List all users and groups again"));
    assert_eq!(world.events().len(), 1);

    // Derived again, it begins with the oldest state that is kept.
    drop(store);
    world.stop();
    std::fs::remove_dir_all(world.folder.path().join(FOLDER)).unwrap();
    world.create_after_restart();
}

impl FeedWorld {
    fn create_after_restart(&mut self) {
        self.start();
        self.create("Users", json!({"userName": "cy"}));
        let events = self.events();
        assert_eq!(events.last().map(world::outline), Some("user.created cy".to_owned()));
        assert!(self.feed().oldest().sequence() > 0);
    }
}
