//! The route table, row by row: who may call a route, and what everyone else learns of it.

use scimd::http::{Audience, TokenScope, routes};

use crate::harness::{Raw, RawReply, Server};

/// So many denials come from one address here that it would soon get 429.
const NO_LIMIT: &str = "[limits]\nmax_refusals_per_minute = 0\n";

/// A path that fits a template.
fn path(template: &str) -> String {
    template.replace("{type}", "Users").replace("{offer}", "Roles").replace("{id}", "x")
}

/// Every row: its method, a path and its audience.
fn rows() -> impl Iterator<Item = (&'static str, String, Audience)> {
    routes().map(|(method, template, audience)| (method, path(template), audience))
}

/// The credentials that open nothing, by name.
fn wrong(server: &Server) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let bearer = |token: &str| ("Authorization", format!("Bearer {token}"));
    let origin = |origin: &str| ("X-Request-Origin", origin.to_owned());
    vec![
        ("none", vec![origin("localhost")]),
        ("no token", vec![bearer("null"), origin("localhost")]),
        ("an unknown token", vec![bearer(&revoked(server)), origin("localhost")]),
        ("a token without its origin", vec![bearer(server.token())]),
        ("a token with another origin", vec![bearer(server.token()), origin("elsewhere")]),
    ]
}

/// A token that was revoked.
fn revoked(server: &Server) -> String {
    let token = server.succeed(&["token", "generate"]).trim().to_owned();
    let listed: serde_json::Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    let newest = listed.as_array().unwrap().last().unwrap()["id"].as_str().unwrap();
    server.succeed(&["token", "revoke", newest]);
    token
}

fn same(one: &RawReply, other: &RawReply) -> bool {
    (&one.head, &one.body) == (&other.head, &other.body)
}

#[test]
fn every_row_but_the_public_ones_is_401_without_the_right_credentials() {
    let server = Server::start_with(NO_LIMIT);
    let mut raw = Raw::connect(&server);
    let unknown = raw.ask::<&str>("GET", "/no/such/route", &[]);
    assert_eq!(unknown.status, 401);
    let credentials = wrong(&server);
    for (method, path, audience) in rows() {
        for (name, headers) in &credentials {
            let reply = raw.ask(method, &path, headers);
            if audience == Audience::Public {
                assert_eq!(reply.status, 200, "{method} {path}, {name}");
            } else if audience == Audience::Client {
                assert_eq!(reply.status, 400, "{method} {path}, {name}: it has no form");
            } else {
                assert!(same(&reply, &unknown), "{method} {path}, {name}: {}", reply.head);
            }
        }
    }
}

#[test]
fn every_row_but_the_feed_is_open_to_the_token_of_a_connection() {
    let server = Server::start_with(NO_LIMIT);
    let token = format!("Bearer {}", server.token());
    let headers = [("Authorization", token.as_str()), ("X-Request-Origin", "localhost")];
    let mut raw = Raw::connect(&server);
    for (method, path, audience) in rows() {
        let status = raw.ask(method, &path, &headers).status;
        if audience == Audience::Token(TokenScope::Events) {
            assert_eq!(status, 403, "{method} {path}");
            continue;
        }
        assert!(!matches!(status, 401 | 403 | 405 | 429), "{method} {path}: {status}");
    }
}

#[test]
fn every_method_that_a_path_lacks_is_405_to_a_connection_and_401_to_everyone_else() {
    let server = Server::start_with(NO_LIMIT);
    let token = format!("Bearer {}", server.token());
    let headers = [("Authorization", token.as_str()), ("X-Request-Origin", "localhost")];
    let mut raw = Raw::connect(&server);
    let served: Vec<(&str, String)> = rows().map(|(method, path, _)| (method, path)).collect();
    for (_, path) in &served {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if !served.contains(&(method, path.clone())) {
                assert_eq!(raw.ask(method, path, &headers).status, 405, "{method} {path}");
                assert_eq!(raw.ask::<&str>(method, path, &[]).status, 401, "{method} {path}");
            }
        }
    }
}
