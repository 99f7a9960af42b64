//! The gate: who is let in, who is not, in which order it is decided, and what a stranger learns.

use std::fmt::Write as _;

use crate::harness::{Client, Raw, Server, files, files_with, user};

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// Every route of the table, and places where there is none.
const PATHS: [&str; 21] = [
    "/scim/v2/ServiceProviderConfig",
    "/scim/v2/ResourceTypes",
    "/scim/v2/ResourceTypes/User",
    "/scim/v2/Schemas",
    "/scim/v2/Schemas/urn:ietf:params:scim:schemas:core:2.0:User",
    "/scim/v2/Users",
    "/scim/v2/Users/",
    "/scim/v2/Users/0198c5a4-0000-7000-8000-000000000000",
    "/scim/v2/Users/a/b",
    "/scim/v2/Groups",
    "/scim/v2/Groups/1",
    "/scim/v2/Bulk",
    "/scim/v2/Me",
    "/scim/v2",
    "/scim/v1/Users",
    "/",
    "/nothing",
    "/healthz/more",
    "//healthz",
    "/scim/v2/../../healthz",
    "/%ff",
];

/// So many refusals come from one address here that it would soon be told to wait.
const NEVER_WAIT: &str = "[limits]\nmax_refusals_per_minute = 0\n";

/// A way to come without credentials.
struct Shape {
    name: &'static str,
    headers: Vec<(&'static str, String)>,
    query: String,
}

fn shapes(token: &str, revoked: &str) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut add = |name, headers, query: &str| {
        shapes.push(Shape { name, headers, query: query.to_owned() });
    };
    let mut bearer = |name, value: &str| {
        add(name, vec![("Authorization", value.to_owned())], "");
    };
    let flipped = token.replace(&token[20..], &token[20..].chars().rev().collect::<String>());
    bearer("empty", "");
    bearer("scheme alone", "Bearer");
    bearer("scheme and spaces", "Bearer   ");
    bearer("null", "Bearer null");
    bearer("a revoked token", &format!("Bearer {revoked}"));
    bearer("mixed up", &format!("Bearer {flipped}"));
    bearer("cut", &format!("Bearer {}", &token[..54]));
    bearer("longer", &format!("Bearer {token}0"));
    bearer("capitals", &format!("Bearer {}", token.to_uppercase()));
    bearer("twice in one", &format!("Bearer {token}, Bearer {token}"));
    bearer("8 KiB", &format!("Bearer scimd_{}", "a".repeat(8 * 1024)));
    bearer("basic", "Basic c2NpbWQ6c2VjcmV0");
    bearer("basic with the token", &format!("Basic {token}"));
    bearer("quoted", &format!("Bearer \"{token}\""));
    let twice = format!("Bearer {token}");
    add("two headers", vec![("Authorization", twice.clone()), ("Authorization", twice)], "");
    add("none", vec![], "");
    add("in the query", vec![], &format!("?access_token={token}&token={token}"));
    add("in a cookie", vec![("Cookie", format!("Authorization={token}"))], "");
    add("in another header", vec![("X-Api-Key", token.to_owned())], "");
    shapes
}

/// A token that was revoked.
fn revoked(server: &Server) -> String {
    let (token, _) = revoked_with_id(server);
    token
}

/// A token that was revoked, and its id.
fn revoked_with_id(server: &Server) -> (String, String) {
    let token = server.succeed(&["token", "generate"]).trim().to_owned();
    let listed = server.succeed(&["token", "list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let newest = listed.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    server.succeed(&["token", "revoke", &newest]);
    (token, newest)
}

/// Waits until the log gives this as the reason of a refusal.
fn refused(server: &mut Server, reason: &str) {
    let wanted = format!("status=401 reason=\"{reason}\"");
    server.until(&format!("the log has {wanted}"), |server| server.stderr().contains(&wanted));
}

/// A connection of that name that is open to those addresses.
fn connection(name: &str, allowlist: &str) -> String {
    format!(
        "[connections.{name}]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         ip_allowlist = \"{allowlist}\"\n"
    )
}

#[test]
fn every_route_refuses_every_bad_credential_with_the_same_bytes() {
    let server = Server::start_with(NEVER_WAIT);
    let shapes = shapes(server.token(), &revoked(&server));
    let mut raw = Raw::connect(&server);
    let first = raw.ask::<&str>("GET", "/", &[]);
    assert_eq!(first.status, 401);
    assert_eq!(first.header("www-authenticate"), Some("Bearer realm=\"scim\""));
    assert!(first.detail(401).contains("Authentication failed"));
    for (path, method) in PATHS.iter().flat_map(|path| METHODS.map(|method| (path, method))) {
        for shape in &shapes {
            let mut headers = shape.headers.clone();
            headers.push(("X-Request-Origin", "localhost".to_owned()));
            let reply = raw.ask(method, &format!("{path}{}", shape.query), &headers);
            assert_eq!(reply.head, first.head, "{method} {path}, {}", shape.name);
            let body = if method == "HEAD" { &[][..] } else { &first.body };
            assert_eq!(reply.body, body, "{method} {path}, {}", shape.name);
        }
    }
}

#[test]
fn no_flipped_bit_and_no_changed_character_opens_anything() {
    let server = Server::start_with(NEVER_WAIT);
    let token = server.token().as_bytes();
    let bits = |place| (0..8).map(move |bit| token[place] ^ (1 << bit));
    let mut raw = Raw::connect(&server);
    for (place, &right) in token.iter().enumerate() {
        for wrong in bits(place).chain(*b"0aZ_ \xe9").filter(|wrong| *wrong != right) {
            let mut text = [b"Bearer ".as_slice(), token].concat();
            text[7 + place] = wrong;
            // A header can't hold a control character: that is no request at all.
            let broken = wrong < b' ' || wrong == 0x7f;
            let headers =
                [("Authorization", text.as_slice()), ("X-Request-Origin", b"localhost".as_slice())];
            if !broken {
                let reply = raw.ask("GET", "/scim/v2/Users", &headers);
                assert_eq!(reply.status, 401, "{place}: {wrong:#x}");
            }
        }
    }
    let right = [("Authorization", server.token()), ("X-Request-Origin", "localhost")];
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &right).status, 200);
}

#[test]
fn the_token_comes_before_the_origin_before_the_route_before_the_body() {
    let mut server = Server::start();
    let token = server.token().to_owned();
    let other = server.stranger().header("X-Request-Origin", "elsewhere");
    other.clone().bearer("null").get("/nothing").error(401, None);
    refused(&mut server, "what was sent is not a scimd token, or is mistyped");
    other.get("/nothing").error(401, None);
    refused(&mut server, "no bearer token was sent");
    let (revoked, id) = revoked_with_id(&server);
    other.clone().bearer(&revoked).get("/nothing").error(401, None);
    refused(&mut server, &format!("token {id} of connection default was revoked"));
    other.clone().bearer(&token).bearer(&token).get("/nothing").error(401, None);
    refused(&mut server, "several Authorization headers were sent");

    other.bearer(&token).send("POST", "/nothing/", Some(b"{")).error(401, None);
    refused(&mut server, "X-Request-Origin is not the service_origin of connection default");
    let right = server.client().header("Content-Type", "text/plain");
    right.send("POST", "/nothing/at/all", Some(b"{")).error(404, None);
    right.send("POST", "/Schemas", Some(b"{")).error(405, None);
    right.send("POST", "/Users", Some(b"{")).error(415, None);
    server.client().send("POST", "/Users", Some(b"{")).error(400, Some("invalidSyntax"));
}

#[test]
fn an_address_on_no_allowlist_is_refused_whatever_its_token() {
    let mut server = Server::start_with(&connection("default", "192.0.2.0/24, ::1"));
    server.client().get("/Users").error(401, None);
    refused(&mut server, "address 127.0.0.1 is not on the ip_allowlist of connection default");
    server.stranger().get("/Users").error(401, None);
    refused(&mut server, "address 127.0.0.1 is on no ip_allowlist");
    server.stranger().bearer("null").get("/nothing").error(401, None);
    server.stranger().get("/healthz").error(401, None);
    let log = server.stop();
    let again = log.lines().find(|line| line.contains("denied (repeated)"));
    assert!(again.is_some_and(|line| line.contains("count=2")), "{log}");
    assert!(again.is_some_and(|line| line.contains("reason=\"address\"")), "{log}");
}

#[test]
fn a_connection_is_asked_for_its_own_allowlist() {
    let near = connection("near", "127.0.0.1-127.0.0.9");
    let mut server = Server::start_with(&(near + &connection("far", "192.0.2.7")));
    server.client().get("/Users").error(401, None);
    refused(&mut server, "address 127.0.0.1 is not on the ip_allowlist of connection far");
    let token = server.succeed(&["token", "generate", "--connection", "near"]);
    server.client_with(token.trim()).get("/Users").expect(200);
}

#[test]
fn bearer_may_be_spelled_in_any_case_or_left_out() {
    let server = Server::start();
    let origin = server.stranger().header("X-Request-Origin", "localhost");
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEARER   ", "", "  "] {
        let value = format!("{scheme}{}", server.token());
        let reply = origin.clone().header("Authorization", &value).get("/Users");
        assert_eq!(reply.status, 200, "{scheme:?}");
    }
    for scheme in ["Bearer", "Token ", "Bearer Bearer ", "SSWS ", "Bearer: ", "Bearer,"] {
        let value = format!("{scheme}{}", server.token());
        let reply = origin.clone().header("Authorization", &value).get("/Users");
        assert_eq!(reply.status, 401, "{scheme:?}");
    }
}

#[test]
fn the_origin_must_be_sent_once_and_be_the_right_one() {
    let config = connection("default", "127.0.0.1").replace("localhost", "https://App.example.com");
    let mut server = Server::start_with(&(config + NEVER_WAIT));
    let client = server.stranger().bearer(server.token());
    let with = |origin: &str| client.clone().header("X-Request-Origin", origin);
    for right in
        ["https://app.example.com", "app.example.com", "APP.EXAMPLE.COM/", "app.example.com."]
    {
        assert_eq!(with(right).get("/Users").status, 200, "{right}");
    }
    assert_eq!(with("HTTPS://App.Example.Com/").get("/Users").status, 200);
    let wrong = [
        "http://app.example.com",
        "app.example.com:8443",
        "app.example.com.evil.com",
        "example.com",
        "xapp.example.com",
        "app.example.com/path",
        "user@app.example.com",
        "",
        "*",
        "null",
        "app.example.com, app.example.com",
        "https://",
        "app.example.com//",
        "app.exämple.com",
    ];
    for wrong in wrong {
        assert_eq!(with(wrong).get("/Users").status, 401, "{wrong}");
    }
    client.get("/Users").error(401, None);
    let said = |count| {
        format!(
            "connection default needs the header X-Request-Origin exactly once; it was sent {count} times"
        )
    };
    refused(&mut server, &said(0));
    // Of a burst only the first is told at once.
    server.stop();
    server.boot(&[]);
    let twice = with("app.example.com").header("X-Request-Origin", "app.example.com");
    twice.get("/Users").error(401, None);
    refused(&mut server, &said(2));
}

#[test]
fn a_stranger_cannot_speak_for_another_address() {
    let open = Server::start();
    let shut = Server::start_with(&connection("default", "192.0.2.0/24"));
    for name in ["X-Forwarded-For", "X-Real-IP", "Forwarded", "CF-Connecting-IP"] {
        for (server, address, status) in [(&open, "203.0.113.9", 200), (&shut, "192.0.2.5", 401)] {
            let value = if name == "Forwarded" { &format!("for={address}") } else { address };
            let reply = server.client().header(name, value).get("/Users");
            assert_eq!(reply.status, status, "{name}: {value}");
        }
    }
    assert_eq!(open.client().header("X-Forwarded-For", "nonsense").get("/Users").status, 200);
}

#[test]
fn a_trusted_proxy_decides_whose_address_counts_from_right_to_left() {
    let listen = "[listen]\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n".to_owned();
    let mut server = Server::start_with(&(listen + &connection("default", "192.0.2.0/24")));
    let client = server.client();
    let status = |lines: &[&str]| {
        let add = |client: Client, line: &&str| client.header("X-Forwarded-For", line);
        lines.iter().fold(client.clone(), add).get("/Users").status
    };
    let inside: [&[&str]; 8] = [
        &["192.0.2.5"],
        &["203.0.113.9, 192.0.2.5"],
        &["203.0.113.9", "192.0.2.5"],
        &["192.0.2.5, 10.1.2.3"],
        &["192.0.2.5, 10.1.2.3,127.0.0.1"],
        &["192.0.2.5", "10.1.2.3"],
        &["::ffff:192.0.2.5"],
        &["nonsense, 192.0.2.5"],
    ];
    for lines in inside {
        assert_eq!(status(lines), 200, "{lines:?}");
    }
    let outside: [&[&str]; 7] = [
        &[],
        &["203.0.113.9"],
        &["192.0.2.5, 203.0.113.9"],
        &["192.0.2.5", "203.0.113.9"],
        &["2001:db8::1"],
        &["127.0.0.1"],
        &["10.1.2.3"],
    ];
    for lines in outside {
        assert_eq!(status(lines), 401, "{lines:?}");
    }
    for line in ["192.0.2.5,", "", "192.0.2.5:x", "unknown", "192.0.2", "192.0.2.5, x, 10.0.0.1"] {
        assert_eq!(status(&[line]), 401, "{line:?}");
    }
    refused(&mut server, "X-Forwarded-For of the trusted proxy is not a list of addresses");
}

#[test]
fn health_needs_nothing_and_says_nothing() {
    let server = Server::start_with(&connection("default", "192.0.2.1"));
    let mut raw = Raw::connect(&server);
    for (method, path) in
        [("GET", "/healthz"), ("HEAD", "/healthz"), ("GET", "/healthz?x"), ("GET", "/readyz")]
    {
        let reply = raw.ask::<&str>(method, path, &[]);
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{method}");
        let headers: Vec<_> = reply.head.lines().skip(1).collect();
        let told = if method == "HEAD" { &[][..] } else { &["content-length: 0"] };
        assert_eq!(headers, [&["connection: close"], told].concat(), "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(raw.ask::<&str>(method, "/healthz", &[]).status, 401, "{method}");
    }
}

#[test]
fn it_is_not_ready_while_it_stops() {
    let mut server = Server::start();
    let mut raw = Raw::connect(&server);
    raw.write("GET /readyz HTTP/1.1\r\n");
    // Answered after it, so that the first half above has arrived.
    server.stranger().get("//readyz").expect(200);
    server.terminate();
    server.until("it stops", |server| server.stderr().contains("SIGTERM"));
    raw.write("Host: x\r\n\r\n");
    assert_eq!(raw.reply().status, 503);
    drop(raw);
    server.ended();
}

#[test]
fn a_secret_is_in_no_log_and_no_file() {
    let mut server = Server::start_with("[log]\nlevel = \"trace\"");
    let generated = server.succeed(&["token", "generate"]).trim().to_owned();
    let mut log = String::new();
    for token in [server.token(), &generated] {
        server.client_with(token).post("/Users", &user(&token[..20])).expect(201);
        server.client_with(&token[..54]).get("/Users").error(401, None);
        server.client_with(token).get(&format!("/Users/x?token={}", &token[30..])).error(404, None);
    }
    let (first, second) = (server.token().to_owned(), generated);
    write!(log, "{}", server.stop()).unwrap();
    assert!(log.contains("route=\"/scim/v2/{type}\""), "it was logged at all: {log}");
    assert!(files(&server.data()).len() >= 4);
    for token in [first, second] {
        for part in [&token[..], &token[6..36], &token[30..]] {
            assert!(!log.contains(part), "the log tells a secret");
            assert!(files_with(&server.data(), part).is_empty(), "a file tells a secret");
        }
    }
}
