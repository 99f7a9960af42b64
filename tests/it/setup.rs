//! What `scimd setup` prints: the values of this place, what will not work, and what the document says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, create, scimd, user};

const METHODS: [&str; 5] = ["okta", "okta-custom", "entra", "generic", "custom"];

/// A place with three connections and an access catalogue, where everything works.
const PLACE: &str = r#"
public_url = "https://scim.example.com/idp"
[listen]
address = "0.0.0.0:8443"
certificate = "chain.pem"
private_key = "key.pem"
[connections.hr]
method = "METHOD"
default_workspace = "Sales"
default_permissions = ["basic_access"]
ORIGIN
[connections.b]
method = "okta"
[connections.c]
method = "entra"
[[workspaces]]
name = "Main"
[[workspaces]]
name = "Sales"
id = "sales-1"
teams = ["East"]
[access]
workspace_permissions = ["basic_access", "export"]
departments = ["it", "hr"]
unknown_departments = "refuse"
[[permission_sets]]
name = "Readers"
permissions = ["basic_access"]
[[roles]]
name = "Analyst"
[[roles.workspaces]]
name = "Sales"
permission_sets = ["Readers"]
"#;

/// A place's configuration for a connection `hr` of that method.
fn place(method: &str) -> String {
    let origin = if method == "custom" { "service_origin = \"hr.example.com\"" } else { "" };
    PLACE.replace("METHOD", method).replace("ORIGIN", origin)
}

fn run(config: &str, args: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let args = [&["setup"], args].concat();
    let output = scimd(&args).current_dir(&folder).output().unwrap();
    (folder, output)
}

/// What is printed with these arguments.
#[track_caller]
fn printed(config: &str, args: &[&str]) -> String {
    let (_folder, output) = run(config, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn setup(config: &str) -> Value {
    serde_json::from_str(&printed(config, &["--connection", "hr", "--json"])).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name} in {value}"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

#[test]
fn each_method_names_the_values_of_its_place() {
    for method in METHODS {
        let setup = setup(&place(method));
        assert_eq!((text(&setup, "connection"), text(&setup, "method")), ("hr", method));
        assert_eq!(setup["others"], json!(["b", "c"]));
        assert_eq!(setup["warnings"], json!([]), "{method}");
        let fields = list(&setup, "fields");
        let value = |name: &str| {
            let field = fields.iter().find(|field| field["name"] == name);
            text(field.unwrap_or_else(|| panic!("{method} has no field {name}")), "value")
        };
        match method {
            "entra" => assert_eq!(value("Tenant URL"), "https://scim.example.com/idp/scim/v2"),
            "custom" => {
                let endpoint = "https://scim.example.com/idp/scim/v2/Users";
                assert_eq!(value("SCIM API endpoint"), endpoint);
                assert_eq!(value("X-Request-Origin header"), "hr.example.com");
                assert_eq!(value("Default workspace"), "Sales");
                assert_eq!(value("IP allowlist"), "any address");
            }
            "generic" => {
                assert_eq!(value("SCIM base URL"), "https://scim.example.com/idp/scim/v2");
                assert_eq!(value("Unique identifier of users"), "userName");
            }
            _ => {
                let endpoint = "https://scim.example.com/idp/scim/v2";
                assert_eq!(value("SCIM connector base URL"), endpoint);
                assert_eq!(value("Unique identifier field for users"), "userName");
            }
        }
        let notes = fields.iter().map(|field| text(field, "note")).collect::<String>();
        assert!(notes.contains("`scimd token generate --connection hr`"), "{notes}");
        let curl = text(&setup["test"], "curl");
        assert!(curl.ends_with("'https://scim.example.com/idp/scim/v2/Users?count=1'"), "{curl}");
        let origin = curl.contains(" -H 'X-Request-Origin: hr.example.com' ");
        assert_eq!((origin, curl.contains("--cacert")), (method == "custom", false), "{curl}");
    }
}

#[test]
fn the_values_that_are_taken_are_those_of_the_configuration() {
    let taken = &setup(&place("okta"))["accepted"];
    assert_eq!(taken["default_workspace"], "Sales");
    assert_eq!(taken["default_permissions"], json!(["basic_access"]));
    assert_eq!(taken["departments"], json!(["it", "hr"]));
    assert_eq!(taken["other_departments"], false);
    assert_eq!(taken["workspace_permissions"], json!(["basic_access", "export"]));
    assert_eq!(taken["workspaces"][1]["name"], "Sales");
    assert_eq!(taken["workspaces"][1]["id"], "sales-1");
    assert_eq!(taken["workspaces"][1]["teams"][0]["name"], "East");
    let names =
        |kind: &str| list(taken, kind).iter().map(|one| text(one, "name")).collect::<Vec<_>>();
    assert_eq!((names("roles"), names("permission_sets")), (vec!["Analyst"], vec!["Readers"]));
    let kept = place("okta").replace("\"refuse\"", "\"keep\"");
    assert_eq!(setup(&kept)["accepted"]["other_departments"], true);
    let flat = place("custom").replace("\"refuse\"", "\"keep\"");
    assert_eq!(
        setup(&flat)["accepted"]["other_departments"],
        false,
        "it takes no others in any case"
    );
    let text = flowing(&printed(&place("okta"), &["--connection", "hr"]));
    assert!(text.contains("Workspaces Main (id "), "{text}");
    assert!(text.contains("; Sales (id sales-1) with teams East (id "), "{text}");
}

#[test]
fn people_read_the_same_as_programs_in_lines_that_fit() {
    for method in METHODS {
        let setup = setup(&place(method));
        let text = printed(&place(method), &["--connection", "hr"]);
        let whole = flowing(&text);
        let mut said = vec![setup["prerequisites"].clone(), setup["test"].clone()];
        said.extend(list(&setup, "steps").iter().cloned());
        said.extend(list(&setup, "sign_in").iter().cloned());
        said.extend(["fields", "mapping", "group_mapping"].map(|table| setup[table].clone()));
        for leaf in said.iter().flat_map(leaves) {
            assert!(whole.contains(&flowing(leaf)), "{method}: {leaf} in {text}");
        }
        for line in text.lines().filter(|line| !line.starts_with("curl ")) {
            assert!(line.chars().count() <= 100, "{method}: {line}");
            assert_eq!(line, line.trim_end());
        }
    }
}

/// A text on one line: where a line ends is no part of what it says.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every text in a value.
fn leaves(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(leaves).collect(),
        Value::Object(object) => object.values().flat_map(leaves).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn what_will_not_work_is_told() {
    let swap = |from: &str, to: &str| place("entra").replace(from, to);
    let own = "certificate = \"chain.pem\"\nprivate_key = \"key.pem\"\n";
    let cases: [(String, &[&str]); 9] = [
        (swap("https://scim.example.com/idp", "https://127.0.0.1:8443"), &["can't reach"]),
        (swap("https://scim.example.com/idp", "https://10.1.2.3"), &["can't reach"]),
        (swap("https://scim.example.com/idp", "https://scim"), &["can't reach"]),
        (swap(own, ""), &["self-signed"]),
        (swap(own, "trusted_proxies = [\"10.0.0.1\"]\n"), &[]),
        (swap("0.0.0.0:8443", "127.0.0.1:8443"), &["listen.address is 127.0.0.1:8443"]),
        (
            swap("https://", "http://")
                .replace("0.0.0.0", "127.0.0.1")
                .replace(own, "tls = false\n"),
            &["requires https"],
        ),
        (
            swap("method = \"entra\"\nd", "method = \"entra\"\nservice_origin = \"a\"\nd"),
            &["X-Request-Origin"],
        ),
        (
            swap(
                "method = \"entra\"\nd",
                "method = \"entra\"\nip_allowlist = \"127.0.0.0/8, ::1\"\nd",
            ),
            &["ip_allowlist allows this machine only"],
        ),
    ];
    for (config, expected) in &cases {
        let warnings = setup(config)["warnings"].clone();
        let warnings: Vec<&str> = leaves(&warnings);
        assert_eq!(warnings.len(), expected.len(), "{warnings:?} {config}");
        for (warning, word) in warnings.iter().zip(*expected) {
            assert!(warning.contains(word), "{warning}");
            let text = printed(config, &["--connection", "hr"]);
            assert!(text.contains("\nWARNING  "), "{text}");
        }
    }
    let local = "[connections.hr]\nmethod = \"custom\"\nservice_origin = \"localhost\"";
    assert_eq!(setup(local)["warnings"], json!([]), "a client may be on this machine");
}

#[test]
fn one_of_several_connections_has_to_be_named_and_no_data_folder_is_needed() {
    let (folder, output) = run(&place("okta"), &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("--connection is required; configured: b, c, hr"), "{stderr}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was made");
    let (_, output) = run(&place("okta"), &["--connection", "x"]);
    assert_eq!(output.status.code(), Some(4));
    let (folder, output) = run("[connections.only]\nmethod = \"okta\"", &[]);
    assert!(output.stdout.starts_with(b"Connection only, method okta\n"));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing was made");
}

#[test]
fn the_attributes_of_a_mapping_are_known_to_the_server() {
    let server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("ada"));
    let kept = place("METHOD").replace("\"refuse\"", "\"keep\"");
    for method in ["okta", "entra"] {
        let setup = setup(&kept.replace("METHOD", method));
        let mapped = list(&setup, "mapping").iter().filter(|row| row["source"] != "nothing");
        for attribute in mapped.map(|row| text(row, "attribute")) {
            // Okta writes a filter on elements in a way of its own.
            let target = attribute.replace(".^[", "[").replace("==", " eq ").replace('\'', "\"");
            let value = match attribute.split(['.', '[']).next().unwrap() {
                "active" => json!("False"),
                "entitlements" => json!("workspace:Main"),
                "roles" if attribute == "roles" => json!([{"value": "Analyst"}]),
                _ => json!("x"),
            };
            let operation = json!([{"op": "Replace", "path": target, "value": value}]);
            client.patch(&path, &operation).expect(200);
        }
    }
}

#[test]
fn the_keys_of_the_flat_mapping_are_those_of_an_account() {
    let flat = "method = \"custom\"\nservice_origin = \"localhost\"";
    let config = place("custom").replace(flat, "");
    let (_, catalogue) = config.split_once("[[workspaces]]").unwrap();
    let server =
        Server::start_with(&format!("[connections.default]\n{flat}\n[[workspaces]]{catalogue}"));
    let account = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada@example.com", "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "active": true, "department": "it",
        "permissions": {
            "companyPermissions": ["admin"], "roles": [{"roleName": "Analyst"}],
            "appGroup": [{
                "appGroupName": "Sales", "appGroupPermissions": ["export"],
                "appGroupPermissionSets": [{"appGroupPermissionSetName": "Readers"}],
                "team": [{"teamName": "East", "teamPermissions": ["edit"]}],
            }],
        },
    });
    let created = server.client().post("/Users", &account).expect(201).body;
    let setup = setup(&place("custom"));
    for attribute in
        list(&setup, "mapping").iter().flat_map(|row| text(row, "attribute").split(", "))
    {
        let pointer = format!("/{}", attribute.replace("[]", "/0").replace('.', "/"));
        assert!(created.pointer(&pointer).is_some(), "{attribute} is not in {created}");
    }
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn the_printed_curl_line_works_with_the_token_in_a_variable() {
    let server = Server::start();
    let setup: Value = serde_json::from_str(&server.succeed(&["setup", "--json"])).unwrap();
    let line = format!("{} -sS", text(&setup["test"], "curl"));
    let elsewhere = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("TOKEN", server.token()).current_dir(&elsewhere);
    let answer: Value = serde_json::from_slice(&shell.output().unwrap().stdout).unwrap();
    assert_eq!(answer["totalResults"], 0);
}

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// What is printed with the configuration that the `scimd init` line of the document makes.
fn documented(document: &str, method: &str, more: &[&str]) -> Value {
    let begin = format!("scimd init --method {method} ");
    let line = document.lines().find(|line| line.starts_with(&begin));
    let line = line.unwrap_or_else(|| panic!("no line {begin} in the document"));
    let init: Vec<&str> = line.split(' ').skip(1).collect();
    let folder = tempfile::tempdir().unwrap();
    assert!(scimd(&init).current_dir(&folder).output().unwrap().status.success(), "{line}");
    let setup = [&["setup", "--json"], more].concat();
    let output = scimd(&setup).current_dir(&folder).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A table as documents have it, with empty lines around it.
fn table_of(rows: &[Value], head: [&str; 3], columns: [&str; 3]) -> String {
    let mut block = format!("\n| {} |\n| --- | --- | --- |\n", head.join(" | "));
    for row in rows {
        let [first, second, third] = columns.map(|column| text(row, column));
        block.push_str(&format!("| {first} | {second} | {third} |\n"));
    }
    block + "\n"
}

#[test]
fn the_document_of_agents_has_what_is_printed_for_them() {
    let document = document("behind-a-firewall.md");
    for method in ["entra", "okta"] {
        let setup = documented(&document, method, &["--via", "agent"]);
        let head = ["Field", "Value", "Note"];
        let mut blocks = vec![table_of(list(&setup, "fields"), head, ["name", "value", "note"])];
        for (number, stage) in list(&setup, "steps").iter().enumerate() {
            let steps: String =
                leaves(&stage["steps"]).iter().map(|step| format!("   - {step}\n")).collect();
            blocks.push(format!("\n{}. {}\n{steps}", number + 1, text(stage, "title")));
        }
        blocks.extend(leaves(&setup["prerequisites"]).iter().map(|what| format!("\n- {what}\n")));
        for (label, name) in [("Test", "step"), ("Success", "success"), ("Failure", "failure")] {
            blocks.push(format!("\n- {label}: {}\n", text(&setup["test"], name)));
        }
        for block in blocks {
            assert!(document.contains(&block), "{method}: behind-a-firewall.md lacks{block}");
        }
    }
    let (_, output) = run(&place("generic"), &["--connection", "hr", "--via", "agent"]);
    let refused = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && refused.contains("okta, okta-custom or entra"));
}

/// The configuration of a connection of that method with a federation, and HTTP Basic.
fn with_more(method: &str) -> String {
    let federation = "\n[connections.hr.federation]\nissuer = \"https://issuer.example/v2.0\"\n\
        subject = \"object\"\naudiences = [\"api://app\", \"app\"]\njwks_url = \"https://issuer.example/keys\"\n";
    let basic = place(method)
        .replace("[connections.b]", &format!("basic = true{federation}[connections.b]"));
    basic.replace("ORIGIN\n", "")
}

#[test]
fn each_way_to_sign_in_is_printed_with_the_fields_of_both_sides() {
    let ways = |method: &str| -> Vec<(String, Vec<(String, String)>)> {
        let setup = setup(&with_more(method));
        let field =
            |field: &Value| (text(field, "name").to_owned(), text(field, "value").to_owned());
        let way = |way: &Value| {
            let fields = list(way, "fields").iter().map(field).collect();
            (text(way, "name").to_owned(), fields)
        };
        list(&setup, "sign_in").iter().map(way).collect()
    };
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let entra = ways("entra");
    let names: Vec<&str> = entra.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["OAuth 2.0 client credentials", "workload identity federation"]);
    let endpoints = [
        ("Tenant URL", "https://scim.example.com/idp/scim/v2"),
        ("Token endpoint", "https://scim.example.com/idp/oauth2/token"),
    ];
    let secret = [("Client identifier", "the client id"), ("Client secret", "the client secret")];
    assert_eq!(entra[0].1, endpoints.into_iter().chain(secret).map(pair).collect::<Vec<_>>());
    let trust = [
        ("Client identifier", "hr"),
        ("In scimd: issuer", "https://issuer.example/v2.0"),
        ("In scimd: subject", "object"),
        ("In scimd: audiences", "api://app, app"),
        ("In scimd: jwks_url", "https://issuer.example/keys"),
    ];
    assert_eq!(entra[1].1, endpoints.into_iter().chain(trust).map(pair).collect::<Vec<_>>());
    for (method, count) in [("okta", 1), ("okta-custom", 1), ("generic", 4), ("custom", 4)] {
        let ways = ways(method);
        assert_eq!(ways.len(), count, "{method}");
        assert_eq!(ways.last().unwrap().0, "HTTP Basic");
    }
}

#[test]
fn ways_to_sign_in_that_will_not_work_are_warned_of() {
    let warnings = |config: &str, more: &[&str]| {
        let args = [&["--connection", "hr", "--json"], more].concat();
        let setup: Value = serde_json::from_str(&printed(config, &args)).unwrap();
        setup["warnings"].to_string()
    };
    assert!(warnings(&with_more("entra"), &[]).contains("does not sign in with HTTP Basic"));
    assert!(warnings(&with_more("okta"), &[]).contains("not known to send assertions"));
    assert!(warnings(&with_more("entra"), &["--via", "agent"]).contains("not known to send"));
    assert_eq!(warnings(&with_more("generic"), &[]), "[]");
    let scope = place("entra").replace("[connections.b]", "scope = \"read\"\n[connections.b]");
    assert!(warnings(&scope, &[]).contains("scope is \\\"read\\\""));
    let private = place("entra").replace("https://scim.example.com/idp", "https://scim:8443");
    assert_eq!(warnings(&private, &["--via", "agent"]), "[]", "an agent reaches a private name");
    assert!(warnings(&private, &[]).contains("can't reach"));
}

#[test]
fn the_documents_have_the_tables_and_steps_that_are_printed() {
    for method in METHODS {
        let name = match method {
            "okta" | "okta-custom" => "connect-okta.md",
            "entra" => "connect-entra.md",
            _ => "connect-other.md",
        };
        let document = document(name);
        let setup = documented(&document, method, &[]);
        let tables = [
            ("fields", ["Field", "Value", "Note"], ["name", "value", "note"]),
            ("mapping", ["From", "As", "Maps to"], ["source", "attribute", "meaning"]),
            ("group_mapping", ["From", "As", "Maps to"], ["source", "attribute", "meaning"]),
        ];
        let mut blocks: Vec<String> = Vec::new();
        for (name, head, columns) in tables.iter().filter(|table| !list(&setup, table.0).is_empty())
        {
            blocks.push(table_of(list(&setup, name), *head, *columns));
        }
        let [(_, head, columns), ..] = tables;
        for way in list(&setup, "sign_in") {
            let title = format!("\n### Or sign in with {}\n", text(way, "name"));
            blocks.push(title + &table_of(list(way, "fields"), head, columns));
        }
        for (number, stage) in list(&setup, "steps").iter().enumerate() {
            let mut block = format!("\n{}. {}\n", number + 1, text(stage, "title"));
            for step in leaves(&stage["steps"]) {
                block.push_str(&format!("   - {step}\n"));
            }
            blocks.push(block);
        }
        blocks.extend(leaves(&setup["prerequisites"]).iter().map(|what| format!("\n- {what}\n")));
        for (label, name) in [("Test", "step"), ("Success", "success"), ("Failure", "failure")] {
            blocks.push(format!("\n- {label}: {}\n", text(&setup["test"], name)));
        }
        for block in blocks {
            assert!(document.contains(&block), "{method}: docs/{name} lacks{block}");
        }
    }
}

#[test]
fn the_configurations_in_the_document_are_valid() {
    let document = document("configuration.md");
    let blocks: Vec<&str> =
        document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), block).unwrap();
        let output = scimd(&["connection", "list"]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
