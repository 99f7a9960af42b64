//! The pages of users, groups, access, brake, undo, audit log, events and settings.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Browser, Client, Page, Server, create, encode, eventually, group, user};

/// A text that would run if a page did not escape it.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

const CONFIG: &str = r#"
    [console]
    [connections.default]
    method = "okta-custom"
    service_origin = "localhost"
    [[workspaces]]
    name = "Main"
    [[roles]]
    name = "Developer"
    [[roles.workspaces]]
    name = "Main"
    permissions = ["edit"]
    [[grants]]
    group = "Engineers"
    roles = ["Developer"]
"#;

/// Every page that reads, with what it must show.
const PAGES: [(&str, &str); 10] = [
    ("/users", "ada"),
    ("/users?q=ad", "ada"),
    ("/groups", "Engineers"),
    ("/access?of=edit", "ada"),
    ("/brake", "default"),
    ("/undo", "Show the plan"),
    ("/undo?since=1h", "Plan"),
    ("/audit", "user.created"),
    ("/events", "No webhook is configured"),
    ("/settings", "limits.max_connections"),
];

struct Site {
    server: Server,
    ada: String,
    engineers: String,
}

fn start() -> Site {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    let ada = create(&client, "/Users", &user("ada")).1;
    let team = create(&client, "/Groups", &group("Team", &[&ada])).1;
    let engineers = create(&client, "/Groups", &group("Engineers", &[&team])).1;
    Site { server, ada, engineers }
}

/// A browser that has signed in with a role.
fn signed_in<'a>(server: &'a Server, role: &str) -> Browser<'a> {
    if role == "admin" {
        return Browser::signed_in(server);
    }
    server.succeed(&["operator", "add", role, "--role", role]);
    let mut browser = Browser::new(server);
    let link = server.succeed(&["console", "link", "--operator", role]);
    browser.use_link(link.trim()).expect(303);
    browser
}

#[track_caller]
fn shows(page: &Page, text: &str) {
    assert!(page.text.contains(text), "{text} in {}", page.text);
}

#[test]
fn each_page_is_shown_to_each_role_and_its_buttons_to_those_who_may() {
    let Site { server, ada, engineers } = start();
    for role in ["viewer", "operator", "admin"] {
        let mut browser = signed_in(&server, role);
        for (path, text) in PAGES {
            shows(&browser.get(path).expect(200), text);
        }
        let may = role != "viewer";
        for (path, text, button) in [
            (format!("/users/{ada}"), "Team", "Deactivate this user"),
            (format!("/users/{ada}/access"), "grant 1", ""),
            (format!("/groups/{engineers}"), "Team", ""),
            ("/brake".to_owned(), "running", "Pause default"),
            ("/audit".to_owned(), "Head:", "Verify chain"),
        ] {
            let page = browser.get(&path).expect(200);
            shows(&page, text);
            assert!(button.is_empty() || page.text.contains(button) == may, "{role}: {path}");
        }
        let csrf = browser.get("/").expect(200).hidden("csrf");
        let form = [("csrf", csrf.as_str()), ("connection", "default"), ("active", "true")];
        let statuses = ["/brake/pause", "/brake/resume", &format!("/users/{ada}/active")]
            .map(|path| browser.post(path, &form).status);
        assert_eq!(statuses, if may { [303; 3] } else { [403; 3] }, "{role}");
    }
}

#[test]
fn access_is_explained_and_what_if_changes_nothing() {
    let Site { server, ada, .. } = start();
    let mut browser = signed_in(&server, "admin");
    let page = browser.get(&format!("/users/{ada}/access")).expect(200);
    for text in ["role Developer", "workspace:Main:permission:edit", ">Team</a>", ">Engineers</a>"]
    {
        shows(&page, text);
    }
    let path = format!("/users/{ada}/access?without=Team");
    let page = browser.get(&path).expect(200);
    shows(&page, "<span class=\"badge bad\">lost</span>");
    shows(&browser.get(&format!("/users/{ada}/access?group=nope")).expect(200), "not found");
    shows(
        &browser.get(&format!("/users/{ada}/access?grant=role:nope")).expect(200),
        "Unknown role",
    );
    shows(&browser.get(&format!("/users/{ada}/access?of=edit")).expect(200), "Only <b>edit</b>");
    let who = browser.get("/access?of=role:Developer").expect(200);
    shows(&who, "ada");
    assert_eq!(server.succeed(&["access", "who", "edit", "--json"]).matches("\"ada\"").count(), 1);
}

#[test]
fn a_user_is_deactivated_and_activated_with_a_reason() {
    let Site { server, ada, .. } = start();
    let mut browser = signed_in(&server, "operator");
    let page = format!("/users/{ada}");
    let action = format!("{page}/active");
    browser.submit(&page, &action, &[("active", "false"), ("reason", EVIL)]).expect(303);
    let shown = browser.get(&page).expect(200);
    shows(&shown, "is deactivated until an operator activates it");
    shows(&shown, "Deactivated by operator");
    assert!(!shown.text.contains("<script>alert"), "{}", shown.text);
    shows(&browser.get(&page).expect(200), "class=\"badge bad\">inactive");
    assert_eq!(server.client().get(&format!("/Users/{ada}")).expect(200).body["active"], false);
    browser.submit(&page, &action, &[("active", "true")]).expect(303);
    let history = browser.get(&page).expect(200);
    shows(&history, "<del>true</del>");
    shows(&history, "<ins>true</ins>");
    browser.submit(&page, &action, &[("active", "perhaps")]).expect(400);
    let log = server.succeed(&["audit", "--user", "ada", "--json"]);
    assert!(log.contains("\"operator\""), "{log}");
}

#[test]
fn a_pause_and_an_allowance_are_made_and_ended() {
    let Site { server, .. } = start();
    let mut browser = signed_in(&server, "operator");
    let form = [("connection", "default"), ("reason", "a check")];
    browser.submit("/brake", "/brake/pause", &form).expect(303);
    let page = browser.get("/brake?connection=default").expect(200);
    shows(&page, "is paused. Its changes get 503");
    shows(&page, "Resume default");
    server.client().post("/Users", &user("eve")).expect(503);
    shows(&browser.get("/brake").expect(200), "eve");
    browser.submit("/brake", "/brake/resume", &[("connection", "default")]).expect(303);
    shows(&browser.get("/brake").expect(200), "is resumed");
    let allow =
        |accounts, lasts| [("connection", "default"), ("accounts", accounts), ("for", lasts)];
    browser.submit("/brake", "/brake/allow", &allow("500", "2h")).expect(303);
    shows(&browser.get("/brake").expect(200), "500 are left");
    for (accounts, lasts) in [("many", "2h"), ("1000001", "2h"), ("1", "soon"), ("", "")] {
        browser.submit("/brake", "/brake/allow", &allow(accounts, lasts)).expect(400);
    }
    browser.submit("/brake", "/brake/pause", &[("connection", "nope")]).expect(404);
    browser.get("/brake?connection=nope").expect(404);
}

#[test]
fn the_page_of_the_brake_names_the_command_that_brings_back_what_was_taken() {
    let config = format!("{CONFIG}\n[connections.default.brake]\npercent = 1\nminimum = 1\n");
    let server = Server::start_with(&config);
    let client = server.client();
    let mut browser = signed_in(&server, "viewer");
    assert!(!browser.get("/brake").expect(200).text.contains("scimd undo"));
    let paths: Vec<String> =
        (0..4).map(|number| create(&client, "/Users", &user(&format!("user{number}"))).0).collect();
    paths.iter().for_each(|path| drop(client.delete(path).expect(204)));
    let shown = server.run(&["brake", "show", "default"]);
    let shown = String::from_utf8(shown.stderr).unwrap();
    let command = shown.lines().find_map(|line| line.split_once(": scimd undo ")).unwrap().1;
    shows(&browser.get("/brake").expect(200), &format!("scimd undo {command}</code>"));
}

#[test]
fn an_undo_is_planned_confirmed_by_typing_and_done_once() {
    let Site { server, ada, .. } = start();
    let ben = create(&server.client(), "/Users", &user("ben")).1;
    // An undo goes back to a whole second.
    std::thread::sleep(Duration::from_millis(1_100));
    let since = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    server.client().delete(&format!("/Users/{ada}")).expect(204);
    let mut browser = signed_in(&server, "operator");
    let path = format!("/undo?since={}", encode(&since));
    let page = browser.get(&path).expect(200);
    shows(&page, "restore <b>1</b>");
    shows(&page, "Undo these changes");
    let (csrf, plan) = (page.hidden("csrf"), page.hidden("plan"));
    let form = |word| {
        [
            ("csrf", csrf.as_str()),
            ("since", since.as_str()),
            ("plan", plan.as_str()),
            ("confirmation", word),
        ]
    };
    browser.post("/undo", &form("yes")).expect(400);
    server.client().get(&format!("/Users/{ada}")).expect(404);
    // What has changed since makes another plan.
    server.client().delete(&format!("/Users/{ben}")).expect(204);
    browser.post("/undo", &form("undo")).expect(409);
    let page = browser.get(&path).expect(200);
    let plan = page.hidden("plan");
    let form = [
        ("csrf", csrf.as_str()),
        ("since", since.as_str()),
        ("plan", plan.as_str()),
        ("confirmation", "undo"),
    ];
    browser.post("/undo", &form).expect(303);
    shows(&browser.get("/undo").expect(200), "Undone:");
    server.client().get(&format!("/Users/{ada}")).expect(200);
    browser
        .post("/undo", &[("csrf", csrf.as_str()), ("since", &since), ("confirmation", "undo")])
        .expect(400);
    let log = server.succeed(&["audit", "--event", "directory.undone", "--json"]);
    assert!(log.contains("\"name\":\"operator\""), "{log}");
}

#[test]
fn the_chain_is_verified_and_contains_a_head_that_was_noted_down() {
    let Site { server, .. } = start();
    let mut browser = signed_in(&server, "operator");
    let head = server.succeed(&["audit", "--head"]);
    shows(&browser.get("/audit/verified").expect(200), "Not checked yet");
    let mut verify = |anchor: &str| {
        let page = browser.submit("/audit", "/audit/verify", &[("anchor", anchor)]).expect(303);
        assert_eq!(page.header("location"), Some("/audit/verified"));
        let page = browser.get("/audit/verified").expect(200);
        assert!(!page.text.contains("Checking the chain"), "it is small: {}", page.text);
        page
    };
    let page = verify(head.trim());
    shows(&page, "Hash chain intact");
    shows(&page, "passes through the head that you noted down");
    let number = head.split(':').next().unwrap();
    shows(&page, &format!("changes 1 to {number}, in 1 file."));
    shows(&verify(""), "No head that you noted down");
    browser.submit("/audit", "/audit/verify", &[("anchor", "7:x")]).expect(400);
    let (number, _) = head.trim().split_once(':').unwrap();
    let other = format!("{number}:{}", "0".repeat(64));
    browser.submit("/audit", "/audit/verify", &[("anchor", &other)]).expect(303);
    shows(&browser.get("/audit/verified").expect(200), "The chain is broken");
    // Viewers see the result and begin no check.
    let mut viewer = signed_in(&server, "viewer");
    shows(&viewer.get("/audit/verified").expect(200), "The chain is broken");
    viewer.submit("/audit", "/audit/verify", &[]).expect(403);
}

#[test]
fn a_check_of_the_chain_covers_the_signatures_of_its_heads() {
    let mut server = start().server;
    // A stop signs the head.
    server.stop();
    server.boot(&[]);
    let mut browser = signed_in(&server, "admin");
    let mut verify = || {
        browser.submit("/audit", "/audit/verify", &[]).expect(303);
        browser.get("/audit/verified").expect(200)
    };
    let page = verify();
    shows(&page, "Hash chain intact");
    shows(&page, "of heads, and that the chain passes through the newest one");
    let signatures = server.data().join("signatures");
    let text = std::fs::read_to_string(&signatures).unwrap();
    let (number, rest) = text.split_once(':').unwrap();
    std::fs::write(&signatures, format!("{}:{rest}", number.parse::<u64>().unwrap() + 1)).unwrap();
    let page = verify();
    shows(&page, "The chain is broken");
    shows(&page, "was not made with this key");
}

#[test]
fn the_page_of_events_shows_the_newest_of_the_feed_its_cursors_and_its_consumers() {
    let config = format!("{CONFIG}\n[applications.crm]\nscopes = [\"events\"]\n");
    let server = Server::start_with(&config);
    let client = server.client();
    for number in 0..40 {
        create(&client, "/Users", &user(&format!("user{number}")));
    }
    let ada = create(&client, "/Users", &user("ada")).1;
    let mut browser = signed_in(&server, "viewer");
    let page = eventually("the events are written", || {
        let page = browser.get("/events").expect(200);
        page.text.contains(&format!("/users/{ada}")).then_some(page)
    });
    shows(&page, "user.created");
    shows(&page, "crm: 0");
    let rows: Vec<&str> = page.text.split("<th scope=\"row\"").skip(1).collect();
    assert!(rows.len() == 25 && rows[0].contains(">ada</a>"), "{}", page.text);
    let newest = server.succeed(&["events", "--json"]);
    let newest: serde_json::Value = serde_json::from_str(newest.lines().last().unwrap()).unwrap();
    shows(&page, newest["id"].as_str().unwrap());
}

/// What clients set, in every place where a text of theirs can be.
fn hostile(client: &Client) -> (String, String) {
    let body = json!({"schemas": user("x")["schemas"], "userName": EVIL, "displayName": EVIL,
        "name": {"givenName": EVIL, "formatted": EVIL}, "title": EVIL, "externalId": EVIL,
        "emails": [{"value": "a@example.com", "type": "work", "display": EVIL}]});
    let id = create(client, "/Users", &body).1;
    let team = create(client, "/Groups", &group(EVIL, &[&id])).1;
    let change = json!([{"op": "replace", "path": "title", "value": format!("{EVIL}2")}]);
    client.patch(&format!("/Users/{id}"), &change).expect(200);
    (id, team)
}

#[test]
fn what_clients_set_is_text_on_every_page() {
    let Site { server, .. } = start();
    let (id, team) = hostile(&server.client());
    let mut browser = signed_in(&server, "admin");
    let evil = encode(EVIL);
    for path in [
        "/users".to_owned(),
        "/groups".to_owned(),
        format!("/users?q={evil}"),
        format!("/users/{id}"),
        format!("/users/{id}/access?group={evil}&without={evil}&grant={evil}"),
        format!("/groups/{team}"),
        format!("/access?of={evil}"),
        "/access?of=Main".to_owned(),
        "/audit".to_owned(),
        format!("/audit?user={evil}&event={evil}&connection={evil}"),
        format!("/undo?since=1h&user={evil}"),
        "/undo?since=1h".to_owned(),
        format!("/settings?q={evil}"),
    ] {
        let page = browser.get(&path).expect(200);
        assert!(
            !page.text.contains("<script>alert") && !page.text.contains("<img"),
            "{path}: {}",
            page.text
        );
        assert!(page.text.len() < 100 * 1024, "{path}: {} bytes", page.text.len());
    }
    shows(&browser.get(&format!("/users/{id}")).expect(200), "&#60;script&#62;alert(1)");
}

#[test]
fn what_is_not_understood_is_explained() {
    let Site { server, ada, .. } = start();
    let mut browser = signed_in(&server, "admin");
    for (path, status, text) in [
        ("/users/nobody".to_owned(), 404, "not found"),
        ("/groups/nobody".to_owned(), 404, "not found"),
        ("/users/nobody/access".to_owned(), 404, "not found"),
        ("/users?after=x".to_owned(), 200, "is not the start of a page"),
        ("/users?q=colour+eq+1".to_owned(), 200, "colour"),
        ("/users?q=%22".to_owned(), 200, "role=\"alert\""),
        ("/users?q=userName+co+%28".to_owned(), 200, "role=\"alert\""),
        ("/access?of=no+such+thing".to_owned(), 200, "is no permission"),
        ("/access?of=edit&after=x".to_owned(), 200, "is not the start of a page"),
        ("/undo?since=yesterday".to_owned(), 200, "is no time"),
        ("/undo?since=1h&connection=nope".to_owned(), 200, "not found"),
        ("/undo?since=1h&until=2h".to_owned(), 200, "later"),
        ("/audit?upto=x".to_owned(), 400, "not the number of a change"),
        ("/audit?user=nobody".to_owned(), 200, "No user has the name"),
        ("/audit?upto=99999999".to_owned(), 200, "user.created"),
        (format!("/users/{ada}?upto=0"), 200, "History"),
        ("/users?q=%ff".to_owned(), 400, "not UTF-8"),
    ] {
        let page = browser.get(&path);
        assert_eq!(page.status, status, "{path}: {}", page.text);
        shows(&page, text);
    }
    for (action, form) in [
        ("/events/test", [("webhook", "nope"), ("after", "")]),
        ("/events/resend", [("webhook", "nope"), ("after", "head")]),
    ] {
        let page = browser.submit("/events", action, &form);
        assert!([404, 409].contains(&page.status), "{action}: {}", page.text);
    }
}

#[test]
fn users_are_found_by_words_filters_and_ids_part_by_part() {
    let server = Server::start_with(CONFIG);
    let client = server.client();
    for number in 0..120 {
        let body = json!({"schemas": user("x")["schemas"], "userName": format!("user{number:03}@example.com"),
            "displayName": format!("Number {number}"), "active": number % 2 == 0});
        create(&client, "/Users", &body);
    }
    let mut browser = signed_in(&server, "admin");
    let mut names = |path: &str| -> Vec<String> {
        let (mut path, mut names) = (Some(path.to_owned()), Vec::new());
        while let Some(part) = path.take() {
            let page = browser.get(&part).expect(200);
            assert!(page.text.len() < 100 * 1024);
            let rows = page.text.split("<th scope=\"row\"").skip(1);
            names.extend(rows.map(|row| row.split(['<', '>']).nth(3).unwrap().to_owned()));
            let next = page.text.split("class=\"button\" href=\"").nth(1);
            path = next.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
        }
        names
    };
    assert_eq!(names("/users").len(), 120);
    assert_eq!(names("/users?q=number+7").len(), 21);
    assert_eq!(names("/users?q=active+eq+false").len(), 60);
    assert_eq!(names("/users?q=USER007%40example.com")[0], "user007@example.com");
    assert_eq!(names("/users?q=nobody").len(), 0);
}
