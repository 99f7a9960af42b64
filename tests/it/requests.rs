//! The request log: what operators learn of each request, and what it never holds.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{Server, USER, create, encode, files, files_with, group, user};

/// What `requests --json` prints with these options.
#[track_caller]
fn requests(server: &Server, options: &[&str]) -> Vec<Value> {
    let printed = server.succeed(&[&["requests", "--json"], options].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Methods and statuses, in order.
fn answers(requests: &[Value]) -> Vec<(&str, u64)> {
    let answer = |request: &'_ Value| request["status"].as_u64().unwrap();
    requests.iter().map(|request| (request["method"].as_str().unwrap(), answer(request))).collect()
}

/// A user with access to a workspace that does not exist.
fn misspelt() -> Value {
    json!({"schemas": [USER], "userName": "ada", "entitlements": [{"value": "workspace:Mian"}]})
}

/// The files of the request log.
fn log_files(server: &Server) -> Vec<PathBuf> {
    files(&server.data().join("requests"))
}

#[test]
fn a_failed_request_is_found_with_its_sentence_and_explained() {
    let mut server = Server::start();
    let refused = server.client().post("/Users", &misspelt());
    let detail = refused.error(400, Some("invalidValue")).to_owned();
    let id = refused.header("x-request-id").to_owned();
    server.until("the log names it", |server| server.stderr().contains(&id));
    let log = server.stderr();
    let line = log.lines().find(|line| line.contains(&id)).unwrap();
    assert!(
        line.contains("WARN") && line.contains("invalidValue") && line.contains("Mian"),
        "{line}"
    );
    let check = |server: &Server| {
        let failed = requests(server, &["--failed"]);
        assert_eq!(answers(&failed), [("POST", 400)]);
        for (field, value) in [
            ("id", id.as_str()),
            ("detail", &detail),
            ("scim_type", "invalidValue"),
            ("connection", "default"),
            ("address", "127.0.0.1"),
            ("path", "/scim/v2/Users"),
        ] {
            assert_eq!(failed[0][field], *value, "{field}");
        }
        let shown = server.succeed(&["requests", "show", &id]);
        assert!(shown.contains(&detail) && shown.contains("missing to config.toml"), "{shown}");
        let unknown = server.fail(&["requests", "show", "nope"], 4);
        assert!(unknown.contains("\"nope\" not found"), "{unknown}");
    };
    check(&server);
    server.stop();
    check(&server);
}

#[test]
fn requests_are_found_by_user_and_connection_and_name_what_they_changed() {
    let server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("ada@example.com"));
    create(&client, "/Users", &user("grace@example.com"));
    client.get(&path).expect(200);
    client.post("/Users", &user("ADA@example.com")).expect(409);
    client.patch(&path, &json!([{"op": "replace", "path": "active", "value": false}])).expect(200);
    let expected = [("POST", 201), ("GET", 200), ("POST", 409), ("PATCH", 200)];
    for name in [id.as_str(), "Ada@Example.com"] {
        let found = requests(&server, &["--user", name]);
        let named = found.iter().filter(|request| name != id || request["resource"] == *id);
        assert!(named.count() >= 3, "{found:?}");
        assert_eq!(answers(&found)[0], expected[0]);
    }
    let found = requests(&server, &["--user", "ada@example.com"]);
    assert_eq!(answers(&found), expected);
    let audit = server.succeed(&["audit", "--json"]);
    for (request, event) in [(&found[0], "user.created"), (&found[3], "user.patched")] {
        let sequence = request["change"]["sequence"].as_u64().unwrap();
        let mut changes = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let change = changes.find(|change| change["sequence"] == sequence).unwrap();
        assert_eq!((&change["event"], &change["subject"]), (&event.into(), &id.clone().into()));
    }
    assert!(found[1]["change"].is_null() && found[2]["change"].is_null(), "they changed nothing");
    assert_eq!(requests(&server, &["--connection", "default", "--limit", "2"]).len(), 2);
    assert!(server.fail(&["requests", "--connection", "other"], 4).contains("not found"));
    assert!(requests(&server, &["--since", "2020-01-01", "--failed"]).len() == 1);
}

#[test]
fn requests_are_followed_as_they_are_answered() {
    let server = Server::start();
    let mut follow = server.command(&["requests", "--follow", "--json"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    for name in ["ada", "grace"] {
        create(&server.client(), "/Users", &user(name));
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(line["status"], 201);
    }
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn a_line_that_a_crash_has_cut_costs_no_other() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    assert_eq!(requests(&server, &[]).len(), 1);
    server.kill();
    let [file] = &log_files(&server)[..] else { panic!("one file") };
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let folder = file.parent().unwrap().metadata().unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let whole = fs::read(file).unwrap();
    let mut open = fs::OpenOptions::new().append(true).open(file).unwrap();
    open.write_all(&whole[..whole.len() / 2]).unwrap();
    assert_eq!(requests(&server, &[]).len(), 1, "without a server");
    server.boot(&[]);
    create(&server.client(), "/Users", &user("grace"));
    assert_eq!(requests(&server, &[]).len(), 2);
}

#[test]
fn nothing_secret_and_no_value_of_a_query_or_body_is_recorded() {
    let server = Server::start();
    let client = server.client();
    let body = json!({"schemas": [USER], "userName": "ada", "password": "hunter2hunter2",
                      "nickName": "Countess", "shoeSize": 38});
    create(&client, "/Users", &body);
    let filter = encode("nickName eq \"Countess\" and emails[type eq \"work\"]");
    client.get(&format!("/Users?filter={filter}")).expect(200);
    client.get("/Users?filter=nickName%20eq%20Countess%20oops").expect(400);
    client.get(&format!("/Users/{}", server.token())).expect(404);
    client.get(&format!("/{}", server.token())).expect(404);
    let found = requests(&server, &[]);
    assert_eq!(found.len(), 5);
    assert_eq!(found[0]["ignored"], json!(["shoeSize"]));
    assert_eq!(found[1]["filter"], "nickName eq, emails.type eq");
    assert!(found[2]["filter"].is_null());
    let secret = server.token().trim_start_matches("scimd_");
    for secret in ["hunter2", "Countess", secret] {
        let holders = files_with(&server.data().join("requests"), secret);
        assert!(holders.is_empty(), "{secret} is in {holders:?}");
    }
}

#[test]
fn denied_requests_are_recorded_with_their_reason_and_repeated_ones_counted() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let denied = server.stranger().get("/Users").expect(401);
    for _ in 0..9 {
        server.stranger().get("/Users").expect(401);
    }
    let id = denied.header("x-request-id").to_owned();
    let shown = server.succeed(&["requests", "show", &id]);
    assert!(shown.contains("no bearer token was sent"), "{shown}");
    server.stop();
    let found = requests(&server, &[]);
    assert_eq!(answers(&found[..2]), [("POST", 201), ("GET", 401)]);
    assert_eq!(found[2]["repeated"]["count"], 9, "{found:?}");
    let printed = server.succeed(&["requests", "--failed"]);
    assert!(printed.contains("9 more denied"), "{printed}");
}

#[test]
fn no_backup_holds_the_request_log_and_a_restore_leaves_it() {
    let mut server = Server::start();
    create(&server.client(), "/Groups", &group("Board", &[]));
    server.client().post("/Users", &misspelt()).expect(400);
    server.succeed(&["backup", "saved"]);
    server.stop();
    for file in ["journal", "database", "snapshots"] {
        let _ = fs::remove_dir_all(server.data().join(file));
    }
    let left: Vec<String> = fs::read_dir(server.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for name in left.iter().filter(|name| !["requests", "tls"].contains(&name.as_str())) {
        let path = server.data().join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    server.succeed(&["restore", "saved"]);
    assert_eq!(requests(&server, &[]).len(), 2, "it is not among what a restore needs empty");
    fs::remove_dir_all(server.data()).unwrap();
    server.succeed(&["restore", "saved"]);
    assert!(requests(&server, &[]).is_empty());
}

#[test]
fn a_limit_of_nothing_keeps_nothing_and_a_reload_changes_it() {
    let mut server = Server::start_with("[requests]\nmax_mib = 0");
    create(&server.client(), "/Users", &user("ada"));
    assert!(requests(&server, &[]).is_empty() && !server.data().join("requests/served").exists());
    server.reconfigure(|text| text.replace("max_mib = 0", "max_mib = 1"));
    create(&server.client(), "/Users", &user("grace"));
    assert_eq!(requests(&server, &[]).len(), 1);
}

#[test]
fn bodies_are_kept_for_a_while_with_secrets_masked_and_that_is_audited() {
    let mut server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("before"));
    server.succeed(&["requests", "--capture", "10m", "--connection", "default"]);
    let body = json!({"schemas": [USER], "userName": "ada", "password": "hunter2hunter2"});
    let created = client.post("/Users", &body).expect(201);
    let id = created.header("x-request-id");
    let found = requests(&server, &[]);
    assert!(found[0].get("bodies").is_none(), "{found:?}");
    let kept: Value =
        serde_json::from_str(found[1]["bodies"]["request"].as_str().unwrap()).unwrap();
    assert_eq!((&kept["userName"], &kept["password"]), (&"ada".into(), &"***".into()));
    assert!(found[1]["bodies"]["answer"].as_str().unwrap().contains("\"userName\":\"ada\""));
    assert!(server.succeed(&["requests", "show", id]).contains("\"password\":\"***\""));
    assert!(files_with(&server.data().join("requests"), "hunter2").is_empty());
    let audit = server.succeed(&["audit", "--json"]);
    assert!(audit.contains("\"connection.captured\"") && audit.contains("until"), "{audit}");
    server.succeed(&["requests", "--capture", "0s"]);
    create(&client, "/Users", &user("after"));
    assert!(requests(&server, &[])[2].get("bodies").is_none());
    let unknown = server.fail(&["requests", "--capture", "10m", "--connection", "nope"], 4);
    assert!(unknown.contains("nope"), "{unknown}");
    server.stop();
    server.fail(&["requests", "--capture", "10m"], 3);
}

#[test]
fn a_failed_request_is_found_by_the_names_in_its_body() {
    let server = Server::start();
    let mut body = misspelt();
    body["externalId"] = "00u1dhh".into();
    server.client().post("/Users", &body).expect(400);
    for name in ["Ada", "00u1dhh"] {
        assert_eq!(answers(&requests(&server, &["--user", name])), [("POST", 400)], "{name}");
    }
    assert!(requests(&server, &["--user", "grace"]).is_empty());
    create(&server.client(), "/Users", &user("grace"));
    let found = requests(&server, &[]);
    assert_eq!(found[0]["claimed"], json!(["ada", "00u1dhh"]));
    assert!(found[1].get("claimed").is_none(), "a success keeps no names");
}

#[test]
fn the_advice_fits_broken_json_and_missing_members() {
    let server = Server::start();
    let client = server.client();
    let broken = client.send("POST", "/Users", Some(b"{\"userName\": \"ada\"")).expect(400);
    let nobody = "0190b5a0-0000-7000-8000-000000000000";
    let missing = client.post("/Groups", &group("Board", &[nobody])).expect(400);
    for (answer, words) in [(broken, "sent no JSON object"), (missing, "unknown_members")] {
        let shown = server.succeed(&["requests", "show", answer.header("x-request-id")]);
        assert!(shown.replace('\n', " ").contains(words), "{shown}");
    }
}

#[test]
fn bodies_are_kept_from_each_start_and_no_longer_than_allowed() {
    let mut server = Server::start_with(
        "[requests]\nbodies_for = \"10m\"\n[[schemas]]\nid = \"urn:example:User\"\n\
         [[schemas.attributes]]\nname = \"badgePin\"\ntype = \"string\"\nmutability = \"writeOnly\"\nreturned = \"never\"\n",
    );
    let body = json!({"schemas": [USER, "urn:example:User"], "userName": "ada",
                      "urn:example:User": {"badgePin": "hunter2hunter2"}});
    create(&server.client(), "/Users", &body);
    let found = requests(&server, &[]);
    let kept = found[0]["bodies"]["request"].as_str().unwrap();
    assert!(kept.contains("badgePin\":\"***") && !kept.contains("hunter2"), "{kept}");
    let audit = server.succeed(&["audit", "--event", "connection.captured"]);
    assert!(audit.contains("default"), "{audit}");
    // A reload that does not change it does not begin it again; one that removes it ends it.
    server.reconfigure(|text| text.replace("bodies_for = \"10m\"\n", ""));
    create(&server.client(), "/Users", &user("grace"));
    assert!(requests(&server, &[])[1].get("bodies").is_none());
    let refused = server.fail(&["requests", "--capture", "48h"], 2);
    assert!(refused.contains("1d at most") || refused.contains("24h at most"), "{refused}");
}
