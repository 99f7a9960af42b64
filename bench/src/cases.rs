//! What is asked.
//!
//! Which resource a request is about is chosen at random for each, so that none is hot.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Ask, Target};
use crate::load::Asking;
use crate::random::Random;
use crate::seed::{self, Group, Groups, Users};

/// One kind of request.
pub struct Case {
    /// What the table and the targets call it.
    pub name: String,
    /// Whether the bare server is measured with it too.
    pub compared: bool,
    /// The client, if it is not one that keeps its connection.
    pub client: fn(&Target) -> Target,
    /// What the answer to one such request must be, for the figures to mean anything.
    pub holds: fn(&Value) -> bool,
    /// What one more connection asks.
    pub asking: Box<dyn Fn() -> Asking>,
}

/// The name of the case of a one-member PATCH on a group of that size.
pub fn member_of(size: usize) -> String {
    format!("PATCH a member of {size}")
}

pub const RETRIEVE: &str = "retrieve by id";
pub const FULL_HANDSHAKE: &str = "retrieve, full handshake for each";
pub const RESUMED_HANDSHAKE: &str = "retrieve, resumed handshake for each";
pub const USER_NAME_EQ: &str = "userName eq";
pub const FIRST_PAGE: &str = "page of 100, near the front";
pub const ANY_PAGE: &str = "page of 100, anywhere";
pub const CONTAINS: &str = "emails.value co (no index)";
pub const ACTIVE: &str = "PATCH active";
pub const RETRIEVE_MEMBER: &str = "retrieve by id, in a group";
pub const GROUPS: &str = "page of 100 groups, one large";
pub const CREATE: &str = "create";

/// Those about users who belong to no group, and that leave the directory as large as it is.
pub fn of_users(users: &Arc<Users>) -> Vec<Case> {
    let retrieve = |name| {
        let is_user = |answer: &Value| answer["userName"].is_string();
        case(name, true, is_user, users, |users, random| {
            Ask::get(format!("/scim/v2/Users/{}", users.ids[random.below(users.ids.len())]))
        })
    };
    let full = |target: &Target| target.connecting_each_time(false);
    let resumed = |target: &Target| target.connecting_each_time(true);
    vec![
        retrieve(RETRIEVE),
        Case { client: full, ..retrieve(FULL_HANDSHAKE) },
        Case { client: resumed, ..retrieve(RESUMED_HANDSHAKE) },
        case(USER_NAME_EQ, true, found_one, users, user_name_eq),
        case(FIRST_PAGE, true, hundred, users, |users, random| {
            let start = 1 + random.below(100.min(users.ids.len() - 99));
            Ask::get(format!("/scim/v2/Users?startIndex={start}&count=100"))
        }),
        case(ANY_PAGE, false, hundred, users, |users, random| {
            let start = 1 + random.below(users.ids.len() - 99);
            Ask::get(format!("/scim/v2/Users?startIndex={start}&count=100"))
        }),
        case(CONTAINS, false, found_one, users, contains),
        patch_active(users),
    ]
}

/// Those about groups and their members.
pub fn of_groups(users: &Arc<Users>, groups: &Groups) -> Vec<Case> {
    let small = groups.small.clone();
    let member = case(RETRIEVE_MEMBER, true, |answer| answer["groups"].is_array(), users, {
        move |users, random| {
            let group = &small[random.below(small.len())];
            let member = &users.ids[group.first + random.below(group.size)];
            Ask::get(format!("/scim/v2/Users/{member}"))
        }
    });
    let mut cases = vec![member];
    if !groups.large.is_empty() {
        cases.push(case(GROUPS, false, hundred, users, |_, _| {
            Ask::get("/scim/v2/Groups?count=100")
        }));
    }
    cases.push(patch_member(&member_of(seed::SMALL), users, &groups.small, true));
    for group in &groups.large {
        let one = std::slice::from_ref(group);
        cases.push(patch_member(&member_of(group.size), users, one, true));
    }
    if let Some(group) = groups.large.first() {
        let name = format!("{}, all shown", member_of(group.size));
        cases.push(patch_member(&name, users, std::slice::from_ref(group), false));
    }
    cases
}

/// POST of users that are new each time.
pub fn create(users: &Arc<Users>) -> Case {
    let next = Arc::new(AtomicUsize::new(users.ids.len()));
    Case {
        name: CREATE.to_owned(),
        compared: true,
        client: Target::clone,
        holds: |answer| answer["id"].is_string(),
        asking: Box::new(move || {
            let next = Arc::clone(&next);
            Box::new(move || {
                let user = seed::user(next.fetch_add(1, Ordering::Relaxed));
                Ask::send(Method::POST, "/scim/v2/Users", user.to_string())
            })
        }),
    }
}

fn case(
    name: &str,
    compared: bool,
    holds: fn(&Value) -> bool,
    users: &Arc<Users>,
    ask: impl Fn(&Users, &mut Random) -> Ask + Clone + Send + 'static,
) -> Case {
    let users = Arc::clone(users);
    let asking = move || {
        let (users, ask, mut random) = (Arc::clone(&users), ask.clone(), Random::another());
        Box::new(move || ask(&users, &mut random)) as Asking
    };
    Case { name: name.to_owned(), compared, client: Target::clone, holds, asking: Box::new(asking) }
}

fn found_one(answer: &Value) -> bool {
    answer["totalResults"] == 1
}

fn hundred(answer: &Value) -> bool {
    answer["Resources"].as_array().is_some_and(|resources| resources.len() == 100)
}

fn user_name_eq(users: &Users, random: &mut Random) -> Ask {
    let name = seed::user_name(random.below(users.ids.len()));
    Ask::get(format!("/scim/v2/Users?filter=userName%20eq%20%22{name}%22"))
}

/// The digits of one user's address, and what follows them, which no other user has.
fn contains(users: &Users, random: &mut Random) -> Ask {
    let name = seed::user_name(random.below(users.ids.len()));
    let piece = name.get(2..16).unwrap_or(&name);
    Ask::get(format!("/scim/v2/Users?filter=emails.value%20co%20%22{piece}%22"))
}

/// Deactivates a user and with the next request activates it: each request changes something. Each connection has its
/// own users: some servers refuse one of two changes to one user at once.
fn patch_active(users: &Arc<Users>) -> Case {
    const SHARES: usize = 64;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let users = Arc::clone(users);
    Case {
        name: ACTIVE.to_owned(),
        compared: true,
        client: Target::clone,
        holds: |answer| answer["active"].is_boolean(),
        asking: Box::new(move || {
            let (users, mut random) = (Arc::clone(&users), Random::another());
            let share = NEXT.fetch_add(1, Ordering::Relaxed) % SHARES;
            let (mut user, mut active) = (0, true);
            Box::new(move || {
                if active {
                    user = share + SHARES * random.below(users.ids.len() / SHARES);
                }
                active = !active;
                let path = format!("/scim/v2/Users/{}", users.ids[user]);
                seed::patch(&path, &json!({"op": "replace", "path": "active", "value": active}))
            })
        }),
    }
}

/// Removes a member from one of the groups and with the next request puts it back.
fn patch_member(name: &str, users: &Arc<Users>, groups: &[Group], without_members: bool) -> Case {
    let (users, groups) = (Arc::clone(users), groups.to_vec());
    Case {
        name: name.to_owned(),
        compared: false,
        client: Target::clone,
        holds: |answer| answer["displayName"].is_string(),
        asking: Box::new(move || {
            let (users, groups) = (Arc::clone(&users), groups.clone());
            let mut random = Random::another();
            let (mut path, mut member, mut present) = (String::new(), 0, true);
            Box::new(move || {
                if present {
                    let group = &groups[random.below(groups.len())];
                    path = seed::group_path(&group.id, without_members);
                    member = group.first + random.below(group.size);
                }
                present = !present;
                let id = &users.ids[member];
                let operation = if present {
                    json!({"op": "add", "path": "members", "value": [{"value": id}]})
                } else {
                    json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")})
                };
                seed::patch(&path, &operation)
            })
        }),
    }
}
