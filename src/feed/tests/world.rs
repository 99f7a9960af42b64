//! A directory with its feed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::*;
use crate::access::{AccessSettings, Grant};
use crate::clock::Clock;
use crate::directory::{
    Command, ConnectionRules, Create, Delete, Directory, DirectoryError, LocalSettings, Patch,
    UnknownAccess,
};
use crate::event::Actor;
use crate::scim::exchange::Exchange;
use crate::scim::patch::PatchRequest;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::Store as _;
use crate::store::folder::DataFolder;
use crate::store::local::{LocalStore, StoreLimits};

pub(super) struct FeedWorld {
    pub(super) folder: TempDir,
    pub(super) store: Option<Arc<LocalStore>>,
    pub(super) directory: Option<Directory>,
    feed: Option<Feed>,
    pub(super) settings: SharedSettings,
    pub(super) memory_mib: u32,
}

impl FeedWorld {
    pub(super) fn new(grants: &[Grant]) -> Self {
        let access = AccessSettings { grants: grants.to_vec(), ..AccessSettings::default() };
        let settings = SharedSettings { access, ..SharedSettings::default() };
        let folder = tempfile::tempdir().unwrap();
        let mut world =
            Self { folder, store: None, directory: None, feed: None, settings, memory_mib: 64 };
        world.start();
        world
    }

    /// Opens everything.
    pub(super) fn start(&mut self) {
        self.open_directory();
        self.start_feed();
    }

    pub(super) fn open_directory(&mut self) {
        let folder = DataFolder::open(self.folder.path()).unwrap();
        let limits = StoreLimits { cache_mib: 8, memory_mib: self.memory_mib, min_free_mib: 0 };
        let now = Clock::System.now();
        let store = Arc::new(LocalStore::open(folder, limits, [7; 16], now).unwrap());
        let local = LocalSettings::for_tests(Clock::System);
        let (log, unknown) = (store.log(), UnknownAccess::Refuse);
        let directory = Directory::open(log, store.clone(), &self.settings, unknown, local);
        let directory = directory.unwrap();
        directory.migrate_accounts(&|| true).unwrap();
        (self.store, self.directory) = (Some(store), Some(directory));
    }

    pub(super) fn start_feed(&mut self) {
        self.feed = Some(Feed::start(self.directory(), self.folder.path()).unwrap());
    }

    /// Closes the feed alone.
    pub(super) fn stop_feed(&mut self) {
        self.feed = None;
    }

    /// Closes everything.
    pub(super) fn stop(&mut self) {
        self.feed = None;
        self.directory = None;
        self.store = None;
    }

    pub(super) fn directory(&self) -> &Directory {
        self.directory.as_ref().unwrap()
    }

    pub(super) fn feed(&self) -> &Feed {
        self.feed.as_ref().unwrap()
    }

    pub(super) fn submit<C: Command>(&self, command: C) -> Result<C::Output, DirectoryError> {
        self.directory().submit(Actor::System, command).wait()
    }

    pub(super) fn resource_type(&self, endpoint: &str) -> Arc<ResourceType> {
        self.directory().registry().by_endpoint(endpoint).unwrap().clone()
    }

    pub(super) fn create(&mut self, endpoint: &str, body: Value) -> ResourceId {
        self.try_create(endpoint, body).unwrap()
    }

    pub(super) fn try_create(
        &mut self,
        endpoint: &str,
        body: Value,
    ) -> Result<ResourceId, DirectoryError> {
        let resource_type = self.resource_type(endpoint);
        let Value::Object(body) = body else { unreachable!() };
        let resource = validate(&resource_type, Exchange::Create, body).unwrap().resource;
        let rules = ConnectionRules::default();
        let created = self.submit(Create { resource_type, id: None, resource, rules });
        created.map(|created| created.id)
    }

    /// Patches a resource; answers whether it is there.
    pub(super) fn patch(&mut self, endpoint: &str, id: ResourceId, operation: &Value) -> bool {
        let resource_type = self.resource_type(endpoint);
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation]});
        let Value::Object(body) = body else { unreachable!() };
        let request = PatchRequest::parse(&resource_type, body).unwrap();
        let (id, rules) = (id.to_string(), ConnectionRules::default());
        self.submit(Patch { resource_type, id, expected: None, request, rules }).is_ok()
    }

    pub(super) fn delete(&mut self, endpoint: &str, id: ResourceId) -> bool {
        let (resource_type, id) = (self.resource_type(endpoint), id.to_string());
        let rules = ConnectionRules::default();
        self.submit(Delete { resource_type, id, expected: None, rules }).is_ok()
    }

    /// Waits until the feed has reached the log; its head.
    pub(super) fn settle(&self) -> Cursor {
        let mut written = self.feed().written();
        loop {
            let head = self.directory().log().head().sequence;
            if *written.borrow_and_update() >= head
                && self.store.as_ref().unwrap().applied().sequence == head
            {
                return self.feed().cursor_at(head);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// All events, once the feed has reached the log.
    pub(super) fn events(&self) -> Vec<Value> {
        self.settle();
        self.events_after(self.feed().oldest()).0
    }

    /// The events after a cursor that are there.
    pub(super) fn events_after(&self, mut after: Cursor) -> (Vec<Value>, Cursor) {
        let mut events = Vec::new();
        loop {
            let page = self.feed().read(&after, &EventFilter::default(), MAX_EVENTS).unwrap();
            let done = page.next == after;
            after = page.next;
            events.extend(page.events.iter().map(|event| json_of(&event.bytes)));
            if done {
                return (events, after);
            }
        }
    }
}

/// An event that was read.
pub(super) fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// An event in a few words: type, name, what has changed, members and access that came and went.
pub(super) fn outline(event: &Value) -> String {
    let data = &event["data"];
    let mut words = vec![event["type"].as_str().unwrap().to_owned()];
    let name = ["userName", "displayName"].iter().find_map(|name| data["resource"][name].as_str());
    words.extend(name.map(ToOwned::to_owned));
    if let Some(changed) = data["changed"].as_array() {
        let paths: Vec<&str> = changed.iter().filter_map(Value::as_str).collect();
        words.push(paths.join(","));
    }
    for (sign, list) in [("+", "added"), ("-", "removed")] {
        let count = data["members"][list].as_array().map_or(0, Vec::len);
        words.extend((count > 0).then(|| format!("{sign}{count}")));
    }
    let texts = |list: &Value| -> Vec<String> {
        let texts = list.as_array().map(Vec::as_slice).unwrap_or_default();
        texts.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
    };
    let (before, after) = (texts(&data["access"]["before"]), texts(&data["access"]["after"]));
    words.extend(after.iter().filter(|one| !before.contains(one)).map(|one| format!("+{one}")));
    words.extend(before.iter().filter(|one| !after.contains(one)).map(|one| format!("-{one}")));
    words.join(" ")
}
