//! Applications: programs that read the directory with tokens of their own.

use serde_json::{Value, json};

use crate::harness::{Client, Raw, Server, USER, create, free_port, user};

const CRM: &str = "[applications.crm]\nscopes = [\"read\"]\n";
const FEED: &str = "[applications.feed]\nscopes = [\"events\"]\n";

const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";

/// A new token of an application.
fn token(server: &Server, application: &str) -> String {
    server.succeed(&["token", "generate", "--application", application]).trim().to_owned()
}

/// A client that sends a token, and no X-Request-Origin.
fn client(server: &Server, token: &str) -> Client {
    server.stranger().bearer(token)
}

fn listed(server: &Server) -> Vec<Value> {
    serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap()
}

/// The records of the audit trail with an event, oldest first.
fn audit(server: &Server, event: &str) -> Vec<Value> {
    let lines = server.succeed(&["audit", "--event", event, "--all", "--json"]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_scope_read_opens_what_reads_and_nothing_else() {
    let server = Server::start_with(&format!("{CRM}{FEED}"));
    let (path, _) = create(&server.client(), "/Users", &user("ada"));
    let crm = client(&server, &token(&server, "crm"));
    for route in [
        path.as_str(),
        "/Users?filter=userName%20eq%20%22ada%22",
        "",
        "/Groups",
        "/Schemas",
        "/ResourceTypes/User",
        "/ServiceProviderConfig",
        "/Roles",
        "/Entitlements",
    ] {
        crm.get(route).expect(200);
    }
    let search = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]});
    crm.post("/.search", &search).expect(200);
    assert_eq!(crm.post("/Users/.search", &search).expect(200).body["totalResults"], 1);
    let refused = [
        crm.post("/Users", &user("eve")),
        crm.put(&path, &user("eve")),
        crm.patch(&path, &json!([{"op": "replace", "path": "active", "value": false}])),
        crm.delete(&path),
        crm.post("/Bulk", &json!({"Operations": []})),
    ];
    for reply in &refused {
        assert!(reply.error(403, None).contains("requires the scope \"write\""), "{}", reply.body);
    }
    let feed = client(&server, &token(&server, "feed"));
    assert!(feed.get("/Users").error(403, None).contains("requires the scope \"read\""));
    assert_eq!(crm.get("/Users").expect(200).body["totalResults"], 1);
}

#[test]
fn an_application_sees_the_form_of_the_rfc_and_access_whoever_wrote_the_account() {
    let custom = "[connections.default]\nmethod = \"custom\"\nservice_origin = \"localhost\"\n";
    let server = Server::start_with(&format!("{custom}{CRM}"));
    let flat = json!({"schemas": [USER], "userName": "ada@example.com", "active": true, "department": "bi",
        "name": {"givenName": "Ada", "familyName": "L"}, "permissions": {"companyPermissions": ["admin"]}});
    let written = server.client().post("/Users", &flat).expect(201);
    assert_eq!(written.text("/department"), "bi");
    let crm = client(&server, &token(&server, "crm"));
    let path = format!("/Users/{}", written.text("/id"));
    let seen = crm.get(&path).expect(200).body;
    assert!(seen.get("department").is_none() && seen.get("permissions").is_none(), "{seen}");
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    assert_eq!(seen[enterprise]["department"], "bi", "{seen}");
    let seen = crm
        .get(&format!("{path}?attributes=userName,{ACCESS}:effective,{ACCESS}:managedBy"))
        .expect(200)
        .body;
    let effective = seen[ACCESS]["effective"].as_array().unwrap_or_else(|| panic!("{seen}"));
    assert!(effective.iter().any(|one| one["value"] == "company:admin"), "{seen}");
    assert_eq!(seen[ACCESS]["managedBy"], "default");
    crm.get("/Users/none").error(404, None);
}

#[test]
fn an_address_that_is_not_allowed_gets_the_same_401_as_an_unknown_token() {
    let elsewhere = "[applications.crm]\nscopes = [\"read\"]\nip_allowlist = \"192.0.2.1\"\n";
    let mut server = Server::start_with(elsewhere);
    let token = token(&server, "crm");
    let mut raw = Raw::connect(&server);
    let unknown = raw.ask("GET", "/scim/v2/Users", &[("Authorization", "Bearer x")]);
    let bearer = format!("Bearer {token}");
    let reply = raw.ask("GET", "/scim/v2/Users", &[("Authorization", bearer.as_str())]);
    assert_eq!((reply.status, &reply.head, &reply.body), (401, &unknown.head, &unknown.body));
    let reason = "address 127.0.0.1 is not on the ip_allowlist of application crm";
    server.until("the log says why", |server| server.stderr().contains(reason));
    assert!(server.stderr().contains("application=\"crm\""), "{}", server.stderr());
    // The connection's own allowlist is not that of the application.
    server.client().get("/Users").expect(200);
    server.reconfigure(|text| text.replace("192.0.2.1", "127.0.0.0/8"));
    client(&server, &token).get("/Users").expect(200);
}

#[test]
fn an_application_comes_and_goes_with_a_reload_and_its_tokens_are_not_forgotten() {
    let mut server = Server::start();
    let add = |text: String| format!("{text}\n{CRM}");
    server.fail(&["token", "generate", "--application", "crm"], 4);
    server.rewrite(add);
    let report = server.run(&["reload"]);
    let said = String::from_utf8_lossy(&report.stderr).into_owned();
    assert!(said.contains("applications.crm"), "{said}");
    let token = token(&server, "crm");
    let crm = client(&server, &token);
    crm.get("/Users").expect(200);
    server.rewrite(|text| text.replace(CRM, ""));
    let log = server.reload();
    assert!(log.contains("application crm is not in the configuration"), "{log}");
    assert_eq!(crm.get("/Users").status, 401);
    let of_crm = |server: &Server| {
        listed(server).into_iter().find(|one| one["application"] == "crm").unwrap()
    };
    assert_eq!(of_crm(&server)["status"], "no owner");
    let checked = server.run(&["config", "check", "--data"]);
    let checked = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    let id = of_crm(&server)["id"].as_str().unwrap().to_owned();
    assert!(checked.contains(&format!("token {id} opens nothing")), "{checked}");
    server.reconfigure(add);
    crm.get("/Users").expect(200);
    server.succeed(&["token", "revoke", &id]);
    assert_eq!(crm.get("/Users").status, 401);
}

#[test]
fn the_command_line_makes_and_ends_tokens_of_applications() {
    let mut server = Server::configure_with_data(&format!("{CRM}{FEED}"));
    let first = token(&server, "crm");
    server.boot(&[]);
    let other = token(&server, "feed");
    let both = ["token", "generate", "--application", "crm", "--connection", "default"];
    assert_eq!(server.run(&both).status.code(), Some(2));
    let unknown = server.fail(&["token", "generate", "--application", "crn"], 4);
    assert!(unknown.contains("the configuration has crm, feed"), "{unknown}");
    assert_eq!(server.run(&["token", "reset"]).status.code(), Some(2));
    let reset = ["token", "reset", "--application", "crm", "--expires", "1h"];
    let second = server.succeed(&reset).trim().to_owned();
    assert_eq!(client(&server, &first).get("/Users").status, 401);
    assert_eq!(client(&server, &second).get("/Users").status, 200);
    assert_eq!(
        client(&server, &other).get("/Users").status,
        403,
        "another application keeps its own"
    );
    let table = server.succeed(&["token", "list"]);
    assert!(table.contains("application crm") && table.contains("application feed"), "{table}");
    let short = ["token", "generate", "--application", "crm", "--expires", "1s"];
    let short = client(&server, server.succeed(&short).trim());
    server.until("it has expired", |_| short.get("/Users").status == 401);
    let reason = "of application crm expired";
    server.until("the log says why", |server| server.stderr().contains(reason));
}

#[test]
fn audit_trail_request_log_metrics_and_log_name_the_application() {
    let port = free_port();
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:{port}\"\n");
    let mut server = Server::start_with(&format!("{CRM}{metrics}"));
    let crm = client(&server, &token(&server, "crm"));
    crm.get("/Users").expect(200);
    crm.post("/Users", &user("eve")).error(403, None);
    let made = audit(&server, "token.generated");
    let change = &made.last().unwrap()["changes"][0];
    assert_eq!((&change["attribute"], &change["after"]), (&json!("application"), &json!("crm")));
    let asked = server.succeed(&["requests", "--application", "crm", "--json"]);
    let asked: Vec<Value> = asked.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|one| one["application"] == "crm" && one["connection"].is_null()));
    server.until("the refusal is recorded", |server| !audit(server, "request.refused").is_empty());
    let refused = &audit(&server, "request.refused")[0]["refusals"][0];
    assert_eq!(
        (&refused["reason"], &refused["application"]),
        (&json!("token_scope"), &json!("crm"))
    );
    assert!(server.stderr().contains("application=\"crm\" method=GET"), "{}", server.stderr());
    let page = ureq::get(format!("http://127.0.0.1:{port}/metrics")).call().unwrap();
    let page = page.into_body().read_to_string().unwrap();
    for series in [
        "scimd_http_requests_total{application=\"crm\",method=\"GET\"",
        "scimd_tokens_valid{application=\"crm\"} 1",
    ] {
        assert!(page.contains(series), "no {series} in {page}");
    }
}
