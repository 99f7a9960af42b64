//! The feed of a directory, as consumers see it.

mod consumer;
mod files;
mod large;
mod laws;
mod world;

use serde_json::json;

use super::*;
use world::FeedWorld;

#[test]
fn each_change_has_its_events() {
    let mut world = FeedWorld::new(&[]);
    let ada = world.create("Users", json!({"userName": "ada", "name": {"familyName": "L"}}));
    let ben = world.create("Users", json!({"userName": "ben"}));
    let group = world
        .create("Groups", json!({"displayName": "G", "members": [{"value": ada.to_string()}]}));
    world.patch("Users", ada, &json!({"op": "replace", "path": "name.familyName", "value": "M"}));
    world.patch("Users", ada, &json!({"op": "replace", "path": "active", "value": false}));
    let both = json!({"op": "replace", "value": {"active": true, "title": "x"}});
    world.patch("Users", ada, &both);
    world.patch("Users", ada, &both);
    let add = json!({"op": "add", "path": "members", "value": [{"value": ben.to_string()}]});
    world.patch("Groups", group, &add);
    world.patch("Groups", group, &add);
    world.delete("Users", ada);
    world.delete("Groups", group);
    let said: Vec<String> = world.events().iter().map(world::outline).collect();
    let expected = [
        "user.created ada",
        "user.created ben",
        "group.created G +1",
        "user.updated ada name.familyName",
        "user.deactivated ada active",
        "user.activated ada title,active",
        "group.updated G members +1",
        "user.deleted",
        "group.updated G members -1",
        "group.deleted",
    ];
    assert_eq!(said, expected);
}

#[test]
fn an_event_is_what_consumers_were_promised() {
    let mut world = FeedWorld::new(&[]);
    let ada = world.create("Users", json!({"userName": "ada", "password": "secret of ada"}));
    let event = world.events().remove(0);
    let cursor = world.feed().read(&world.feed().oldest(), &EventFilter::default(), 1).unwrap();
    let id = cursor.events[0].cursor.to_string();
    let resource = &event["data"]["resource"];
    assert_eq!(resource["meta"]["location"], json!(format!("/scim/v2/Users/{ada}")));
    assert_eq!(resource["userName"], "ada");
    assert!(resource.get("groups").is_none() && !event.to_string().contains("secret of ada"));
    let expected = json!({
        "specversion": "1.0", "id": id, "source": "/scim/v2", "type": "user.created",
        "time": resource["meta"]["created"], "subject": format!("/Users/{ada}"),
        "datacontenttype": "application/json",
        "data": {"cause": {}, "resource": resource},
    });
    assert_eq!(event, expected);
}

#[test]
fn pages_go_on_where_they_end_and_idle_ones_move() {
    let mut world = FeedWorld::new(&[]);
    for number in 0..25 {
        world.create("Users", json!({"userName": format!("user{number}")}));
    }
    let all = world.events();
    let feed = world.feed();
    let (mut after, mut pages) = (feed.oldest(), Vec::new());
    loop {
        let page = feed.read(&after, &EventFilter::default(), 7).unwrap();
        assert!(page.next >= after && page.head == feed.head());
        after = page.next;
        match page.events.is_empty() {
            true => break,
            false => pages.push(page.events),
        }
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7, 7, 4]);
    let read = pages.concat().iter().map(|event| world::json_of(&event.bytes)).collect::<Vec<_>>();
    assert_eq!(read, all);
    assert_eq!(after, feed.head());

    let nothing = EventFilter::new(["group.*"], [], []).unwrap();
    let page = feed.read(&feed.oldest(), &nothing, 7).unwrap();
    assert!(page.events.is_empty() && page.next == feed.head());
    for limit in [0, usize::MAX] {
        let page = feed.read(&feed.oldest(), &EventFilter::default(), limit).unwrap();
        assert_eq!(page.events.len(), limit.clamp(1, all.len()));
    }
    let beyond = feed.cursor_at(feed.head().sequence() + 1);
    assert_eq!(feed.read(&beyond, &nothing, 7).unwrap_err(), FeedError::Foreign);
    let foreign = Cursor::parse("0000000000000000.1").unwrap();
    assert_eq!(feed.read(&foreign, &nothing, 7).unwrap_err(), FeedError::Foreign);
}
