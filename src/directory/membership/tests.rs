//! What large removals write, and markers that an earlier version has left.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::json;

use super::laws::{Step, USERS, World};
use super::void::Rename;
use super::{Voids, groups_of, link};
use crate::clock::Stopwatch;
use crate::directory::error::DirectoryError;
use crate::directory::transaction::{Command, Transaction};
use crate::event::{Actor, Event, Verb};
use crate::scim::resource::ResourceId;
use crate::store::{Read as _, keys};

/// A world whose first group has all users as members.
fn world(folder: &tempfile::TempDir) -> World {
    let mut world = World::new(folder.path());
    world.take(&Step::Add { group: 0, members: (0..USERS).collect() });
    world
}

/// The values that a key was set to.
fn written(world: &World, key: &[u8]) -> Vec<usize> {
    let mut sizes = Vec::new();
    let log = world.store.log();
    log.read(0, &mut |frame| {
        let writes = frame.writes.iter().filter(|write| write.key == key);
        sizes.extend(writes.filter_map(|write| write.value.as_ref()).map(bytes::Bytes::len));
        ControlFlow::Continue(())
    })
    .unwrap();
    sizes
}

#[test]
fn a_marker_is_written_once_and_clearing_notes_where_it_is() {
    for members in [4, USERS] {
        let folder = tempfile::tempdir().unwrap();
        let mut world = world(&folder);
        world.take(&Step::Remove { group: 0, members: (0..members).collect() });
        world.check_cleared();
        let group = world.groups[0];
        assert_eq!(written(&world, &keys::void(group)).len(), 1, "{members}");
        let cursors = written(&world, &keys::cleared(group));
        assert!(!cursors.is_empty() && cursors.iter().all(|bytes| *bytes == 16), "{cursors:?}");
        assert_eq!(world.store.get(&keys::cleared(group)).unwrap(), None);
    }
}

#[test]
fn the_smaller_part_of_a_group_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&folder);
    let group = world.groups[0];
    let remove = |world: &mut World, members: Vec<usize>| {
        world.take(&Step::Remove { group: 0, members });
        written(world, &keys::void(group)).last().copied().unwrap()
    };
    let three_are_void = remove(&mut world, vec![0, 1, 2]);
    world.settle();
    let two_are_kept = remove(&mut world, vec![3, 4, 5]);
    assert_eq!(three_are_void, two_are_kept + 16);
    world.check_cleared();
}

/// A command that has written much before it comes to what it does.
struct AfterMuch<C>(C);

impl<C: Command> Command for AfterMuch<C> {
    type Output = C::Output;

    fn run(&self, tx: &mut Transaction<'_>) -> Result<C::Output, DirectoryError> {
        tx.put(b"xmuch".to_vec(), vec![7; 5_000]);
        tx.delete(b"xmuch".to_vec());
        self.0.run(tx)
    }
}

#[test]
fn a_user_is_renamed_and_deleted_by_a_marker_once_much_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&folder);
    let user = world.users[0];
    let rename = |name: &str| json!({"op": "replace", "path": "displayName", "value": name});
    for (name, much) in [("little", false), ("much", true)] {
        let patch = world.patch_of("Users", user, &[rename(name)]);
        match much {
            true => world.submit(AfterMuch(patch)).wait().map(drop).unwrap(),
            false => world.submit(patch).wait().map(drop).unwrap(),
        }
        world.names.insert(user, name.to_owned());
        world.check_cleared();
        assert_eq!(written(&world, &keys::renamed(user)).len(), usize::from(much));
    }
    for (user, much) in [(world.users[1], false), (user, true)] {
        let delete = world.delete_of("Users", user);
        match much {
            true => world.submit(AfterMuch(delete)).wait().unwrap(),
            false => world.submit(delete).wait().unwrap(),
        }
        world.names.remove(&user);
        world.members.get_mut(&world.groups[0]).unwrap().remove(&user);
        world.check();
        world.check_cleared();
        assert_eq!(written(&world, &keys::void(user)).len(), usize::from(much));
    }
}

/// Sets a key.
struct Put(Vec<u8>, Vec<u8>);

impl Command for Put {
    type Output = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        tx.put(self.0.clone(), self.1.clone());
        let (kind, subject) = ("test".to_owned(), String::new());
        tx.record(Event { kind, verb: Verb::Replaced, subject });
        Ok(())
    }
}

#[test]
fn a_marker_that_cannot_be_cleared_holds_up_no_other_and_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&folder);
    let damaged = keys::renamed(world.users[0]);
    world.submit(Put(damaged.clone(), b"damaged".to_vec())).wait().unwrap();
    world.take(&Step::RemoveAll { group: 0 });
    let void = keys::void(world.groups[0]);
    let since = Stopwatch::start();
    while world.store.get(&void).unwrap().is_some() {
        assert!(since.elapsed() < Duration::from_secs(30), "it is held up");
        std::thread::yield_now();
    }
    assert!(world.store.get(&damaged).unwrap().is_some());
    world.submit(Put(damaged, Rename::new(&Actor::System).encode())).wait().unwrap();
    world.check_cleared();
}

/// Does what an earlier version did: removes all members of a group but the fifth and the last. It has
/// cleared up to the third, and since then the first is a member again.
struct LeaveHalfCleared {
    group: ResourceId,
    members: Vec<ResourceId>,
}

impl Command for LeaveHalfCleared {
    type Output = ();

    fn run(&self, tx: &mut Transaction<'_>) -> Result<(), DirectoryError> {
        let Self { group, members } = self;
        for member in &members[1..3] {
            tx.delete(keys::member(*group, *member));
            tx.delete(keys::membership(*member, *group));
        }
        let actor = serde_json::to_vec(&Actor::System).unwrap();
        let length = u32::try_from(actor.len()).unwrap().to_le_bytes();
        let (cursor, kept) = (members[2].as_bytes().as_slice(), [members[4], members[USERS - 1]]);
        let kept: Vec<u8> = kept.iter().flat_map(|id| *id.as_bytes()).collect();
        tx.put(keys::void(*group), [&[1], length.as_slice(), cursor, &actor, &kept].concat());
        // A client adds the fourth again.
        let user = tx.settings().registry.by_endpoint("Users").unwrap().clone();
        let stamp = Voids::load(tx)?.stamp(*group);
        link(tx, *group, members[3], &user, "user3", stamp);
        let (kind, subject) = ("test".to_owned(), String::new());
        tx.record(Event { kind, verb: Verb::Replaced, subject });
        Ok(())
    }
}

#[test]
fn what_an_earlier_version_has_left_half_cleared_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world(&folder);
    let (group, members) = (world.groups[0], world.users.clone());
    let left = [0, 3, 4, USERS - 1].map(|user| members[user]);
    world.members.insert(group, left.into());
    world.submit(LeaveHalfCleared { group, members }).wait().unwrap();
    world.check();
    world.check_cleared();
    assert_eq!(groups_of(world.store.as_ref(), left[0]).unwrap(), [group]);
}
