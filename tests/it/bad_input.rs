//! Input that is wrong: a SCIM error with a sentence that names what was wrong, and nothing changed.

use serde_json::{Value, json};

use crate::harness::{Client, Raw, Server, encode, files_with, total, user};

const NOBODY: &str = "0198c5a4-0000-7000-8000-000000000000";

/// A server, its client, and one user that must stay as it is.
pub(crate) fn start(config: &str) -> (Server, Client, Value) {
    let server = Server::start_with(config);
    let client = server.client();
    let present = client.post("/Users", &user("present")).expect(201).body;
    (server, client, present)
}

/// Insists that nothing has changed since [`start`].
#[track_caller]
pub(crate) fn unchanged(client: &Client, present: &Value) {
    assert_eq!(client.get("/Users").expect(200).body["Resources"], json!([present]));
    assert_eq!(total(client), 1);
}

/// Sends a body to create and to replace; the detail of both errors.
#[track_caller]
fn refused(client: &Client, present: &Value, body: &[u8], scim_type: &str) -> String {
    let path = format!("/Users/{}", present["id"].as_str().unwrap());
    let created = client.send("POST", "/Users", Some(body));
    let replaced = client.send("PUT", &path, Some(body));
    let detail = created.error(400, Some(scim_type)).to_owned();
    assert_eq!(replaced.error(400, Some(scim_type)), detail);
    detail
}

/// Headers of a client that may enter.
pub(crate) fn headers(server: &Server, more: &str) -> String {
    let token = server.token();
    format!("Host: x\r\nAuthorization: Bearer {token}\r\nX-Request-Origin: localhost\r\n{more}\r\n")
}

/// Bodies that are no object, and what their errors say.
const NO_OBJECT: &[(&[u8], &str)] = &[
    (b"", "empty"),
    (b" \r\n\t ", "empty"),
    (b"{", "line 1 column 1"),
    (b"{\"userName\":\"a\"", "line 1 column 15"),
    (b"{\"userName\":\"a\",}", "line 1 column 17"),
    (b"{\n\"userName\" \"a\"}", "line 2"),
    (b"{\"userName\":\"a\"}{}", "trailing"),
    (b"{\"userName\":\"a\"} x", "trailing"),
    (b"{'userName':'a'}", "line 1 column 2"),
    (b"{\"userName\":a}", "line 1"),
    (b"{\"userName\":\"a\",\"x\":NaN}", "line 1"),
    (b"{\"userName\":\"a\",\"x\":1e999}", "number out of range"),
    (b"{\"userName\":\"a\nb\"}", "control character"),
    (b"{\"userName\":\"\\x61\"}", "escape"),
    (b"[]", "not an array"),
    (b"[{\"userName\":\"a\"}]", "not an array"),
    (b"\"userName\"", "not a string"),
    (b"42", "not a number"),
    (b"null", "not null"),
    (b"true", "not a boolean"),
    (b"userName=a&active=true", "line 1 column 1"),
    (b"<User/>", "line 1 column 1"),
];

#[test]
fn what_is_no_json_object_is_named_with_its_place() {
    let (_server, client, present) = start("");
    for (body, named) in NO_OBJECT {
        let detail = refused(&client, &present, body, "invalidSyntax");
        assert!(detail.contains(named), "{}: {detail}", String::from_utf8_lossy(body));
    }
    unchanged(&client, &present);
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let (_server, client, present) = start("");
    let cases: [(&[u8], &str); 9] = [
        (b"{\"userName\":\"\xff\"}", "not UTF-8: invalid byte at position 13"),
        (b"{\"userName\":\"\xc0\xaf\"}", "not UTF-8"),
        (b"{\"userName\":\"\xed\xa0\x80\"}", "not UTF-8"),
        (b"{\"userName\":\"a\xf0\x9f\x98", "not UTF-8"),
        (b"\xff\xfe{\0}\0", "not UTF-8"),
        (b"{\"userName\":\"\\ud800\"}", "line 1"),
        (b"{\"userName\":\"\\udc00\\ud800\"}", "line 1"),
        (b"{\"userName\":\"\\ud83d\"}", "line 1"),
        (b"{\0}", "line 1"),
    ];
    for (body, named) in cases {
        let detail = refused(&client, &present, body, "invalidSyntax");
        assert!(detail.contains(named), "{body:?}: {detail}");
    }
    let mark = client.send("POST", "/Users", Some(b"\xef\xbb\xbf{\"userName\":\"bom\"}"));
    let detail = mark.error(400, Some("invalidSyntax"));
    assert!(detail.contains("byte order mark"), "{detail}");
    unchanged(&client, &present);
    let whole = client.send("POST", "/Users", Some(b"{\"userName\":\"\\ud83d\\ude00\"}"));
    assert_eq!(whole.expect(201).body["userName"], "\u{1f600}");
}

#[test]
fn wrong_types_and_missing_names_are_named() {
    let (_server, client, present) = start("");
    for (name, value) in [
        ("userName", json!(5)),
        ("userName", json!(["a", "b"])),
        ("userName", json!({"value": "a", "type": "b"})),
        ("name", json!("Ada")),
        ("name", json!([{}, {}])),
        ("active", json!("yes")),
        ("active", json!(1)),
        ("emails", json!(true)),
        ("emails", json!([{"value": 1}])),
        ("emails", json!([["a@b.c", "d@e.f"]])),
        ("title", json!(true)),
        ("phoneNumbers", json!([{"value": "1", "primary": "maybe"}])),
        ("externalId", json!(7)),
        ("schemas", json!({"x": 1})),
        ("schemas", json!([1])),
        ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", json!("x")),
    ] {
        let mut body = user("a");
        body[name] = value.clone();
        let detail = refused(&client, &present, body.to_string().as_bytes(), "invalidSyntax");
        assert!(detail.contains(&format!("\"{name}")), "{name} {value}: {detail}");
    }
    for body in
        [json!({}), json!({"userName": null}), json!({"userName": ""}), json!({"userName": " \t"})]
    {
        let detail = refused(&client, &present, body.to_string().as_bytes(), "invalidValue");
        assert!(
            detail.contains("\"userName\" is required") || detail.contains("U+0009"),
            "{detail}"
        );
    }
    unchanged(&client, &present);
}

#[test]
fn a_name_given_twice_in_any_case_is_refused_at_any_depth() {
    let (_server, client, present) = start("");
    for (body, name) in [
        (r#"{"userName":"a","userName":"b"}"#, "userName"),
        (r#"{"userName":"a","USERNAME":"b"}"#, "USERNAME"),
        (r#"{"active":true,"userName":"a","Active":false}"#, "Active"),
        (r#"{"userName":"a","name":{"givenName":"x","givenname":"y"}}"#, "givenname"),
        (r#"{"userName":"a","emails":[{"value":"x","Value":"y"}]}"#, "Value"),
        (r#"{"userName":"a","unknown":{"x":[{"y":1,"Y":2}]}}"#, "Y"),
        (r#"{"userName":"a","user\u004eame":"b"}"#, "userName"),
    ] {
        let detail = refused(&client, &present, body.as_bytes(), "invalidSyntax");
        assert!(detail.contains(&format!("\"{name}\" is used twice")), "{body}: {detail}");
    }
    unchanged(&client, &present);
}

#[test]
fn nesting_has_a_limit_and_no_depth_breaks_the_server() {
    let (_server, client, present) = start("");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for depth in [32, 33, 1_000, 100_000] {
            let inner = if open == "[" { "" } else { "1" };
            let deep = format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
            for nested in [deep.clone(), open.repeat(depth)] {
                let body = format!("{{\"userName\":\"a\",\"x\":{nested}}}");
                let detail = refused(&client, &present, body.as_bytes(), "invalidSyntax");
                assert!(detail.contains("nested more than 32 levels deep"), "{depth}: {detail}");
            }
        }
    }
    unchanged(&client, &present);
    let fits = format!("{{\"userName\":\"a\",\"x\":{}{}}}", "[".repeat(31), "]".repeat(31));
    client.send("POST", "/Users", Some(fits.as_bytes())).expect(201);
}

#[test]
fn a_body_of_just_the_limit_is_taken_and_one_byte_more_is_not() {
    let (_server, client, present) = start("[limits]\nmax_body_bytes = 2048");
    let fill = |bytes: usize| {
        let mut body = json!({"userName": "a", "active": true}).to_string();
        body.push_str(&" ".repeat(bytes - body.len()));
        body
    };
    let reply = client.send("POST", "/Users", Some(fill(2049).as_bytes()));
    assert!(reply.error(413, None).contains("2048"));
    unchanged(&client, &present);
    client.send("POST", "/Users", Some(fill(2048).as_bytes())).expect(201);
    let path = format!("/Users/{}", present["id"].as_str().unwrap());
    client.send("PUT", &path, Some(fill(2049).as_bytes())).error(413, None);
    let twin = client.send("PUT", &path, Some(fill(2048).as_bytes()));
    twin.error(409, Some("uniqueness"));
}

/// Media types that are not taken.
const NOT_JSON: &[&str] = &[
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "",
    "json",
    "*/*",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "text/json;application/json",
];

/// Media types that are taken.
const JSON: &[&str] = &[
    "application/scim+json",
    "application/json",
    "Application/JSON",
    "application/json;charset=utf-8",
    "application/scim+json; charset=UTF-8",
    "application/json ; charset=\"iso-8859-1\"",
];

#[test]
fn only_json_is_taken_with_any_charset_and_uncompressed() {
    let (server, client, present) = start("");
    let send = |name: &str, value: &str, more: Option<(&str, &str)>| {
        let client = client.clone().header(name, value);
        let client =
            more.into_iter().fold(client, |client, (name, value)| client.header(name, value));
        client.post("/Users", &user("taken"))
    };
    for wrong in NOT_JSON {
        let detail = send("Content-Type", wrong, None).error(415, None).to_owned();
        assert!(detail.contains("application/scim+json"), "{wrong}: {detail}");
    }
    for encoding in ["gzip", "deflate", "br", "identity, gzip", "x"] {
        let json = Some(("Content-Type", "application/scim+json"));
        let detail = send("Content-Encoding", encoding, json).error(415, None).to_owned();
        assert!(detail.contains("Content-Encoding"), "{encoding}: {detail}");
    }
    let mut raw = Raw::connect(&server);
    let none = headers(&server, "Content-Length: 2\r\n");
    raw.write(format!("POST /scim/v2/Users HTTP/1.1\r\n{none}{{}}"));
    assert!(raw.reply().detail(415).contains("not none"));
    unchanged(&client, &present);
    for (number, right) in JSON.iter().enumerate() {
        let client = client.clone().header("Content-Type", right);
        assert_eq!(client.post("/Users", &user(&number.to_string())).status, 201, "{right}");
    }
}

/// Path segments that are no id; `{id}` stands for one that is.
const NO_IDS: &[&str] = &[
    NOBODY,
    "1",
    "-",
    "..",
    ".",
    "..%2f..%2fetc%2fpasswd",
    "%2F",
    "%00",
    "a%00b",
    "%0d%0aX:%20y",
    "%7B%7D",
    "%22%3E",
    "%C3%A9",
    "%F0%9F%98%80",
    "%E2%80%AE",
    "null",
    "*",
    "%25",
    "'%20or%201=1",
    "{id}x",
    "x{id}",
    "%7B{id}%7D",
    "urn:uuid:{id}",
    "{id}%20",
    "{id}%00",
    "{id}%2f",
    "{id};x",
];

#[test]
fn ids_of_any_shape_are_not_found() {
    let (server, client, present) = start("");
    let id = present["id"].as_str().unwrap();
    let mut shapes: Vec<String> = NO_IDS.iter().map(|shape| shape.replace("{id}", id)).collect();
    shapes.extend([id[..35].to_owned(), id.replace('-', ""), "x".repeat(10 * 1024)]);
    let mut raw = Raw::connect(&server);
    for (shape, method) in shapes.iter().flat_map(|id| ["GET", "PUT", "DELETE"].map(|m| (id, m))) {
        let body = if method == "PUT" { "{\"userName\":\"x\"}" } else { "" };
        let length = format!("Content-Length: {}\r\n", body.len());
        let more = headers(&server, &format!("Content-Type: application/json\r\n{length}"));
        raw.write(format!("{method} /scim/v2/Users/{shape} HTTP/1.1\r\n{more}{body}"));
        let detail = raw.reply().detail(404);
        assert!(detail.len() > 10 && detail.len() < 500, "{shape}: {detail}");
        assert!(!detail.contains(['\0', '\r', '\n', '\u{202e}']), "{shape}: {detail:?}");
    }
    unchanged(&client, &present);
}

#[test]
fn an_id_is_its_letters_in_their_case() {
    let (_server, client, present) = start("");
    let id = present["id"].as_str().unwrap();
    let capitals = id.to_uppercase();
    assert_ne!(capitals, id);
    client.get(&format!("/Users/{capitals}")).error(404, None);
    client.delete(&format!("/Users/{capitals}")).error(404, None);
    unchanged(&client, &present);
}

/// Paths at which there is nothing; `//` begins at the root.
const NOWHERE: &[&str] = &[
    "//",
    "//scim",
    "/Users/a/b",
    "/Me/x",
    "/Bulk/x",
    "/.search/x",
    "/Users/.search/x",
    "/ServiceProviderConfigs",
    "/ServiceProviderConfig/x",
    "//scim/v1/Users",
    "//index.html",
    "/Schemas/a/b",
    "/%ff",
    "/Users/%ff",
    "/Users/%80%80",
    "//scim/v2/Users/../../../etc/passwd",
    "//SCIM/V2/Users",
    "/Users%2f",
    "//.env",
];

#[test]
fn unknown_paths_are_named_in_a_scim_error() {
    let (_server, client, present) = start("");
    for path in NOWHERE {
        for method in ["GET", "POST", "PUT", "DELETE"] {
            let body = matches!(method, "POST" | "PUT").then_some(&b"{\"userName\":\"x\"}"[..]);
            let reply = client.send(method, path, body);
            // One name has the route of a resource type, which takes GET and POST.
            let names_a_type = ["/ServiceProviderConfigs", "/Users%2f"].contains(path);
            let is_of_one = matches!(method, "PUT" | "DELETE");
            let status = if names_a_type && is_of_one { 405 } else { 404 };
            assert_eq!(reply.status, status, "{method} {path}");
            reply.error(status, None);
        }
        client.get(path).error(404, None);
    }
    unchanged(&client, &present);
}

#[test]
fn every_route_tells_its_methods_when_it_is_asked_with_another() {
    let (server, client, present) = start("");
    let discovery = "GET, HEAD";
    let mut raw = Raw::connect(&server);
    let bearer = format!("Bearer {}", server.token());
    let right = [("Authorization", bearer.as_str()), ("X-Request-Origin", "localhost")];
    for (path, allow) in [
        ("/healthz", discovery),
        ("/scim/v2/ServiceProviderConfig", discovery),
        ("/scim/v2/ResourceTypes", discovery),
        ("/scim/v2/ResourceTypes/User", discovery),
        ("/scim/v2/Schemas", discovery),
        ("/scim/v2/Schemas/x", discovery),
        ("/scim/v2/Users", "GET, POST, HEAD"),
        ("/scim/v2/Users/x", "GET, PUT, PATCH, DELETE, HEAD"),
        ("/scim/v2/Groups", "GET, POST, HEAD"),
        ("/scim/v2/Groups/x", "GET, PUT, PATCH, DELETE, HEAD"),
        ("/scim/v2/Bulk", "POST"),
        ("/scim/v2/.search", "POST"),
        ("/scim/v2/Users/.search", "POST"),
    ] {
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];
        for method in
            methods.into_iter().filter(|method| !allow.split(", ").any(|known| known == *method))
        {
            let reply = raw.ask(method, path, &right);
            assert_eq!(reply.status, 405, "{method} {path}");
            assert!(method == "HEAD" || reply.detail(405).contains(allow), "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
        }
    }
    unchanged(&client, &present);
}

#[test]
fn a_resource_that_is_too_large_is_refused_and_the_largest_comes_back() {
    let (_server, client, present) = start("[limits]\nmax_resource_bytes = 1024");
    let body = |bytes: usize| json!({"userName": "big", "title": "x".repeat(bytes)});
    let detail = refused(&client, &present, body(1024).to_string().as_bytes(), "invalidValue");
    assert!(detail.contains("at most 1024"), "{detail}");
    unchanged(&client, &present);
    let told: usize = detail.split(' ').find_map(|word| word.parse().ok()).unwrap();
    let most = 1024 - (told - 1024);
    client.post("/Users", &body(most + 1)).error(400, Some("invalidValue"));
    let created = client.post("/Users", &body(most)).expect(201);
    assert_eq!(created.text("/title").len(), most);
}

#[test]
fn a_name_may_have_512_characters_and_no_control_characters() {
    let (_server, client, present) = start("");
    let refuse = |name: &str| {
        let body = json!({"userName": name}).to_string();
        refused(&client, &present, body.as_bytes(), "invalidValue")
    };
    assert!(refuse(&"a".repeat(513)).contains("513 characters; at most 512"));
    assert!(refuse(&"\u{e9}".repeat(513)).contains("513 characters"));
    for (name, code) in
        [("a\0b", "U+0000"), ("a\nb", "U+000A"), ("\u{1b}[2J", "U+001B"), ("a\u{85}", "U+0085")]
    {
        assert!(refuse(name).contains(code), "{name:?}");
    }
    unchanged(&client, &present);
    for name in ["a", "\u{e9}", "\u{1d160}", "\u{20bb7}"].map(|one| one.repeat(512)) {
        let created = client.post("/Users", &json!({"userName": name})).expect(201);
        let found =
            client.get(&format!("/Users?filter={}", encode(&format!("userName eq \"{name}\""))));
        assert_eq!(found.text("/Resources/0/id"), created.text("/id"));
    }
}

#[test]
fn what_only_the_server_may_set_is_ignored_and_a_password_is_never_kept() {
    let (mut server, client, present) = start("[log]\nlevel = \"trace\"");
    let mut body = user("eve");
    body["id"] = json!(present["id"]);
    body["meta"] = json!({"resourceType": "Admin", "created": "1999-01-01T00:00:00Z", "version": "W/\"99\"", "location": "http://evil"});
    body["groups"] = json!([{"value": "admins", "display": "Admins-by-claim"}]);
    body["password"] = json!("correct-horse-battery");
    let created = client.post("/Users", &body).expect(201);
    assert_ne!(created.text("/id"), present["id"].as_str().unwrap());
    let path = format!("/Users/{}", created.text("/id"));
    let replaced = client.put(&path, &body).expect(200);
    let list = client.get("/Users").body["Resources"][1].clone();
    for served in [created.body, replaced.body, client.get(&path).body, list] {
        assert_eq!((served.get("groups"), served.get("password")), (None, None));
        assert_eq!(
            (&served["meta"]["resourceType"], &served["meta"]["version"]),
            (&json!("User"), &json!("W/\"1\""))
        );
        assert!(!served.to_string().contains("1999") && !served.to_string().contains("evil"));
    }
    let found = client.get("/Users?filter=password%20eq%20%22correct-horse-battery%22");
    assert!(found.error(400, Some("invalidFilter")).contains("never returned"));
    let log = server.stop();
    for secret in ["correct-horse-battery", "Admins-by-claim"] {
        assert!(files_with(&server.data(), secret).is_empty() && !log.contains(secret), "{secret}");
    }
    assert!(!files_with(&server.data(), "eve").is_empty(), "the search finds what is there");
}

#[test]
fn a_password_of_the_wrong_type_is_named_and_not_repeated() {
    let (_server, client, present) = start("");
    let body = json!({"userName": "a", "password": ["hunter22", "hunter23"]}).to_string();
    let detail = refused(&client, &present, body.as_bytes(), "invalidSyntax");
    assert!(detail.contains("\"password\"") && !detail.contains("hunter22"), "{detail}");
    unchanged(&client, &present);
}

/// Filters that are none.
const NO_FILTERS: &[&str] = &[
    "",
    "userName",
    "userName eq",
    "userName == \"a\"",
    "eq \"a\"",
    "userName eq \"a",
    "\0",
    "userName eq \"a\" and",
    "(userName eq \"a\"",
    "userName eq \"\\q\"",
    "nothing eq \"a\"",
    "userName eq \"a\" userName eq \"b\"",
    "emails[value eq \"a\"",
    "userName eq \"\u{1f600}",
];

#[test]
fn filters_that_are_wrong_are_refused() {
    let (_server, client, present) = start("");
    let deep = format!("{}userName pr{}", "(".repeat(2_000), ")".repeat(2_000));
    for filter in NO_FILTERS.iter().chain([&deep.as_str()]) {
        let reply = client.get(&format!("/Users?filter={}", encode(filter)));
        reply.error(400, Some("invalidFilter"));
    }
    unchanged(&client, &present);
}

#[test]
fn numbers_that_are_wrong_are_named_and_those_out_of_range_are_brought_into_it() {
    let (_server, client, present) = start("");
    for query in ["count=x", "count=", "startIndex=1.5", "startIndex=0x1", "count=--1"] {
        let reply = client.get(&format!("/Users?{query}"));
        let name = query.split('=').next().unwrap();
        assert!(reply.error(400, Some("invalidValue")).contains(name), "{query}");
    }
    let huge = "9".repeat(30);
    for query in ["count=-5", "startIndex=-1", &format!("count={huge}"), "%ff=%ff", "&&=&"] {
        client.get(&format!("/Users?{query}")).expect(200);
    }
    unchanged(&client, &present);
}

#[test]
fn a_user_name_with_a_character_that_is_not_seen_is_refused() {
    let (_server, client, present) = start("");
    let path = format!("/Users/{}", present["id"].as_str().unwrap());
    for name in ["\u{200b}", "ada\u{200b}", "a\u{ad}da", "ad\u{202e}a", "ada\u{fe0f}", "a\u{e0041}"]
    {
        for reply in [
            client.post("/Users", &user(name)),
            client.put(&path, &user(name)),
            client.patch(&path, &json!([{"op": "replace", "path": "userName", "value": name}])),
        ] {
            let detail = reply.error(400, Some("invalidValue"));
            assert!(
                detail.contains("\"userName\" contains the invisible character U+")
                    && detail.is_ascii(),
                "{detail}"
            );
        }
    }
    for name in [" ada", "ada ", "ada\u{a0}", "\u{3000}ada"] {
        let reply = client.post("/Users", &user(name));
        let detail = reply.error(400, Some("invalidValue"));
        assert!(detail.contains("\"userName\" begins or ends with a space"), "{detail}");
    }
    unchanged(&client, &present);
}

#[test]
fn groups_whose_names_look_the_same_are_one_group() {
    let (server, client, _) = start("");
    let group = |name: &str| json!({"displayName": name});
    let joined = "Team \u{1f469}\u{200d}\u{1f4bb}";
    let created = client.post("/Groups", &group(joined)).expect(201).body;
    assert_eq!(created["displayName"], joined);
    let path = format!("/Groups/{}", created["id"].as_str().unwrap());
    for name in [joined, "team \u{1f469}\u{1f4bb}", "Team\u{ad} \u{1f469}\u{1f4bb} "] {
        client.post("/Groups", &group(name)).error(409, Some("uniqueness"));
    }
    let rename = |name: &str| {
        client.patch(&path, &json!([{"op": "replace", "path": "displayName", "value": name}]))
    };
    assert_eq!(rename("Adm\u{ad}ins").expect(200).body["displayName"], "Adm\u{ad}ins");
    client.post("/Groups", &group("admins")).error(409, Some("uniqueness"));
    client.post("/Groups", &group(joined)).expect(201);
    assert!(server.succeed(&["group", "list"]).contains("Adm\\u{ad}ins"));
    rename("Admins").expect(200);
    server.succeed(&["verify"]);
    client.delete(&path).expect(204);
    client.post("/Groups", &group("adm\u{200b}ins")).expect(201);
    server.succeed(&["verify"]);
}
