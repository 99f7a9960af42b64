//! What groups give: whose they must be, and what a connection may give at all.

use serde_json::json;

use crate::harness::{Client, Reply, Server, create, group, user};

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

fn config(grant: &str, of_two: &str) -> String {
    format!(
        "[connections.one]\nmethod = \"okta-custom\"\n[connections.two]\nmethod = \"okta-custom\"\n{of_two}\n\
         [[workspaces]]\nname = \"Main\"\n[[roles]]\nname = \"Guest\"\n[[roles]]\nname = \"Owner\"\n\
         [[grants]]\ngroup = \"Admins\"\ncompany_permissions = [\"admin\"]\n{grant}\n\
         [[grants]]\ngroup = \"Guests\"\nconnection = [\"one\", \"two\"]\nroles = [\"Guest\"]\n"
    )
}

fn start(grant: &str, of_two: &str) -> (Server, Client, Client) {
    let server = Server::start_with(&config(grant, of_two));
    let client = |name: &str| {
        let token = server.succeed(&["token", "generate", "--connection", name]);
        server.client_with(token.trim())
    };
    let (one, two) = (client("one"), client("two"));
    (server, one, two)
}

fn is_admin(client: &Client, path: &str) -> bool {
    let body = client.get(&format!("{path}?attributes={ACCESS}:effective")).expect(200).body;
    body[ACCESS]["effective"].to_string().contains("company:admin")
}

#[test]
fn a_grant_is_for_groups_of_its_connection_alone() {
    let (_server, one, two) = start("connection = \"one\"", "scope = \"own\"");
    let (user, id) = create(&two, "/Users", &user("mallory"));
    let (theirs, _) = create(&two, "/Groups", &group("ADMINS", &[&id]));
    assert!(!is_admin(&one, &user), "whoever has the name first gets nothing by it");
    two.patch(&theirs, &json!([{"op": "replace", "path": "displayName", "value": "x"}]))
        .expect(200);
    let (own, _) = create(&one, "/Groups", &group("Admins", &[&id]));
    assert!(is_admin(&one, &user));
    one.delete(&own).expect(204);
    two.patch(&theirs, &json!([{"op": "replace", "path": "displayName", "value": "Admins"}]))
        .expect(200);
    assert!(!is_admin(&one, &user));
}

#[test]
fn a_grant_for_a_group_of_another_connection_is_a_warning() {
    let (mut server, _, two) = start("connection = \"one\"", "scope = \"own\"");
    create(&two, "/Groups", &group("ADMINS", &[]));
    create(&two, "/Groups", &group("Guests", &[]));
    let warning =
        "the grant for group \"Admins\" of connection one has no effect: connection two manages";
    let log = server.reload();
    assert_eq!(log.matches("has no effect").count(), 1, "{log}");
    assert!(log.contains("WARN") && log.contains(warning), "{log}");
    server.stop();
    let told = server.run(&["config", "check"]);
    assert!(told.status.success());
    assert!(String::from_utf8_lossy(&told.stderr).contains(warning), "{told:?}");
    server.boot(&[]);
    server.until("it warns", |server| server.stderr().contains(warning));
}

#[test]
fn where_several_connections_write_groups_a_grant_says_whose_or_nothing_starts() {
    let mut server = Server::start_with(&config("connection = \"one\"", ""));
    server.rewrite(|text| text.replace("connection = \"one\"\n", ""));
    let told = server.fail(&["config", "check"], 2);
    assert!(told.contains("grants.connection: missing"), "{told}");
    assert!(told.contains("add the line connection = \"one\" or connection = \"two\""), "{told}");
    let log = server.reload();
    assert!(log.contains("several connections may write groups"), "{log}");
    server.client().get("/Users?count=1").expect(200);
    server.stop();
    let told = server.fail(&["serve"], 2);
    assert!(told.contains("grants.connection: missing"), "{told}");
}

#[test]
fn a_connection_gives_what_it_may_give_and_no_more() {
    let may = "may_grant = [\"role:Guest\", \"workspace:Main\"]";
    let (mut server, one, two) = start("connection = [\"one\", \"two\"]", may);
    let with = |name: &str, attribute: &str, value: &str| {
        let mut user = user(name);
        user[attribute] = json!([{"value": value}]);
        user
    };
    let (path, id) = create(&two, "/Users", &with("ada", "roles", "Guest"));
    let (admins, _) = create(&one, "/Groups", &group("Admins", &[]));
    let (outer_path, _) = create(&one, "/Groups", &group("Inner", &[]));
    let inner = one.get(&outer_path).body["id"].as_str().unwrap().to_owned();
    let add = |id: &str| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
    one.patch(&admins, &add(&inner)).expect(200);
    let (named, _) = create(&two, "/Groups", &group("Named", &[]));
    let give = |attribute: &str, value: &str| json!([{"op": "add", "path": attribute, "value": [{"value": value}]}]);
    let refused: [(&str, &dyn Fn() -> Reply); 7] = [
        ("company:admin", &|| two.post("/Users", &with("eve", "entitlements", "company:admin"))),
        ("role:Owner", &|| two.post("/Users", &with("eve", "roles", "owner"))),
        ("company:admin", &|| two.patch(&path, &give("entitlements", "company:admin"))),
        ("role:Owner", &|| two.put(&path, &with("ada", "roles", "Owner"))),
        ("company:admin", &|| two.patch(&admins, &add(&id))),
        ("company:admin", &|| two.patch(&outer_path, &add(&id))),
        ("company:admin", &|| {
            one.patch(&admins, &json!([{"op": "replace", "path": "displayName", "value": "y"}]))
                .expect(200);
            let name = json!([{"op": "replace", "path": "displayName", "value": "Admins"}]);
            two.patch(&named, &name)
        }),
    ];
    for (piece, ask) in refused {
        let answer = ask();
        let detail = answer.error(403, None);
        assert!(detail.contains(&format!("may not give \"{piece}\"")), "{detail}");
        assert!(detail.contains("may_grant in [connections.two]"), "{detail}");
    }
    // What it may give, what is below that, and what others gave, it writes as always.
    two.patch(&path, &give("entitlements", "workspace:Main")).expect(200);
    create(&two, "/Groups", &group("Guests", &[&id]));
    one.patch(&path, &give("entitlements", "company:admin")).expect(200);
    two.patch(&path, &json!([{"op": "replace", "path": "title", "value": "x"}])).expect(200);
    assert!(is_admin(&two, &path));
    two.patch(&path, &json!([{"op": "remove", "path": "entitlements"}])).expect(200);
    server.stop();
    let audit = server.succeed(&["audit", "--json"]);
    assert!(audit.contains("may_grant"), "{audit}");
}
