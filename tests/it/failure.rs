//! The form of what commands print beside their result: quiet, as JSON, and on a terminal.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Server, Terminal, create, scimd, user};

/// Insists on one JSON object on standard error; its exit code, kind and message.
#[track_caller]
fn failure(server: &Server, args: &[&str]) -> (Value, Value, String) {
    let output = server.run(args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let Ok(mut object) = serde_json::from_str::<Value>(&stderr) else {
        panic!("{args:?}: {stderr}")
    };
    let error = object["error"].take();
    assert_eq!(error["code"], output.status.code().unwrap(), "{args:?}");
    let message = error["message"].as_str().unwrap().to_owned();
    assert_eq!(error.as_object().unwrap().len(), 3, "{args:?}");
    (error["code"].clone(), error["kind"].clone(), message)
}

#[test]
fn a_failure_is_json_where_the_result_would_be() {
    let mut server = Server::start();
    let cases: [(&[&str], u8, &str, &str); 6] = [
        (&["user", "show", "nobody", "--json"], 4, "not_found", "\"nobody\" not found"),
        (&["user", "list", "-o", "json", "--connection", "x"], 4, "not_found", "has default"),
        (&["token", "list", "--output=jsonl", "--conection"], 2, "usage", "'--conection'"),
        (&["undo", "--json", "--since", "soon"], 2, "usage", "RFC 3339"),
        (&["undo", "--json", "--since", "1h"], 2, "usage", "--yes"),
        (&["config", "check", "--json", "--config", "no.toml"], 2, "usage", "no.toml"),
    ];
    for (args, code, kind, words) in cases {
        let (found, named, message) = failure(&server, args);
        assert_eq!((&found, &named), (&json!(code), &json!(kind)), "{args:?}: {message}");
        assert!(message.contains(words) && !message.contains("Usage"), "{args:?}: {message}");
    }
    // Here `json` is the name of a file.
    server.succeed(&["token", "generate", "--output", "json"]);
    let text = server.fail(&["token", "generate", "--output", "json"], 1);
    assert!(text.starts_with("error: can't create json"), "{text}");
    server.stop();
    let (code, kind, _) = failure(&server, &["access", "who", "no such thing", "--json"]);
    assert_eq!((code, kind), (json!(4), json!("not_found")));
}

#[test]
fn a_quiet_command_prints_its_result_and_errors_alone() {
    let server = Server::start();
    let quiet: [&[&str]; 4] = [
        &["token", "generate", "--quiet"],
        &["-q", "brake", "resume"],
        &["group", "list", "-q"],
        &["reload", "-q"],
    ];
    for args in quiet {
        let output = server.run(args);
        assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
        let noted: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("-")).collect();
        let noted = server.run(&noted).stderr.len() + server.run(&["-v", "status"]).stderr.len();
        assert!(noted > 0, "{args:?}");
    }
    let text = server.fail(&["user", "show", "nobody", "-q"], 4);
    assert!(text.starts_with("error: user \"nobody\" not found"), "{text}");
    assert_eq!(server.run(&["user", "list", "-q", "-v"]).status.code(), Some(2));
}

#[test]
fn an_export_into_a_file_shows_on_the_terminal_how_far_it_is() {
    let server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let shown = |options: &str| {
        let mut command = Command::new("sh");
        let binary = scimd(&[]).get_program().to_owned();
        let line = format!("'{}' export {options} >out.jsonl; echo done", binary.display());
        command.args(["-c", &line]).current_dir(server.folder());
        let mut terminal = Terminal::run(command);
        terminal.until("done");
        terminal.answer("").1
    };
    assert!(shown("").contains("exporting users: 1"));
    assert!(!shown("--quiet").contains("exporting"));
    let exported = std::fs::read_to_string(server.folder().join("out.jsonl")).unwrap();
    assert!(exported.starts_with('{') && exported.lines().count() == 1, "{exported}");
}
