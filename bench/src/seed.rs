//! The users and groups that are there before anything is measured.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Ask, Connection, Target};

/// How many users one bulk request creates: the most that scimd takes.
const BULK: usize = 1_000;
/// How many members one PATCH adds.
const MEMBERS: usize = 5_000;
/// The small groups; with a large one they make a page of 100.
const SMALL_GROUPS: usize = 99;
/// How many members a small group has.
pub const SMALL: usize = 10;

/// The users that are there.
pub struct Users {
    /// Their ids, by number.
    pub ids: Vec<String>,
    /// How long it took to create them.
    pub took: Duration,
}

/// The groups that are there.
pub struct Groups {
    /// Groups of [`SMALL`] members.
    pub small: Vec<Group>,
    /// One group each of 20,000 and 100,000 members, as far as there are users.
    pub large: Vec<Group>,
}

/// A group that is there.
#[derive(Clone)]
pub struct Group {
    pub id: String,
    /// Its members are the users from number `first` on.
    pub first: usize,
    pub size: usize,
}

/// The name of a user.
pub fn user_name(number: usize) -> String {
    format!("user{number:07}@example.com")
}

/// A user as an identity provider sends it: some 330 bytes.
pub fn user(number: usize) -> Value {
    let user_name = user_name(number);
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "externalId": format!("00u{number:017}"),
        "userName": user_name,
        "name": {"givenName": format!("Given{number}"), "familyName": format!("Family{number}")},
        "displayName": format!("Given{number} Family{number}"),
        "title": "Engineer",
        "emails": [{"value": user_name, "type": "work", "primary": true}],
        "active": true,
    })
}

/// Creates users, who belong to no group, in an empty directory.
pub fn users(target: &Target, users: usize) -> Result<Users> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(target).await?;
        let begun = Instant::now();
        let mut ids = Vec::with_capacity(users);
        let (mut bulk, mut reported) = (BULK, 0);
        while ids.len() < users {
            let upto = users.min(ids.len() + bulk);
            if !create_users(&mut connection, &mut ids, upto).await? {
                // The machine is too busy to do so much within the time that one request may take.
                ensure!(bulk > 1, "not even one user can be created");
                bulk /= 2;
            }
            if ids.len() >= reported + 50 * BULK {
                reported = ids.len();
                let rate = ids.len() as f64 / begun.elapsed().as_secs_f64();
                eprintln!("  {} of {users} users, {rate:.0} a second", ids.len());
            }
        }
        Ok(Users { ids, took: begun.elapsed() })
    })
}

/// Creates groups with some of the users.
pub fn groups(target: &Target, users: &Users) -> Result<Groups> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(target).await?;
        let mut small = Vec::new();
        for number in 0..SMALL_GROUPS {
            let first = number * 997 % (users.ids.len() - SMALL);
            let name = format!("Small {number}");
            small.push(create_group(&mut connection, &name, &users.ids, first, SMALL).await?);
        }
        let mut large = Vec::new();
        for size in [20_000, 100_000].into_iter().filter(|size| *size <= users.ids.len()) {
            let name = format!("Large {size}");
            large.push(create_group(&mut connection, &name, &users.ids, 0, size).await?);
        }
        Ok(Groups { small, large })
    })
}

/// Creates users up to a number; `false` if that is refused as too much for one request.
async fn create_users(
    connection: &mut Connection,
    ids: &mut Vec<String>,
    upto: usize,
) -> Result<bool> {
    let operations: Vec<Value> = (ids.len()..upto)
        .map(|number| {
            let bulk_id = number.to_string();
            json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": user(number)})
        })
        .collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let ask = Ask::send(Method::POST, "/scim/v2/Bulk", body.to_string());
    let reply = connection.ask(ask).await?;
    if reply.status == 400 && String::from_utf8_lossy(&reply.body).contains("tooMany") {
        return Ok(false);
    }
    let reply = reply.json()?;
    for operation in reply["Operations"].as_array().context("a bulk answer without operations")? {
        ensure!(operation["status"] == "201", "a user was not created: {operation}");
        let location = operation["location"].as_str().context("a user without a location")?;
        let (_, id) = location.rsplit_once('/').context("a location without an id")?;
        ids.push(id.to_owned());
    }
    Ok(true)
}

async fn create_group(
    connection: &mut Connection,
    name: &str,
    users: &[String],
    first: usize,
    size: usize,
) -> Result<Group> {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name,
    });
    let ask = Ask::send(Method::POST, "/scim/v2/Groups", body.to_string());
    let created = connection.ask(ask).await?.json()?;
    let id = created["id"].as_str().context("a group without an id")?.to_owned();
    let members = users.get(first..first + size).context("there are not so many users")?;
    for some in members.chunks(MEMBERS) {
        let members: Vec<Value> = some.iter().map(|id| json!({"value": id})).collect();
        let ask = patch(
            &group_path(&id, true),
            &json!({"op": "add", "path": "members", "value": members}),
        );
        connection.ask(ask).await?.success()?;
    }
    Ok(Group { id, first, size })
}

/// Where a group is changed, answered with its members or without.
pub fn group_path(id: &str, without_members: bool) -> String {
    let query = if without_members { "?excludedAttributes=members" } else { "" };
    format!("/scim/v2/Groups/{id}{query}")
}

/// A PATCH of one operation.
pub fn patch(path: &str, operation: &Value) -> Ask {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [operation],
    });
    Ask::send(Method::PATCH, path, body.to_string())
}
