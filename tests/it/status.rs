//! `scimd status` and `scimd doctor`: what they find, and their exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Server, create, user};

/// What `status --json` prints, and its exit code.
fn status(server: &Server) -> (Value, Option<i32>) {
    let output = server.run(&["status", "--json"]);
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code())
}

#[test]
fn status_says_whether_all_is_well_and_ends_with_a_code_for_it() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let (well, code) = status(&server);
    assert_eq!((&well["running"], &well["findings"], code), (&true.into(), &json!([]), Some(0)));
    let connection = &well["server"]["connections"][0];
    assert_eq!(connection["name"], "default");
    assert_eq!(connection["traffic"]["errors"], 0);
    assert!(connection["traffic"]["last_success"].is_string(), "{well}");
    assert_eq!(well["server"]["pid"], server.pid());
    assert!(well["server"]["config_file"].as_str().unwrap().ends_with("/config.toml"));
    let printed = server.succeed(&["status"]);
    assert!(printed.contains("All is well.") && printed.contains("LAST SUCCESS"), "{printed}");

    server.client().post("/Users", &user("ada")).expect(409);
    server.client().get("/Users/nobody").expect(404);
    server.succeed(&["brake", "pause"]);
    let (ill, code) = status(&server);
    assert_eq!(code, Some(1), "{ill}");
    let findings = ill["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2, "{ill}");
    assert!(findings[0]["action"].as_str().unwrap().contains("brake resume"), "{ill}");
    assert!(findings[1]["finding"].as_str().unwrap().starts_with("1 request of"), "{ill}");

    server.stop();
    let (stopped, code) = status(&server);
    assert_eq!((&stopped["running"], code), (&false.into(), Some(3)));
    assert!(server.fail(&["status"], 3).contains("not running"));
}

#[test]
fn status_finds_a_connection_without_a_token() {
    let server = Server::start();
    let tokens: Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    server.succeed(&["token", "revoke", tokens[0]["id"].as_str().unwrap()]);
    let (found, code) = status(&server);
    assert_eq!(code, Some(1));
    assert!(found["findings"][0]["action"].as_str().unwrap().contains("token generate"), "{found}");
}

#[test]
fn doctor_checks_what_an_identity_provider_needs() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let well = server.succeed(&["doctor"]);
    assert!(well.contains("certificate name") && !well.contains("FAILED"), "{well}");
    server.client().header("X-Request-Origin", "twice").get("/Users").expect(401);
    server.until("the denial is in the audit log", |server| {
        server.succeed(&["audit"]).contains("request.refused")
    });
    let ill = server.run(&["doctor", "--json", "--connection", "default"]);
    assert_eq!(ill.status.code(), Some(1));
    let ill: Value = serde_json::from_slice(&ill.stdout).unwrap();
    let failed: Vec<&Value> =
        ill.as_array().unwrap().iter().filter(|check| check["verdict"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{ill}");
    assert!(failed[0]["found"].as_str().unwrap().contains("X-Request-Origin"), "{ill}");
    server.stop();
    assert!(server.fail(&["doctor", "--connection", "nope"], 4).contains("nope"));
    let stopped = server.run(&["doctor"]);
    assert_eq!(stopped.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("not running"));
}

#[test]
fn doctor_finds_a_certificate_for_another_name() {
    let server = Server::start_with("public_url = \"https://127.0.0.1:9\"");
    server.rewrite(|text| text.replace("https://127.0.0.1:9", "https://scim.invalid:9"));
    let output = server.run(&["doctor", "--json"]);
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.contains("it is not for scim.invalid"), "{found}");
    assert!(found.contains("does not resolve here"), "{found}");
}

#[test]
fn doctor_waits_for_the_first_request_and_names_what_arrives_before_it() {
    let server = Server::start();
    let mut waiting = server.command(&["doctor", "--wait", "20s"]);
    let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(waiting.stderr.take().unwrap()).lines();
    assert!(notes.next().unwrap().unwrap().contains("for a request of connection"));
    server.stranger().get("/Users").expect(401);
    server.client().get("/Nothing").expect(404);
    drop(std::net::TcpStream::connect(("127.0.0.1", server.port())).map(|mut plain| {
        use std::io::{Read as _, Write as _};
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let _ = plain.read(&mut [0; 16]);
    }));
    let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let mut seen = [next(), next(), next()];
    seen.sort();
    assert!(seen[0].starts_with("A TLS handshake failed"), "{seen:?}");
    assert!(seen[1].starts_with("GET /scim/v2/Nothing"), "{seen:?}");
    assert!(seen[2].contains("no bearer token was sent"), "{seen:?}");
    server.client().get("/Users").expect(200);
    assert!(next().contains("200") && next().contains("works"));
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn the_last_backup_is_shown() {
    let server = Server::start();
    let before = server.run(&["status"]);
    assert!(String::from_utf8(before.stdout).unwrap().contains("none yet: `scimd backup FILE`"));
    server.succeed(&["backup", "saved"]);
    let shown = String::from_utf8(server.run(&["status"]).stdout).unwrap();
    assert!(shown.contains("saved (verified, signed)"), "{shown}");
    let json = server.run(&["status", "--json"]).stdout;
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert!(json["last_backup"]["file"].as_str().unwrap().ends_with("/saved"), "{json}");
}
