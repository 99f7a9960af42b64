//! The pages of the console: connections, tokens, requests, and what hostile texts come to on them.

use serde_json::json;

use crate::harness::{Browser, Server, create, eventually, user};

/// A server with a console and a connection in `config.toml`.
fn start() -> Server {
    Server::start_with("[console]\n[connections.okta]\nmethod = \"okta\"\n")
}

/// The fields of a form that adds a connection.
const ENTRA: &[(&str, &str)] = &[
    ("name", "entra"),
    ("method", "entra"),
    ("default_workspace", "Main"),
    ("service_origin", ""),
    ("ip_allowlist", "127.0.0.0/8, ::1"),
];

/// The token that a page shows.
#[track_caller]
fn token(text: &str) -> String {
    let (_, rest) = text.split_once("<code id=\"token\">").expect(text);
    rest.split('<').next().unwrap().to_owned()
}

#[test]
fn a_connection_is_added_its_token_shown_once_and_its_first_request_seen() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let form = browser.get("/add-connection").expect(200).text;
    for label in [
        "Provisioning method",
        "Default workspace",
        "Service origin",
        "IP allowlist",
        "Okta catalogue app",
    ] {
        assert!(form.contains(label), "{label}");
    }
    assert!(form.contains("data-when-complete>Generate SCIM token<"), "{form}");
    let page = browser.submit("/add-connection", "/add-connection/token", ENTRA).expect(200).text;
    for label in [
        "SCIM API endpoint",
        "SCIM token",
        "Reset token",
        "IdP configuration",
        "Waiting for the first request...",
    ] {
        assert!(page.contains(label), "{label}");
    }
    let token = token(&page);
    let file = server.folder().join("conf.d/connection-entra.toml");
    assert!(std::fs::read_to_string(file).unwrap().contains("method = \"entra\""));
    let again = browser.get("/connections/entra").expect(200).text;
    assert!(!again.contains(&token) && again.contains("Waiting for the first request..."));
    let client = server.client_with(&token);
    client.get("/Users?count=0").expect(200);
    client.post("/Users", &user("ada@example.com")).expect(201);
    let seen = browser.get("/connections/entra").expect(200).text;
    assert!(seen.contains("Requests arrive"), "{seen}");
    assert!(
        seen.contains("Create a user<span class=\"hidden\">: seen")
            && seen.contains("Update a user<span class=\"hidden\">: not")
    );
    let audit = server.succeed(&["audit", "--json"]);
    let made: Vec<&str> = audit
        .lines()
        .filter(|line| line.contains("connection.created") || line.contains("token.generated"))
        .collect();
    let name = "\"name\":\"root\"";
    let by_operator = made
        .iter()
        .filter(|line| line.replace(": ", ":").contains(name) && line.contains("\"uid\":null"));
    assert!(by_operator.count() >= 1 || made.len() > 1, "{audit}");
}

#[test]
fn what_a_method_requires_is_checked_by_the_server_as_well() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    for (field, value, words) in [
        ("method", "custom", "service_origin"),
        ("method", "nonsense", "unknown method"),
        ("ip_allowlist", "300.1.1.1", "ip_allowlist"),
        ("default_workspace", "None", "default_workspace"),
        ("name", "Not a name", "invalid connection name"),
        ("name", "okta", "defined at"),
        ("daily_requests", "many", "daily_requests"),
    ] {
        let mut fields: Vec<_> = ENTRA.iter().copied().filter(|(name, _)| *name != field).collect();
        fields.push((field, value));
        let page =
            browser.submit("/add-connection", "/add-connection/token", &fields).expect(422).text;
        assert!(page.contains("Not saved") && page.contains(words), "{field}: {page}");
        assert!(
            page.contains("value=\"127.0.0.0/8, ::1\"") || field == "ip_allowlist",
            "what was entered stays"
        );
    }
    assert!(!server.folder().join("conf.d/connection-entra.toml").exists());
    assert_eq!(server.succeed(&["token", "list"]).matches("entra").count(), 0);
}

#[test]
fn settings_are_changed_tokens_reset_and_a_connection_removed() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    browser.submit("/add-connection", "/add-connection", ENTRA).expect(303);
    let path = "/connections/entra";
    let first = token(
        &browser.submit(path, "/connections/entra/token", &[("valid_for", "90d")]).expect(200).text,
    );
    let fields = [
        ("method", "entra"),
        ("default_workspace", "Main"),
        ("ip_allowlist", ""),
        ("scope", "own"),
        ("basic", "on"),
    ];
    browser.submit(path, path, &fields).expect(303);
    let shown = server.succeed(&["connection", "show", "entra"]);
    assert!(shown.contains("own") && !shown.contains("127.0.0.0/8"), "{shown}");
    let second = token(
        &browser
            .submit(path, "/connections/entra/token", &[("overlap", "0s"), ("valid_for", "365d")])
            .text,
    );
    server.client_with(&first).get("/Users").expect(401);
    server.client_with(&second).get("/Users").expect(200);
    let id = server.succeed(&["token", "list", "--json"]);
    let tokens: serde_json::Value = serde_json::from_str(&id).unwrap();
    let id = tokens
        .as_array()
        .unwrap()
        .iter()
        .rfind(|token| token["connection"] == "entra")
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    browser.submit(path, &format!("{path}/tokens/{id}/revoke"), &[]).expect(303);
    server.client_with(&second).get("/Users").expect(401);
    let client = browser.submit(path, "/connections/entra/client", &[]).expect(200).text;
    assert!(client.contains("Client secret") && client.contains("oauth2/token"), "{client}");
    browser.submit(path, "/connections/entra/remove", &[("confirm", "entr")]).expect(422);
    browser.submit(path, "/connections/entra/remove", &[("confirm", "entra")]).expect(303);
    browser.get(path).expect(404);
}

#[test]
fn a_connection_named_new_has_a_page_like_any_other() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    server.succeed(&["connection", "add", "new", "--method", "entra"]);
    let page = browser.get("/connections/new").expect(200).text;
    assert!(page.contains("Connection new") && page.contains("Generate SCIM token"), "{page}");
    let page = browser.submit("/connections/new", "/connections/new/token", &[]).expect(200).text;
    server.client_with(&token(&page)).get("/Users?count=0").expect(200);
    let fields = [("method", "entra"), ("default_workspace", "Main"), ("scope", "own")];
    browser.submit("/connections/new", "/connections/new", &fields).expect(303);
    assert!(server.succeed(&["connection", "show", "new"]).contains("own"));
}

#[test]
fn brake_and_federation_are_set_changed_and_removed_in_the_form() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let of = |more: &[(&'static str, &'static str)]| [ENTRA, more].concat();
    let brake = [("brake_action", "hold"), ("brake_percent", "5"), ("brake_window", "1h")];
    let trust = [
        ("federation_issuer", "https://issuer.example"),
        ("federation_subject", "scimd"),
        ("federation_audiences", "api://one, api://two"),
        ("federation_jwks_url", "https://issuer.example/keys"),
    ];
    browser.submit("/add-connection", "/add-connection", &of(&brake)).expect(303);
    let file = server.folder().join("conf.d/connection-entra.toml");
    let text = || std::fs::read_to_string(&file).unwrap();
    assert!(text().contains("[connections.entra.brake]\naction = \"hold\"\n"), "{}", text());
    let path = "/connections/entra";
    let page = browser.submit(path, path, &of(&trust[..2])).expect(422).text;
    assert!(page.contains("audiences") && page.contains("jwks_url"), "{page}");
    let page = browser.submit(path, path, &of(&[("brake_percent", "101")])).expect(422).text;
    assert!(page.contains("brake.percent") && page.contains("value=\"101\""), "{page}");
    browser.submit(path, path, &of(&trust)).expect(303);
    assert!(
        !text().contains("brake]") && text().contains("audiences = [\"api://one\", \"api://two\"]")
    );
    let page = browser.get(path).expect(200).text;
    assert!(page.contains("value=\"https://issuer.example/keys\""), "{page}");
    assert!(page.contains("<option value=\"alarm\" selected>"), "{page}");
    browser.submit(path, path, ENTRA).expect(303);
    assert!(!text().contains("federation"), "{}", text());
}

#[test]
fn two_operators_who_save_at_once_leave_one_whole_configuration() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    browser.submit("/add-connection", "/add-connection", ENTRA).expect(303);
    let path = "/connections/entra";
    let save = |allowed: &str, scope: &str| {
        let mut browser = Browser::signed_in(&server);
        for _ in 0..5 {
            let fields = [
                ("method", "entra"),
                ("default_workspace", "Main"),
                ("ip_allowlist", allowed),
                ("scope", scope),
            ];
            browser.submit(path, path, &fields).expect(303);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| save("192.0.2.1", "own"));
        scope.spawn(|| save("192.0.2.2", "read"));
    });
    let shown = server.succeed(&["connection", "show", "entra"]);
    let is = |allowed, scope| shown.contains(allowed) && shown.contains(scope);
    assert!(is("192.0.2.1", "own") != is("192.0.2.2", "read"), "{shown}");
    server.succeed(&["config", "check"]);
    let changes = server.succeed(&["audit", "--event", "connection.changed", "--json"]);
    assert_eq!(changes.lines().count(), 10, "{changes}");
    // Two who add the same name: one does, the other is refused.
    let add = || {
        let mut browser = Browser::signed_in(&server);
        let fields = [("name", "other"), ("method", "entra"), ("default_workspace", "Main")];
        browser.submit("/add-connection", "/add-connection", &fields).status
    };
    let mut both = std::thread::scope(|scope| {
        let both = [scope.spawn(add), scope.spawn(add)];
        both.map(|one| one.join().unwrap())
    });
    both.sort_unstable();
    assert_eq!(both, [303, 422]);
}

#[test]
fn a_deactivation_behind_many_events_of_others_is_seen() {
    let server = start();
    let client = server.client();
    let (ada, _) = create(&client, "/Users", &user("ada"));
    let path = "/connections/okta";
    let mut browser = Browser::signed_in(&server);
    let is_seen = |browser: &mut Browser<'_>| {
        let page = browser.get(path).expect(200).text;
        page.contains("Deactivate a user<span class=\"hidden\">: seen")
    };
    assert!(!is_seen(&mut browser));
    for number in 0..300 {
        create(&client, "/Users", &user(&format!("user{number}")));
    }
    assert!(!is_seen(&mut browser), "the search goes on where it ended");
    let off = json!([{"op": "replace", "path": "active", "value": false}]);
    client.patch(&ada, &off).expect(200);
    eventually("the deactivation is seen", || is_seen(&mut browser).then_some(()));
}

#[test]
fn a_connection_of_the_configuration_file_is_shown_and_not_changed() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let page = browser.get("/connections/okta").expect(200).text;
    assert!(page.contains("config.toml:") && page.contains("Change it there"), "{page}");
    let fields = [("method", "entra"), ("default_workspace", "Main")];
    let refused =
        browser.submit("/connections/okta", "/connections/okta", &fields).expect(422).text;
    assert!(refused.contains("defined at"), "{refused}");
    browser.get("/connections/none").expect(404);
}

#[test]
fn roles_decide_what_pages_offer_and_actions_do() {
    let server = start();
    server.succeed(&["operator", "add", "vera", "--role", "viewer"]);
    let link = server.succeed(&["console", "link", "--operator", "vera"]);
    let mut viewer = Browser::new(&server);
    viewer.use_link(link.trim()).expect(303);
    let page = viewer.get("/connections/okta").expect(200).text;
    assert!(!page.contains("Generate SCIM token") && !page.contains("Reset token"), "{page}");
    viewer.get("/add-connection").expect(403);
    let csrf = viewer.get("/").hidden("csrf");
    for action in [
        "/add-connection",
        "/connections/okta",
        "/connections/okta/token",
        "/connections/okta/remove",
    ] {
        let refused = viewer.post(action, &[("csrf", &csrf)]).expect(403).text;
        assert!(refused.contains("needs the role admin"), "{action}: {refused}");
    }
}

#[test]
fn a_failed_request_is_found_by_filters_and_explained() {
    let server = start();
    let client = server.client();
    client.post("/Users", &user("ada@example.com")).expect(201);
    client.post("/Users", &user("ada@example.com")).expect(409);
    client.get("/Users?filter=userName%20eq%20%22none%22").expect(200);
    let mut browser = Browser::signed_in(&server);
    let all = browser.get("/requests").expect(200).text;
    assert!(all.contains("POST /scim/v2/Users") && all.contains("GET /scim/v2/Users"), "{all}");
    let failed = browser
        .get("/requests?failed=1&connection=okta&since=1h&user=ada%40example.com")
        .expect(200)
        .text;
    assert!(
        failed.contains("already exists") && !failed.contains("GET /scim/v2/Users"),
        "{failed}"
    );
    let (_, rest) = failed.split_once("href=\"/requests/").unwrap();
    let id = rest.split('"').next().unwrap();
    let page = browser.get(&format!("/requests/{id}")).expect(200).text;
    assert!(
        page.contains("Why it failed")
            && page.contains("uniqueness")
            && page.contains("What to do"),
        "{page}"
    );
    let created = browser.get("/requests?user=ada%40example.com").expect(200).text;
    let ids: Vec<&str> = created
        .split("href=\"/requests/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let pages: Vec<String> =
        ids.iter().map(|id| browser.get(&format!("/requests/{id}")).text).collect();
    assert!(pages.iter().any(|page| page.contains("user.created")), "the change is shown");
    browser.get("/requests/none").expect(404);
    browser.get("/requests?since=tomorrow").expect(400);
}

#[test]
fn what_clients_send_is_text_on_every_page() {
    let server = start();
    let client = server.client();
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": hostile, "displayName": hostile});
    client.post("/Users", &body).expect(201);
    client.post("/Users", &body).expect(409);
    let agent = server.client().header("User-Agent", hostile);
    agent.get("/Users/none").expect(404);
    agent.get("/Users?filter=%3Cscript%3Ealert(1)%3C%2Fscript%3E").expect(400);
    client.send("GET", "/Users/%3Cscript%3Ealert(1)%3C%2Fscript%3E", None);
    let mut browser = Browser::signed_in(&server);
    let list = browser.get("/requests").expect(200).text;
    let ids: Vec<String> = list
        .split("href=\"/requests/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned())
        .collect();
    assert!(ids.len() >= 5, "{ids:?}");
    let paths = [
        "/",
        "/requests",
        "/connections",
        "/connections/okta",
        "/requests?user=%22%3E%3Cscript%3E",
    ];
    let paths = paths
        .map(ToOwned::to_owned)
        .into_iter()
        .chain(ids.iter().map(|id| format!("/requests/{id}")));
    for path in paths {
        let text = browser.get(&path).text;
        assert!(!text.contains("<script>") && !text.contains("<img"), "{path}: {text}");
    }
}
