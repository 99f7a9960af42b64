//! OAuth clients: generated, used for access tokens, revoked; and what no client may send.

use std::os::unix::fs::PermissionsExt as _;

use data_encoding::BASE64;
use serde_json::Value;

use crate::harness::{Client, Reply, Server, files_with, user};

const FORM: &str = "application/x-www-form-urlencoded";
const NO_LIMIT: &str = "[limits]\nmax_refusals_per_minute = 0\n";

/// A client as `scimd client generate` makes it.
struct OauthClient {
    id: String,
    secret: String,
}

impl OauthClient {
    fn generate(server: &Server, more: &[&str]) -> Self {
        let printed = server.succeed(&[&["client", "generate", "--json"], more].concat());
        let json: Value = serde_json::from_str(&printed).unwrap();
        let text = |name: &str| json[name].as_str().unwrap().to_owned();
        assert!(text("token_url").ends_with("/oauth2/token"), "{json}");
        Self { id: text("client_id"), secret: text("client_secret") }
    }

    fn form(&self) -> String {
        format!(
            "grant_type=client_credentials&client_id={}&client_secret={}&scope=scim",
            self.id, self.secret
        )
    }

    fn basic(&self) -> String {
        format!("Basic {}", BASE64.encode(format!("{}:{}", self.id, self.secret).as_bytes()))
    }

    /// An access token.
    fn token(&self, server: &Server) -> String {
        post(server, &self.form()).expect(200).text("/access_token").to_owned()
    }
}

fn ask(client: &Client, form: &str) -> Reply {
    client.clone().header("Content-Type", FORM).send(
        "POST",
        "//oauth2/token",
        Some(form.as_bytes()),
    )
}

fn post(server: &Server, form: &str) -> Reply {
    ask(&server.stranger(), form)
}

#[track_caller]
fn error(reply: &Reply, status: u16, code: &str) -> String {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.text("/error"), code);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "no-store");
    let detail = reply.text("/error_description");
    assert!(detail.len() > 20 && detail.is_ascii() && !detail.contains('"'), "{detail}");
    detail.to_owned()
}

fn status(server: &Server, token: &str) -> u16 {
    server.client_with(token).get("/Users?count=0").status
}

#[test]
fn a_client_gets_an_access_token_and_uses_it_at_scim() {
    let server = Server::start();
    let client = OauthClient::generate(&server, &[]);
    let reply = post(&server, &client.form()).expect(200);
    assert_eq!((reply.text("/token_type"), reply.text("/scope")), ("Bearer", "scim"));
    assert_eq!(reply.body["expires_in"], 7_200);
    assert_eq!((reply.header("cache-control"), reply.header("pragma")), ("no-store", "no-cache"));
    let token = reply.text("/access_token");
    assert!(token.starts_with("scimd_") && token.len() == 55);
    server.client_with(token).post("/Users", &user("ada")).expect(201);
    assert_eq!(server.client_with(token).clone().get("/Users").status, 200);
    let by_header = ask(
        &server.stranger().header("Authorization", &client.basic()),
        "grant_type=client_credentials",
    );
    assert_eq!(by_header.expect(200).text("/access_token"), token, "one token in one period");
    let listed = server.succeed(&["audit", "--json", "--event", "user.created"]);
    assert!(listed.contains(&client.id), "{listed}");
}

#[test]
fn a_secret_or_an_access_token_is_nowhere_on_disk_or_in_a_log() {
    let mut server = Server::start();
    let client = OauthClient::generate(&server, &[]);
    let token = client.token(&server);
    assert_eq!(status(&server, &client.secret), 401, "a secret is no token");
    assert_eq!(status(&server, &token), 200);
    let key = server.data().join("access-token.key");
    assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let backup = server.folder().join("backup");
    server.succeed(&["backup", backup.to_str().unwrap()]);
    let log = server.stop();
    let key = std::fs::read_to_string(key).unwrap();
    for secret in [client.secret.as_str(), &token] {
        assert!(!log.contains(secret) && files_with(server.folder(), secret).is_empty());
    }
    let backup = backup_folder(&backup);
    assert!(!log.contains(key.trim()) && files_with(&backup, key.trim()).is_empty());
    assert_eq!(files_with(&backup, &client.id).len(), 1, "the search finds what is there");
}

/// The folder with a copy of a file alone.
fn backup_folder(file: &std::path::Path) -> std::path::PathBuf {
    let folder = file.with_extension("only");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(file, folder.join("backup")).unwrap();
    folder
}

#[test]
fn an_access_token_outlives_a_restart_and_dies_with_its_client() {
    let mut server = Server::start();
    let (one, two) = (OauthClient::generate(&server, &[]), OauthClient::generate(&server, &[]));
    let (first, second) = (one.token(&server), two.token(&server));
    server.kill();
    server.boot(&[]);
    assert_eq!((status(&server, &first), status(&server, &second)), (200, 200));
    server.succeed(&["client", "revoke", &one.id]);
    assert_eq!((status(&server, &first), status(&server, &second)), (401, 200));
    error(&post(&server, &one.form()), 401, "invalid_client");
    server.succeed(&["client", "revoke", "--connection", "default"]);
    assert_eq!(status(&server, &second), 401);
    assert_eq!(server.succeed(&["client", "list", "--json"]).trim(), "[]");
}

#[test]
fn a_client_dies_with_its_connection() {
    let mut server = Server::start_with(
        "[connections.one]\nmethod = \"okta\"\n[connections.two]\nmethod = \"entra\"\n",
    );
    let client = OauthClient::generate(&server, &["--connection", "two"]);
    let token = client.token(&server);
    assert_eq!(status(&server, &token), 200);
    server.reconfigure(|text| text.replace("[connections.two]\nmethod = \"entra\"\n", ""));
    assert_eq!(status(&server, &token), 401);
    error(&post(&server, &client.form()), 401, "invalid_client");
}

/// The memory of the server, in KiB.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn ten_thousand_token_requests_leave_nothing() {
    let server = Server::start();
    let client = OauthClient::generate(&server, &[]);
    // The request log has a limit of its own.
    let is_kept = |path: &std::path::PathBuf| !path.starts_with(server.data().join("requests"));
    let size = || -> u64 {
        let kept = crate::harness::files(&server.data()).into_iter().filter(is_kept);
        kept.map(|path| path.metadata().map_or(0, |found| found.len())).sum()
    };
    let ask_all = |number: usize| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let (stranger, form) = (server.stranger(), client.form());
                    (0..number / 4).for_each(|_| drop(ask(&stranger, &form).expect(200)));
                });
            }
        });
    };
    ask_all(1_000);
    let (before, held) = (size(), memory(&server));
    ask_all(9_000);
    let noted = server.succeed(&["audit", "--all", "--json", "--event", "client"]);
    assert!(noted.lines().count() < 60, "the last use is recorded once a minute: {noted}");
    // What the store writes for that is less.
    let (grown, more) = (size().saturating_sub(before), memory(&server).saturating_sub(held));
    assert!(grown < 1 << 20, "{grown} bytes on disk");
    assert!(more < 16 << 10, "{more} KiB of memory");
}

#[test]
fn every_failed_authentication_looks_the_same_and_the_audit_log_has_the_reason() {
    let mut server = Server::start_with(NO_LIMIT);
    let client = OauthClient::generate(&server, &[]);
    let revoked = OauthClient::generate(&server, &[]);
    server.succeed(&["client", "revoke", &revoked.id]);
    let grant = "grant_type=client_credentials";
    let wrong = OauthClient { id: client.id.clone(), secret: revoked.secret.clone() };
    let replies = [
        post(&server, grant),
        post(&server, &format!("{grant}&client_id={}", client.id)),
        post(&server, &wrong.form()),
        post(&server, &revoked.form()),
        post(&server, &format!("{grant}&client_id=x&client_secret=y")),
        ask(&server.client(), grant),
    ];
    for reply in &replies {
        error(reply, 401, "invalid_client");
        assert_eq!(reply.body, replies[0].body);
        assert!(reply.headers.get("www-authenticate").is_none());
    }
    let basic = ask(&server.stranger().header("Authorization", &wrong.basic()), grant);
    error(&basic, 401, "invalid_client");
    assert_eq!(basic.header("www-authenticate"), "Basic realm=\"scim\"");
    assert_eq!(basic.body, replies[0].body);
    let log = server.stop();
    for reason in ["no client credentials were sent", "the secret is not that of client"] {
        assert!(log.contains(reason), "{reason} in {log}");
    }
    let audit = server.succeed(&["audit", "--json", "--event", "request.refused"]);
    for reason in ["no_client", "client_secret", "unknown_client"] {
        assert!(audit.contains(&format!("\"{reason}\"")), "{reason} in {audit}");
    }
    assert!(audit.contains(&client.id) && !audit.contains(&client.secret));
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_the_words_of_oauth() {
    let server = Server::start_with(NO_LIMIT);
    let client = OauthClient::generate(&server, &[]);
    let form = client.form();
    let instead = |from: &str, to: &str| post(&server, &form.replace(from, to));
    for (reply, code, words) in [
        (
            instead("client_credentials", "password"),
            "unsupported_grant_type",
            "send client_credentials",
        ),
        (instead("grant_type", "grant"), "invalid_request", "grant_type is missing"),
        (instead("scope=scim", "scope=admin"), "invalid_scope", "send scim"),
        (
            post(&server, &format!("{form}&scope=scim")),
            "invalid_request",
            "scope was sent several times",
        ),
        (
            ask(&server.stranger().header("Authorization", &client.basic()), &form),
            "invalid_request",
            "in several ways",
        ),
        (
            server.stranger().send("POST", "//oauth2/token", Some(b"{}")),
            "invalid_request",
            "application/x-www-form-urlencoded",
        ),
        (
            server.stranger().header("Content-Type", FORM).send(
                "POST",
                &format!("//oauth2/token?{form}"),
                Some(b""),
            ),
            "invalid_request",
            "revoke the client",
        ),
    ] {
        let detail = error(&reply, 400, code);
        assert!(detail.contains(words), "{detail}");
    }
    for scope in ["", "&scope=", "&scope=scim+scim"] {
        post(&server, &form.replace("&scope=scim", scope)).expect(200);
    }
    let large = post(&server, &format!("{form}&x={}", "x".repeat(32 * 1024)));
    error(&large, 413, "invalid_request");
    let full = 32 * 1024 - form.len() - 3;
    post(&server, &format!("{form}&x={}", "x".repeat(full))).expect(200);
}

#[test]
fn the_allowlist_of_the_connection_holds_at_the_token_endpoint_and_its_origin_does_not() {
    let connections = |allowlist: &str| {
        format!(
            "[connections.one]\nmethod = \"okta\"\n[connections.two]\nmethod = \"entra\"\n\
             ip_allowlist = \"{allowlist}\"\nservice_origin = \"https://app.example.com\"\n{NO_LIMIT}"
        )
    };
    let server = Server::start_with(&connections("192.0.2.1"));
    let client = OauthClient::generate(&server, &["--connection", "two"]);
    error(&post(&server, &client.form()), 401, "invalid_client");
    let server = Server::start_with(&connections("127.0.0.1"));
    let client = OauthClient::generate(&server, &["--connection", "two"]);
    let token = client.token(&server);
    assert_eq!(status(&server, &token), 401, "another origin");
    let right = server.stranger().bearer(&token);
    right.header("X-Request-Origin", "https://app.example.com").get("/Users").expect(200);
}

#[test]
fn an_address_that_fails_too_often_gets_429() {
    let server = Server::start_with("[limits]\nmax_refusals_per_minute = 3\n");
    let client = OauthClient::generate(&server, &[]);
    let wrong = "grant_type=client_credentials&client_id=x&client_secret=y";
    for _ in 0..3 {
        error(&post(&server, wrong), 401, "invalid_client");
    }
    let throttled = post(&server, wrong);
    error(&throttled, 429, "temporarily_unavailable");
    assert!(throttled.header("retry-after").parse::<u32>().unwrap() > 0);
    client.token(&server);
}

#[test]
fn clients_find_the_token_endpoint() {
    let server = Server::start();
    let reply = server.stranger().get("//.well-known/oauth-authorization-server").expect(200);
    let issuer = format!("https://127.0.0.1:{}", server.port());
    assert_eq!(reply.text("/issuer"), issuer);
    assert_eq!(reply.text("/token_endpoint"), format!("{issuer}/oauth2/token"));
    assert_eq!(reply.body["scopes_supported"][0], "scim");
    assert_eq!(reply.body["grant_types_supported"][0], "client_credentials");
    let schemes = || {
        server.client().get("/ServiceProviderConfig").expect(200).body["authenticationSchemes"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(schemes(), 1);
    OauthClient::generate(&server, &[]);
    assert_eq!(schemes(), 2);
}

#[test]
fn clients_expire_and_are_listed_without_their_secrets() {
    let mut server = Server::configure_with_data("");
    let made = OauthClient::generate(&server, &["--expires", "1s", "--description", "Ping"]);
    let listed = server.succeed(&["client", "list", "--connection", "default", "--json"]);
    assert!(listed.contains(&made.id) && listed.contains("Ping") && !listed.contains(&made.secret));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    server.boot(&[]);
    error(&post(&server, &made.form()), 401, "invalid_client");
    assert!(server.succeed(&["client", "list"]).contains("expired"));
    assert!(server.fail(&["client", "revoke", "client-x"], 4).contains("scimd client list"));
    assert!(server.fail(&["client", "list", "--connection", "x"], 4).contains("default"));
    server.succeed(&["client", "revoke", &made.id[..12]]);
}
