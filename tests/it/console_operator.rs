//! Named operators of the console, as `scimd operator` manages them.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Output, Stdio};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::harness::{Server, contents, files_with};

const PASSWORD: &str = "correct horse battery staple";

fn list(server: &Server) -> Vec<Value> {
    serde_json::from_str(&server.succeed(&["operator", "list", "--json"])).unwrap()
}

/// Runs a command with a text on standard input.
fn run_with(server: &Server, args: &[&str], input: &str) -> Output {
    let mut command = server.command(args);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn add_with_password(server: &Server, name: &str) -> String {
    let args = ["operator", "add", name, "--role", "admin", "--password-file", "-"];
    let output = run_with(server, &args, &format!("{PASSWORD}\n"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_one_time_link_is_one_record_with_name_and_role_and_never_the_link_itself() {
    let server = Server::start_with("[console]\n");
    server.succeed(&["operator", "add", "ada", "--role", "operator"]);
    let own = server.succeed(&["console", "link"]);
    let of_ada = server.succeed(&["console", "link", "--operator", "ADA", "--expires", "1h"]);
    server.fail(&["console", "link", "--operator", "bob"], 4);
    server.fail(&["console", "link", "--expires", "25h"], 1);
    let records = server.succeed(&["audit", "--event", "operator.linked", "--json"]);
    // The first one is that of the first boot.
    let records: Vec<Value> =
        records.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    let change = |record: &Value, name: &str| -> Value {
        let changes = record["changes"].as_array().unwrap();
        changes.iter().find(|change| change["attribute"] == name).unwrap()["after"].clone()
    };
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(
        (change(&records[0], "role"), &records[0]["subject"]),
        ("admin".into(), &records[0]["actor"]["name"])
    );
    assert_eq!(
        (change(&records[1], "role"), &records[1]["subject"]),
        ("operator".into(), &"ada".into())
    );
    let expires: jiff::Timestamp =
        change(&records[1], "expires").as_str().unwrap().parse().unwrap();
    let made: jiff::Timestamp = records[1]["time"].as_str().unwrap().parse().unwrap();
    assert!((3_590..=3_600).contains(&expires.duration_since(made).as_secs()), "{expires} {made}");
    let whole = server.succeed(&["audit", "--all", "--json"]);
    for link in [own, of_ada] {
        let token = link.trim().rsplit('/').next().unwrap();
        let digest = Sha256::digest(token);
        for secret in [token, &HEXLOWER.encode(&digest), &BASE64URL_NOPAD.encode(&digest)] {
            assert!(!whole.contains(secret), "{whole}");
            assert_eq!(files_with(&server.data(), secret), [] as [std::path::PathBuf; 0]);
        }
    }
}

#[test]
fn operators_are_added_changed_and_removed_with_and_without_a_server() {
    let mut server = Server::start();
    for (stopped, name) in [(false, "ada"), (true, "bob")] {
        if stopped {
            server.stop();
        }
        let added = server.run(&["operator", "add", &name.to_uppercase()]);
        assert!(added.status.success() && added.stdout.is_empty());
        let said = String::from_utf8(added.stderr).unwrap();
        assert!(said.contains(&format!("scimd console link --operator {name}")), "{said}");
        let shown = |at: &str| list(&server)[0][at].as_str().unwrap().to_owned();
        assert_eq!((shown("name"), shown("role")), (name.to_owned(), "viewer".to_owned()));
        assert_eq!(shown("status"), "not-enrolled");
        let again = server.run(&["operator", "add", name]);
        assert_eq!(again.status.code(), Some(1));
        server.succeed(&["operator", "set", name, "--role", "operator"]);
        assert_eq!(shown("role"), "operator");
        server.succeed(&["operator", "remove", name]);
        assert!(list(&server).is_empty());
    }
    let events = server.succeed(&["audit", "--event", "operator", "--json"]);
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let each = ["operator.added", "operator.changed", "operator.removed"];
    assert!(
        each.iter().all(|name| names.iter().filter(|one| one == &name).count() == 2),
        "{names:?}"
    );
    assert_eq!(events[0]["actor"]["kind"], "operator");
}

#[test]
fn a_password_comes_from_a_file_and_the_secret_of_the_codes_is_shown_once() {
    let mut server = Server::start();
    let uri = add_with_password(&server, "ada");
    assert!(uri.starts_with("otpauth://totp/scimd:ada?secret="), "{uri}");
    assert_eq!(list(&server)[0]["status"], "ready");
    let secret = uri.split(['=', '&']).nth(1).unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    let key = server.data().join("operator-secrets.key");
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let key = fs::read_to_string(key).unwrap();
    server.succeed(&["backup", "b"]);
    let shown = [
        server.succeed(&["operator", "list", "--json"]),
        server.succeed(&["audit", "--json"]),
        server.stderr(),
    ];
    let backup = contents(&server.folder().join("b"));
    let is_in_backup = |text: &str| backup.windows(text.len()).any(|part| part == text.as_bytes());
    for hidden in [secret.as_str(), PASSWORD, key.trim()] {
        assert!(!shown.iter().any(|text| text.contains(hidden)), "{hidden}");
        assert!(!is_in_backup(hidden), "{hidden}");
    }
    assert!(is_in_backup("argon2id"), "the search finds what is there");
    assert!(!shown.iter().any(|text| text.contains("argon2id")));
    server.stop();
    let uri = add_with_password(&server, "bob");
    assert!(uri.contains("scimd:bob"), "{uri}");
}

#[test]
fn a_password_that_is_weak_or_can_not_be_read_is_refused_and_adds_no_operator() {
    let server = Server::start();
    for (file, input, code, why) in [
        ("-", "too short\n", 2, "12 characters"),
        ("-", "ada.lovelace.ada\n", 2, "name"),
        ("-", &"x y".repeat(400), 2, "too long"),
        ("no-such-file", "", 1, "can't read the password"),
    ] {
        let args = ["operator", "add", "ada.lovelace", "--password-file", file];
        let output = run_with(&server, &args, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.starts_with("error: ") && said.contains(why), "{said}");
    }
    assert!(list(&server).is_empty());
}

#[test]
fn without_the_former_key_a_start_says_who_has_to_enrol_again() {
    let mut server = Server::start();
    add_with_password(&server, "ada");
    server.succeed(&["operator", "add", "bob"]);
    server.stop();
    fs::remove_file(server.data().join("operator-secrets.key")).unwrap();
    server.boot(&[]);
    let log = server.stderr();
    assert!(log.contains("scimd console link --operator ada"), "{log}");
    assert!(!log.contains("--operator bob"), "{log}");
    assert_eq!(list(&server)[0]["status"], "not-enrolled");
}
