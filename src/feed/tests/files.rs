//! The files of the feed: derived again, cut, continued.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::super::{EventFilter, FOLDER, FeedError, MAX_EVENTS};
use super::world::FeedWorld;

/// The files with their bytes.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(data.join(FOLDER)).unwrap().map(Result::unwrap);
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    entries.map(file).collect()
}

/// Changes of all kinds.
fn change(world: &mut FeedWorld, from: usize) {
    for number in from..from + 40 {
        let user = world.create("Users", json!({"userName": format!("user{number}")}));
        let members = json!([{"value": user.to_string()}]);
        let body = json!({"displayName": format!("group{number}"), "members": members});
        let group = world.create("Groups", body);
        world.patch("Users", user, &json!({"op": "replace", "path": "title", "value": "x"}));
        if number % 3 == 0 {
            world.delete("Groups", group);
        }
    }
}

#[test]
fn a_feed_that_is_derived_again_has_the_same_files() {
    let mut world = FeedWorld::new(&[]);
    change(&mut world, 0);
    world.stop();
    world.start();
    change(&mut world, 100);
    let (events, _) = (world.events(), world.settle());
    world.stop();
    let before = files(world.folder.path());
    assert!(before.len() > 2, "{}", before.len());
    fs::remove_dir_all(world.folder.path().join(FOLDER)).unwrap();
    world.start();
    assert_eq!(world.events(), events);
    world.stop();
    assert!(files(world.folder.path()) == before);
}

#[test]
fn what_was_torn_off_or_never_derived_is_derived_from_the_state_of_then() {
    for memory_mib in [64, 0] {
        let mut world = FeedWorld::new(&[]);
        world.memory_mib = memory_mib;
        change(&mut world, 0);
        world.settle();
        world.stop_feed();
        let derived = files(world.folder.path());
        let (last, bytes) = derived.last_key_value().unwrap();
        let path = world.folder.path().join(FOLDER).join(last);
        change(&mut world, 100);
        world.start_feed();
        let events = world.events();
        world.stop();
        let whole = files(world.folder.path());
        assert!(whole.len() > derived.len());
        for cut in [bytes.len() - 1, bytes.len() / 2, 30, 0] {
            for name in whole.keys().filter(|name| *name > last) {
                fs::remove_file(world.folder.path().join(FOLDER).join(name)).unwrap();
            }
            fs::write(&path, &bytes[..cut]).unwrap();
            world.start();
            assert_eq!(world.events(), events, "{cut}");
            world.stop();
            assert!(files(world.folder.path()) == whole, "{cut}");
        }
    }
}

#[test]
fn files_of_another_log_are_replaced() {
    let mut world = FeedWorld::new(&[]);
    change(&mut world, 0);
    let events = world.events();
    world.stop();
    let folder = world.folder.path().join(FOLDER);
    for (name, mut bytes) in files(world.folder.path()) {
        bytes[9] ^= 1;
        fs::write(folder.join(name), bytes).unwrap();
    }
    world.start();
    assert_eq!(world.events(), events);
}

#[test]
fn a_feed_that_is_damaged_is_derived_again_while_it_is_read() {
    let mut world = FeedWorld::new(&[]);
    change(&mut world, 0);
    let (events, before) = (world.events(), files(world.folder.path()));
    let (name, mut bytes) =
        before.first_key_value().map(|(name, bytes)| (name, bytes.clone())).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(world.folder.path().join(FOLDER).join(name), bytes).unwrap();
    let read = || world.feed().read(&world.feed().oldest(), &EventFilter::default(), MAX_EVENTS);
    assert!(
        matches!(read(), Err(FeedError::Unavailable(reason)) if reason.contains("is damaged at byte"))
    );
    let derived_again = || files(world.folder.path()) == before && read().is_ok();
    while !derived_again() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(world.events(), events);
}
