//! Tests of searches against a store.

use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::directory::{ConnectionRules, Create, Directory};
use crate::event::Actor;
use crate::scim::exchange::Exchange;
use crate::scim::filter::Filter;
use crate::scim::sort::SortBy;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::Read as _;
use crate::store::folder::DataFolder;
use crate::store::local::{LocalStore, StoreLimits};
use crate::store::overlay::Overlay;

fn create(directory: &Directory, endpoint: &str, body: Value) -> ResourceId {
    let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
    let Value::Object(body) = body else { panic!("no object") };
    let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
    let create = Create { resource_type, id: None, resource, rules: ConnectionRules::default() };
    directory.submit(Actor::System, create).wait().unwrap().id
}

/// What a filter finds in a state.
fn found(
    directory: &Directory,
    state: &Overlay<'_>,
    endpoint: &str,
    filter: &str,
) -> Vec<ResourceId> {
    let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
    let filter = Some(Filter::parse(&resource_type, filter).unwrap());
    let page = PageRequest { start: Start::Index(1), count: 100 };
    let targets = vec![(resource_type, Query { filter, sort: None })];
    let search = Search { targets, page, fingerprint: String::new() };
    let view = DirectoryView { state, ..directory.view() };
    assert_ne!(work(view, &search, &|_, _| false).unwrap(), SearchWork::Scan);
    let mut found = Vec::new();
    let mut add = |_: &ResourceType, shown: ShownResource| {
        found.push(shown.stored.id);
        true
    };
    run(view, &directory.shared.cursors, &search, &|_, _| false, 0, &mut add).unwrap();
    found
}

/// A directory in a folder that lasts as long as the test.
fn directory(folder: &std::path::Path) -> (Directory, Arc<LocalStore>) {
    directory_with(folder, 64)
}

/// The same, with `memory_mib` MiB of memory for its state.
fn directory_with(folder: &std::path::Path, memory_mib: u32) -> (Directory, Arc<LocalStore>) {
    let limits = StoreLimits { cache_mib: 8, memory_mib, min_free_mib: 0 };
    let opened = DataFolder::open(folder).unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let store = Arc::new(LocalStore::open(opened, limits, [7; 16], now).unwrap());
    let local = LocalSettings::for_tests(Clock::System);
    let shared = SharedSettings::default();
    let directory = Directory::open_as_saved(store.log(), store.clone(), &shared, local).unwrap();
    (directory, store)
}

#[test]
fn a_search_is_short_if_an_index_leads_to_one_resource_and_a_scan_beyond_64() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, _store) = directory(folder.path());
    let ada = create(&directory, "Users", json!({"userName": "ada"}));
    for number in 0..=MAX_LOOKS {
        let few = if number < MAX_LOOKS { "few@x.com" } else { "" };
        let emails = json!([{"value": "many@x.com"}, {"value": format!("{few}{number}@y.com")},
            {"value": if few.is_empty() { "none@x.com" } else { few }}]);
        let body = json!({"userName": format!("u{number}"), "emails": emails});
        create(&directory, "Users", body);
    }
    let names = |count: usize| {
        (0..count).map(|n| format!("userName eq \"n{n}\"")).collect::<Vec<_>>().join(" or ")
    };
    for (endpoint, filter, shown, expected) in [
        ("Users", "userName eq \"ada\"".to_owned(), true, SearchWork::Short),
        ("Users", "userName eq \"nobody\"".to_owned(), true, SearchWork::Short),
        ("Users", "externalId eq \"x\" and active eq true".to_owned(), true, SearchWork::Short),
        ("Users", names(2), true, SearchWork::Long),
        ("Users", names(MAX_LOOKS), true, SearchWork::Long),
        ("Users", names(MAX_LOOKS + 1), true, SearchWork::Scan),
        ("Users", "emails.value eq \"few@x.com\"".to_owned(), true, SearchWork::Long),
        ("Users", "emails.value eq \"many@x.com\"".to_owned(), true, SearchWork::Scan),
        ("Users", "emails[value eq \"many@x.com\"]".to_owned(), true, SearchWork::Scan),
        ("Users", "userName sw \"a\"".to_owned(), true, SearchWork::Scan),
        ("Groups", "displayName eq \"x\"".to_owned(), true, SearchWork::Long),
        ("Groups", "displayName eq \"x\"".to_owned(), false, SearchWork::Short),
        ("Groups", format!("members eq \"{ada}\""), false, SearchWork::Long),
    ] {
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let filter_of = Some(Filter::parse(&resource_type, &filter).unwrap());
        let targets = vec![(resource_type, Query { filter: filter_of, sort: None })];
        let page = PageRequest { start: Start::Index(1), count: 100 };
        let search = Search { targets, page, fingerprint: String::new() };
        let found = work(directory.view(), &search, &|_, _| shown).unwrap();
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn a_list_of_up_to_200_without_members_and_access_is_no_scan() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, _store) = directory(folder.path());
    for (endpoint, sort_by, without, count, expected) in [
        ("Users", None, ACCESS, SHORT_LIST, SearchWork::List),
        ("Users", None, ACCESS, SHORT_LIST + 1, SearchWork::Scan),
        ("Users", Some("userName"), ACCESS, 1, SearchWork::Scan),
        ("Users", None, "groups", 1, SearchWork::Scan),
        ("Groups", None, ACCESS, 1, SearchWork::Scan),
        ("Groups", None, "members", SHORT_LIST, SearchWork::List),
    ] {
        let resource_type = directory.registry().by_endpoint(endpoint).unwrap().clone();
        let sort = sort_by.map(|by| SortBy::parse(&resource_type, by, None).unwrap());
        let targets = vec![(resource_type, Query { filter: None, sort })];
        let page = PageRequest { start: Start::Index(1), count };
        let mut search = Search { targets, page, fingerprint: String::new() };
        let wanted = |_: &ResourceType, name: &str| name != without;
        let found = |search: &Search| work(directory.view(), search, &wanted).unwrap();
        assert_eq!(found(&search), expected, "{endpoint} {sort_by:?} {without} {count}");
        // All types together are no list of one.
        search.targets.extend_from_within(..);
        assert_eq!(found(&search), SearchWork::Scan);
    }
}

#[test]
fn a_list_that_passes_over_many_resources_one_by_one_is_a_scan() {
    for (memory_mib, far) in [(0, SearchWork::Scan), (64, SearchWork::List)] {
        let folder = tempfile::tempdir().unwrap();
        let (directory, store) = directory_with(folder.path(), memory_mib);
        for number in 0..SHORT_LIST + 3 {
            create(&directory, "Users", json!({"userName": format!("u{number}")}));
        }
        let users = directory.registry().by_endpoint("Users").unwrap().clone();
        let is_held = || store.skip(&keys::records(users.tag), SHORT_LIST as u64).1 == 0;
        let waited = Stopwatch::start();
        while memory_mib > 0 && !is_held() && waited.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(is_held(), memory_mib > 0);
        for (start, expected) in [
            (Start::Index(SHORT_LIST + 1), SearchWork::List),
            (Start::Index(SHORT_LIST + 2), far),
            // Behind the end nothing is read.
            (Start::Index(SHORT_LIST + 4), SearchWork::List),
            (Start::Cursor("any".to_owned()), SearchWork::List),
        ] {
            let targets = vec![(users.clone(), Query { filter: None, sort: None })];
            let page = PageRequest { start, count: 1 };
            let search = Search { targets, page, fingerprint: String::new() };
            let found = work(directory.view(), &search, &|_, name| name != ACCESS).unwrap();
            assert_eq!(found, expected, "{:?}", search.page.start);
        }
    }
}

#[test]
fn a_count_that_is_damaged_is_an_error_and_not_zero() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, store) = directory(folder.path());
    let users = directory.registry().by_endpoint("Users").unwrap();
    let mut state = Overlay::new(store.as_ref());
    assert_eq!(stored::total(&state, users).unwrap(), 0);
    state.put(keys::count(users.tag).to_vec(), vec![1, 2, 3].into());
    assert!(matches!(stored::total(&state, users), Err(StoreError::Damaged { .. })));
}

#[test]
fn an_index_entry_that_leads_to_another_resource_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (directory, store) = directory(folder.path());
    let ada = create(&directory, "Users", json!({"userName": "ada", "externalId": "A"}));
    let bob = create(&directory, "Users", json!({"userName": "bob", "externalId": "B"}));
    let members = json!([{"value": ada.to_string()}]);
    let group = create(&directory, "Groups", json!({"displayName": "G", "members": members}));

    let user = directory.registry().by_endpoint("Users").unwrap();
    let mut state = Overlay::new(store.as_ref());
    for indexed in user.indexed() {
        match indexed.leaf().name.as_str() {
            "userName" => {
                let key = keys::unique(user.tag, &indexed, "cyd");
                state.put(key, ada.as_bytes().to_vec().into());
            }
            "externalId" => {
                state.put(keys::index(user.tag, &indexed, "A", bob), bytes::Bytes::new());
            }
            _ => {}
        }
    }
    state.put(keys::membership(bob, group), bytes::Bytes::new());
    for (endpoint, filter, expected) in [
        ("Users", "userName eq \"cyd\"".to_owned(), vec![]),
        ("Users", "userName eq \"ADA\"".to_owned(), vec![ada]),
        ("Users", "externalId eq \"A\"".to_owned(), vec![ada]),
        ("Users", "userName eq \"cyd\" or externalId eq \"A\"".to_owned(), vec![ada]),
        ("Groups", format!("members.value eq \"{ada}\""), vec![group]),
        ("Groups", format!("members eq \"{bob}\""), vec![]),
        ("Groups", format!("members[value eq \"{bob}\"] or id eq \"{group}\""), vec![group]),
        ("Groups", format!("id eq \"{group}\" and not (members eq \"{bob}\")"), vec![group]),
        ("Groups", format!("id eq \"{group}\" and members.value ne \"{bob}\""), vec![group]),
        ("Groups", format!("id eq \"{group}\" and members.display co \"ad\""), vec![group]),
    ] {
        assert_eq!(found(&directory, &state, endpoint, &filter), expected, "{filter}");
    }
}
