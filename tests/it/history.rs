//! The history of users and groups on the command line, with a server running and without.

use serde_json::{Value, json};

use crate::harness::{Server, create, group, user};

fn history(server: &Server, kind: &str, name: &str, more: &[&str]) -> Vec<Value> {
    let args = [&[kind, "show", name, "--history", "--json"], more].concat();
    serde_json::from_str(&server.succeed(&args)).unwrap()
}

fn events(history: &[Value]) -> Vec<&str> {
    history.iter().map(|change| change["event"].as_str().unwrap()).collect()
}

#[test]
fn the_history_of_a_user_and_of_a_group_is_shown_with_and_without_a_server() {
    let mut server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("ada"));
    let (_, engineers) = create(&client, "/Groups", &group("Engineers", &[&id]));
    client
        .patch(&path, &json!([{"op": "replace", "path": "title", "value": "Countess"}]))
        .expect(200);
    for stopped in [false, true] {
        if stopped {
            server.stop();
        }
        let of_user = history(&server, "user", "ADA", &[]);
        assert_eq!(events(&of_user), ["user.created", "group.created", "user.patched"]);
        assert_eq!(of_user[2]["changes"][0]["after"], "Countess");
        assert_eq!(history(&server, "user", &id, &["--limit", "1"]), of_user[2..]);
        let of_group = history(&server, "group", "Engineers", &[]);
        assert_eq!(
            (events(&of_group), &of_group[0]["subject"]),
            (vec!["group.created"], &json!(engineers))
        );
        let table = server.succeed(&["user", "show", "ada", "--history"]);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].starts_with("TIME") && lines.len() == 4, "{table}");
        assert!(lines[3].contains("user.patched") && lines[3].contains("Countess"), "{table}");
    }
}

#[test]
fn the_history_of_what_was_deleted_is_found_by_id_and_by_the_former_name_of_a_user() {
    let server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &user("ada"));
    let (group_path, group_id) = create(&client, "/Groups", &group("Engineers", &[]));
    client.delete(&path).expect(204);
    client.delete(&group_path).expect(204);
    for name in [id.as_str(), "ada"] {
        assert_eq!(events(&history(&server, "user", name, &[])), ["user.created", "user.deleted"]);
    }
    let of_group = history(&server, "group", &group_id.to_uppercase(), &[]);
    assert_eq!(events(&of_group), ["group.created", "group.deleted"]);
    let unknown = "00000000-0000-4000-8000-000000000000";
    for args in
        [["user", "show", unknown], ["user", "show", "nobody"], ["group", "show", "Engineers"]]
    {
        server.fail(&[&args[..], &["--history"]].concat(), 4);
    }
    for wrong in [["--limit", "1"], ["--history", "--access"]] {
        let output = server.run(&[&["user", "show", &id][..], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
