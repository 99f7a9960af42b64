//! Starts the real binary in a folder of its own and speaks to it as a client.

mod client;
mod server;

pub(crate) use client::{Client, Reply};
pub(crate) use server::{Server, scimd};

use serde_json::{Value, json};

/// The URN of the core User schema.
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// The least that makes a user.
pub(crate) fn user(user_name: &str) -> Value {
    json!({"schemas": [USER], "userName": user_name})
}
