//! Tokens from the command line: made, told of, ended, with a server running and without.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Raw, Server, files_with, user};

const TWO_CONNECTIONS: &str =
    "[connections.one]\nmethod = \"okta\"\n[connections.two]\nmethod = \"entra\"\n";

/// What `token list --json` tells.
fn list(server: &Server) -> Vec<Value> {
    serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap()
}

/// The id of the token that was made last.
fn newest(server: &Server) -> String {
    list(server).last().unwrap()["id"].as_str().unwrap().to_owned()
}

fn generate(server: &Server, more: &[&str]) -> String {
    server.succeed(&[&["token", "generate"], more].concat()).trim().to_owned()
}

/// Insists on a failure with that exit code and one line on standard error; the line.
#[track_caller]
fn fails(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("error: "), "{stderr}");
    stderr
}

fn status(server: &Server, token: &str) -> u16 {
    server.client_with(token).get("/Users").status
}

/// Waits until a token opens nothing.
fn until_refused(server: &mut Server, token: &str) {
    let client = server.client_with(token);
    server.until("the token has ended", |_| client.get("/Users").status == 401);
}

#[test]
fn standard_output_carries_the_token_alone_whether_a_server_runs_or_not() {
    let mut server = Server::configure_with_data("");
    let offline = server.run(&["token", "generate"]);
    server.boot(&[]);
    let online = server.run(&["token", "generate"]);
    for output in [offline, online] {
        assert!(output.status.success());
        let printed = String::from_utf8(output.stdout).unwrap();
        let token = printed.strip_suffix('\n').unwrap();
        assert_eq!((token.len(), &token[..6]), (55, "scimd_"));
        assert!(token[6..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("connection default") && !told.contains("scimd_"), "{told}");
        assert_eq!(status(&server, token), 200);
    }
    assert_eq!(list(&server).len(), 2);
}

#[test]
fn a_token_goes_to_a_new_file_that_only_its_owner_may_read() {
    let mut server = Server::configure_with_data("");
    let file = server.folder().join("okta.token");
    let write = ["token", "generate", "--output", "okta.token"];
    assert_eq!(server.succeed(&write), "");
    let first = fs::read_to_string(&file).unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fails(&server.run(&write), 1).contains("okta.token"));
    assert_eq!(list(&server).len(), 1, "no token was made that nobody has");
    server.boot(&[]);
    fails(&server.run(&write), 1);
    fails(&server.run(&["token", "generate", "--output", "no/such/folder"]), 1);
    let unknown = ["token", "generate", "--output", "new", "--connection", "x"];
    fails(&server.run(&unknown), 4);
    assert!(!server.folder().join("new").exists());
    assert_eq!(list(&server).len(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), first);
    assert_eq!(status(&server, first.trim_end()), 200);
}

#[test]
fn a_token_ends_when_its_time_is_over_and_lives_for_ever_if_it_may() {
    let mut server = Server::configure_with_data("");
    server.boot(&[]);
    let short = generate(&server, &["--expires", "1s"]);
    let kept = generate(&server, &["--expires", "never"]);
    let year = generate(&server, &[]);
    until_refused(&mut server, &short);
    let reason = "of connection default expired";
    server.until("the log says why", |server| server.stderr().contains(reason));
    assert_eq!((status(&server, &kept), status(&server, &year)), (200, 200));
    let listed = list(&server);
    assert_eq!(listed[1]["expires"], Value::Null);
    let moment = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let valid = moment(&listed[2]["expires"]).duration_since(moment(&listed[2]["created"]));
    assert_eq!(valid.as_hours(), 365 * 24);
    for wrong in ["0s", "", "1", "-1d", "1y", "36501d"] {
        let option = format!("--expires={wrong}");
        let output = server.run(&["token", "generate", &option]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_revoked_token_is_refused_on_the_very_next_request_of_an_open_connection() {
    let server = Server::start();
    let mut raw = Raw::connect(&server);
    let bearer = format!("Bearer {}", server.token());
    let headers = [("Authorization", bearer.as_str()), ("X-Request-Origin", "localhost")];
    for _ in 0..20 {
        assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 200);
    }
    server.succeed(&["token", "revoke", &newest(&server)]);
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 401);
    assert_eq!(raw.ask("GET", "/scim/v2/Users", &headers).status, 401);
    assert_eq!(list(&server), [Value::Null; 0]);
}

#[test]
fn a_token_that_is_revoked_while_no_server_runs_is_refused() {
    let mut server = Server::start();
    let (token, other) = (server.token().to_owned(), generate(&server, &[]));
    let id = list(&server)[0]["id"].as_str().unwrap().to_owned();
    server.stop();
    assert_eq!(server.succeed(&["token", "revoke", &id]), "");
    server.boot(&[]);
    assert_eq!((status(&server, &token), status(&server, &other)), (401, 200));
}

#[test]
fn the_log_warns_of_the_end_of_the_last_token_of_a_connection() {
    const WARNING: &str = "the last valid token expires soon";
    let mut server = Server::start();
    generate(&server, &["--expires", "20d"]);
    let id = list(&server)[0]["id"].as_str().unwrap().to_owned();
    server.stop();
    server.boot(&[]);
    assert!(!server.stderr().contains(WARNING), "there is another that lasts");
    server.succeed(&["token", "revoke", &id]);
    server.stop();
    server.boot(&[]);
    server.until("it is told", |server| server.stderr().contains(WARNING));
}

#[test]
fn reset_ends_the_other_tokens_of_its_connection_at_once() {
    let mut server = Server::configure_with_data(TWO_CONNECTIONS);
    server.boot(&[]);
    let old: Vec<_> = (0..3).map(|_| generate(&server, &["--connection", "one"])).collect();
    let other = generate(&server, &["--connection", "two"]);
    let new = server.succeed(&["token", "reset", "--connection", "one"]);
    for token in &old {
        assert_eq!(status(&server, token), 401);
    }
    assert_eq!((status(&server, new.trim()), status(&server, &other)), (200, 200));
    fails(&server.run(&["token", "reset", "--connection", "three"]), 4);
    assert_eq!(server.run(&["token", "reset"]).status.code(), Some(2), "it must be named");
}

#[test]
fn reset_with_an_overlap_lets_the_others_live_as_long() {
    let mut server = Server::configure_with_data("");
    server.boot(&[]);
    let old = generate(&server, &["--expires", "never"]);
    let new = server.run(&["token", "reset", "--connection", "default", "--overlap", "1h"]);
    let told = String::from_utf8(new.stderr).unwrap();
    assert!(told.contains(list(&server)[0]["id"].as_str().unwrap()), "{told}");
    assert_eq!(status(&server, &old), 200);
    assert_ne!(list(&server)[0]["expires"], Value::Null);
    let new = ["token", "reset", "--connection", "default", "--overlap", "2s"];
    let new = server.succeed(&new).trim().to_owned();
    assert_eq!(status(&server, &old), 200);
    until_refused(&mut server, &old);
    assert_eq!(status(&server, &new), 200);
}

#[test]
fn a_reset_never_gives_an_old_token_a_later_end() {
    let server = Server::configure_with_data("");
    let _short = generate(&server, &["--expires", "1h"]);
    let before = list(&server);
    server.succeed(&["token", "reset", "--connection", "default", "--overlap", "24h"]);
    assert_eq!(list(&server)[0], before[0]);
}

#[test]
fn the_list_tells_everything_but_secrets() {
    let mut server = Server::configure_with_data("");
    let token = generate(&server, &[]);
    let _unused = generate(&server, &["--expires", "never"]);
    for round in ["offline", "online"] {
        let listed = list(&server);
        for entry in &listed {
            let names: Vec<_> = entry.as_object().unwrap().keys().collect();
            assert_eq!(
                names,
                [
                    "id",
                    "connection",
                    "created",
                    "expires",
                    "last_used",
                    "last_denied",
                    "description",
                    "status"
                ],
                "{round}"
            );
        }
        let table = server.succeed(&["token", "list"]);
        let rows: Vec<Vec<_>> = table
            .lines()
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
            .collect();
        let heads: Vec<_> = rows[0].iter().map(|cell| cell.trim()).collect();
        assert_eq!(
            heads,
            [
                "ID",
                "OWNER",
                "STATUS",
                "CREATED",
                "EXPIRES",
                "LAST USED",
                "LAST DENIED",
                "DESCRIPTION"
            ]
        );
        assert_eq!(
            (rows.len(), rows[1][0], rows[1][1].trim()),
            (3, listed[0]["id"].as_str().unwrap(), "connection default")
        );
        assert_eq!(rows[2][4].trim(), "never");
        assert!(!table.contains(&token[6..16]));
        if round == "offline" {
            server.boot(&[]);
        }
    }
    assert!(files_with(&server.data(), &token).is_empty());
}

#[test]
fn the_last_use_is_told_at_once_and_kept_over_a_restart() {
    let mut server = Server::start();
    let unused = generate(&server, &[]);
    let last_used = |server: &Server, number: usize| {
        let told = list(server)[number]["last_used"].clone();
        told.as_str().map(|moment| moment.parse::<jiff::Timestamp>().unwrap())
    };
    assert_eq!(last_used(&server, 0), None);
    server.client().get("/Users").expect(200);
    let used = last_used(&server, 0);
    assert!(used.is_some());
    server.client().post("/Users", &user("a")).expect(201);
    let later = last_used(&server, 0);
    assert!(later >= used);
    server.stop();
    assert_eq!((last_used(&server, 0), last_used(&server, 1)), (later, None));
    server.boot(&[]);
    assert_eq!((last_used(&server, 0), last_used(&server, 1)), (later, None));
    assert_eq!(status(&server, &unused), 200);
}

#[test]
fn a_wrong_name_is_answered_with_one_line_that_helps() {
    let mut server = Server::configure(TWO_CONNECTIONS);
    for round in ["offline", "online"] {
        let which = fails(&server.run(&["token", "generate"]), 2);
        assert!(which.contains("--connection") && which.contains("one, two"), "{round}: {which}");
        for verb in ["generate", "reset"] {
            let unknown = fails(&server.run(&["token", verb, "--connection", "Okta"]), 4);
            assert!(unknown.contains("\"Okta\"") && unknown.contains("one, two"), "{unknown}");
        }
        let revoke = server.run(&["token", "revoke", "0123456789ab"]);
        if round == "online" {
            let unknown = fails(&revoke, 4);
            assert!(
                unknown.contains("0123456789ab") && unknown.contains("token list"),
                "{unknown}"
            );
            assert_eq!(list(&server), [Value::Null; 0]);
        } else {
            assert!(fails(&revoke, 1).contains("data directory data not found"));
            assert!(!server.data().exists(), "nothing is created to look for a token");
            server.boot(&[]);
        }
    }
}

#[test]
fn a_revoke_that_returned_survives_sigkill() {
    let mut server = Server::start_with("[limits]\nmax_refusals_per_minute = 0");
    let mut ended = Vec::new();
    for _ in 0..20 {
        let token = generate(&server, &[]);
        assert_eq!(status(&server, &token), 200);
        server.succeed(&["token", "revoke", &newest(&server)]);
        server.kill();
        ended.push(token);
        server.boot(&[]);
        let last = ended.last().unwrap();
        assert_eq!(status(&server, last), 401);
    }
    assert!(ended.iter().all(|token| status(&server, token) == 401));
    assert_eq!(status(&server, server.token()), 200);
}

#[test]
fn a_token_survives_sigkill_right_after_it_was_shown() {
    let mut server = Server::start();
    for _ in 0..5 {
        let token = generate(&server, &[]);
        server.kill();
        server.boot(&[]);
        assert_eq!(status(&server, &token), 200);
    }
}

#[test]
fn a_token_of_a_connection_that_is_gone_opens_nothing() {
    let mut server = Server::configure_with_data(TWO_CONNECTIONS);
    server.boot(&[]);
    let gone = generate(&server, &["--connection", "one"]);
    let kept = generate(&server, &["--connection", "two"]);
    server.stop();
    let file = server.folder().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&file, config.replace("connections.one", "connections.three")).unwrap();
    server.boot(&["--first-boot"]);
    assert_eq!((status(&server, &gone), status(&server, &kept)), (401, 200));
    let reason = "the token's connection one is not in the configuration";
    server.until("the log says why", |server| server.stderr().contains(reason));
    assert_eq!(list(&server).len(), 3, "connection three got one of its own");
    server.succeed(&["token", "revoke", list(&server)[0]["id"].as_str().unwrap()]);
}

#[test]
fn the_admin_socket_is_its_owners_alone_and_survives_nonsense() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    let mut server = Server::start();
    let path = server.data().join("admin.sock");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.data().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    for nonsense in [&b"\n"[..], b"{}\n", b"\"list\"\n", b"\xff\xfe\n", &[b'['; 100_000], b""] {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = socket.write_all(nonsense);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        assert!(!answer.contains("scimd_"), "{answer}");
    }
    assert_eq!(list(&server).len(), 1);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn tokens_are_described_marked_and_revoked_by_beginnings_of_their_ids() {
    let server = Server::start();
    generate(&server, &["--description", "staging"]);
    generate(&server, &["--expires", "1s"]);
    std::thread::sleep(Duration::from_millis(1_200));
    let listed = list(&server);
    let statuses: Vec<_> = listed.iter().map(|token| token["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["valid", "valid", "expired"]);
    assert_eq!(listed[1]["description"], "staging");
    let table = server.succeed(&["token", "list"]);
    assert!(table.contains("staging") && table.contains("expired"), "{table}");
    let id = |place: usize| listed[place]["id"].as_str().unwrap();
    let revoked = server.run(&["token", "revoke", &id(0)[..8], id(2)]);
    let told = String::from_utf8(revoked.stderr).unwrap();
    assert!(revoked.status.success() && told.matches("Revoked token").count() == 2, "{told}");
    assert!(!told.contains("Warning"), "{told}");
    let last = server.run(&["token", "revoke", id(1)]);
    let told = String::from_utf8(last.stderr).unwrap();
    assert!(told.contains("Warning: connection default has no other valid token"), "{told}");
    assert_eq!(server.run(&["token", "revoke", ""]).status.code(), Some(4));
}

#[test]
fn a_restore_can_revoke_all_tokens_of_the_backup() {
    let server = Server::start();
    server.succeed(&["backup", "one.backup"]);
    let backup = server.folder().join("one.backup");
    let mut other = Server::configure("");
    other.succeed(&["restore", backup.to_str().unwrap(), "--revoke-tokens"]);
    assert_eq!(list(&other), [Value::Null; 0]);
    other.boot(&[]);
    assert_eq!(status(&other, server.token()), 401);
}
