//! Several directories that share one log, against a sequential model.
//!
//! Each history has some nodes: directories with a state of their own that follow one log in memory.
//! Clients of all nodes change the same few names, groups and tokens at the same time, and each append
//! may find that another node was faster. Afterwards the frames of the log are replayed one by one.

mod model;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::connection::token::{Token, TokenOwner};
use crate::directory::{
    Bulk, BulkOperation, ConnectionRules, Create, Delete, Directory, DirectoryError, GenerateToken,
    LocalSettings, Patch, Pending, Replace, ResetTokens, RevokeToken,
};
use crate::event::{Actor, Verb};
use crate::log::memory::MemoryLog;
use crate::log::{Log, ReadLog as _};
use crate::scim::exchange::{Exchange, Renaming};
use crate::scim::patch::PatchRequest;
use crate::scim::resource::Resource;
use crate::scim::schema::ResourceType;
use crate::scim::validate::validate;
use crate::settings::SharedSettings;
use crate::store::Store;
use crate::store::folder::DataFolder;
use crate::store::local::{StoreLimits, UnattachedState};
use model::{Expected, MemoryStore, Model, shown};

/// How many histories are tried.
const HISTORIES: u64 = 2_000;
const NODES: u64 = 3;
/// How many commands the client of each node sends, and how many of them at once.
const COMMANDS: u64 = 12;
const AT_ONCE: u64 = 4;

/// Numbers that are the same in each run (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn settings() -> LocalSettings {
    LocalSettings {
        brakes: Arc::default(),
        may_grant: Arc::default(),
        clock: Clock::Fixed(Timestamp::from_second(1_800_000_000).unwrap()),
        max_resource_bytes: 65_536,
        max_scan: 1_000,
        max_search_time: Duration::from_secs(60),
        reads_latest: false,
    }
}

/// What all clients of a history know: resources by endpoint, and tokens, that were there once.
#[derive(Default)]
struct Known {
    resources: Vec<(&'static str, String)>,
    tokens: Vec<String>,
}

/// Waits for the answer to a command.
type Answer = dyn FnOnce(&Mutex<Known>) -> Result<Expected, DirectoryError> + Send;

/// A command that was sent, and what its answer comes to.
struct Sent {
    actor: String,
    answer: Box<Answer>,
}

fn sent<T: Send + 'static>(
    actor: &str,
    pending: Pending<T>,
    expected: impl FnOnce(T, &mut Known) -> Expected + Send + 'static,
) -> Sent {
    let answer = move |known: &Mutex<Known>| {
        pending.wait().map(|output| expected(output, &mut known.lock().unwrap()))
    };
    Sent { actor: actor.to_owned(), answer: Box::new(answer) }
}

/// The client of one node.
struct Client<'a> {
    directory: &'a Directory,
    known: &'a Mutex<Known>,
    random: Random,
    node: u64,
}

impl Client<'_> {
    /// Sends random commands, some at once; what became of each, by the name of its actor.
    fn run(&mut self) -> Vec<(String, Result<Expected, DirectoryError>)> {
        let mut outcomes = Vec::new();
        for round in 0..COMMANDS / AT_ONCE {
            let name = |number: u64| format!("{}-{}", self.node, round * AT_ONCE + number);
            let names: Vec<String> = (0..AT_ONCE).map(name).collect();
            let sent: Vec<Sent> = names.iter().map(|name| self.send(name)).collect();
            for Sent { actor, answer } in sent {
                outcomes.push((actor, answer(self.known)));
            }
        }
        outcomes
    }

    fn resource_type(&self, endpoint: &str) -> Arc<ResourceType> {
        Arc::clone(self.directory.registry().by_endpoint(endpoint).unwrap())
    }

    fn any(&mut self, endpoint: &str) -> Option<String> {
        let known = self.known.lock().unwrap();
        let of_type = known.resources.iter().filter(|(of, _)| *of == endpoint);
        let ids: Vec<&String> = of_type.map(|(_, id)| id).collect();
        if ids.is_empty() {
            return None;
        }
        Some(ids[self.random.below(ids.len() as u64) as usize].clone())
    }

    fn members(&mut self) -> Vec<Value> {
        let wanted = self.random.below(3);
        let ids = (0..wanted).filter_map(|_| {
            let endpoint = if self.random.below(3) == 0 { "Users" } else { "Groups" };
            self.any(endpoint)
        });
        ids.map(|id| json!({"value": id})).collect()
    }

    fn body(&mut self, endpoint: &str) -> Value {
        let name = self.random.below(5);
        if endpoint == "Users" {
            json!({"userName": format!("user{name}"), "title": self.random.below(1 << 40).to_string()})
        } else {
            let external_id = self.random.below(1 << 40).to_string();
            json!({"displayName": format!("group{name}"), "externalId": external_id,
                "members": self.members()})
        }
    }

    fn resource(&mut self, endpoint: &str, exchange: Exchange) -> Resource {
        let resource_type = self.resource_type(endpoint);
        let Value::Object(body) = self.body(endpoint) else { unreachable!() };
        validate(&resource_type, exchange, body).unwrap().resource
    }

    fn create(&mut self, endpoint: &str) -> Create {
        let resource = self.resource(endpoint, Exchange::Create);
        let resource_type = self.resource_type(endpoint);
        Create { resource_type, id: None, resource, rules: ConnectionRules::default() }
    }

    fn delete(&self, endpoint: &str, id: String) -> Delete {
        let (resource_type, rules) = (self.resource_type(endpoint), ConnectionRules::default());
        Delete { resource_type, id, expected: None, rules }
    }

    fn send(&mut self, name: &str) -> Sent {
        let actor = Actor::Operator { name: Some(name.to_owned()), uid: None, sudo: None };
        let endpoint = if self.random.below(2) == 0 { "Users" } else { "Groups" };
        match self.random.below(12) {
            0..4 => self.send_create(name, actor, endpoint),
            4..7 => match self.any("Groups") {
                Some(id) => self.send_patch(name, actor, id),
                None => self.send_create(name, actor, endpoint),
            },
            7 => match self.any(endpoint) {
                Some(id) => {
                    let renaming = Renaming::Allowed;
                    let resource = self.resource(endpoint, Exchange::Replace(renaming));
                    let (resource_type, rules) =
                        (self.resource_type(endpoint), ConnectionRules::default());
                    let subject = Some(id.clone());
                    let expected = None;
                    let replace =
                        Replace { resource_type, id, expected, resource, renaming, rules };
                    let pending = self.directory.submit(actor, replace);
                    sent(name, pending, |_, _| vec![(Verb::Replaced, subject)])
                }
                None => self.send_create(name, actor, endpoint),
            },
            8 => match self.any(endpoint) {
                Some(id) => {
                    let pending = self.directory.submit(actor, self.delete(endpoint, id.clone()));
                    sent(name, pending, |(), _| vec![(Verb::Deleted, Some(id))])
                }
                None => self.send_create(name, actor, endpoint),
            },
            9 => self.send_bulk(name, actor),
            _ => self.send_token_command(name, actor),
        }
    }

    fn send_create(&mut self, name: &str, actor: Actor, endpoint: &'static str) -> Sent {
        let pending = self.directory.submit(actor, self.create(endpoint));
        sent(name, pending, move |stored, known| {
            let id = stored.id.to_string();
            known.resources.push((endpoint, id.clone()));
            vec![(Verb::Created, Some(id))]
        })
    }

    fn send_patch(&mut self, name: &str, actor: Actor, id: String) -> Sent {
        let members = self.members();
        let resource_type = self.resource_type("Groups");
        let change = json!({"Operations": [
            {"op": "replace", "path": "displayName", "value": format!("named by {name}")},
            {"op": "add", "path": "members", "value": members},
        ]});
        let Value::Object(change) = change else { unreachable!() };
        let request = PatchRequest::parse(&resource_type, change).unwrap();
        let (expected, rules) = (None, ConnectionRules::default());
        let subject = Some(id.clone());
        let patch = Patch { resource_type, id, expected, request, rules };
        let pending = self.directory.submit(actor, patch);
        sent(name, pending, |_, _| vec![(Verb::Patched, subject)])
    }

    fn send_bulk(&mut self, name: &str, actor: Actor) -> Sent {
        let mut operations = Vec::new();
        let mut endpoints = Vec::new();
        for endpoint in ["Users", "Groups", "Users"] {
            operations.push(BulkOperation::Create(self.create(endpoint)));
            endpoints.push(endpoint);
        }
        let deleted = self.any("Users");
        if let Some(id) = &deleted {
            operations.push(BulkOperation::Delete(self.delete("Users", id.clone())));
        }
        let pending = self.directory.submit(actor, Bulk { operations, fail_on_errors: None });
        sent(name, pending, move |outcomes, known| {
            let mut expected = Vec::new();
            for (place, outcome) in outcomes.into_iter().enumerate() {
                match outcome {
                    Ok(Some((_, stored))) => {
                        let id = stored.id.to_string();
                        known.resources.push((endpoints[place], id.clone()));
                        expected.push((Verb::Created, Some(id)));
                    }
                    Ok(None) => expected.push((Verb::Deleted, deleted.clone())),
                    Err(_) => {}
                }
            }
            expected
        })
    }

    fn send_token_command(&mut self, name: &str, actor: Actor) -> Sent {
        let owner = TokenOwner::Connection(format!("c{}", self.random.below(2)));
        let id = {
            let known = self.known.lock().unwrap();
            let count = known.tokens.len() as u64;
            let place = (count > 0).then(|| self.random.below(count) as usize);
            place.map(|place| known.tokens[place].clone())
        };
        match (self.random.below(4), id) {
            (0, _) => {
                let overlap = Duration::from_secs(self.random.below(2) * 3_600);
                let reset = ResetTokens { owner, valid_for: None, overlap, description: None };
                sent(name, self.directory.submit(actor, reset), |generated, known| {
                    known.tokens.push(generated.token.id.clone());
                    let ended = |verb: Verb, tokens: Vec<Token>| {
                        tokens.into_iter().map(move |token| (verb, Some(token.id)))
                    };
                    let mut expected = vec![(Verb::Generated, Some(generated.token.id))];
                    expected.extend(ended(Verb::Limited, generated.limited));
                    expected.extend(ended(Verb::Revoked, generated.revoked));
                    expected
                })
            }
            (1, Some(id)) => {
                let revoke = RevokeToken { id: id.clone() };
                sent(name, self.directory.submit(actor, revoke), |_, _| {
                    vec![(Verb::Revoked, Some(id))]
                })
            }
            _ => {
                let generate = GenerateToken { owner, valid_for: None, description: None };
                sent(name, self.directory.submit(actor, generate), |generated, known| {
                    known.tokens.push(generated.token.id.clone());
                    vec![(Verb::Generated, Some(generated.token.id))]
                })
            }
        }
    }
}

/// Plays one history; how many appends found that another node was faster.
fn play(seed: u64) -> u64 {
    let chance = Mutex::new(Random(seed));
    let appends = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&appends);
    let log = Arc::new(MemoryLog::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        match chance.lock().unwrap().below(4) {
            0 => std::thread::sleep(Duration::from_micros(50)),
            1 => std::thread::yield_now(),
            _ => {}
        }
    }));
    let stores: Vec<Arc<MemoryStore>> = (0..NODES).map(|_| Arc::default()).collect();
    let nodes: Vec<Directory> = stores
        .iter()
        .map(|store| {
            let log = Arc::clone(&log) as Arc<dyn Log>;
            Directory::open_as_saved(
                log,
                Arc::clone(store) as Arc<dyn Store>,
                &SharedSettings::default(),
                settings(),
            )
            .unwrap()
        })
        .collect();
    let known = Mutex::default();
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = |(node, directory)| {
            let (known, random) = (&known, Random(seed.wrapping_mul(31) + node));
            scope.spawn(move || Client { directory, known, random, node }.run())
        };
        let clients: Vec<_> = (0..NODES).zip(&nodes).map(run).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    // Each node clears what is left to be cleared, and follows the others when it is asked.
    let is_clearing = |directory: &Directory| {
        directory.ping_writer().wait().unwrap();
        directory.is_clearing_memberships().unwrap()
    };
    while nodes.iter().any(is_clearing) {}
    let mut model = Model::default();
    let frames = log.all();
    frames.iter().for_each(|frame| model.apply(frame));
    check_outcomes(&mut model, outcomes);
    for (directory, store) in nodes.iter().zip(&stores) {
        // A node that is asked follows what the others did last.
        directory.ping_writer().wait().unwrap();
        assert_eq!(store.applied(), log.head());
        assert_eq!(*store.keys.read().unwrap(), model.keys, "the state of a node");
        let tokens = directory.tokens().into_iter().map(|token| shown(&token));
        assert_eq!(tokens.collect::<BTreeMap<_, _>>(), model.tokens(), "the tokens of a node");
    }
    let groups = frames.iter().filter(|frame| frame.group == frame.sequence).count() as u64;
    appends.load(Ordering::Relaxed) - groups
}

/// Every command was answered, what was acknowledged was done exactly once, and what was refused was not.
fn check_outcomes(model: &mut Model, outcomes: Vec<(String, Result<Expected, DirectoryError>)>) {
    assert_eq!(outcomes.len() as u64, NODES * COMMANDS);
    for (actor, outcome) in outcomes {
        let did = model.by_actor.remove(&actor).unwrap_or_default();
        match outcome {
            Ok(expected) => {
                let sorted = |mut verbs: Expected| {
                    verbs.sort_by_key(|(verb, subject)| (verb.as_str(), subject.clone()));
                    verbs
                };
                let (did, expected) = (sorted(did), sorted(expected));
                assert_eq!(did, expected, "what {actor} did");
            }
            Err(
                error @ (DirectoryError::Storage(_)
                | DirectoryError::Stopped
                | DirectoryError::Superseded
                | DirectoryError::Busy),
            ) => panic!("{actor}: {error}"),
            Err(_) => assert_eq!(did, [], "{actor} was refused"),
        }
    }
    assert_eq!(model.by_actor, BTreeMap::new(), "frames of nobody");
}

#[test]
fn directories_that_share_a_log_do_each_command_once_and_come_to_the_same_state() {
    let mut moved = 0;
    for seed in 0..HISTORIES {
        let played = std::panic::catch_unwind(|| play(seed));
        moved += played.unwrap_or_else(|_| panic!("the history of seed {seed} failed"));
    }
    assert!(moved > HISTORIES, "heads moved only {moved} times");
}

#[test]
fn a_state_folder_follows_any_log_from_where_it_was_left() {
    let log = Arc::new(MemoryLog::new(|| {}));
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let limits = StoreLimits { cache_mib: 8, memory_mib: 64, min_free_mib: 0 };
    let open = |place: usize| {
        let folder = DataFolder::open(folders[place].path()).unwrap();
        let state = UnattachedState::open(folder, limits).unwrap();
        let log = Arc::clone(&log) as Arc<dyn Log>;
        let store = Arc::new(state.follow(Arc::clone(&log), Timestamp::UNIX_EPOCH).unwrap());
        (
            Directory::open_as_saved(log, store.clone(), &SharedSettings::default(), settings())
                .unwrap(),
            store,
        )
    };
    let generate = |directory: &Directory| {
        let generate = GenerateToken {
            owner: TokenOwner::Connection("c".to_owned()),
            valid_for: None,
            description: None,
        };
        directory.submit(Actor::System, generate).wait().unwrap().token.id
    };
    let (one, _) = open(0);
    let mut ids = vec![generate(&one)];
    drop(one);
    let (other, _) = open(1);
    ids.extend([generate(&other), generate(&other)]);
    let (one, store) = open(0);
    assert_eq!(store.applied(), log.head());
    ids.push(generate(&other));
    ids.push(generate(&one));
    other.ping_writer().wait().unwrap();
    ids.sort();
    for directory in [&one, &other] {
        let mut tokens: Vec<String> =
            directory.tokens().into_iter().map(|token| token.id).collect();
        tokens.sort();
        assert_eq!(tokens, ids);
    }
}
