//! Lists: their forms for people and programs.

use serde_json::Value;

use crate::harness::{Server, Terminal, create, scimd, user};

/// A server with a user, an OAuth client and a paused connection.
fn server() -> Server {
    let server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    server.succeed(&["client", "generate"]);
    server.succeed(&["brake", "pause"]);
    server
}

const LISTS: [&[&str]; 9] = [
    &["token", "list"],
    &["client", "list"],
    &["user", "list"],
    &["group", "list"],
    &["connection", "list"],
    &["webhook", "list"],
    &["brake", "status"],
    &["audit"],
    &["requests"],
];

#[test]
fn every_list_has_every_form() {
    let server = server();
    for list in LISTS {
        let print = |format| server.succeed(&[list, &["--output", format]].concat());
        let array: Vec<Value> = serde_json::from_str(&print("json")).unwrap();
        let lines: Vec<Value> =
            print("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        // Each query leaves no record of its own.
        assert_eq!(array, lines, "{list:?}");
        let (csv, table) = (print("csv"), print("table"));
        let heads: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
        let is_key = |head: &&str| head.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        assert!(heads.len() > 3 && heads.iter().all(is_key), "{list:?}: {heads:?}");
        assert_eq!(csv.lines().count(), array.len() + 1, "{list:?}: {csv}");
        let rows = if array.is_empty() { 0 } else { array.len() + 1 };
        assert_eq!(table.lines().count(), rows, "{list:?}: {table}");
        assert_eq!(table, server.succeed(list), "{list:?}");
        assert!(!table.contains('\u{1b}') && !table.contains(" ago"), "{table}");
        let both = [list, &["--output", "csv", "--json"]].concat();
        assert_eq!(server.run(&both).status.code(), Some(2), "{list:?}");
    }
    let empty = server.run(&["group", "list"]);
    assert_eq!((empty.stdout.len(), empty.stderr.as_slice()), (0, &b"No groups.\n"[..]));
    assert_eq!(server.succeed(&["group", "list", "--json"]), "[]\n");
}

/// What a command shows on a terminal.
fn on_terminal(server: &Server, args: &[&str], no_color: &str) -> String {
    let mut command = scimd(args);
    command.current_dir(server.folder()).env("TERM", "xterm").env("NO_COLOR", no_color);
    let (code, shown) = Terminal::run(command).answer("");
    assert_eq!(code, Some(0), "{shown}");
    shown
}

#[test]
fn a_terminal_gets_ages_and_colours_unless_they_are_not_wanted() {
    let server = server();
    let shown = on_terminal(&server, &["user", "list"], "");
    assert!(shown.contains(" ago") || shown.contains("now"), "{shown}");
    let shown = on_terminal(&server, &["user", "list", "--utc"], "");
    assert!(shown.contains("Z  ") && !shown.contains(" ago"), "{shown}");
    assert!(on_terminal(&server, &["brake"], "").contains("\u{1b}[31mpaused since"));
    assert!(!on_terminal(&server, &["brake"], "1").contains('\u{1b}'));
}

/// Every key of a value, but for those of what clients sent.
fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(parts) => {
            for (key, part) in parts {
                found.push(key.clone());
                if !["before", "after", "first"].contains(&key.as_str()) {
                    keys(part, found);
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| keys(element, found)),
        _ => {}
    }
}

#[test]
fn json_has_keys_in_snake_case() {
    let server = server();
    let commands: [&[&str]; 12] = [
        &["token", "list"],
        &["client", "list"],
        &["connection", "list"],
        &["connection", "show", "default"],
        &["brake", "status"],
        &["brake", "show", "default"],
        &["audit"],
        &["audit", "--verify"],
        &["requests"],
        &["verify"],
        &["clock", "status"],
        &["undo", "--since", "1h", "--dry-run"],
    ];
    for command in commands {
        let printed = server.succeed(&[command, &["--json"]].concat());
        let values: Vec<Value> =
            serde_json::Deserializer::from_str(&printed).into_iter().map(Result::unwrap).collect();
        let mut found = Vec::new();
        values.iter().for_each(|value| keys(value, &mut found));
        let is_snake = |key: &String| {
            key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        assert!(!found.is_empty() && found.iter().all(is_snake), "{command:?}: {found:?}");
    }
}
