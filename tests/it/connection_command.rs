//! `scimd connection`: connections are listed, added, changed and removed.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};

use crate::harness::{Server, create, user};

/// A server whose configuration has a folder for connections.
fn server() -> Server {
    let mut server = Server::configure("");
    make(conf_d(&server), 0o750);
    server.boot(&["--first-boot"]);
    server
}

fn make(folder: PathBuf, mode: u32) {
    fs::DirBuilder::new().mode(mode).create(folder).unwrap();
}

fn conf_d(server: &Server) -> PathBuf {
    server.folder().join("conf.d")
}

/// The names of all that is in `conf.d`.
fn files(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(conf_d(server)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a command says that ended with a code.
#[track_caller]
fn said(output: Output, code: i32) -> String {
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[test]
fn a_connection_is_added_changed_and_removed_while_the_server_runs() {
    let server = server();
    let add = ["connection", "add", "entra", "--method", "entra", "--scope", "own"];
    let text = said(server.run(&add), 0);
    assert!(text.contains("Connection entra added, applied"), "{text}");
    let file = conf_d(&server).join("connection-entra.toml");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
    let token = server.succeed(&["token", "generate", "--connection", "entra"]);
    let client = server.client_with(token.trim());
    create(&client, "/Users", &user("ada"));

    let text = said(
        server.run(&[
            "connection",
            "set",
            "entra",
            "--ip-allowlist",
            "192.0.2.0/24",
            "--unset",
            "scope",
        ]),
        0,
    );
    assert!(text.contains("changed, applied"), "{text}");
    client.get("/Users").error(401, None);
    let shown = said(server.run(&["connection", "show", "entra", "--json"]), 0);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["scope"], &shown["ip_allowlist"]), (&json!("all"), &json!("192.0.2.0/24")));
    assert_eq!(shown["defined_at"], "conf.d/connection-entra.toml:3:14");

    let text = said(server.run(&["connection", "remove", "entra"]), 2);
    assert!(text.contains("1 valid token and manages 1 account"), "{text}");
    let text = said(server.run(&["connection", "remove", "entra", "--yes", "--json"]), 0);
    let removed: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&removed["after"], &removed["in_force"]), (&Value::Null, &json!(true)));
    assert!(files(&server).is_empty());

    // What it did can still be looked up, also where nothing is found.
    for log in ["requests", "audit"] {
        let of_it = [log, "--json", "--connection", "entra"];
        assert!(!server.succeed(&of_it).is_empty(), "{log}");
        assert_eq!(server.succeed(&[&of_it[..], &["--since", "0s"]].concat()), "", "{log}");
    }

    // A connection with the same name is another one.
    said(server.run(&["connection", "add", "entra", "--method", "entra"]), 0);
    client.get("/Users").error(401, None);
    said(server.run(&["connection", "remove", "entra", "--yes"]), 0);

    let audit = server.succeed(&["audit", "--json"]);
    for event in ["connection.created", "connection.changed", "connection.deleted"] {
        assert!(audit.contains(event), "{event} is missing in {audit}");
    }
    assert!(audit.contains("192.0.2.0/24"), "{audit}");
}

#[test]
fn a_file_with_more_than_the_connection_is_left_alone() {
    let server = server();
    said(server.run(&["connection", "add", "b2", "--method", "okta"]), 0);
    let file = conf_d(&server).join("connection-b2.toml");
    let text = fs::read_to_string(&file).unwrap() + "\n[connections.b3]\nmethod = \"okta\"\n";
    fs::write(&file, &text).unwrap();
    server.succeed(&["reload"]);
    for args in [
        &["connection", "set", "b2", "--scope", "own"][..],
        &["connection", "remove", "b2", "--yes"],
    ] {
        let answer = said(server.run(args), 2);
        assert!(answer.contains("contains more than connection b2"), "{answer}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

#[test]
fn connections_of_the_configuration_file_are_shown_and_left_alone() {
    let server = server();
    let text = said(server.run(&["connection", "list"]), 0);
    assert!(text.contains("default") && text.contains("config.toml:4:14"), "{text}");
    for args in [
        &["connection", "set", "default", "--scope", "own"][..],
        &["connection", "add", "default", "--method", "okta"],
        &["connection", "remove", "default", "--yes"],
    ] {
        let text = said(server.run(args), 2);
        assert!(text.contains("connection default is defined at config.toml:4:14"), "{text}");
    }
    for args in [
        &["connection", "set", "nope", "--scope", "own"][..],
        &["connection", "remove", "nope"],
        &["connection", "show", "nope"],
    ] {
        let text = said(server.run(args), 4);
        assert!(text.contains("not found; configured: default"), "{text}");
    }
    assert!(files(&server).is_empty());
}

#[test]
fn wrong_and_hostile_arguments_change_nothing() {
    let server = server();
    let huge = "x".repeat(100_000);
    for args in [
        &["A", "--method", "okta"][..],
        &["../evil", "--method", "okta"],
        &["a\nb", "--method", "okta"],
        &["", "--method", "okta"],
        &["operator", "--method", "okta"],
        &[&huge, "--method", "okta"],
        &["x", "--method", "octa"],
        &["x", "--method", "custom"],
        &["x", "--method", "okta", "--scope", "none"],
        &["x", "--method", "okta", "--default-workspace", "Mian\u{1b}[2J"],
        &["x", "--method", "okta", "--ip-allowlist", "10.0.0.0/33"],
        &["x", "--method", "okta", "--service-origin", &huge],
        &["x", "--method", "okta\"\n[limits]\nmax_count = 2000\n#"],
        &["x", "--method", "okta", "--daily-requests", "0"],
    ] {
        let text = said(server.run(&[&["connection", "add"], args].concat()), 2);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.len() < 3_000, "{}", text.len());
    }
    assert!(files(&server).is_empty());
    said(server.run(&["connection", "add", "x", "--method", "okta"]), 0);
    said(server.run(&["connection", "add", "x", "--method", "okta"]), 2);
    said(server.run(&["connection", "set", "x"]), 2);
    said(server.run(&["connection", "set", "x", "--unset", "scope"]), 2);
    assert_eq!(files(&server), ["connection-x.toml"]);
}

#[test]
fn what_the_server_refuses_leaves_the_file_as_it_was() {
    let server = server();
    said(server.run(&["connection", "add", "x", "--method", "okta"]), 0);
    let file = conf_d(&server).join("connection-x.toml");
    let before = fs::read(&file).unwrap();
    // The check of the whole configuration does not read the file of the CA; the reload does.
    let set = ["connection", "set", "x", "--client-ca", "missing.pem"];
    let text = said(server.run(&set), 1);
    assert!(text.contains("missing.pem") && text.contains("the file was restored"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), before);
    let text = said(
        server.run(&["connection", "add", "y", "--method", "okta", "--client-ca", "missing.pem"]),
        1,
    );
    assert!(text.contains("missing.pem"), "{text}");
    assert_eq!(files(&server), ["connection-x.toml"]);
}

#[test]
fn two_at_once_are_both_carried_out() {
    let server = server();
    let names: Vec<String> = (0..6).map(|number| format!("c{number}")).collect();
    let children: Vec<_> = names
        .iter()
        .map(|name| {
            server.command(&["connection", "add", name, "--method", "okta"]).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let list = server.succeed(&["connection", "list"]);
    assert!(names.iter().all(|name| list.contains(name.as_str())), "{list}");
    assert_eq!(files(&server).len(), names.len());
}

#[test]
fn without_a_server_the_file_is_written_and_audited() {
    let mut server = server();
    server.stop();
    let text = said(server.run(&["connection", "add", "entra", "--method", "entra"]), 0);
    assert!(text.contains("added, to be applied at the next start"), "{text}");
    assert_eq!(files(&server), ["connection-entra.toml"]);
    assert!(server.succeed(&["audit", "--json"]).contains("connection.created"));
    said(server.run(&["connection", "remove", "entra", "--yes"]), 0);
    assert!(files(&server).is_empty());
    let none = Server::configure("");
    let text = said(none.run(&["connection", "add", "entra", "--method", "entra"]), 1);
    assert!(text.contains("data directory") && text.contains("not found"), "{text}");
    assert!(!none.data().exists());
}
