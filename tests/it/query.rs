//! Queries: which resources, in which order, which part of them, and what of each.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, GROUP, Server, USER, create, encode, group, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const SEARCH: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// A server with three users and two groups.
fn start() -> (Server, Client) {
    let server = Server::start();
    let client = server.client();
    let ada = json!({
        "userName": "ada", "externalId": "X1", "title": "Countess", "active": true,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@work.org", "type": "work", "primary": true},
                   {"value": "ada@home.org", "type": "home"}],
        ENTERPRISE: {"department": "bi", "manager": {"value": "M1"}},
    });
    let bob = json!({
        "userName": "bob", "externalId": "jyoung", "active": false, "nickName": "",
        "emails": [{"value": "bob@home.org", "type": "home"}],
    });
    let cyd = json!({"userName": "cyd", "title": "clerk", "name": {"familyName": "Charisse"}});
    let ids = [ada, bob, cyd].map(|body| {
        // Moments are told apart by the millisecond.
        sleep(Duration::from_millis(2));
        create(&client, "/Users", &body).1
    });
    create(&client, "/Groups", &group("Staff", &[&ids[0], &ids[1]]));
    create(&client, "/Groups", &group("Empty", &[]));
    (server, client)
}

/// The names of what a query finds, in its order.
#[track_caller]
fn names(client: &Client, path: &str) -> Vec<String> {
    let body = client.get(path).expect(200).body;
    let resources = body["Resources"].as_array().unwrap();
    assert_eq!(body["itemsPerPage"], resources.len());
    let name = |one: &Value| {
        one["userName"].as_str().or_else(|| one["displayName"].as_str()).expect("a name").to_owned()
    };
    resources.iter().map(name).collect()
}

/// What a filter finds among users or groups.
#[track_caller]
fn found(client: &Client, endpoint: &str, filter: &str) -> Vec<String> {
    names(client, &format!("{endpoint}?filter={}", encode(filter)))
}

#[test]
fn every_operator_finds_users() {
    let (_server, client) = start();
    for (filter, expected) in [
        ("userName eq \"ADA\"", "ada"),
        ("userName ne \"ada\"", "bob cyd"),
        ("title co \"LER\"", "cyd"),
        ("userName sw \"B\"", "bob"),
        ("emails.value ew \"home.ORG\"", "ada bob"),
        ("title pr", "ada cyd"),
        ("nickName pr", ""),
        ("userName gt \"ada\"", "bob cyd"),
        ("userName ge \"bob\"", "bob cyd"),
        ("userName lt \"bob\"", "ada"),
        ("userName le \"bob\"", "ada bob"),
        ("active eq false", "bob"),
        ("active eq \"True\"", "ada cyd"),
        ("externalId eq \"x1\"", ""),
        ("externalId eq \"X1\"", "ada"),
        ("title eq null", "bob"),
        ("not (title pr)", "bob"),
        ("title pr and not (active eq false) and userName ne \"cyd\"", "ada"),
        ("userName eq \"ada\" or userName eq \"bob\" and active eq true", "ada"),
        ("(userName eq \"ada\" or userName eq \"bob\") and active eq false", "bob"),
        ("USERNAME EQ \"ada\"", "ada"),
        ("name.familyName sw \"L\"", "ada"),
        ("emails pr", "ada bob"),
    ] {
        assert_eq!(found(&client, "/Users", filter).join(" "), expected, "{filter}");
    }
}

#[test]
fn paths_and_literals_come_in_every_form() {
    let (_server, client) = start();
    for (filter, expected) in [
        (format!("{USER}:userName eq \"ada\""), "ada"),
        (format!("{USER}:name.familyName eq \"lovelace\""), "ada"),
        (format!("{ENTERPRISE}:department eq \"bi\""), "ada"),
        (format!("{ENTERPRISE}:manager.value eq \"M1\""), "ada"),
        ("manager eq \"M1\"".into(), "ada"),
        ("department eq \"BI\"".into(), "ada"),
        ("emails eq \"ada@work.org\"".into(), "ada"),
        ("emails[type eq \"work\"]".into(), "ada"),
        ("emails[type eq \"home\" and value sw \"ada\"]".into(), "ada"),
        ("emails[type eq \"work\" and value sw \"bob\"]".into(), ""),
        ("emails[value eq \"bob@home.org\"]".into(), "bob"),
        ("emails[not (type eq \"home\")]".into(), "ada"),
        ("externalId eq jyoung".into(), "bob"),
        ("userName eq ada".into(), "ada"),
        ("meta.created gt \"2020-01-01T00:00:00+02:00\"".into(), "ada bob cyd"),
        ("meta.created lt 2020-01-01T00:00:00Z".into(), ""),
        ("meta.lastModified ge \"2020-01-01T00:00:00.000-05:00\"".into(), "ada bob cyd"),
        ("meta.resourceType eq \"User\"".into(), "ada bob cyd"),
        (format!("schemas eq \"{ENTERPRISE}\""), "ada"),
    ] {
        assert_eq!(found(&client, "/Users", &filter).join(" "), expected, "{filter}");
    }
}

#[test]
fn moments_are_compared_and_not_their_texts() {
    let (_server, client) = start();
    let body = client.get("/Users?count=1").body;
    let created = body["Resources"][0]["meta"]["created"].as_str().unwrap();
    let local = created.replace('Z', "+00:00");
    for (op, hit) in [("eq", true), ("ge", true), ("le", true), ("gt", false), ("lt", false)] {
        let filter = format!("userName eq \"ada\" and meta.created {op} \"{local}\"");
        assert_eq!(!found(&client, "/Users", &filter).is_empty(), hit, "{filter}");
    }
}

#[test]
fn a_sub_attribute_behind_brackets_is_compared() {
    let (_server, client) = start();
    for (filter, expected) in [
        ("emails[type eq \"work\"].value eq \"ada@WORK.org\"", "ada"),
        ("emails[type eq \"home\"].value ew \"home.org\"", "ada bob"),
        ("emails[type eq \"home\"].value eq \"ada@work.org\"", ""),
        ("emails[type eq \"work\"].value pr and active eq true", "ada"),
    ] {
        assert_eq!(found(&client, "/Users", filter).join(" "), expected, "{filter}");
    }
}

#[test]
fn the_reference_checks_of_entra_are_answered() {
    let (_server, client) = start();
    let user = client.get("/Users?count=1").text("/Resources/0/id").to_owned();
    let staff = client.get("/Groups?count=1").text("/Resources/0/id").to_owned();
    for (endpoint, filter, count) in [
        ("/Users", format!("id eq \"{user}\" and manager eq \"M1\""), 1),
        ("/Users", format!("id eq \"{user}\" and manager eq \"M2\""), 0),
        ("/Groups", format!("id eq \"{staff}\" and members eq \"{user}\""), 1),
        ("/Groups", format!("id eq \"{staff}\" and members eq \"{staff}\""), 0),
        ("/Groups", format!("members[value eq \"{user}\"]"), 1),
        ("/Groups", format!("members.value eq \"{user}\""), 1),
        ("/Groups", "members pr".to_owned(), 1),
        ("/Groups", "not (members pr)".to_owned(), 1),
        ("/Users", format!("groups.value eq \"{staff}\""), 2),
        ("/Users", "groups.display eq \"staff\"".to_owned(), 2),
    ] {
        let path = format!("{endpoint}?filter={}&attributes=id", encode(&filter));
        let body = client.get(&path).expect(200).body;
        assert_eq!(body["totalResults"], count, "{filter}");
        for one in body["Resources"].as_array().unwrap() {
            assert_eq!(one.as_object().unwrap().len(), 2, "schemas and id: {one}");
        }
    }
}

#[test]
fn what_is_no_filter_is_refused() {
    let (_server, client) = start();
    for filter in [
        "",
        "userName",
        "userName eq",
        "nothing eq \"a\"",
        "userName xx \"a\"",
        "userName eq \"a\" and",
        "(userName pr",
        "userName pr)",
        "active gt true",
        "emails[",
        "urn:x:y eq \"a\"",
        "userName eq \"a",
        "not userName pr pr",
        "active co \"t\"",
    ] {
        let reply = client.get(&format!("/Users?filter={}", encode(filter)));
        assert_eq!(
            (reply.status, reply.body["scimType"].as_str()),
            (400, Some("invalidFilter")),
            "{filter:?} {}",
            reply.body
        );
    }
}

#[test]
fn results_are_sorted_and_what_has_no_value_comes_last() {
    let (_server, client) = start();
    for (parameters, expected) in [
        ("sortBy=userName", "ada bob cyd"),
        ("sortBy=userName&sortOrder=descending", "cyd bob ada"),
        ("sortBy=USERNAME&SortOrder=Descending", "cyd bob ada"),
        ("sortBy=title", "cyd ada bob"),
        ("sortBy=title&sortOrder=descending", "bob ada cyd"),
        ("sortBy=name.familyName", "cyd ada bob"),
        ("sortBy=emails.value", "ada bob cyd"),
        ("sortBy=emails", "ada bob cyd"),
        ("sortBy=meta.created&sortOrder=descending", "cyd bob ada"),
        ("sortBy=active", "bob ada cyd"),
        ("sortBy=userName&sortOrder=descending&startIndex=2&count=1", "bob"),
    ] {
        assert_eq!(
            names(&client, &format!("/Users?{parameters}")).join(" "),
            expected,
            "{parameters}"
        );
    }
    client.get("/Users?sortBy=nothing").error(400, Some("invalidPath"));
    client.get("/Users?sortBy=userName&sortOrder=up").error(400, Some("invalidValue"));
}

#[test]
fn an_answer_carries_what_is_wanted_whatever_the_method() {
    let (_server, client) = start();
    let id = client.get("/Users?count=1").text("/Resources/0/id").to_owned();
    let path = format!("/Users/{id}");
    let body =
        json!({"userName": "ada", "title": "t", "name": {"givenName": "A", "familyName": "L"}});
    for (parameters, there, gone) in [
        ("attributes=title", "title", "userName"),
        ("attributes=TITLE,nothing", "title", "meta"),
        ("excludedAttributes=userName", "title", "userName"),
        ("attributes=urn:ietf:params:scim:schemas:core:2.0:User:title", "title", "name"),
    ] {
        for served in [
            client.put(&format!("{path}?{parameters}"), &body).expect(200).body,
            client.get(&format!("{path}?{parameters}")).expect(200).body,
            client.get(&format!("/Users?{parameters}&count=1")).expect(200).body["Resources"][0]
                .clone(),
            client
                .patch(
                    &format!("{path}?{parameters}"),
                    &json!([{"op": "add", "path": "nickName", "value": "n"}]),
                )
                .expect(200)
                .body,
            client
                .post(
                    &format!("/Users?{parameters}"),
                    &json!({"userName": parameters, "title": "t"}),
                )
                .expect(201)
                .body,
        ] {
            assert!(served["id"].is_string() && served["schemas"].is_array(), "{served}");
            assert!(
                served.get(there).is_some() && served.get(gone).is_none(),
                "{parameters} {served}"
            );
        }
    }
    let part = client.get(&format!("{path}?attributes=name.givenName")).expect(200).body;
    assert_eq!(part["name"], json!({"givenName": "A"}));
    let part = client.get(&format!("{path}?excludedAttributes=name.givenName,id")).expect(200).body;
    assert_eq!((&part["name"], &part["id"]), (&json!({"familyName": "L"}), &json!(id)));
}

#[test]
fn a_filter_in_brackets_shows_or_hides_elements() {
    let (_server, client) = start();
    let ada = |names: &str| {
        let (name, list) = names.split_once('=').unwrap();
        let query = format!("filter=userName%20eq%20%22ada%22&{name}={}", encode(list));
        let found = client.get(&format!("/Users?{query}")).expect(200).body;
        let posted = json!({"schemas": [SEARCH], "filter": "userName eq \"ada\"", name: [list]});
        let again = client.post("/Users/.search", &posted).expect(200).body;
        assert_eq!(found["Resources"], again["Resources"], "{names}");
        found["Resources"][0].clone()
    };
    let work = json!({"value": "ada@work.org", "type": "work", "primary": true});
    let home = json!({"value": "ada@home.org", "type": "home"});
    for (names, emails, title) in [
        ("attributes=emails[type eq \"work\"]", json!([work]), false),
        (
            "attributes=title,emails[type eq 'home'].value,x",
            json!([{"value": "ada@home.org"}]),
            true,
        ),
        (
            "excludedAttributes=emails[value eq \"x,y\" or type eq \"home\"],title",
            json!([work]),
            false,
        ),
        ("excludedAttributes=emails[type eq \"work\"]", json!([home]), true),
    ] {
        let shown = ada(names);
        assert_eq!((&shown["emails"], shown.get("title").is_some()), (&emails, title), "{names}");
    }
    let many = vec!["emails[type pr]"; 65].join(",");
    client.get(&format!("/Users?attributes={}", encode(&many))).error(400, Some("tooMany"));
    let groups = ada("attributes=groups[display eq \"Staff\"].display");
    assert_eq!(groups["groups"], json!([{"display": "Staff"}]));
}

#[test]
fn a_repeated_parameter_is_joined_if_it_is_a_list_and_refused_if_not() {
    let (_server, client) = start();
    let one = |query: &str| client.get(&format!("/Users?count=1&{query}")).expect(200).body;
    let twice = one("attributes=title&Attributes=userName");
    assert_eq!(twice, one("attributes=title,userName"));
    assert!(twice["Resources"][0]["userName"].is_string());
    let without = one("excludedAttributes=title&excludedAttributes=userName");
    assert_eq!(without, one("excludedAttributes=title,userName"));
    assert_eq!(one("x=1&x=2"), one("x=1"));
    for pair in
        ["filter=title%20pr", "sortBy=title", "sortOrder=ascending", "startIndex=1", "cursor="]
    {
        let name = pair.split('=').next().unwrap();
        for path in ["/Users", "/", "/Roles"] {
            let refused = client.get(&format!("{path}?{pair}&{}", pair.to_uppercase()));
            assert!(refused.error(400, Some("invalidValue")).contains(name), "{path} {pair}");
        }
    }
    let dora = json!({"userName": "dora"});
    client.post("/Users?count=1&count=2", &dora).error(400, Some("invalidValue"));
    client.post("/Users", &dora).expect(201);
}

#[test]
fn searches_are_posted_at_the_root_and_below_each_type() {
    let (_server, client) = start();
    let body = json!({"schemas": [SEARCH], "filter": "userName ne \"bob\"", "attributes": ["userName"],
        "sortBy": "userName", "sortOrder": "descending", "startIndex": 1, "count": 10});
    for path in ["/Users/.search", "/.search"] {
        let answer = client.post(path, &body).expect(200).body;
        assert_eq!(answer["totalResults"], 2, "{path}");
        let first = &answer["Resources"][0];
        assert_eq!((&first["userName"], first.get("meta")), (&json!("cyd"), None));
    }
    let answer = client.post("/Groups/.search", &json!({"excludedAttributes": ["members"]}));
    assert_eq!(answer.expect(200).body["Resources"][0].get("members"), None);
    let all = client.post("/.search", &json!({"schemas": [SEARCH]})).expect(200).body;
    assert_eq!(all["totalResults"], 5);
    client.post("/.search", &json!({"filter": "nothing pr"})).error(400, Some("invalidFilter"));
    client.post("/.search", &json!({"filter": {}})).error(400, Some("invalidSyntax"));
}

#[test]
fn the_root_is_queried_over_all_types() {
    let (_server, client) = start();
    for (filter, count) in [
        ("meta.resourceType eq \"Group\"", 2),
        ("meta.resourceType eq \"User\"", 3),
        ("displayName eq \"staff\"", 1),
        ("userName eq \"ada\" or displayName eq \"Staff\"", 1),
        ("id pr", 5),
    ] {
        let body = client.get(&format!("/?filter={}", encode(filter))).expect(200).body;
        assert_eq!(body["totalResults"], count, "{filter}");
    }
    let filter = encode(&format!("schemas eq \"{GROUP}\""));
    let page = client.get(&format!("/?filter={filter}&attributes=displayName")).expect(200).body;
    assert_eq!(page["Resources"][0]["displayName"], "Staff");
    assert_eq!(page["Resources"][0].get("members"), None);
    client.get("/?filter=nothing%20pr").error(400, Some("invalidFilter"));
}

#[test]
fn numbers_of_a_page_are_kept_within_bounds_or_named() {
    let (_server, client) = start();
    for (parameters, start, items) in [
        ("startIndex=0", 1, 3),
        ("startIndex=-7&count=2", 1, 2),
        ("count=-1", 1, 0),
        ("count=0", 1, 0),
        ("count=99999999999999999999999", 1, 3),
        ("startIndex=3", 3, 1),
        ("startIndex=4", 4, 0),
        ("STARTINDEX=2&COUNT=1", 2, 1),
    ] {
        for filter in ["", "&filter=id%20pr", "&sortBy=userName"] {
            let body = client.get(&format!("/Users?{parameters}{filter}")).expect(200).body;
            let told = (&body["startIndex"], &body["itemsPerPage"], &body["totalResults"]);
            assert_eq!(told, (&json!(start), &json!(items), &json!(3)), "{parameters}{filter}");
        }
    }
    client.get("/Users?startIndex=999999999999999999999999&count=1").expect(200);
    client.get("/Users?count=x").error(400, Some("invalidValue"));
    client.get("/Users?cursor&count=x").error(400, Some("invalidCount"));
}

#[test]
fn pages_stay_in_place_while_others_are_created() {
    let server = Server::start();
    let client = server.client();
    for number in 0..30 {
        create(&client, "/Users", &user(&format!("user{number:02}")));
    }
    let mut seen = Vec::new();
    for page in 0..3 {
        seen.extend(names(&client, &format!("/Users?startIndex={}&count=10", page * 10 + 1)));
        create(&client, "/Users", &user(&format!("aaa{page}")));
    }
    assert_eq!(seen, (0..30).map(|number| format!("user{number:02}")).collect::<Vec<_>>());
}

#[test]
fn cursors_walk_over_everything_once() {
    let server = Server::start();
    let client = server.client();
    for number in 0..250 {
        create(
            &client,
            "/Users",
            &json!({"userName": format!("u{number:03}"), "active": number % 2 == 0}),
        );
    }
    for (query, expected) in [
        ("", 250),
        ("&filter=active%20eq%20true", 125),
        ("&sortBy=userName", 250),
        ("&filter=active%20eq%20true&sortBy=userName&sortOrder=descending", 125),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client
                .get(&format!("/Users?cursor={}&count=40{query}", encode(&cursor)))
                .expect(200)
                .body;
            assert_eq!(page["totalResults"], expected, "{query}");
            seen.extend(
                page["Resources"].as_array().unwrap().iter().map(|one| one["userName"].to_string()),
            );
            match page["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
        assert_eq!(seen.len(), expected, "{query}");
        if query.contains("descending") {
            seen.reverse();
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "{query}");
    }
}

#[test]
fn a_walk_by_cursor_misses_nobody_while_others_are_deleted() {
    let server = Server::start();
    let client = server.client();
    let paths: Vec<String> = (0..30)
        .map(|number| create(&client, "/Users", &user(&format!("u{number:02}"))).0)
        .collect();
    for query in ["", "&filter=userName%20pr"] {
        let first = client.get(&format!("/Users?cursor=&count=10{query}")).expect(200).body;
        let gone = if query.is_empty() { &paths[0] } else { &paths[1] };
        client.delete(gone).expect(204);
        let cursor = first["nextCursor"].as_str().unwrap();
        let second =
            client.get(&format!("/Users?cursor={cursor}&count=10{query}")).expect(200).body;
        let last = first["Resources"][9]["userName"].as_str().unwrap();
        let next: u32 = last[1..].parse::<u32>().unwrap() + 1;
        assert_eq!(second["Resources"][0]["userName"], format!("u{next:02}"), "{query}");
    }
}

#[test]
fn a_cursor_that_was_not_given_out_is_refused() {
    let (_server, client) = start();
    let page = client.get("/Users?cursor=&count=1").expect(200).body;
    let cursor = page["nextCursor"].as_str().unwrap();
    client.get(&format!("/Users?cursor={cursor}&count=1")).expect(200);
    let end = if cursor.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{end}", &cursor[..cursor.len() - 1]);
    for bad in [&forged, "x", "%00", &"0".repeat(66), &"a".repeat(5_000)] {
        client.get(&format!("/Users?cursor={bad}")).error(400, Some("invalidCursor"));
    }
    for other in ["&filter=active%20eq%20true", "&sortBy=userName", "&sortOrder=descending"] {
        client.get(&format!("/Users?cursor={cursor}{other}")).error(400, Some("invalidCursor"));
    }
}

#[test]
fn a_cursor_belongs_to_the_type_that_it_was_given_out_for() {
    let (_server, client) = start();
    let page = client.get("/Users?cursor=&count=1").expect(200).body;
    let cursor = page["nextCursor"].as_str().unwrap();
    for path in ["/Groups", "/"] {
        client.get(&format!("{path}?cursor={cursor}")).error(400, Some("invalidCursor"));
    }
}

#[test]
fn nobody_is_me() {
    let (_server, client) = start();
    for (method, body) in
        [("GET", None), ("PUT", Some("{}")), ("PATCH", Some("{}")), ("DELETE", None)]
    {
        client.send(method, "/Me", body.map(str::as_bytes)).error(501, None);
    }
}

#[test]
fn a_search_that_would_look_at_too_much_is_refused() {
    let server = Server::start_with("[limits]\nmax_scan = 5\n");
    let client = server.client();
    let search = |filter: &str| client.get(&format!("/Users?filter={}", encode(filter)));
    for number in 0..6 {
        assert_eq!(search("title ne \"x\"").expect(200).body["totalResults"], number);
        client.post("/Users", &user(&format!("u{number}"))).expect(201);
    }
    let detail = search("title ne \"x\"").error(400, Some("tooMany")).to_owned();
    assert!(detail.contains("more than 5 resources"), "{detail}");
    assert_eq!(search("userName eq \"u5\"").expect(200).body["totalResults"], 1, "an index");
    assert_eq!(client.get("/Users").expect(200).body["totalResults"], 6, "a page");
}

#[test]
fn a_thousand_ids_are_asked_for_at_once() {
    let (_server, client) = start();
    let all = client.get("/Users?attributes=id").body;
    let ids: Vec<&str> = all["Resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap())
        .collect();
    let unknown = "00000000-0000-7000-8000-000000000000";
    let asked = |count: usize| {
        let mut terms = vec![format!("id eq \"{unknown}\""); count - ids.len()];
        terms.extend(ids.iter().rev().map(|id| format!("id eq \"{id}\"")));
        json!({"schemas": [SEARCH], "filter": terms.join(" or ")})
    };
    let answer = client.post("/Users/.search", &asked(1_000)).expect(200).body;
    assert_eq!(
        (&answer["totalResults"], &answer["Resources"][0]["id"]),
        (&json!(3), &json!(ids[0]))
    );
    client.post("/Users/.search", &asked(1_001)).error(400, Some("invalidFilter"));
    let in_a_uri = asked(200)["filter"].as_str().unwrap().replace('"', "'");
    assert_eq!(names(&client, &format!("/Users?filter={}", encode(&in_a_uri))).len(), 3);
    let many = vec!["title eq \"clerk\""; 65].join(" or ");
    let refused = client.post("/Users/.search", &json!({"filter": many}));
    refused.error(400, Some("invalidFilter"));
    assert!(refused.text("/detail").contains("joined by or"), "{}", refused.body);
}
