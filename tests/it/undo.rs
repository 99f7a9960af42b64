//! `scimd undo`: users, groups and memberships as they were.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Server, Terminal, create, files_with, group, user};

/// Two connections; the token of the first boot is that of `app`.
const CONNECTIONS: &str = "[connections.app]\nmethod = \"okta-custom\"\n\
    [connections.idp]\nmethod = \"okta-custom\"\nbrake.action = \"off\"\n";

/// A server, and a client for each connection.
fn start(more: &str) -> (Server, Client, Client) {
    let server = Server::start_with(&format!("{CONNECTIONS}{more}"));
    let token = server.succeed(&["token", "generate", "--connection", "idp"]);
    let (app, idp) = (server.client(), server.client_with(token.trim()));
    (server, app, idp)
}

/// Every user and group by its id as it is served, less version and last change.
fn state(client: &Client) -> BTreeMap<String, Value> {
    let mut state = BTreeMap::new();
    for endpoint in ["Users", "Groups"] {
        let page = client.get(&format!("/{endpoint}?count=1000")).expect(200);
        for resource in page.body["Resources"].as_array().into_iter().flatten() {
            let mut resource = resource.clone();
            for changing in ["version", "lastModified"] {
                resource["meta"].as_object_mut().unwrap().remove(changing);
            }
            state.insert(resource["id"].as_str().unwrap().to_owned(), resource);
        }
    }
    state
}

fn versions(client: &Client) -> BTreeMap<String, u64> {
    let of = |id: &String, resource: &Value| {
        let endpoint = if resource.get("userName").is_some() { "Users" } else { "Groups" };
        let tag =
            client.get(&format!("/{endpoint}/{id}")).expect(200).text("/meta/version").to_owned();
        let number = tag.split_once('"').unwrap().1.split(['.', '"']).next().unwrap();
        number.parse().unwrap()
    };
    state(client).iter().map(|(id, resource)| (id.clone(), of(id, resource))).collect()
}

/// A moment after everything that was done so far and before everything that is done from now on.
fn now(client: &Client) -> String {
    // It is told in whole milliseconds: what was done before must not be of the same one.
    std::thread::sleep(Duration::from_millis(5));
    let (path, _) = create(client, "/Users", &user("clock"));
    let moment = client.get(&path).expect(200).text("/meta/created").to_owned();
    client.delete(&path).expect(204);
    moment
}

fn undone(server: &Server, args: &[&str]) -> Value {
    let args = [&["undo", "--json", "--delete-created"], args].concat();
    let sure: &[&str] = if args.contains(&"--dry-run") { &[] } else { &["--yes"] };
    let args = [args.as_slice(), sure].concat();
    serde_json::from_str(&server.succeed(&args)).unwrap()
}

/// Users in groups with entitlements, and what an identity provider gone wild does to them.
struct Wild {
    users: Vec<(String, String)>,
    group: String,
}

impl Wild {
    fn populate(client: &Client) -> Self {
        let users: Vec<_> = (0..6)
            .map(|number| {
                let mut body = user(&format!("user{number}"));
                body["entitlements"] = json!([{"value": "company:admin"}]);
                body["emails"] = json!([{"value": format!("{number}@example.com")}]);
                create(client, "/Users", &body)
            })
            .collect();
        let ids: Vec<&str> = users.iter().map(|(_, id)| id.as_str()).collect();
        let (all, id) = create(client, "/Groups", &group("All", &ids));
        create(client, "/Groups", &group("Outer", &[&id]));
        Self { users, group: all }
    }

    fn rage(&self, client: &Client) {
        let replace =
            |path: &str, value: Value| json!([{"op": "replace", "path": path, "value": value}]);
        let path = |place: usize| self.users[place].0.as_str();
        client.delete(path(0)).expect(204);
        client.patch(path(1), &replace("active", json!(false))).expect(200);
        client.patch(path(2), &json!([{"op": "remove", "path": "entitlements"}])).expect(200);
        // Names change hands.
        client.patch(path(3), &replace("userName", json!("between"))).expect(200);
        client.patch(path(4), &replace("userName", json!("user3"))).expect(200);
        client.patch(path(3), &replace("userName", json!("user4"))).expect(200);
        let (_, new) = create(client, "/Users", &user("user0"));
        client.patch(&self.group, &replace("members", json!([{"value": new}]))).expect(200);
        client.patch(&self.group, &replace("displayName", json!("None"))).expect(200);
    }
}

#[test]
fn all_is_as_it_was_and_an_undo_can_be_undone() {
    let (mut server, _, idp) = start("");
    let wild = Wild::populate(&idp);
    let since = now(&idp);
    let then = (state(&idp), versions(&idp));
    wild.rage(&idp);
    let before = (state(&idp), versions(&idp));
    assert_ne!(then.0, before.0);

    let told = undone(&server, &["--since", &since, "--dry-run"]);
    assert_eq!(state(&idp), before.0, "a dry run changes nothing");
    assert_eq!(
        (&told["done"], &told["members_back"], &told["members_out"]),
        (&json!(false), &json!(6), &json!(1))
    );
    let action = |name: &str| {
        let rows = told["resources"].as_array().unwrap().iter();
        let row = rows.filter(|row| row["name"] == name).map(|row| row["action"].clone());
        row.collect::<Vec<_>>()
    };
    assert_eq!(action("user0"), ["restore", "remove"]);
    assert_eq!(
        (action("user1"), action("All"), action("Outer")),
        (vec![json!("revert")], vec![json!("revert")], vec![])
    );
    let table = server.run(&["undo", "--since", &since, "--delete-created", "--dry-run"]);
    let (table, warning) =
        (String::from_utf8(table.stdout).unwrap(), String::from_utf8(table.stderr).unwrap());
    assert!(table.contains("active: false -> true") && table.contains("DELETE "), "{table}");
    assert!(warning.contains("Warning: 1 user or group created since"), "{warning}");

    let undo_began = now(&idp);
    assert_eq!(undone(&server, &["--since", &since])["done"], true);
    assert_eq!(state(&idp), then.0);
    for (id, version) in versions(&idp) {
        let earlier = [&then.1, &before.1].map(|versions| versions.get(&id).copied().unwrap_or(0));
        // The groups of a user are not its own.
        let own = |state: &BTreeMap<String, Value>| {
            let mut resource = state.get(&id).cloned().unwrap_or_default();
            resource.as_object_mut().map(|own| own.remove("groups"));
            resource
        };
        let changed = own(&then.0) != own(&before.0);
        assert!(
            earlier.iter().all(|earlier| version > *earlier || (!changed && version >= *earlier)),
            "{id} {version} {earlier:?}"
        );
    }
    assert!(server.succeed(&["verify"]).contains("No problems found."));
    assert_eq!(files_with(&server.data().join("journal"), "\"verb\":\"undone\"").len(), 1);

    // It is one change in the journal: it survives a crash, and the loss of the database.
    server.kill();
    fs::remove_dir_all(server.data().join("state")).unwrap();
    server.boot(&[]);
    assert_eq!(state(&server.client()), then.0);
    server.stop();
    undone(&server, &["--since", &undo_began]);
    server.boot(&[]);
    assert_eq!(state(&server.client()), before.0, "an undo is a change that can be undone");
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn of_a_connection_goes_back_what_it_alone_has_changed() {
    let (server, app, idp) = start("");
    let wild = Wild::populate(&idp);
    let since = now(&idp);
    let then = state(&app);
    wild.rage(&idp);
    let title = json!([{"op": "add", "path": "title", "value": "Countess"}]);
    app.patch(&wild.users[1].0, &title).expect(200);
    app.patch(&wild.users[5].0, &title).expect(200);
    let (apps, _) = create(&app, "/Users", &user("of-the-app"));
    let told = server.run(&[
        "undo",
        "--since",
        &since,
        "--connection",
        "idp",
        "--delete-created",
        "--yes",
    ]);
    let (table, stderr) =
        (String::from_utf8(told.stdout).unwrap(), String::from_utf8(told.stderr).unwrap());
    let row = table.lines().find(|line| line.contains("user1")).unwrap();
    assert!(row.starts_with("skip") && row.contains("also changed by app"), "{table}");
    assert!(stderr.contains("Skipped 1 user or group that others than idp changed"), "{stderr}");
    let mut after = state(&app);
    for place in [1, 5] {
        let id = &wild.users[place].1;
        assert_eq!(after[id]["title"], "Countess");
        assert_eq!(after[id]["active"], place == 5);
        after.insert(id.clone(), then[id].clone());
    }
    after.remove(apps.strip_prefix("/Users/").unwrap()).expect("what the app made stays");
    assert_eq!(after, then);
    let told = server.fail(&["undo", "--since", &since, "--connection", "nobody", "--yes"], 4);
    assert!(told.contains("connection \"nobody\" not found"), "{told}");
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn a_name_that_others_have_by_now_refuses_the_whole_undo() {
    let (server, app, idp) = start("");
    let (ada, _) = create(&idp, "/Users", &user("ada"));
    let (bob, _) = create(&idp, "/Users", &user("bob"));
    let since = now(&app);
    idp.delete(&bob).expect(204);
    idp.delete(&ada).expect(204);
    let (_, other) = create(&app, "/Users", &user("ADA"));
    let before = state(&app);
    for dry_run in [&["--dry-run"][..], &["--yes"]] {
        let args = [&["undo", "--since", &since, "--connection", "idp"], dry_run].concat();
        let told = server.fail(&args, 1);
        assert!(told.contains(&format!("userName \"ada\" (now of the user {other})")), "{told}");
        assert!(told.contains("--delete-created"), "{told}");
        assert_eq!(state(&app), before);
    }
    // All of it is undone: the other one was created since.
    undone(&server, &["--since", &since]);
    assert!(state(&app).len() == 2 && !state(&app).contains_key(&other));
}

#[test]
fn tokens_stay_revoked_and_other_asks_are_refused() {
    let (server, app, idp) = start("");
    let since = now(&app);
    let tokens: Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    create(&idp, "/Users", &user("ada"));
    for token in tokens.as_array().unwrap().iter().filter(|token| token["connection"] == "idp") {
        server.succeed(&["token", "revoke", token["id"].as_str().unwrap()]);
    }
    undone(&server, &["--since", &since]);
    idp.get("/Users").error(401, None);
    assert!(state(&app).is_empty());
    let output = server.run(&["undo", "--since", "0s"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to undo"));
    for moment in ["soon", "2h ago", "2999-01-01"] {
        assert_eq!(server.run(&["undo", "--since", moment]).status.code(), Some(2), "{moment}");
    }
}

#[test]
fn what_a_backup_does_not_hold_is_not_guessed() {
    let (server, app, _) = start("");
    let since = now(&app);
    create(&app, "/Users", &user("ada"));
    server.succeed(&["backup", "one.backup"]);
    let backup = server.folder().join("one.backup");
    let other = Server::configure(CONNECTIONS);
    other.succeed(&["restore", backup.to_str().unwrap()]);
    let told = other.fail(&["undo", "--since", &since, "--yes"], 1);
    assert!(told.contains("the history starts at change"), "{told}");
}

#[test]
fn access_that_is_not_known_any_more_is_named_or_done_without() {
    const ROLE: &str =
        "[[roles]]\nname = \"Clerk\"\nid = \"clerk\"\nworkspaces = [{ name = \"Main\" }]\n";
    let (mut server, app, idp) = start(ROLE);
    let (path, _) =
        create(&idp, "/Users", &json!({"userName": "ada", "roles": [{"value": "Clerk"}]}));
    let since = now(&app);
    idp.patch(&path, &json!([{"op": "remove", "path": "roles"}])).expect(200);
    server.stop();
    let file = server.folder().join("config.toml");
    let text = fs::read_to_string(&file).unwrap().replace("\"Clerk\"", "\"Officer\"");
    fs::write(&file, &text).unwrap();
    // Only a start puts an edited file in force.
    restart(&mut server);
    undone(&server, &["--since", &since, "--dry-run"]);
    fs::write(&file, text.replace("\"clerk\"", "\"other\"")).unwrap();
    restart(&mut server);
    let told = server.fail(&["undo", "--since", &since, "--yes"], 1);
    assert!(
        told.contains("roles \"Clerk\" (1: ada)") && told.contains("--drop-unknown-access"),
        "{told}"
    );
    undone(&server, &["--since", &since, "--drop-unknown-access", "--dry-run"]);
    fs::write(&file, &text).unwrap();
    restart(&mut server);
    undone(&server, &["--since", &since]);
    server.boot(&[]);
    assert_eq!(server.client().get(&path).expect(200).text("/roles/0/value"), "Officer");
}

/// Starts and stops the server, which puts an edited configuration in force.
fn restart(server: &mut Server) {
    server.boot(&[]);
    server.stop();
}

#[test]
fn an_undo_shows_its_plan_and_asks_and_does_what_was_confirmed_and_nothing_else() {
    let (server, app, idp) = start("");
    let (ada, _) = create(&idp, "/Users", &user("ada"));
    let (bob, _) = create(&idp, "/Users", &user("bob"));
    let since = now(&app);
    let deactivate = json!([{"op": "replace", "path": "active", "value": false}]);
    idp.patch(&ada, &deactivate).expect(200);
    let args = ["undo", "--since", &since];
    let is_active = |path: &str| app.get(path).expect(200).body["active"] == true;

    let output = server.run(&args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("add --yes") && stderr.contains("would restore 0, revert 1"),
        "{stderr}"
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("active: false -> true"));
    server.fail(&["undo", "--since", &since, "--json"], 2);
    server.fail(&["undo", "--since", "1h", "--until", "2h", "--yes"], 2);

    let ask = || {
        let mut terminal = Terminal::run(server.command(&args));
        terminal.until("Make these changes? [y/N]");
        terminal
    };
    let (code, shown) = ask().answer("n");
    assert!(code == Some(1) && shown.contains("canceled") && !is_active(&ada), "{shown}");
    // What was planned changes before it is confirmed.
    let terminal = ask();
    idp.patch(&bob, &deactivate).expect(200);
    let (code, shown) = terminal.answer("y");
    assert!(code == Some(1) && shown.contains("nothing was undone"), "{shown}");
    assert!(!is_active(&ada) && !is_active(&bob));
    // What has nothing to do with the plan does not matter.
    let terminal = ask();
    create(&app, "/Users", &user("new"));
    let (code, shown) = terminal.answer("yes");
    assert!(code == Some(0) && shown.contains("reverted 2"), "{shown}");
    assert!(is_active(&ada) && is_active(&bob));
}

#[test]
fn what_was_created_since_is_kept_with_its_memberships_unless_it_is_to_be_deleted() {
    let (server, app, idp) = start("");
    let (ada, ada_id) = create(&idp, "/Users", &user("ada"));
    let (staff, _) = create(&idp, "/Groups", &group("Staff", &[&ada_id]));
    let since = now(&app);
    let (new, new_id) = create(&idp, "/Users", &user("new"));
    idp.patch(&staff, &json!([{"op": "replace", "path": "members", "value": [{"value": new_id}]}]))
        .expect(200);
    idp.delete(&ada).expect(204);
    let output = server.run(&["undo", "--since", &since, "--yes"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("1 user or group created since") && stderr.contains("kept"),
        "{stderr}"
    );
    let rows = String::from_utf8(output.stdout).unwrap();
    assert!(rows.lines().any(|row| row.starts_with("keep") && row.contains("new")), "{rows}");
    app.get(&new).expect(200);
    app.get(&ada).expect(200);
    assert_eq!(app.get(&staff).expect(200).body["members"].as_array().unwrap().len(), 2);
    server.succeed(&["undo", "--since", &since, "--delete-created", "--yes"]);
    app.get(&new).error(404, None);
    assert_eq!(app.get(&staff).expect(200).body["members"].as_array().unwrap().len(), 1);
    assert!(server.succeed(&["verify"]).contains("No problems found."));
}

#[test]
fn an_undo_can_be_limited_to_a_user_a_kind_of_change_or_a_time() {
    let (server, app, idp) = start("");
    let wild = Wild::populate(&idp);
    let path = |place: usize| wild.users[place].0.as_str();
    let since = now(&idp);
    let change = |path: &str, name: &str, value: Value| {
        idp.patch(path, &json!([{"op": "replace", "path": name, "value": value}])).expect(200);
    };
    for place in 0..3 {
        change(path(place), "active", json!(false));
        change(path(place), "title", json!("Countess"));
    }
    change(path(4), "title", json!("Earl"));
    change(&wild.group, "members", json!([]));
    let until = now(&idp);
    change(path(2), "title", json!("Duchess"));
    idp.delete(path(3)).expect(204);
    let shown = |place: usize| {
        let user = app.get(path(place)).expect(200).body;
        (user["active"] == true, user["title"].as_str().map(ToOwned::to_owned))
    };
    let countess = Some("Countess".to_owned());
    let members =
        || app.get(&wild.group).expect(200).body["members"].as_array().map_or(0, Vec::len);
    let undo =
        |args: &[&str]| server.succeed(&[&["undo", "--since", &since, "--yes"], args].concat());

    undo(&["--user", "USER0", "--only", "memberships,deactivated"]);
    assert_eq!((shown(0), shown(1).0, members()), ((true, countess.clone()), false, 1));
    undo(&["--only", "deactivated"]);
    assert_eq!((shown(1), shown(2).0, members()), ((true, countess.clone()), true, 1));
    let rows = undo(&["--until", &until]);
    assert!(rows.contains("changed again later"), "{rows}");
    assert_eq!((shown(4).1, shown(2).1.as_deref()), (None, Some("Duchess")));
    app.get(path(3)).error(404, None);
    assert_eq!(members(), 5, "the member that is deleted later is not restored");
    undo(&["--only", "deleted"]);
    assert_eq!((shown(3).0, members(), shown(2).1.as_deref()), (true, 6, Some("Duchess")));
    let told = server.fail(&["undo", "--since", &since, "--user", "eve", "--yes"], 4);
    assert!(told.contains("user \"eve\" not found"), "{told}");
    let told = server.run(&["undo", "--since", &since, "--only", "all", "--yes"]);
    assert_eq!(told.status.code(), Some(2));
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("deactivated, deleted, memberships, attributes"), "{told}");
}

#[test]
fn an_undone_activation_says_that_clients_may_activate_the_account_again() {
    let server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    server.succeed(&["user", "deactivate", "ada"]);
    std::thread::sleep(Duration::from_millis(1_100));
    let since = jiff::Timestamp::now().to_string();
    server.succeed(&["user", "activate", "ada"]);
    let plan = server.succeed(&["undo", "--since", &since, "--dry-run"]);
    assert!(plan.contains("`scimd user deactivate` keeps it inactive"), "{plan}");
}
