//! The command line: what it says, what it writes, how it ends.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::harness::scimd;

fn run(folder: &Path, args: &[&str]) -> Output {
    scimd(args).current_dir(folder).output().unwrap()
}

/// Insists on an exit code; what was printed on both streams.
#[track_caller]
fn ends(folder: &Path, args: &[&str], code: i32) -> (String, String) {
    let output = run(folder, args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stdout}{stderr}");
    (stdout, stderr)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Checks a configuration; what standard error says of it.
#[track_caller]
fn problems(config: &str) -> String {
    let folder = folder();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let (stdout, stderr) = ends(folder.path(), &["config", "check"], 2);
    assert_eq!(stdout, "");
    stderr
}

#[test]
fn init_writes_a_commented_file_that_is_valid_and_never_overwrites() {
    let folder = folder();
    let (stdout, stderr) = ends(folder.path(), &["init"], 0);
    assert_eq!(stdout, "");
    assert!(stderr.contains("serve --config ./config.toml --first-boot"), "{stderr}");
    let file = folder.path().join("config.toml");
    let written = fs::read_to_string(&file).unwrap();
    let settings = written.lines().filter(|line| line.contains(" = "));
    let (commented, bare): (Vec<_>, Vec<_>) = settings.partition(|line| line.contains("  # "));
    assert!(commented.len() > 20 && bare.len() < 3, "without a comment: {bare:?}");
    ends(folder.path(), &["config", "check"], 0);
    let (_, stderr) = ends(folder.path(), &["init", "--method", "okta"], 1);
    assert!(stderr.contains("config.toml already exists"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn each_option_of_init_arrives() {
    let folder = folder();
    let options = [
        "init",
        "--dir",
        "etc/scimd",
        "--data-dir",
        "/var/lib/scimd",
        "--method",
        "custom",
        "--default-workspace",
        "Sales \"EU\"",
        "--service-origin",
        "https://app.example.com",
        "--ip-allowlist",
        "192.0.2.0/24, 2001:db8::1",
        "--public-url",
        "https://scim.example.com:9443",
    ];
    ends(folder.path(), &options, 0);
    let written = fs::read_to_string(folder.path().join("etc/scimd/config.toml")).unwrap();
    for setting in [
        "data_dir = \"/var/lib/scimd\"",
        "method = \"custom\"",
        "default_workspace = \"Sales \\\"EU\\\"\"",
        "name = \"Sales \\\"EU\\\"\"",
        "service_origin = \"https://app.example.com\"",
        "address = \"0.0.0.0:9443\"",
        "ip_allowlist = \"192.0.2.0/24, 2001:db8::1\"",
        "public_url = \"https://scim.example.com:9443\"",
    ] {
        assert!(written.contains(&format!("\n{setting}")), "{setting} in {written}");
    }
    let check = ["config", "check", "--config", "etc/scimd/config.toml"];
    let (stdout, _) = ends(folder.path(), &check, 0);
    assert!(stdout.contains("https://scim.example.com:9443 on 0.0.0.0:9443"), "{stdout}");
}

#[test]
fn init_is_right_for_every_method_and_refuses_what_is_wrong() {
    for method in ["okta", "okta-custom", "entra", "custom"] {
        let folder = folder();
        ends(folder.path(), &["init", "--method", method], 0);
        ends(folder.path(), &["config", "check"], 0);
    }
    for (option, value) in [
        ("--method", "oktaa"),
        ("--ip-allowlist", "10.0.0.0/33"),
        ("--ip-allowlist", "localhost"),
        ("--public-url", "ftp://x"),
        ("--public-url", ""),
        ("--service-origin", "a b"),
        ("--default-workspace", ""),
    ] {
        let folder = folder();
        let (_, stderr) = ends(folder.path(), &["init", option, value], 2);
        let key = match option {
            "--default-workspace" => "workspaces.name".to_owned(),
            other => other.trim_start_matches("--").replace('-', "_"),
        };
        assert!(stderr.contains(&key), "{option} {value}: {stderr}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing was written");
    }
}

#[test]
fn check_prints_every_problem_with_its_line_and_key() {
    let said = problems(
        "public_ulr = \"https://x\"\ndata_dir = 5\n[listen]\naddress = \"localhost\"\ntls = \"yes\"\n\
         [connections.default]\nmethod = \"octa\"\nip_allowlist = \"10.0.0.1-\"\n\
         default_workspace = \"None\"\n[limits]\nmax_body_bytes = 1\nidle_timeout = \"5\"\n",
    );
    for (line, key, hint) in [
        (1, "public_ulr", "public_url"),
        (2, "data_dir", "path"),
        (4, "listen.address", "0.0.0.0:8443"),
        (5, "listen.tls", "boolean"),
        (7, "connections.default.method", "okta"),
        (8, "connections.default.ip_allowlist", "10.0.0.1-"),
        (9, "connections.default.default_workspace", "Main"),
        (11, "limits.max_body_bytes", "1024"),
        (12, "limits.idle_timeout", "30s"),
    ] {
        let found = said.lines().any(|told| {
            told.contains(&format!("config.toml:{line}:"))
                && told.contains(key)
                && told.contains(hint)
        });
        assert!(found, "line {line}, {key}, {hint} in:\n{said}");
    }
}

#[test]
fn check_names_what_is_no_toml_and_what_can_not_be_read() {
    let said = problems("a = 1\nb = = 2\n");
    assert!(said.contains("config.toml:2"), "{said}");
    assert!(problems("[listen]\ntls = false\naddress = \"0.0.0.0:80\"\n").contains("loopback"));
    assert!(problems("[listen]\ncertificate = \"x\"\n").contains("private_key"));
    assert!(problems("[connections.x]\nmethod = \"custom\"\n").contains("service_origin"));
    let folder = folder();
    for command in [&["config", "check"][..], &["serve"], &["token", "list"]] {
        let (_, stderr) =
            ends(folder.path(), &[command, &["--config", "missing.toml"]].concat(), 2);
        assert!(stderr.contains("missing.toml") && stderr.lines().count() == 1, "{stderr}");
    }
    fs::write(folder.path().join("config.toml"), b"\xff").unwrap();
    ends(folder.path(), &["config", "check"], 2);
}

#[test]
fn a_wrong_configuration_stops_every_command_that_needs_one() {
    let folder = folder();
    fs::write(folder.path().join("config.toml"), "nonsense = 1\n").unwrap();
    for command in
        [&["serve"][..], &["serve", "--first-boot"], &["token", "list"], &["token", "generate"]]
    {
        let (stdout, stderr) = ends(folder.path(), command, 2);
        assert_eq!(stdout, "");
        assert!(stderr.contains("config.toml:1") && stderr.contains("nonsense"), "{stderr}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was made");
}

#[test]
fn exit_codes_tell_done_from_failed_from_asked_wrongly() {
    let folder = folder();
    ends(folder.path(), &["token", "list"], 1);
    ends(folder.path(), &["token", "generate"], 1);
    let mut make = fs::DirBuilder::new();
    make.mode(0o700).create(folder.path().join("scimd-data")).unwrap();
    ends(folder.path(), &["token", "generate"], 0);
    ends(folder.path(), &["token", "list"], 0);
    ends(folder.path(), &["token", "revoke", "0123456789ab"], 4);
    let wrong: [&[&str]; 8] = [
        &[],
        &["sevre"],
        &["serve", "extra"],
        &["token"],
        &["token", "revoke"],
        &["token", "generate", "--expires", "soon"],
        &["serve", "--first-bot"],
        &["config"],
    ];
    for args in wrong {
        let (stdout, stderr) = ends(folder.path(), args, 2);
        assert!(stdout.is_empty() && !stderr.is_empty(), "{args:?}");
    }
    assert!(ends(folder.path(), &["sevre"], 2).1.contains("serve"), "it names the nearest");
}

#[test]
fn a_data_folder_that_can_not_be_made_is_a_failure_with_advice() {
    let folder = folder();
    fs::write(folder.path().join("scimd-data"), "a file").unwrap();
    let (_, stderr) = ends(folder.path(), &["token", "generate"], 1);
    assert!(stderr.contains("scimd-data") && stderr.lines().count() == 1, "{stderr}");
}

#[test]
fn help_tells_what_each_command_does() {
    let folder = folder();
    let commands: [(&[&str], &[&str]); 14] = [
        (
            &[],
            &["init", "serve", "setup", "token", "user", "group", "config", "manual", "--config"],
        ),
        (
            &["init"],
            &[
                "--dir",
                "--data-dir",
                "--method",
                "--default-workspace",
                "--service-origin",
                "--ip-allowlist",
                "--public-url",
            ],
        ),
        (&["serve"], &["SIGTERM", "--first-boot", "certificate", "token"]),
        (&["token"], &["generate", "reset", "list", "revoke"]),
        (
            &["token", "generate"],
            &["--connection", "--expires", "365d", "never", "--output", "stdout"],
        ),
        (&["token", "reset"], &["--connection", "--overlap", "24h", "--expires", "--output"]),
        (&["token", "list"], &["--json"]),
        (&["token", "revoke"], &["<ID>"]),
        (&["setup"], &["--connection", "--json", "setup instructions"]),
        (&["user", "list"], &["--json"]),
        (&["user", "show"], &["<USER>", "userName", "--json"]),
        (&["group", "list"], &["--json"]),
        (&["group", "show"], &["<GROUP>", "displayName", "members", "--json"]),
        (&["config", "check"], &["files that it names", "--data", "--json"]),
    ];
    for (command, words) in commands {
        let (stdout, stderr) = ends(folder.path(), &[command, &["--help"]].concat(), 0);
        for word in words.iter().chain(&["--config"]) {
            assert!(stdout.contains(word), "{command:?}: {word} in {stdout}");
        }
        assert_eq!(stderr, "");
    }
}

#[test]
fn the_version_is_the_packages() {
    let version = format!("scimd {}\n", env!("CARGO_PKG_VERSION"));
    for flag in ["--version", "-V"] {
        assert_eq!(ends(folder().path(), &[flag], 0).0, version);
    }
    let folder = folder();
    let build: serde_json::Value =
        serde_json::from_str(&ends(folder.path(), &["version", "--json"], 0).0).unwrap();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    for format in ["journal", "snapshot", "record"] {
        assert!(build["formats"][format].as_u64() > Some(0), "{build}");
    }
    let shown = ends(folder.path(), &["version"], 0).0;
    assert!(shown.contains("Version  ") && shown.contains("record 2"), "{shown}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "it needs and makes nothing");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let folder = folder();
    let binary = env!("CARGO_BIN_EXE_scimd");
    let line = format!("'{binary}' token list | true; '{binary}' config check >&-; echo end");
    let output = std::process::Command::new("sh").args(["-c", &line]).current_dir(&folder).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(String::from_utf8_lossy(&output.stdout).contains("end"));
    assert!(!stderr.contains("panicked"), "{stderr}");
}
