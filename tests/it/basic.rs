//! The token as the password of HTTP Basic, and connections that only read.

use data_encoding::BASE64;

use crate::harness::{Server, user};

const CONFIG: &str = "[connections.one]\nmethod = \"okta\"\nbasic = true\n[connections.two]\nmethod = \"okta\"\n\
    scope = \"read\"\n[limits]\nmax_refusals_per_minute = 0\n";

fn basic(user: &str, token: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{token}").as_bytes()))
}

fn token(server: &Server, connection: &str) -> String {
    server.succeed(&["token", "generate", "--connection", connection]).trim().to_owned()
}

#[test]
fn a_token_is_taken_as_the_password_where_the_connection_says_so_and_is_the_user() {
    let mut server = Server::start_with(CONFIG);
    let (one, two) = (token(&server, "one"), token(&server, "two"));
    let status = |user: &str, token: &str| {
        let reply = server.stranger().header("Authorization", &basic(user, token)).get("/Users");
        if reply.status == 401 {
            assert_eq!(
                reply.header("www-authenticate"),
                "Bearer realm=\"scim\", Basic realm=\"scim\""
            );
        }
        reply.status
    };
    assert_eq!(status("one", &one), 200);
    for (user, token) in [("two", &one), ("", &one), ("One", &one), ("two", &two)] {
        assert_eq!(status(user, token), 401, "{user}");
    }
    assert_eq!(status("one", "secret"), 401);
    let log = server.stop();
    assert!(log.contains("does not take Basic"), "{log}");
}

#[test]
fn without_such_a_connection_a_401_names_bearer_alone() {
    let server = Server::start();
    let reply =
        server.stranger().header("Authorization", &basic("default", server.token())).get("/Users");
    assert_eq!((reply.status, reply.header("www-authenticate")), (401, "Bearer realm=\"scim\""));
}

#[test]
fn a_connection_that_only_reads_is_403_for_a_change_and_learns_which_scope_it_lacks() {
    let server = Server::start_with(CONFIG);
    let reader = server.stranger().bearer(&token(&server, "two"));
    reader.get("/Users").expect(200);
    let refused = reader.post("/Users", &user("ada"));
    assert!(refused.error(403, None).contains("\"write\""));
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let server = Server::start();
    let cross = server.client().header("Sec-Fetch-Site", "cross-site");
    cross.post("/Users", &user("ada")).error(403, None);
    cross.get("/Users").expect(200);
    server
        .client()
        .header("Sec-Fetch-Site", "same-origin")
        .post("/Users", &user("ada"))
        .expect(201);
}
