//! How commands end: the exit code of each kind of failure, and the one form in which it is reported.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{Server, create, scimd, user};

/// Insists on an exit code, and on nothing but lines `error: ...` on standard error; these lines.
#[track_caller]
fn fails(output: &Output, code: i32, args: &[&str]) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
    assert!(!stderr.contains("os error"), "{args:?}: {stderr}");
    stderr
}

const NOBODY: &str = "0190b7a5-0000-7000-8000-000000000000";

/// Commands that name something that does not exist.
const NOT_FOUND: [&[&str]; 31] = [
    &["user", "show", "nobody"],
    &["user", "show", NOBODY],
    &["user", "deactivate", "nobody"],
    &["user", "activate", "nobody"],
    &["user", "transfer", "nobody", "--to", "default"],
    &["user", "transfer", "ada", "--to", "nope"],
    &["user", "list", "--connection", "nope"],
    &["user", "list", "--group", "nope"],
    &["access", "why", "nobody"],
    &["access", "why", "ada", "--permission", "role:nope"],
    &["access", "who", "no such thing"],
    &["access", "what-if", "nobody", "--group", "nope"],
    &["access", "what-if", "ada", "--group", "nope"],
    &["access", "what-if", "ada", "--grant", "role:nope"],
    &["group", "show", "nobody"],
    &["group", "add-member", "nobody", "ada"],
    &["group", "list", "--connection", "nope"],
    &["token", "generate", "--connection", "nope"],
    &["token", "reset", "--connection", "nope"],
    &["token", "revoke", "0123456789ab"],
    &["operator", "set", "nobody", "--role", "viewer"],
    &["operator", "remove", "nobody"],
    &["setup", "--connection", "nope"],
    &["connection", "show", "nope"],
    &["connection", "set", "nope", "--scope", "own"],
    &["connection", "remove", "nope"],
    &["brake", "pause", "--connection", "nope"],
    &["brake", "resume", "--connection", "nope"],
    &["brake", "allow", "5", "--connection", "nope"],
    &["requests", "show", "nope"],
    &["audit", "--user", "nobody"],
];

/// The same, where a running server is not asked.
const NOT_FOUND_EITHER: [&[&str]; 6] = [
    &["audit", "--connection", "nope"],
    &["requests", "--connection", "nope"],
    &["requests", "--capture", "1m", "--connection", "nope"],
    &["brake", "show", "nope"],
    &["doctor", "--connection", "nope"],
    &["undo", "--since", "1h", "--connection", "nope", "--dry-run"],
];

#[test]
fn what_does_not_exist_is_code_4_with_and_without_a_server() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    for args in NOT_FOUND.iter().chain(&NOT_FOUND_EITHER) {
        let said = fails(&server.run(args), 4, args);
        assert!(
            ["not found", "no audit entries", "Unknown role", "is no permission"]
                .iter()
                .any(|words| said.contains(words)),
            "{args:?}: {said}"
        );
    }
    server.stop();
    for args in NOT_FOUND.iter().filter(|args| args[0] != "connection") {
        fails(&server.run(args), 4, args);
    }
}

#[test]
fn wrong_usage_is_code_2() {
    let server = Server::start();
    let wrong: [&[&str]; 13] = [
        &["sevre"],
        &["operator", "add", "a b"],
        &["operator", "add", "ada", "--role", "root"],
        &["operator", "set", "ada"],
        &["access", "what-if", "ada"],
        &["access", "who"],
        &["user", "show"],
        &["token", "generate", "--expires", "soon"],
        &["audit", "--since", "yesterday"],
        &["undo", "--since", "1h"],
        &["undo", "--since", "1h", "--json"],
        &["connection", "set", "default"],
        &["config", "check", "--config", "nope.toml"],
    ];
    create(&server.client(), "/Users", &user("ada"));
    for args in wrong.iter().filter(|args| args[..] != ["undo", "--since", "1h"]) {
        let output = server.run(args);
        match args.contains(&"--json") {
            true => assert_eq!(output.status.code(), Some(2), "{args:?}"),
            false => drop(fails(&output, 2, args)),
        }
    }
    let config = fs::read_to_string(server.folder().join("config.toml")).unwrap();
    fs::write(server.folder().join("wrong.toml"), format!("a = 1\nb = 2\n{config}")).unwrap();
    let args = ["config", "check", "--config", "wrong.toml"];
    let said = fails(&server.run(&args), 2, &args);
    assert_eq!(said.lines().filter(|line| line.starts_with("error: wrong.toml:")).count(), 2);
    let (a, b) = (said.contains("wrong.toml:1:1:"), said.contains("wrong.toml:2:1:"));
    assert!(a && b && said.lines().count() == 2, "{said}");
}

#[test]
fn a_file_that_can_not_be_written_is_code_1() {
    let server = Server::start();
    fs::write(server.folder().join("there"), "").unwrap();
    for path in ["there", "no/such/folder"] {
        let wrong: [&[&str]; 3] = [
            &["token", "generate", "--output", path],
            &["token", "reset", "--connection", "default", "--output", path],
            &["backup", path],
        ];
        for args in wrong {
            assert!(fails(&server.run(args), 1, args).contains("can't create"), "{args:?}");
        }
    }
    fails(&server.run(&["init"]), 1, &["init"]);
    fails(&server.run(&["restore", "no-such-file"]), 1, &["restore"]);
}

#[test]
fn what_needs_a_server_is_code_3_without_one() {
    let mut server = Server::start();
    server.stop();
    let need: [&[&str]; 3] = [&["status"], &["reload"], &["requests", "--capture", "1m"]];
    for args in need {
        assert!(fails(&server.run(args), 3, args).contains("start"), "{args:?}");
    }
}

/// A command as a user who may read the configuration, and not the data folder.
fn as_another_user(folder: &Path, args: &[&str]) -> Output {
    let mut command: Command = scimd(args);
    if fs::metadata("/proc/self").is_ok() && rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.current_dir(folder).output().unwrap()
}

#[test]
fn what_this_user_may_not_do_is_code_5() {
    let mut server = Server::start();
    let folder = server.folder().to_owned();
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(&folder, 0o755);
    set_mode(&folder.join("config.toml"), 0o644);
    for stopped in [false, true] {
        if stopped {
            server.stop();
        }
        // Also the owner may not, where the tests are not run by root.
        set_mode(&server.data(), 0o000);
        let commands: [&[&str]; 8] = [
            &["user", "list"],
            &["user", "deactivate", "ada"],
            &["token", "list"],
            &["token", "generate"],
            &["audit"],
            &["export"],
            &["verify"],
            &["undo", "--since", "1h", "--dry-run"],
        ];
        for args in commands {
            let output = as_another_user(&folder, &[args, &["--config", "config.toml"]].concat());
            let said = fails(&output, 5, args);
            assert!(said.contains("sudo") && said.lines().count() == 1, "{args:?}: {said}");
        }
        set_mode(&server.data(), 0o700);
    }
    set_mode(&folder.join("config.toml"), 0o600);
    let output = as_another_user(&folder, &["user", "list", "--config", "config.toml"]);
    if rustix::process::geteuid().is_root() {
        assert!(fails(&output, 5, &[]).contains("config.toml"));
    }
}

#[test]
fn what_is_done_already_is_no_failure() {
    let mut server = Server::start();
    let id = server.succeed(&["token", "list", "--json"]);
    let id = serde_json::from_str::<serde_json::Value>(&id).unwrap()[0]["id"].to_string();
    let id = id.trim_matches('"').to_owned();
    for args in [&["brake", "resume"][..], &["brake", "resume", "--connection", "default"]] {
        let output = server.run(args);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("is paused") || args.len() > 2);
    }
    for command in ["pause", "pause", "resume", "resume"] {
        assert!(server.run(&["brake", command]).status.success(), "{command}");
    }
    assert!(server.run(&["token", "revoke", &id]).status.success());
    for stopped in [false, true] {
        if stopped {
            server.stop();
        }
        let again = server.run(&["token", "revoke", &id]);
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(again.status.success() && said.contains("revoked already"), "{said}");
    }
}
