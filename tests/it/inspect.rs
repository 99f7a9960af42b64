//! Users and groups from the command line: listed and shown, with a server running and without.

use serde_json::{Value, json};

use crate::harness::{Client, Server, create, group, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn json_of(server: &Server, args: &[&str]) -> Value {
    serde_json::from_str(&server.succeed(&[args, &["--json"]].concat())).unwrap()
}

/// Runs something while the server runs, and again when it has stopped.
fn both_ways(server: &mut Server, check: impl Fn(&Server)) {
    check(server);
    server.stop();
    check(server);
}

/// Creates users `prefix0`, `prefix1` and so on; their ids.
fn many(client: &Client, prefix: &str, count: usize) -> Vec<String> {
    let operation = |number: usize| {
        json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
               "data": user(&format!("{prefix}{number}"))})
    };
    let operations: Vec<Value> = (0..count).map(operation).collect();
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                      "Operations": operations});
    let reply = client.post("/Bulk", &body).expect(200);
    let answers = reply.body["Operations"].as_array().unwrap();
    let id =
        |answer: &Value| answer["location"].as_str().unwrap().rsplit('/').next().unwrap().into();
    answers.iter().map(id).collect()
}

fn ada() -> Value {
    json!({
        "userName": "Ada@Example.com", "externalId": "00u1", "displayName": "Ada\nL.",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": true}],
        "active": false,
        ENTERPRISE: {"department": "finance", "manager": {"value": "boss"}},
    })
}

#[test]
fn a_user_is_shown_as_scim_has_it_by_id_or_name_in_any_letter_case() {
    let mut server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &ada());
    let (_, inner) = create(&client, "/Groups", &group("Engineers", &[&id]));
    create(&client, "/Groups", &group("Everybody", &[&inner]));
    let served = client.get(&path).expect(200).body;
    assert_eq!(served["groups"].as_array().unwrap().len(), 2);
    let names = [id.to_uppercase(), "ADA@EXAMPLE.COM".to_owned(), "Ada@Example.com".to_owned()];
    both_ways(&mut server, |server| {
        for name in names.iter().chain([&id]) {
            assert_eq!(json_of(server, &["user", "show", name]), served, "{name}");
        }
    });
}

#[test]
fn the_sheet_of_a_user_tells_what_matters_one_value_on_a_line() {
    let server = Server::start();
    let client = server.client();
    let (path, id) = create(&client, "/Users", &ada());
    let (_, inner) = create(&client, "/Groups", &group("Engineers", &[&id]));
    create(&client, "/Groups", &group("Everybody", &[&inner]));
    let roles = json!([{"op": "add", "path": "roles", "value": [{"value": "Analyst"}]}]);
    client.patch(&path, &roles).expect(200);
    let sheet = server.succeed(&["user", "show", "ada@example.com"]);
    let lines: Vec<&str> = sheet.lines().collect();
    let expected = [
        &format!("Id            {id}"),
        "Username      Ada@Example.com",
        "External id   00u1",
        "Name          Ada Lovelace",
        "Display name  Ada\\nL.",
        "Active        no",
        "Emails        ada@example.com (work, primary)",
        "Department    finance",
        "Manager       boss",
        "Groups        Engineers (direct)",
        "              Everybody (indirect)",
        "Roles         Analyst",
        "Entitlements  workspace:Main",
        "Connection    default",
    ];
    assert_eq!(lines[..expected.len()], expected);
    let [created, changed, version] = lines[expected.len()..] else { panic!("{sheet}") };
    assert!(created.starts_with("Created       20") && created.ends_with(" UTC"), "{created}");
    assert!(changed.starts_with("Changed       20") && changed.ends_with(" UTC"), "{changed}");
    assert!(version.starts_with("Version       W/\"2."), "{version}");
}

#[test]
fn users_are_listed_in_the_order_of_their_creation_however_many_there_are() {
    let mut server = Server::start();
    let client = server.client();
    create(&client, "/Users", &ada());
    let ids = many(&client, "u", 250);
    both_ways(&mut server, |server| {
        let table = server.succeed(&["user", "list"]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 252);
        let head: Vec<&str> =
            lines[0].split("  ").map(str::trim).filter(|s| !s.is_empty()).collect();
        assert_eq!(head, ["USERNAME", "ACTIVE", "CONNECTION", "LAST CHANGED", "ID"]);
        assert!(lines[1].starts_with("Ada@Example.com  no      default     20"), "{}", lines[1]);
        for (number, (line, id)) in lines[2..].iter().zip(&ids).enumerate() {
            let begin = format!("u{number} ");
            assert!(line.starts_with(&begin) && line.contains(" yes     default  "), "{line}");
            assert!(line.ends_with(id), "{line}");
        }
        let list = json_of(server, &["user", "list"]);
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 251);
        assert_eq!(list[250]["id"], ids[249].as_str());
        let shown = json_of(server, &["user", "show", "u249"]);
        assert_eq!(list[250], shown, "without groups they are the same");
    });
}

#[test]
fn nobody_is_an_empty_table_and_an_empty_list() {
    let server = Server::configure_with_data("");
    server.succeed(&["token", "generate"]);
    for kind in ["user", "group"] {
        let listed = server.run(&[kind, "list"]);
        assert!(listed.status.success() && listed.stdout.is_empty());
        assert_eq!(String::from_utf8(listed.stderr).unwrap(), format!("No {kind}s.\n"));
        assert_eq!(json_of(&server, &[kind, "list"]), json!([]));
    }
}

#[test]
fn a_group_is_shown_with_all_its_members() {
    let mut server = Server::start_with("[limits]\nmax_body_bytes = 4000000\n");
    let client = server.client();
    let ids = [many(&client, "a", 700), many(&client, "b", 701)].concat();
    let (_, inner) = create(&client, "/Groups", &group("Inner", &[]));
    let members: Vec<&str> = ids.iter().chain([&inner]).map(String::as_str).collect();
    let (path, id) = create(&client, "/Groups", &group("Everybody", &members));
    let served = client.get(&path).expect(200).body;
    both_ways(&mut server, |server| {
        assert_eq!(json_of(server, &["group", "show", "EVERYBODY"]), served);
        let shown = server.succeed(&["group", "show", &id]);
        assert!(shown.starts_with(&format!("Id          {id}\nName        Everybody\n")));
        assert!(shown.ends_with("\n\n1402 members\n"));
        let of_a = shown.lines().filter(|line| line.starts_with('a') && line.contains("  User  "));
        assert_eq!(of_a.count(), 700);
        assert!(shown.lines().any(|line| line.starts_with("Inner ") && line.ends_with(&inner)));
        let empty = server.succeed(&["group", "show", "inner"]);
        assert!(empty.ends_with("\n\n0 members\n") && !empty.contains("TYPE"), "{empty}");
        let list = json_of(server, &["group", "list"]);
        assert_eq!(list[1]["displayName"], "Everybody");
        assert_eq!(list[1].get("members"), None, "a list stays short");
        assert!(server.succeed(&["group", "list"]).contains("Everybody  "));
    });
}

#[test]
fn an_unknown_one_is_a_failure_with_advice() {
    let mut server = Server::start();
    both_ways(&mut server, |server| {
        for (kind, name) in
            [("user", "ada"), ("user", "\u{1b}[31m"), ("group", "Nobody"), ("user", "")]
        {
            let output = server.run(&[kind, "show", name]);
            assert_eq!(output.status.code(), Some(4));
            assert!(output.stdout.is_empty());
            let stderr = String::from_utf8(output.stderr).unwrap();
            let advice = format!("not found; run `scimd {kind} list` to list all {kind}s\n");
            assert!(stderr.contains(&format!("{kind} \"")), "{stderr}");
            assert!(stderr.ends_with(&advice) && !stderr.contains('\u{1b}'), "{stderr}");
            assert_eq!(stderr.lines().count(), 1);
        }
    });
}

#[test]
fn lists_are_narrowed_and_end_where_they_are_told_to() {
    let mut server = Server::start_with(
        "[connections.app]\nmethod = \"okta-custom\"\n[connections.idp]\nmethod = \"okta-custom\"\n",
    );
    let app = server.client();
    let token = server.succeed(&["token", "generate", "--connection", "idp"]);
    let idp = server.client_with(token.trim());
    let ids = many(&app, "a", 120);
    let (path, eve) = create(&idp, "/Users", &user("eve"));
    idp.patch(&path, &json!([{"op": "replace", "path": "active", "value": false}])).expect(200);
    create(&app, "/Groups", &group("Staff", &[&ids[3], &eve]));
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--filter", "userName sw \"a11\"", "--limit", "3"], &["a11", "a110", "a111"]),
        (&["--inactive"], &["eve"]),
        (&["--connection", "idp"], &["eve"]),
        (&["--group", "staff"], &["a3", "eve"]),
        (&["--group", "staff", "--inactive", "--connection", "app"], &[]),
        (&["--limit", "2"], &["a0", "a1"]),
    ];
    both_ways(&mut server, |server| {
        for (args, expected) in cases {
            let list = json_of(server, &[&["user", "list"], args].concat());
            let names =
                list.as_array().unwrap().iter().map(|user| user["userName"].as_str().unwrap());
            assert_eq!(names.collect::<Vec<_>>(), expected, "{args:?}");
        }
        let wrong = server.fail(&["user", "list", "--filter", "userName sw"], 1);
        assert!(wrong.contains("filter"), "{wrong}");
        server.fail(&["user", "list", "--group", "nobody"], 4);
        let piped = format!("{} user list | true", env!("CARGO_BIN_EXE_scimd"));
        let mut sh = std::process::Command::new("bash");
        sh.args(["-o", "pipefail", "-c", &piped]).current_dir(server.folder());
        let output = sh.output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    });
}

#[test]
fn the_sheet_of_a_user_has_its_own_attributes_and_those_of_extensions() {
    let server = Server::start_with(
        "[[schemas]]\nid = \"urn:example:hr\"\nname = \"HR\"\n[[schemas.attributes]]\nname = \"badge\"\n",
    );
    let mut body = ada();
    body["urn:example:hr"] = json!({"badge": "B-17"});
    body["nickName"] = json!("Countess");
    body["phoneNumbers"] = json!([{"value": "555", "type": "work"}]);
    body[ENTERPRISE]["costCenter"] = json!("42");
    create(&server.client(), "/Users", &body);
    let sheet = server.succeed(&["user", "show", "ada@example.com"]);
    for expected in ["B-17", "Countess", "value: 555, type: work", "costCenter", "42"] {
        assert!(sheet.contains(expected), "{expected}: {sheet}");
    }
}
