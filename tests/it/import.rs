//! `scimd import`: users and groups that exist elsewhere already.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{GROUP, Server, USER, create, group, total, user};

/// Writes a file into the folder of a server; its name.
fn file<'a>(server: &Server, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
    fs::write(server.folder().join(name), content).unwrap();
    name
}

/// What a command that is refused with an exit code prints on standard error.
fn refused(server: &Server, args: &[&str], code: i32) -> String {
    let output = server.run(args);
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Everything that an export shows, without what depends on the time.
fn exported(server: &Server) -> Vec<Value> {
    let text = server.succeed(&["export"]);
    let plain = |line: &str| {
        let mut object: Value = serde_json::from_str(line).unwrap();
        object["resource"].as_object_mut().unwrap().remove("meta");
        object
    };
    text.lines().map(plain).collect()
}

#[test]
fn an_export_imported_into_an_empty_directory_gives_the_same_directory() {
    let server = Server::start();
    let client = server.client();
    let (_, ada) = create(
        &client,
        "/Users",
        &json!({"schemas": [USER], "userName": "ada",
        "externalId": "7", "name": {"familyName": "Lovelace"}, "active": false,
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "finance"}}),
    );
    let (_, inner) = create(&client, "/Groups", &group("Inner", &[&ada]));
    create(&client, "/Groups", &group("Outer", &[&inner, &ada]));
    create(&client, "/Users", &user("bob"));
    let (text, before) = (server.succeed(&["export"]), exported(&server));

    let other = Server::start();
    let name = file(&other, "all.jsonl", text);
    let dry = other.succeed(&["import", name, "--dry-run"]);
    assert!(dry.contains("create  user") && dry.contains("Outer"), "{dry}");
    assert_eq!(total(&other.client()), 0);
    other.succeed(&["import", name]);
    assert_eq!(exported(&other), before);
    // The second time nothing changes.
    let versions = other.succeed(&["export"]);
    let again = other.run(&["import", name]);
    let note = String::from_utf8(again.stderr).unwrap();
    assert!(note.contains("Created 0, updated 0, kept 4; 0 groups"), "{note}");
    assert_eq!(other.succeed(&["export"]), versions);
    let trail = other.succeed(&["audit", "--json", "--limit", "100"]);
    let created = trail.lines().filter(|line| line.contains("\"user.created\""));
    assert!(created.clone().count() == 2 && created.clone().all(|line| line.contains("operator")));
}

#[test]
fn a_csv_with_scim_paths_is_imported_with_and_without_a_server() {
    let mut server = Server::start();
    let users = "\u{feff}userName,name.familyName,\"emails[type eq \"\"work\"\"].value\",active,roles,\
        urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department,externalId\r\n\
        ada,Lovelace,ada@example.com,False,,finance,7\r\n\
        \"bo\nb\",,,,,,\r\n";
    let wrong = refused(&server, &["import", file(&server, "wrong.csv", users)], 1);
    assert!(wrong.contains("line 3: ") && wrong.contains("U+000A"), "{wrong}");
    assert_eq!(total(&server.client()), 0, "nothing is written if a row is wrong");
    let users = users.replace("bo\nb", "bob");
    server.succeed(&["import", file(&server, "users.csv", &users), "--connection", "default"]);
    let ada = server.client().get("/Users?filter=userName%20eq%20%22ada%22").expect(200);
    let ada = &ada.body["Resources"][0];
    assert_eq!(ada["active"], false);
    assert_eq!(ada["emails"], json!([{"type": "work", "value": "ada@example.com"}]));
    assert_eq!(ada["name"]["familyName"], "Lovelace");
    let shown = server.succeed(&["user", "show", "bob"]);
    assert!(shown.contains("default"), "{shown}");

    server.stop();
    let groups = "displayName,members\nEngineers,ada; 7;bob\n";
    server.succeed(&["import", file(&server, "groups.csv", groups)]);
    server.boot(&[]);
    let shown = server.succeed(&["group", "show", "Engineers"]);
    assert!(shown.contains("ada") && shown.contains("bob"), "{shown}");
    assert_eq!(total(&server.client()), 2);
}

#[test]
fn a_match_takes_over_what_the_row_says_and_keeps_the_rest() {
    let server = Server::start();
    let client = server.client();
    let (ada, id) = create(
        &client,
        "/Users",
        &json!({"schemas": [USER], "userName": "Ada",
        "title": "Countess", "name": {"givenName": "Ada"}}),
    );
    let (by_id, _) =
        create(&client, "/Users", &json!({"schemas": [USER], "userName": "b", "externalId": "9"}));
    let rows = "{\"userName\": \"ada\", \"nickName\": \"A\", \"name\": {\"familyName\": \"L\"}, \"id\": \"x\"}\n\n\
        {\"userName\": \"bob\", \"externalId\": \"9\"}\n{\"displayName\": \"G\", \"members\": [\"x\", \"9\"]}\n";
    let name = file(&server, "rows", rows);
    let dry = server.succeed(&["import", name, "--dry-run", "--json"]);
    let actions: Vec<Value> = dry.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = actions.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["update", "update", "create"]);
    server.succeed(&["import", name]);
    let now = client.get(&ada).expect(200).body;
    assert_eq!(
        (&now["id"], &now["title"], &now["nickName"]),
        (&json!(id), &json!("Countess"), &json!("A"))
    );
    assert_eq!(now["name"], json!({"familyName": "L", "givenName": "Ada"}));
    assert_eq!(client.get(&by_id).expect(200).text("/userName"), "bob");
    assert_eq!(now["groups"][0]["display"], "G");
}

#[test]
fn what_is_wrong_is_listed_by_line_and_nothing_is_written() {
    let server = Server::start();
    create(
        &server.client(),
        "/Users",
        &json!({"schemas": [USER], "userName": "a1", "externalId": "1"}),
    );
    create(
        &server.client(),
        "/Users",
        &json!({"schemas": [USER], "userName": "a2", "externalId": "1"}),
    );
    let deep = format!("{{\"userName\":\"d\",\"x\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    let mut rows = Vec::new();
    for row in [
        "{\"userName\": \"ok\"}",
        "{\"userName\": 5}",
        "{\"userName\": \"OK\"}",
        "{\"name\": \"x\"}",
        "no JSON",
        &deep,
        "{\"userName\": \"x\", \"externalId\": \"1\"}",
        "{\"displayName\": \"G\", \"members\": [\"ok\", \"nobody\"]}",
        "{\"resource\": {\"userName\": \"c\"}, \"connection\": \"none\"}",
    ] {
        rows.extend_from_slice(row.as_bytes());
        rows.push(b'\n');
    }
    rows.extend_from_slice(b"{\"userName\": \"\xff\"}\n");
    let name = file(&server, "rows.jsonl", rows);
    let error = refused(&server, &["import", name], 1);
    for told in [
        "line 2: \"userName\" must be a string",
        "line 3: userName \"OK\" is that of line 1",
        "line 4: neither a user",
        "line 5: ",
        "line 6: ",
        "line 7: several Users have the externalId \"1\"",
        "line 8: members: there is no user or group \"nobody\"",
        "line 9: the configuration has no connection \"none\"",
        "line 10: ",
        "9 problems in the file; nothing was imported",
    ] {
        assert!(error.contains(told), "{told}\n{error}");
    }
    assert_eq!(total(&server.client()), 2);
    let twice =
        refused(&server, &["import", file(&server, "t.csv", "userName,USERNAME\na,b\n")], 2);
    assert!(twice.contains("is there twice"), "{twice}");
    let unknown =
        refused(&server, &["import", file(&server, "t.csv", "userName,shoeSize\na,b\n")], 2);
    assert!(unknown.contains("shoeSize"), "{unknown}");
}

#[test]
fn hostile_files_are_refused_within_bounds() {
    let server = Server::start();
    let many = "{\"userName\": 1}\n".repeat(100_000);
    let error = refused(&server, &["import", file(&server, "many.jsonl", many)], 1);
    assert_eq!(error.lines().filter(|line| line.starts_with("line ")).count(), 100);
    assert!(error.contains("and 99900 more"), "{}", &error[error.len() - 300..]);
    let mut long = vec![b'x'; 33 << 20];
    long[0] = b'{';
    long.extend_from_slice(b"\n{\"userName\": 1}\n");
    let error = refused(&server, &["import", file(&server, "long.jsonl", &long)], 1);
    assert!(error.contains("line 1: the line is longer than 32 MiB"), "{error}");
    assert!(error.contains("line 2: \"userName\" must"), "{error}");
    let mut quote = b"userName\n\"".to_vec();
    quote.extend_from_slice(&long);
    let error = refused(&server, &["import", file(&server, "quote.csv", &quote)], 1);
    assert!(error.contains("longer than 32 MiB; is a quote not closed?"), "{error}");
    assert_eq!(total(&server.client()), 0);
}

#[test]
fn standard_input_is_imported_whole_whatever_the_size_of_a_group() {
    let server = Server::start();
    let mut rows: Vec<String> = Vec::new();
    let names: Vec<String> = (0..3_000).map(|number| format!("u{number}")).collect();
    // Members may come after their group.
    rows.push(json!({"schemas": [GROUP], "displayName": "All", "members": names}).to_string());
    rows.extend(names.iter().map(|name| user(name).to_string()));
    let mut import = server.command(&["import", "-"]);
    let mut child = import.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rows.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let note = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && note.contains("Created 3001"), "{note}");
    let members = exported(&server).pop().unwrap()["resource"]["members"].as_array().unwrap().len();
    assert_eq!(members, 3_000);
}

#[test]
fn an_import_that_is_killed_leaves_whole_resources_and_is_completed_by_the_next_one() {
    for (round, with_server) in [true, false].into_iter().enumerate() {
        let mut server = Server::start();
        if !with_server {
            server.stop();
        }
        let names: Vec<String> = (0..1_500).map(|number| format!("u{number}")).collect();
        let mut rows: Vec<String> = names
            .iter()
            .map(|name| json!({"schemas": [USER], "userName": name, "title": name}).to_string())
            .collect();
        rows.push(json!({"schemas": [GROUP], "displayName": "All", "members": names}).to_string());
        let name = file(&server, "rows.jsonl", rows.join("\n"));
        // With --json each row is told once it is written: the command is killed after one of the first batch.
        let mut import = server.command(&["import", name, "--json"]);
        let mut child = import.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let told = BufReader::new(child.stdout.take().unwrap()).lines().nth(1 + 300 * round);
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Value = serde_json::from_str(&told.unwrap().unwrap()).unwrap();
        assert_eq!(told["action"], "create", "{told}");
        let half = exported(&server);
        assert!(half.iter().all(|one| {
            let resource = &one["resource"];
            resource["userName"] == resource["title"] || resource["displayName"] == "All"
        }));
        let verified = server.succeed(&["verify"]);
        assert!(!half.is_empty(), "{verified}");
        server.succeed(&["import", name]);
        let whole = exported(&server);
        assert_eq!(whole.len(), rows.len());
        let members = |one: &Value| one["resource"]["members"].as_array().map(Vec::len);
        assert_eq!(whole.iter().find_map(members), Some(names.len()));
        let again = server.run(&["import", name]);
        let note = String::from_utf8(again.stderr).unwrap();
        assert!(note.contains("Created 0, updated 0, kept 1501; 0 groups"), "{note}");
    }
}

#[test]
fn an_imported_account_is_adopted_by_each_identity_provider() {
    for (method, scope) in [("okta", "all"), ("entra", "own"), ("generic", "own")] {
        let connection = format!("[connections.idp]\nmethod = \"{method}\"\nscope = \"{scope}\"\n");
        let server = Server::start_with(&connection);
        let client = server.client();
        let rows = "{\"userName\": \"ada@example.com\"}\n";
        server.succeed(&["import", file(&server, "rows.jsonl", rows), "--connection", "idp"]);
        let found = client.get("/Users?filter=userName%20eq%20%22Ada@example.com%22").expect(200);
        assert_eq!(found.body["totalResults"], 1, "{method}");
        let path = format!("/Users/{}", found.text("/Resources/0/id"));
        let change = json!([{"op": "add", "path": "externalId", "value": "00u1"}]);
        client.patch(&path, &change);
        let mut whole = user("ada@example.com");
        whole["externalId"] = json!("00u1");
        client.put(&path, &whole).expect(200);
        assert_eq!(client.get(&path).expect(200).text("/externalId"), "00u1", "{method}");
        client.post("/Users", &whole).error(409, Some("uniqueness"));
    }
}

#[test]
#[ignore = "takes minutes without optimisation; CI runs it"]
fn a_hundred_thousand_rows_are_imported() {
    let server = Server::start();
    let row = |number: usize| {
        let mut user = user(&format!("user{number}@example.com"));
        user["externalId"] = json!(number.to_string());
        user["name"] = json!({"givenName": "Ada", "familyName": "Lovelace"});
        user["emails"] = json!([{"value": format!("user{number}@example.com"), "primary": true}]);
        user.to_string()
    };
    let rows: Vec<String> = (0..100_000).map(row).collect();
    let name = file(&server, "rows.jsonl", rows.join("\n"));
    server.succeed(&["import", name]);
    let listed = server.client().get("/Users?count=1").expect(200);
    assert_eq!(listed.body["totalResults"], 100_000);
}
