//! The audit trail: what it tells of changes and refusals, who finds what in it, and what of it can be
//! altered unseen.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use scimd::event::{Reason, Verb};
use serde_json::{Value, json};

use crate::harness::{Client, Server, create, files, files_with, free_port, group, user};

/// The changes that `audit --json` tells of, with these options.
#[track_caller]
fn audit(server: &Server, options: &[&str]) -> Vec<Value> {
    let printed = server.succeed(&[&["audit", "--json"], options].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The events among them, in order, each as `user.created`.
fn events(changes: &[Value]) -> Vec<&str> {
    changes.iter().map(|change| change["event"].as_str().unwrap()).collect()
}

/// Runs something while the server runs, and again when it has stopped.
fn both_ways(server: &mut Server, check: impl Fn(&Server)) {
    check(server);
    server.stop();
    check(server);
}

fn replace(client: &Client, path: &str, attribute: &str, value: &Value) {
    let operation = json!([{"op": "replace", "path": attribute, "value": value}]);
    client.patch(path, &operation).expect(200);
}

/// Creates so many users with one request.
fn many(client: &Client, prefix: &str, count: usize) {
    let operation = |number: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
               "data": user(&format!("{prefix}{number}"))})
    };
    let operations: Vec<Value> = (0..count).map(operation).collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                      "Operations": operations});
    client.post("/Bulk", &body).expect(200);
}

/// What a command prints, on one line.
fn printed_by(command: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(command).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_member_is_named_as_the_directory_knows_it_whatever_the_client_calls_it() {
    let server = Server::start();
    let client = server.client();
    let mallory = json!({"userName": "mallory", "displayName": "ceo@example.com"});
    let (_, id) = create(&client, "/Users", &mallory);
    let (path, group_id) = create(&client, "/Groups", &group("Board", &[]));
    let member = json!([{"value": id, "display": "ceo@example.com"}]);
    client.patch(&path, &json!([{"op": "add", "path": "members", "value": member}])).expect(200);
    let shown = server.succeed(&["group", "show", "Board"]);
    assert!(shown.contains(&format!("mallory  User  {id}")), "{shown}");
    client.patch(&path, &json!([{"op": "remove", "path": "members", "value": member}])).expect(200);
    client.put(&path, &json!({"displayName": "Board", "members": member})).expect(200);
    client.delete(&path).expect(204);
    let mut changes = audit(&server, &[]);
    changes.retain(|change| change["subject"] == *group_id);
    let member = json!([{"value": id, "display": "mallory"}]);
    let told = |number: usize, side: &str| changes[number]["changes"][0][side]["first"].clone();
    assert_eq!([told(1, "added"), told(2, "removed")], [member.clone(), member.clone()]);
    assert_eq!([told(3, "added"), told(4, "removed")], [member.clone(), member]);
    let table = server.succeed(&["audit"]);
    assert_eq!(table.matches(&format!("(mallory ({id}))")).count(), 4, "{table}");
    assert_eq!(table.matches("ceo@").count(), 1, "the name that she has herself: {table}");
}

#[test]
fn a_change_by_an_operator_carries_the_name_of_the_user_who_ran_the_command() {
    let mut server = Server::start();
    let (name, uid) = (printed_by("id", &["-un"]), printed_by("id", &["-u"]));
    server.succeed(&["brake", "hold"]);
    server.stop();
    server.succeed(&["brake", "release"]);
    let changes = audit(&server, &[]);
    let by = |event: &str| {
        let change = changes.iter().find(|change| change["event"] == event).unwrap();
        change["actor"].clone()
    };
    let uid: u32 = uid.parse().unwrap();
    assert_eq!(by("connection.held"), json!({"kind": "operator", "name": name, "uid": uid}));
    assert_eq!(by("connection.released"), json!({"kind": "operator", "name": name, "uid": uid}));
    let table = server.succeed(&["audit"]);
    assert_eq!(table.matches(&format!("operator {name}")).count(), 2, "{table}");
}

#[test]
fn each_change_tells_who_made_it_from_where_and_what_was_before_and_after() {
    let mut server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("ada"));
    replace(&client, &path, "active", &json!(false));
    let put =
        json!({"userName": "ada", "name": {"familyName": "King"}, "emails": [{"value": "a@x.y"}]});
    client.put(&path, &put).expect(200);
    replace(&client, &path, "name.familyName", &json!("Lovelace"));
    client.delete(&path).expect(204);
    let token = server.succeed(&["token", "list", "--json"]);
    let token: Value = serde_json::from_str(&token).unwrap();
    both_ways(&mut server, |server| {
        let told = audit(server, &["--user", &id]);
        let expected =
            ["user.created", "user.patched", "user.replaced", "user.patched", "user.deleted"];
        assert_eq!(events(&told), expected);
        for change in &told {
            let actor = json!({"kind": "connection", "connection": "default",
                               "token": token[0]["id"], "address": "127.0.0.1"});
            assert_eq!(change["actor"], actor);
            assert_eq!((&change["subject"], &change["name"]), (&json!(id), &json!("ada")));
        }
        let created = json!([
            {"attribute": "userName", "after": "ada"},
            {"attribute": "active", "after": true},
            {"attribute": "entitlements", "added": {"count": 1, "first": [{"value": "workspace:Main"}]}},
        ]);
        assert_eq!(told[0]["changes"], created);
        let closed = json!([{"attribute": "active", "before": true, "after": false}]);
        assert_eq!(told[1]["changes"], closed);
        let replaced = [
            json!({"attribute": "name.familyName", "after": "King"}),
            json!({"attribute": "emails", "added": {"count": 1, "first": [{"value": "a@x.y"}]}}),
        ];
        assert_eq!(told[2]["changes"].as_array().unwrap()[..2], replaced);
        let renamed =
            json!([{"attribute": "name.familyName", "before": "King", "after": "Lovelace"}]);
        assert_eq!(told[3]["changes"], renamed);
        let gone = told[4]["changes"].as_array().unwrap();
        assert_eq!(gone[0], json!({"attribute": "userName", "before": "ada"}));
        let has = |name: &str| gone.iter().all(|change| change.get(name).is_none());
        assert!(gone.len() >= 4 && has("after") && has("added"), "{gone:?}");
    });
}

#[test]
fn of_members_the_trail_tells_who_came_and_who_went_and_how_many() {
    let server = Server::start();
    let client = server.client();
    let ids: Vec<String> =
        (0..15).map(|number| create(&client, "/Users", &user(&format!("u{number}"))).1).collect();
    let members: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (path, _) = create(&client, "/Groups", &group("All", &members));
    let remove = json!([{"op": "remove", "path": format!("members[value eq \"{}\"]", ids[3])}]);
    client.patch(&path, &remove).expect(200);
    client.delete(&format!("/Users/{}", ids[4])).expect(204);
    let told = audit(&server, &["--limit", "3"]);
    assert_eq!(events(&told), ["group.created", "group.patched", "user.deleted"]);
    let added = &told[0]["changes"][0]["added"];
    assert_eq!((&told[0]["name"], &added["count"]), (&json!("All"), &json!(15)));
    assert_eq!(added["first"].as_array().unwrap().len(), 10);
    assert_eq!(added["first"][0], json!({"value": ids[0], "display": "u0"}));
    let removed = json!([{"attribute": "members", "removed":
                          {"count": 1, "first": [{"value": ids[3], "display": "u3"}]}}]);
    assert_eq!(told[1]["changes"], removed);
    let left = &told[2]["changes"][0];
    assert_eq!(left["attribute"], "groups");
    assert_eq!(left["removed"]["first"][0]["display"], "All");
}

#[test]
fn an_account_is_found_by_its_id_and_by_every_name_that_it_had_also_when_it_is_gone() {
    let mut server = Server::start();
    let client = server.client();
    let (ada, id) = create(&client, "/Users", &user("Ada"));
    let (bob, _) = create(&client, "/Users", &user("bob"));
    let (engineers, _) = create(&client, "/Groups", &group("Engineers", &[]));
    replace(&client, &ada, "userName", &json!("lovelace"));
    let add = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    client.patch(&engineers, &add).expect(200);
    client.delete(&ada).expect(204);
    client.delete(&bob).expect(204);
    let (_, second) = create(&client, "/Users", &user("ada"));
    let first = ["user.created", "user.patched", "group.patched", "user.deleted"];
    both_ways(&mut server, |server| {
        for name in [&id, "LOVELACE"] {
            assert_eq!(events(&audit(server, &["--user", name])), first, "{name}");
        }
        let both = audit(server, &["--user", "ADA"]);
        assert_eq!(events(&both)[..4], first, "who had the name");
        assert_eq!((both.len(), &both[4]["subject"]), (5, &json!(second)), "and who has it");
        let nobody = server.run(&["audit", "--user", "eve\u{1b}[31m"]);
        let stderr = String::from_utf8(nobody.stderr).unwrap();
        assert_eq!((nobody.status.code(), stderr.lines().count()), (Some(4), 1));
        assert!(stderr.contains("no audit entries") && !stderr.contains('\u{1b}'), "{stderr}");
    });
}

#[test]
fn a_known_token_that_is_refused_shows_among_any_noise_and_was_not_used() {
    let port = free_port();
    let mut server = Server::configure_with_data(&format!(
        "[connections.one]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
         ip_allowlist = \"10.0.0.0/8\"\n[limits]\nmax_refusals_per_minute = 0\n\
         [metrics]\nlisten = \"127.0.0.1:{port}\"\n\
         [listen]\ntrusted_proxies = \"127.0.0.1\"\n"
    ));
    let generate = |expires: &str| {
        server.succeed(&["token", "generate", "--expires", expires]).trim().to_owned()
    };
    let (token, expired) = (generate("1d"), generate("1s"));
    std::thread::sleep(Duration::from_secs(2));
    server.boot(&[]);
    let ask = |token: Option<&str>, address: &str, origin: &str| {
        let client = server.stranger().header("X-Forwarded-For", address);
        let client = client.header("X-Request-Origin", origin);
        let client = match token {
            Some(token) => client.bearer(token),
            None => client,
        };
        client.get("/Users").expect(401);
    };
    for number in 0..200 {
        ask(None, &format!("10.1.{number}.1"), "localhost");
    }
    ask(Some(&token), "10.0.0.1", "elsewhere");
    ask(Some(&expired), "10.0.0.1", "localhost");
    ask(Some(&token), "192.0.2.1", "localhost");
    let listed: Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    assert!(listed.as_array().unwrap().iter().all(|one| one["last_used"].is_null()), "{listed}");
    let metrics = ureq::get(&format!("http://127.0.0.1:{port}/metrics")).call().unwrap();
    let metrics = metrics.into_body().read_to_string().unwrap();
    let log = server.stop();
    let told: Vec<Value> = audit(&server, &[])
        .into_iter()
        .filter(|change| change["event"] == "request.refused")
        .flat_map(|change| change["refusals"].as_array().unwrap().clone())
        .collect();
    for reason in ["origin", "expired_token", "address"] {
        let of = |one: &&Value| one["reason"] == reason && one["token"].is_string();
        assert_eq!(told.iter().filter(of).count(), 1, "{reason}: {told:?}");
        let series = format!("scimd_known_token_refusals_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.contains(&series), "{reason}: {metrics}");
    }
    let lines = log.lines().filter(|line| line.contains("denied ") && line.contains("token="));
    assert_eq!(lines.count(), 3, "{log}");
}

#[test]
fn refused_requests_are_told_with_the_true_reason_and_one_entry_for_each_origin() {
    const OWN: &str = "[connections.one]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
        scope = \"own\"\n[connections.two]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
        scope = \"own\"\nip_allowlist = \"192.0.2.0/24, 127.0.0.1\"\n\
        [limits]\nmax_refusals_per_minute = 0\n";
    let mut server = Server::configure_with_data(OWN);
    let generate = |name: &str, more: &[&str]| {
        let args = [&["token", "generate", "--connection", name], more].concat();
        server.succeed(&args).trim().to_owned()
    };
    let (one, two) = (generate("one", &[]), generate("two", &[]));
    let revoked = generate("one", &[]);
    let listed = server.succeed(&["token", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = |number: usize| listed[number]["id"].as_str().unwrap().to_owned();
    server.succeed(&["token", "revoke", &id(2)]);
    server.boot(&[]);
    let (path, _) = create(&server.client_with(&one), "/Users", &user("ada"));
    for _ in 0..50 {
        server.stranger().get("/Users").expect(401);
    }
    server.client_with("scimd_canary").get("/Users").expect(401);
    server.client_with(&revoked).get("/Users").expect(401);
    server.stranger().bearer(&one).header("X-Request-Origin", "canary").get("/Users").expect(401);
    server.client_with(&two).delete(&path).expect(403);
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                      "Operations": [{"method": "DELETE", "path": path}]});
    server.client_with(&two).post("/Bulk", &bulk).expect(200);
    server.stop();

    let mut told = Vec::new();
    for change in audit(&server, &[]) {
        if change["event"] == "request.refused" {
            assert_eq!(change["actor"], json!({"kind": "system"}));
            told.extend(change["refusals"].as_array().unwrap().clone());
        }
    }
    let count = |reason: &str, connection: &Value, token: &Value| -> u64 {
        let of = told.iter().filter(|one| {
            one["reason"] == reason && &one["connection"] == connection && &one["token"] == token
        });
        of.map(|one| {
            assert_eq!(one["address"], "127.0.0.1");
            let [first, last] = ["first", "last"]
                .map(|name| one[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
            assert!(first <= last, "{one}");
            one["count"].as_u64().unwrap()
        })
        .sum()
    };
    let null = Value::Null;
    assert_eq!(count("no_token", &null, &null), 50);
    assert_eq!(count("malformed_token", &null, &null), 1);
    assert_eq!(count("unknown_token", &null, &null), 1);
    assert_eq!(count("origin", &json!("one"), &json!(id(0))), 1);
    assert_eq!(count("scope", &json!("two"), &json!(id(1))), 2);
    assert!(told.len() < 20, "one entry for many: {}", told.len());
    assert_eq!(
        files_with(&server.data(), "canary"),
        Vec::<PathBuf>::new(),
        "nothing a client sent"
    );
}

#[test]
fn refusals_come_into_the_trail_while_the_server_runs() {
    let mut server = Server::start();
    server.stranger().get("/Users").expect(401);
    server.until("the refusal is told", |server| {
        audit(server, &[]).iter().any(|change| change["refusals"][0]["reason"] == "no_token")
    });
}

#[test]
fn no_secret_is_in_the_trail() {
    let hidden = "[[schemas]]\nid = \"urn:x:hr\"\nresource_type = \"User\"\n\
        [[schemas.attributes]]\nname = \"pin\"\nreturned = \"never\"\n";
    let mut server = Server::start_with(hidden);
    let client = server.client();
    let mut ada = user("ada");
    ada["password"] = json!("canary-password");
    ada["urn:x:hr"] = json!({"pin": "canary-pin"});
    let (path, _) = create(&client, "/Users", &ada);
    replace(&client, &path, "password", &json!("canary-password-2"));
    replace(&client, &path, "urn:x:hr:pin", &json!("canary-pin-2"));
    server.succeed(&["token", "reset", "--connection", "default"]);
    both_ways(&mut server, |server| {
        let printed = server.succeed(&["audit", "--all", "--json"]);
        assert!(!printed.contains("canary"), "{printed}");
        assert!(!printed.contains("scimd_") && !printed.contains(server.token()), "{printed}");
        assert!(printed.contains("{\"attribute\":\"urn:x:hr:pin\",\"hidden\":true}"), "{printed}");
        assert!(printed.contains("token.generated") && printed.contains("token.revoked"));
    });
    assert_eq!(files_with(&server.data(), "canary-password"), Vec::<PathBuf>::new());
}

#[test]
fn long_values_and_long_lists_are_cut_and_counted() {
    let server = Server::start();
    let client = server.client();
    let mut ada = user("ada");
    ada["title"] = json!("ä".repeat(5_000));
    let email = |number: usize| json!({"value": format!("{number}@example.com")});
    ada["emails"] = (0..200).map(email).collect();
    create(&client, "/Users", &ada);
    let told = audit(&server, &["--limit", "1"]).remove(0);
    let of = |name: &str| {
        let mut changes = told["changes"].as_array().unwrap().iter();
        changes.find(|change| change["attribute"] == name).unwrap().clone()
    };
    let title = of("title")["after"].as_str().unwrap().to_owned();
    assert!(title.starts_with("ää") && title.ends_with('…') && title.len() <= 256, "{title}");
    let emails = of("emails")["added"].clone();
    assert_eq!((&emails["count"], emails["first"].as_array().unwrap().len()), (&json!(200), 10));
    assert!(told.to_string().len() < 10_000);
}

#[test]
fn the_newest_changes_stand_last_and_a_moment_says_from_when_on() {
    let mut server = Server::start();
    let client = server.client();
    many(&client, "a", 1_000);
    many(&client, "b", 1_000);
    many(&client, "c", 500);
    let all = audit(&server, &["--since", "1d"]);
    assert!(all.len() >= 2_501, "{}", all.len());
    let middle = all[1_500]["time"].as_str().unwrap().to_owned();
    both_ways(&mut server, |server| {
        let told = audit(server, &["--since", "2020-01-01"]);
        let told: Vec<&Value> = told.iter().filter(|one| one["event"] == "user.created").collect();
        assert_eq!(told.len(), 2_500);
        assert!(
            told.windows(2).all(|two| two[0]["sequence"].as_u64() < two[1]["sequence"].as_u64())
        );
        assert_eq!(told[2_499]["name"], "c499");
        let newest = audit(server, &["--limit", "2300"]);
        assert_eq!(newest.len(), 2_300);
        assert_eq!(newest.last().unwrap()["hash"].as_str().unwrap().len(), 64);
        assert_eq!(audit(server, &[]).len(), 100, "a terminal gets the newest");
        let since = audit(server, &["--since", &middle]);
        assert_eq!(since[0]["time"], json!(middle));
        assert!(since.iter().all(|one| one["time"].as_str() >= Some(middle.as_str())));
        assert_eq!(audit(server, &["--since", &middle, "--limit", "7"]).len(), 7);
    });
}

#[test]
fn the_table_is_for_people_and_obeys_nobody() {
    let server = Server::start();
    let client = server.client();
    create(&client, "/Groups", &group("ada\u{202e}gnp", &[]));
    let mut ada = user("ada");
    ada["title"] = json!("a\r\nb");
    let (path, id) = create(&client, "/Users", &ada);
    replace(&client, &path, "active", &json!(false));
    let told = server.succeed(&["audit"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("TIME  ") && lines[0].ends_with("  CHANGES"), "{told}");
    let has = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(has("  scimd  ") && has("  token.generated  "), "{told}");
    assert!(has("; title: \"a\\r\\nb\"; "), "{told}");
    let closed = lines[lines.len() - 1];
    assert!(closed.contains("  default (token "), "{closed}");
    assert!(closed.contains("  127.0.0.1  user.patched  "), "{closed}");
    assert!(closed.contains(&format!("  ada ({id})  ")), "{closed}");
    assert!(has("  group.created  ") && has("  ada\\u{202e}gnp ("), "{told}");
    assert!(closed.ends_with("  active: true → false"), "{closed}");
    assert!(told.chars().all(|character| character == '\n' || !character.is_control()), "{told}");
}

#[test]
fn following_goes_on_over_a_restart_of_the_server() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("first"));
    let mut command = server.command(&["audit", "--follow", "--json", "--limit", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut until = |name: &str| loop {
        let line = lines.next().expect("it goes on").unwrap();
        let change: Value = serde_json::from_str(&line).unwrap();
        if change["name"] == name {
            break change;
        }
    };
    until("first");
    create(&server.client(), "/Users", &user("second"));
    let second = until("second");
    assert_eq!(second["event"], "user.created");
    server.stop();
    server.boot(&[]);
    create(&server.client(), "/Users", &user("third"));
    assert!(until("third")["sequence"].as_u64() > second["sequence"].as_u64());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_followed_change_appears_at_once_and_the_server_stops_without_waiting_for_followers() {
    let mut server = Server::start();
    let client = server.client();
    create(&client, "/Users", &user("user0"));
    let mut command = server.command(&["audit", "--follow", "--json", "--limit", "1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let mut latencies: Vec<Duration> = Vec::new();
    for number in 1..=7 {
        let name = format!("user{number}");
        create(&client, "/Users", &user(&name));
        let acknowledged = Instant::now();
        let change: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(change["name"], name);
        latencies.push(acknowledged.elapsed());
    }
    latencies.sort();
    assert!(latencies[3] < Duration::from_millis(500), "{latencies:?}");
    let asked = Instant::now();
    server.stop();
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The exit code and the standard output of `audit --verify`.
fn verify(server: &Server, anchors: &[&str]) -> (i32, String) {
    let mut args = vec!["audit", "--verify"];
    anchors.iter().for_each(|anchor| args.extend(["--anchor", anchor]));
    let output = server.run(&args);
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_chain_is_verified_with_and_without_a_server_and_passes_through_its_heads() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let first = server.succeed(&["audit", "--head"]).trim().to_owned();
    create(&server.client(), "/Users", &user("bob"));
    let told = audit(&server, &["--limit", "1"]).remove(0);
    let last = format!("{}:{}", told["sequence"], told["hash"].as_str().unwrap());
    both_ways(&mut server, |server| {
        let (code, told) = verify(server, &[]);
        assert!(code == 0 && told.contains("Hash chain intact."), "{told}");
        assert!(told.contains("Without an anchor"), "{told}");
        // Any line of the trail is a place, too.
        let (code, told) = verify(server, &[&first, &last]);
        assert!(code == 0 && told.contains("contains all 2 anchors"), "{told}");
        let (code, told) = verify(server, &[&format!("2:{}", "0".repeat(64))]);
        assert!(code == 1 && told.contains("change 2 does not match the anchor"), "{told}");
        let (code, told) = verify(server, &[&format!("99:{}", "0".repeat(64))]);
        assert!(code == 1 && told.contains("its tail was truncated"), "{told}");
        assert_eq!(verify(server, &["99"]).0, 2, "no anchor is like that");
        let json = server.succeed(&["audit", "--verify", "--json"]);
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["first"], &json["faults"], &json["files"]),
            (&json!(1), &json!(0), &json!(1))
        );
    });
    let empty = Server::configure("");
    assert_eq!(empty.run(&["audit"]).status.code(), Some(1));
    assert!(!empty.data().exists(), "looking makes nothing");
}

#[test]
fn an_altered_record_is_named_and_a_cut_tail_shows_with_an_anchor() {
    let mut server = Server::start();
    let client = server.client();
    for number in 0..20 {
        create(&client, "/Users", &user(&format!("canary{number}")));
    }
    let head = server.succeed(&["audit", "--head"]).trim().to_owned();
    let change = audit(&server, &["--user", "canary7"]).remove(0)["sequence"].clone();
    server.stop();
    let path = files(&server.data().join("journal")).remove(0);
    let whole = fs::read(&path).unwrap();
    let find = |text: &str| whole.windows(text.len()).position(|window| window == text.as_bytes());
    let mut altered = whole.clone();
    altered[find("canary7").unwrap()] ^= 1;
    fs::write(&path, &altered).unwrap();
    for anchors in [&[][..], &[head.as_str()]] {
        let (code, told) = verify(&server, anchors);
        let first = told.lines().next().unwrap();
        assert_eq!(code, 1, "{told}");
        assert!(first.contains(path.file_name().unwrap().to_str().unwrap()), "{told}");
        assert!(first.contains(&format!("change {change}: ")), "{told}");
    }
    assert_eq!(fs::read(&path).unwrap(), altered, "nothing is mended by looking");

    let mut cut = whole.clone();
    cut[find("canary18").unwrap()..].fill(0);
    fs::write(&path, &cut).unwrap();
    assert_eq!(verify(&server, &[]).0, 1, "the signature tells");
    fs::remove_file(server.data().join("signatures")).unwrap();
    assert_eq!(verify(&server, &[]).0, 0, "alone the chain can't tell");
    let (code, told) = verify(&server, &[&head]);
    assert!(code == 1 && told.contains("its tail was truncated"), "{told}");
}

#[test]
fn the_document_lists_every_event_and_every_reason() {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    for (verb, _) in Verb::CATALOGUE {
        assert!(text.contains(&format!(".{}` |", verb.as_str())), "{}", verb.as_str());
    }
    for (reason, meaning) in Reason::CATALOGUE {
        let row = format!("| `{}` | {meaning} |", reason.as_str());
        assert!(text.contains(&row), "{row}");
    }
}

/// The changes of settings in the audit trail.
fn settings_changes(server: &Server) -> Vec<Value> {
    let mut changes = audit(server, &["--since", "1d"]);
    changes.retain(|change| change["event"] == "settings.changed");
    changes
}

#[test]
fn a_change_of_settings_is_told_once_at_a_start_or_reload_and_an_edited_file_changes_nothing() {
    const ROLE: &str = "[[roles]]\nname = \"Guest\"\n";
    let mut server = Server::start();
    let first = settings_changes(&server);
    let attributes = first[0]["changes"].as_array().unwrap().iter();
    let attributes: Vec<&str> = attributes.map(|one| one["attribute"].as_str().unwrap()).collect();
    assert!(attributes.contains(&"public_url") && attributes.contains(&"workspaces"));
    assert_eq!(first.len(), 1, "{first:?}");
    server.stop();
    server.boot(&[]);
    assert_eq!(settings_changes(&server).len(), 1, "the second start changes nothing");

    server.reconfigure(|text| format!("{text}{ROLE}"));
    let changes = settings_changes(&server);
    assert_eq!(changes.len(), 2);
    let told = &changes[1]["changes"];
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["attribute"], "roles");
    assert_eq!(told[0]["added"]["first"][0]["name"], "Guest");
    assert_eq!(changes[1]["actor"], json!({"kind": "system"}));
    let table = server.succeed(&["audit"]);
    assert!(table.contains("settings.changed") && table.contains("Guest"), "{table}");

    let mut ada = user("ada");
    ada["roles"] = json!([{"value": "Guest"}]);
    create(&server.client(), "/Users", &ada);
    server.stop();
    let shown = server.succeed(&["user", "show", "ada", "--access", "--json"]);
    server.rewrite(|text| text.replace(ROLE, ""));
    assert_eq!(server.succeed(&["user", "show", "ada", "--access", "--json"]), shown);
    server.succeed(&["token", "generate"]);
    server.succeed(&["verify"]);
    assert_eq!(settings_changes(&server).len(), 2, "no start, no change");
    let refused = server.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1), "ada has the role");
    assert_eq!(settings_changes(&server).len(), 2, "what is refused is not in the log");
}

#[test]
fn the_trail_is_narrowed_by_time_connection_and_event() {
    let server = Server::start();
    let client = server.client();
    let (ada, _) = create(&client, "/Users", &user("ada"));
    std::thread::sleep(Duration::from_millis(5));
    let until = jiff::Timestamp::now().to_string();
    std::thread::sleep(Duration::from_millis(5));
    client.delete(&ada).expect(204);
    server.succeed(&["brake", "pause"]);
    let events = |args: &[&str]| {
        let trail = server.succeed(&[&["audit", "--json"], args].concat());
        let events = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.map(|record| record["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(events(&["--event", "user"]), ["user.created", "user.deleted"]);
    assert_eq!(
        events(&["--event", "user.deleted,connection.held"]),
        ["user.deleted", "connection.held"]
    );
    assert_eq!(events(&["--until", &until, "--event", "user"]), ["user.created"]);
    let through = events(&["--connection", "default"]);
    assert_eq!(through, ["user.created", "user.deleted", "connection.held"]);
}
