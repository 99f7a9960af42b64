//! Signs that tell the truth: what a check, a reload and a command without a server say.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, create, scimd, user};

const OKTA: &str = "[connections.okta]\nmethod = \"okta\"\n";

/// A folder with a configuration that names a certificate and its key.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "public_url = \"https://scim.example.com\"\ndata_dir = \"data\"\n[listen]\naddress = \"127.0.0.1:8443\"\n\
         trusted_proxies = []\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n{OKTA}"
    );
    fs::write(folder.path().join("config.toml"), config).unwrap();
    pair(folder.path(), names);
    folder
}

/// Writes a certificate for some names, and its key.
fn pair(folder: &Path, names: &[&str]) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    mode(&folder.join("key.pem"), 0o600);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs a command; its exit code, standard output and standard error.
fn run(folder: &Path, args: &[&str]) -> (i32, String, String) {
    let output = scimd(args).current_dir(folder).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_finds_the_certificates_that_a_start_refuses() {
    let folder = folder(&["scim.example.com"]);
    let path = folder.path();
    let (code, stdout, stderr) = run(path, &["config", "check"]);
    assert!(code == 0 && stdout.contains("is valid"), "{stdout}{stderr}");
    assert!(!stderr.contains("is not for"), "{stderr}");
    let key = path.join("key.pem");
    let other = || {
        fs::write(&key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
        mode(&key, 0o600);
    };
    let spoiled: [(&dyn Fn(), &str); 5] = [
        (&|| mode(&key, 0o644), "key.pem"),
        (&|| fs::remove_file(&key).unwrap(), "key.pem"),
        (&|| fs::write(&key, "nothing").unwrap(), "no usable private key"),
        (&other, "does not belong"),
        (&|| fs::remove_file(path.join("cert.pem")).unwrap(), "cert.pem"),
    ];
    for (spoil, words) in spoiled {
        pair(path, &["scim.example.com"]);
        spoil();
        let (code, stdout, stderr) = run(path, &["config", "check"]);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(words), "{words}: {stderr}");
    }
    assert!(!path.join("data").exists(), "a check creates nothing");
}

#[test]
fn check_warns_of_what_clients_will_refuse_and_prints_json() {
    let folder = folder(&["other.example.com"]);
    let (code, _, stderr) = run(folder.path(), &["config", "check"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("is not for scim.example.com"), "{stderr}");
    assert!(stderr.contains("connection okta: listen.address is 127.0.0.1:8443"), "{stderr}");
    let (code, stdout, _) = run(folder.path(), &["config", "check", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["valid"], &report["errors"]), (0, &json!(true), &json!([])));
    assert!(!report["warnings"].as_array().unwrap().is_empty());
    fs::write(folder.path().join("config.toml"), "colour = 1\n[listen]\nadress = 1\n").unwrap();
    let (code, stdout, _) = run(folder.path(), &["config", "check", "--json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["valid"]), (2, &json!(false)));
    assert_eq!(report["errors"].as_array().unwrap().len(), 2, "{report}");
}

#[test]
fn check_with_data_names_the_accounts_that_a_start_would_refuse() {
    let server =
        Server::start_with("[[workspaces]]\nname = \"Main\"\n[[workspaces]]\nname = \"Sales\"\n");
    let mut body = user("ada");
    body["entitlements"] = json!([{"value": "workspace:Sales"}]);
    create(&server.client(), "/Users", &body);
    let succeed = server.run(&["config", "check", "--data"]);
    assert!(succeed.status.success(), "{succeed:?}");
    server.rewrite(|text| text.replace("[[workspaces]]\nname = \"Sales\"\n", ""));
    assert!(server.run(&["config", "check"]).status.success(), "the file itself is right");
    let said = server.run(&["config", "check", "--data"]);
    let said = (said.status.code(), String::from_utf8(said.stderr).unwrap());
    assert!(said.0 == Some(2) && said.1.contains("ada"), "{said:?}");
    let (code, reason) = (1, server.run(&["reload"]));
    assert_eq!(reason.status.code(), Some(code));
    assert!(String::from_utf8(reason.stderr).unwrap().contains("ada"));
}

#[test]
fn reload_waits_and_says_what_came_of_it() {
    let server = Server::start_with(OKTA);
    server.rewrite(|text| format!("{text}[connections.second]\nmethod = \"entra\"\n"));
    let output = server.run(&["reload"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("Configuration reloaded"), "{said}");
    assert!(said.contains("connections.second changed from none"), "{said}");
    server.succeed(&["token", "generate", "--connection", "second"]);
    server.rewrite(|text| format!("{text}colour = 1\n"));
    let said = server.run(&["reload"]);
    let stderr = String::from_utf8(said.stderr).unwrap();
    // The command itself can't read the file.
    assert_eq!(said.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("unknown key \"connections.second.colour\""), "{stderr}");
}

#[test]
fn reload_without_a_server_ends_with_3() {
    let server = Server::configure(OKTA);
    let said = server.fail(&["reload"], 3);
    assert!(said.contains("scimd is not running"), "{said}");
    assert!(!server.data().exists());
}

#[test]
fn commands_without_a_server_create_no_data_directory() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["token", "generate"][..],
        &["token", "list"],
        &["user", "list"],
        &["brake"],
        &["brake", "hold"],
        &["audit"],
    ] {
        let (code, stdout, stderr) = run(folder.path(), args);
        assert!(code != 0 && stdout.is_empty(), "{args:?}: {stdout}");
        assert!(stderr.contains("data directory scimd-data not found"), "{args:?}: {stderr}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{args:?}");
    }
    let mut make = fs::DirBuilder::new();
    make.mode(0o700).create(folder.path().join("scimd-data")).unwrap();
    let (code, stdout, _) = run(folder.path(), &["token", "generate"]);
    assert!(code == 0 && stdout.starts_with("scimd_"));
}

#[test]
fn the_environment_names_the_configuration_and_verbose_says_which_is_used() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = folder.path().join("own.toml");
    fs::write(&file, format!("data_dir = \"store\"\n{OKTA}")).unwrap();
    let run = |args: &[&str]| {
        let mut command = scimd(args);
        let output = command.current_dir(&other).env("SCIMD_CONFIG", &file).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (stdout, stderr) = run(&["config", "check", "-v"]);
    assert!(stdout.contains("own.toml is valid"), "{stdout}");
    let shown = format!("Using configuration {}, data directory ", file.display());
    assert!(stderr.starts_with(&shown) && stderr.contains("store"), "{stderr}");
    let (stdout, _) = run(&["setup"]);
    assert!(stdout.starts_with("Connection okta"), "{stdout}");
}

#[test]
fn init_names_the_connection_after_the_method_and_listens_on_8443() {
    let folder = tempfile::tempdir().unwrap();
    let url = "https://scim.example.com";
    let (code, _, stderr) = run(folder.path(), &["init", "--method", "okta", "--public-url", url]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("scimd listens on 0.0.0.0:8443"), "{stderr}");
    let (_, stdout, _) = run(folder.path(), &["config", "check"]);
    assert!(stdout.contains("on 0.0.0.0:8443, connections: okta."), "{stdout}");
    fs::remove_file(folder.path().join("config.toml")).unwrap();
    let options = ["init", "--method", "entra", "--name", "hr", "--listen", "127.0.0.1:9000"];
    assert_eq!(run(folder.path(), &options).0, 0);
    let (_, stdout, _) = run(folder.path(), &["config", "check"]);
    assert!(stdout.contains("on 127.0.0.1:9000, connections: hr."), "{stdout}");
    fs::remove_file(folder.path().join("config.toml")).unwrap();
    for wrong in [
        "--name=A B",
        "--name=",
        "--name=x\n[evil]",
        "--listen=8443",
        "--public-url=https://a/scim/v2",
    ] {
        let (code, _, stderr) = run(folder.path(), &["init", "--method", "okta", wrong]);
        assert_eq!(code, 2, "{wrong}: {stderr}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{wrong}");
    }
}

#[test]
fn the_last_denial_of_a_token_is_shown_apart_from_its_last_use() {
    let mut server = Server::start();
    let client = server.client_with(server.token()).header("X-Request-Origin", "elsewhere");
    client.get("/Users").expect(401);
    server.until("the denial is recorded", |server| {
        server.succeed(&["token", "list"]).contains("X-Request-Origin")
    });
    let listed = server.succeed(&["token", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert!(
        listed[0]["last_used"].is_null() && listed[0]["last_denied"]["time"].is_string(),
        "{listed}"
    );
    create(&server.client(), "/Users", &user("ada"));
    server.stop();
    let listed = server.succeed(&["token", "list"]);
    assert!(listed.contains("X-Request-Origin"), "{listed}");
}

#[test]
fn doctor_counts_denials_of_revoked_and_expired_tokens_and_names_them() {
    let mut server = Server::start();
    let token = server.succeed(&["token", "generate", "--expires", "1s"]);
    let listed = server.succeed(&["token", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let ids: Vec<&str> = (0..2).map(|at| listed[at]["id"].as_str().unwrap()).collect();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    server.client_with(token.trim()).get("/Users").expect(401);
    server.succeed(&["token", "revoke", ids[0], "--yes"]);
    server.client().get("/Users").expect(401);
    server.client().get("/Users").expect(401);
    let found = |server: &Server| {
        let output = server.run(&["doctor", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = found.as_array().unwrap();
        let denied = checks.iter().find(|check| check["check"] == "denied requests").unwrap();
        denied["found"].as_str().unwrap().to_owned()
    };
    let revoked = format!("2 with token {}: the token is unknown or was revoked", ids[0]);
    let expired = format!("1 with token {}: the token has expired", ids[1]);
    server.until("both are counted", |server| {
        let found = found(server);
        found.contains(&revoked) && found.contains(&expired)
    });
}

#[test]
fn unknown_events_are_refused_with_the_known_ones() {
    let server = Server::configure_with_data("");
    let refused = |event: &str| {
        let output = server.run(&["audit", "--event", event]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused("user.patchd").contains("did you mean user.patched"));
    assert!(refused("foo").contains("connection"), "{}", refused("foo"));
    assert!(refused("clock.zzzzzzzz").contains("clock.accepted"));
}
