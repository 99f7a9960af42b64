//! SIGHUP: another configuration while requests are answered; and a certificate that is renewed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::bad_input::headers;
use crate::harness::{Client, Raw, Server, create, user};

const CONNECTION: &str = r#"
    [connections.default]
    method = "okta-custom"
    service_origin = "localhost"
    ip_allowlist = "127.0.0.0/8"
"#;

const CATALOGUE: &str = r#"
    [[workspaces]]
    name = "Main"
    id = "main"
    teams = ["East", "West"]
    [[workspaces]]
    name = "Sales"
    id = "sales"
    [[roles]]
    name = "Guest"
    id = "guest"
    [[roles.workspaces]]
    name = "Main"
"#;

fn start(config: &str) -> Server {
    Server::start_with(&format!("{CONNECTION}{config}"))
}

fn with(user_name: &str, attribute: &str, given: &str) -> Value {
    let mut body = user(user_name);
    body[attribute] = json!([{"value": given}]);
    body
}

/// What an account's access comes to.
fn access(client: &Client, path: &str) -> Vec<String> {
    const ACCESS: &str = "urn:scimd:scim:schemas:extension:access:1.0:User";
    let user = client.get(&format!("{path}?attributes={ACCESS}:effective")).expect(200).body;
    let pieces = user[ACCESS]["effective"].as_array().cloned().unwrap_or_default();
    pieces.iter().map(|piece| piece["value"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_allowlist_holds_from_the_next_request_on() {
    let mut server = start("");
    let client = server.client();
    client.get("/Users").expect(200);
    server.reconfigure(|text| text.replace("127.0.0.0/8", "192.0.2.0/24"));
    client.get("/Users").error(401, None);
    server.reconfigure(|text| text.replace("192.0.2.0/24", "127.0.0.0/8"));
    client.get("/Users").expect(200);
}

#[test]
fn connections_come_and_go() {
    let mut server = start("");
    let second = "[connections.second]\nmethod = \"okta\"\n";
    server.rewrite(|text| format!("{text}{second}"));
    let too_early = server.run(&["token", "generate", "--connection", "second"]);
    assert_eq!(too_early.status.code(), Some(4), "the server does not know it yet");
    let log = server.reload();
    assert!(log.contains("configuration reloaded"), "{log}");
    let token = server.succeed(&["token", "generate", "--connection", "second"]);
    let client = server.client_with(token.trim());
    create(&client, "/Users", &user("ada"));
    server.reconfigure(|text| text.replace(second, ""));
    client.get("/Users").error(401, None);
    server.client().get("/Users").expect(200);
}

#[test]
fn limits_and_the_public_url_follow() {
    let mut server = start("");
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("ada"));
    server.reconfigure(|text| {
        format!(
            "public_url = \"https://scim.example.com\"\n{text}[limits]\nmax_body_bytes = 2048\n"
        )
    });
    let located = client.get(&path).expect(200);
    assert_eq!(located.text("/meta/location"), format!("https://scim.example.com/scim/v2{path}"));
    let config = client.get("/ServiceProviderConfig").expect(200).body;
    assert_eq!(config["bulk"]["maxPayloadSize"], 2048);
    client.post("/Users", &json!({"userName": "x".repeat(3000)})).error(413, None);
}

#[test]
fn accounts_follow_a_workspace_to_its_new_name() {
    let mut server = start(CATALOGUE);
    let client = server.client();
    let (path, _) = create(&client, "/Users", &with("ada", "entitlements", "workspace:Main"));
    server.reconfigure(|text| text.replace("\"Main\"", "\"Head Office\""));
    let now = client.get(&path).expect(200).body;
    assert_eq!(now["entitlements"][0]["value"], "workspace:Head Office");
    assert_eq!(access(&client, &path), ["workspace:Head Office"]);
    let old = client.post("/Users", &with("bob", "entitlements", "workspace:Main"));
    old.error(400, Some("invalidValue"));
    server.stop();
    server.boot(&[]);
    assert_eq!(client.get(&path).expect(200).body, now, "the start has nothing left to do");
}

#[test]
fn access_that_somebody_has_is_not_taken_out_of_the_catalogue() {
    let mut server = start(CATALOGUE);
    let client = server.client();
    let (path, _) =
        create(&client, "/Users", &with("ada", "entitlements", "workspace:Main:team:East"));
    server.rewrite(|text| text.replace("\"East\", \"West\"", "\"West\""));
    let log = server.reload();
    assert!(log.contains("keeping the previous configuration"), "{log}");
    assert!(log.contains("workspace:Main:team:East") && log.contains("ada"), "{log}");
    create(&client, "/Users", &with("bob", "entitlements", "workspace:Main:team:East"));
    for user in ["ada", "bob"] {
        let found = client.get(&format!("/Users?filter=userName%20eq%20%22{user}%22"));
        client.delete(&format!("/Users/{}", found.text("/Resources/0/id"))).expect(204);
    }
    client.get(&path).error(404, None);
    let log = server.reload();
    assert!(log.contains("configuration reloaded"), "{log}");
    let gone = client.post("/Users", &with("c", "entitlements", "workspace:Main:team:East"));
    gone.error(400, Some("invalidValue"));
}

#[test]
fn names_that_change_places_need_a_restart() {
    let mut server = start(&CATALOGUE.replace("\"main\"", "\"w1\"").replace("\"sales\"", "\"w2\""));
    let client = server.client();
    let (path, _) = create(&client, "/Users", &with("ada", "entitlements", "workspace:Main"));
    server.rewrite(|text| {
        let parted = text.replace("\"Main\"", "\"?\"").replace("\"Sales\"", "\"Main\"");
        parted.replace("\"?\"", "\"Sales\"")
    });
    let log = server.reload();
    assert!(log.contains("now refers to another entry") && log.contains("restart scimd"), "{log}");
    assert_eq!(access(&client, &path), ["workspace:Main"]);
    server.stop();
    server.boot(&[]);
    assert_eq!(access(&client, &path), ["workspace:Sales"]);
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_line_and_key() {
    let mut server = start("");
    let right = fs::read_to_string(server.folder().join("config.toml")).unwrap();
    let line = right.lines().count() + 2;
    for (wrong, line, key) in [
        ("[limits]\nmax_cuont = 1\n", line, "max_cuont"),
        ("[limits]\nmax_count = \"x\"\n", line, "limits.max_count"),
        ("[limits\n", line - 1, "not TOML"),
        ("[connections.x]\nmethod = \"octa\"\n", line, "connections.x.method"),
        ("[[schemas]]\nid = 5\n", line, "schemas.id"),
    ] {
        server.rewrite(|_| format!("{right}{wrong}"));
        let log = server.reload();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("SIGHUP")).collect();
        assert!(lines.len() == 1, "{log}");
        let told = lines[0].contains(&format!("config.toml:{line}:")) && lines[0].contains(key);
        assert!(told, "{line} {key}\n{log}");
        assert!(log.contains("keeping the previous configuration"), "{log}");
        server.client().get("/Users").expect(200);
    }
    fs::remove_file(server.folder().join("config.toml")).unwrap();
    assert!(server.reload().contains("cannot be read"));
    server.client().get("/Users").expect(200);
}

#[test]
fn a_reload_that_allows_more_names_the_setting() {
    let mut server = start("");
    let mut reload = |change: &dyn Fn(String) -> String| {
        server.rewrite(change);
        let log = server.reload();
        assert!(log.contains("configuration reloaded"), "{log}");
        let warned =
            |line: &&str| line.contains(" WARN ") && line.contains("allows more than before");
        log.lines().filter(warned).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let wider = reload(&|text| text.replace("127.0.0.0/8", "126.0.0.0/7"));
    assert!(wider.len() == 1 && wider[0].contains("connections.default.ip_allowlist"), "{wider:?}");
    assert_eq!(reload(&|text| text.replace("126.0.0.0/7", "127.0.0.0/8")), [""; 0]);
    let gone = "    ip_allowlist = \"127.0.0.0/8\"\n";
    let wider = reload(&|text| text.replace(gone, ""));
    assert!(wider.len() == 1 && wider[0].contains("any address"), "{wider:?}");
    let wider = reload(&|text| format!("{text}[connections.second]\nmethod = \"okta\"\n"));
    assert!(wider.len() == 1 && wider[0].contains("connections.second"), "{wider:?}");
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let mut server =
        start("[connections.second]\nmethod = \"okta\"\nip_allowlist = \"192.0.2.0/24\"\n");
    let whole = fs::read_to_string(server.folder().join("config.toml")).unwrap();
    let at = |text: &str| whole.find(text).unwrap();
    for (cut, words) in [
        (String::new(), "the file is empty"),
        (whole[..at("ip_allowlist")].to_owned(), "where a table of the current file continues"),
        (
            whole[..at("ip_allowlist = \"192")].to_owned(),
            "where a table of the current file continues",
        ),
        (
            whole.replace(&whole[at("[connections.default]")..at("[listen]")], ""),
            "[connections] is missing",
        ),
    ] {
        server.rewrite(|_| cut);
        let log = server.reload();
        assert!(log.contains(words) && log.contains("keeping the previous configuration"), "{log}");
        server.client().get("/Users").expect(200);
    }
}

#[test]
fn a_file_is_taken_once_it_stays_the_same() {
    let mut server = start("");
    let path = server.folder().join("config.toml");
    let whole = fs::read_to_string(&path).unwrap();
    let before = server.stderr().len();
    server.rewrite(|text| format!("{text}[limits]\nmax_body_bytes = 2048\nmax_cuont = 1\n"));
    server.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(100));
    fs::write(&path, format!("{whole}[limits]\nmax_body_bytes = 4096\n")).unwrap();
    server.until("it has read the configuration again", |server| {
        server.stderr()[before..].contains("(SIGHUP)")
    });
    assert!(server.stderr()[before..].contains("configuration reloaded"), "{}", server.stderr());
    let config = server.client().get("/ServiceProviderConfig").expect(200).body;
    assert_eq!(config["bulk"]["maxPayloadSize"], 4096);
}

#[test]
fn a_file_that_others_may_write_is_not_taken() {
    let mut server = start("");
    server.rewrite(|text| text.replace("127.0.0.0/8", "0.0.0.0/0"));
    let path = server.folder().join("config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let log = server.reload();
    assert!(
        log.contains("other users may write") && log.contains("keeping the previous configuration"),
        "{log}"
    );
    server.stop();
    assert!(server.fail(&["serve"], 2).contains("run `chmod go-w"));
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let mut server = start("");
    let port = server.port();
    server.rewrite(|text| {
        let moved = text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:1");
        let moved = moved.replace("data_dir = \"data\"", "data_dir = \"elsewhere\"");
        format!(
            "{moved}[log]\nlevel = \"debug\"\nformat = \"json\"\n[store]\ncache_mib = 32\n[[schemas]]\n\
             id = \"urn:example:hr\"\nresource_type = \"User\"\n[[schemas.attributes]]\nname = \"badge\"\n"
        )
    });
    let log = server.reload();
    for key in ["data_dir", "listen.address", "log.format", "store", "schemas"] {
        let told = format!("{key} changed; restart scimd to apply");
        assert!(log.contains(&told), "{key}\n{log}");
    }
    assert!(
        !log.contains("listen.tls has changed") && log.contains("configuration reloaded"),
        "{log}"
    );
    let (path, _) = create(&server.client(), "/Users", &user("ada"));
    let location = server.client().get(&path).expect(200).text("/meta/location").to_owned();
    assert!(location.contains(&port.to_string()), "clients are told what is true: {location}");
    server.client().post("/Users", &json!({"userName": "bob", "x": 1})).expect(201);
    server.until("the log level follows", |server| server.stderr().contains("DEBUG"));
}

/// Writes a new pair for 127.0.0.1.
fn write_pair(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
}

#[test]
fn a_renewed_certificate_is_shown_and_connections_go_on() {
    let mut server = start("[limits]\nidle_timeout = \"5m\"\n");
    let folder = server.data().join("tls");
    let mut open = Raw::known(&server);
    assert_eq!(open.ask::<&str>("GET", "/healthz", &[]).status, 200);
    let old = server.stranger();
    let kept = fs::read(folder.join("cert.pem")).unwrap();
    fs::write(folder.join("cert.pem"), "half a certifi").unwrap();
    server
        .until("it is told", |server| server.stderr().contains("serving the previous certificate"));
    old.get("//healthz").expect(200);
    fs::write(folder.join("cert.pem"), &kept).unwrap();
    write_pair(&folder);
    server.until("it is renewed", |server| {
        server.stderr().contains("certificate renewed") && new_is_shown(server)
    });
    assert_eq!(open.ask::<&str>("GET", "/healthz", &[]).status, 200, "under the old one");
    assert!(server.stderr().contains("valid_until=4096-01-01T00:00:00Z"), "{}", server.stderr());
    let before = server.stderr().len();
    let log = server.reload();
    assert!(log.contains("configuration reloaded"), "{log}");
    assert!(!server.stderr()[before..].contains("certificate"), "it has not changed");
}

/// Whether who trusts the new certificate alone gets in.
fn new_is_shown(server: &Server) -> bool {
    server.stranger().try_send("GET", "//healthz", None).is_ok_and(|reply| reply.status == 200)
}

#[test]
fn sighup_takes_a_new_certificate_at_once_and_refuses_a_wrong_one() {
    let mut server = start("");
    let folder = server.folder().join("own");
    fs::create_dir(&folder).unwrap();
    write_pair(&folder);
    fs::copy(server.data().join("tls/key.pem"), folder.join("other.pem")).unwrap();
    let listen = |key: &str| {
        format!("[listen]\ncertificate = \"own/cert.pem\"\nprivate_key = \"own/{key}\"\n")
    };
    server.rewrite(|text| text.replace("[listen]\n", &listen("other.pem")));
    let log = server.reload();
    assert!(log.contains("does not belong to the certificate"), "{log}");
    server.client().get("/Users").expect(200);
    fs::set_permissions(
        folder.join("key.pem"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    server.reconfigure(|text| text.replace("other.pem", "key.pem"));
    let client = Client::new(&folder.join("cert.pem"), server.port()).bearer(server.token());
    client.header("X-Request-Origin", "localhost").get("/Users").expect(200);
}

/// A request that the gate has let in, and whose body is still to come.
fn begin(server: &Server, body: &str) -> Raw {
    let mut slow = Raw::connect(server);
    let length = format!("Content-Length: {}\r\nContent-Type: application/json\r\n", body.len());
    let headers = headers(server, &format!("{length}Expect: 100-continue\r\n"));
    slow.write(format!("POST /scim/v2/Users HTTP/1.1\r\n{headers}"));
    assert_eq!(slow.reply().status, 100);
    slow
}

#[test]
fn a_request_that_a_reload_overtakes_is_handled_anew_by_the_new_configuration() {
    let mut server = start(CATALOGUE);
    let client = server.client();
    let body = with("ada", "entitlements", "workspace:Main").to_string();
    let mut renamed = begin(&server, &body);
    server.rewrite(|text| text.replace("\"Main\"", "\"Head\""));
    server.signal("HUP");
    server.until("the new names are on offer", |_| {
        client
            .get("/Entitlements?count=100")
            .expect(200)
            .body
            .to_string()
            .contains("workspace:Head")
    });
    assert!(
        !server.stderr().contains("configuration reloaded"),
        "accounts follow once nobody goes by the old"
    );
    renamed.write(&body);
    let created = renamed.reply();
    let stored = String::from_utf8(created.body).unwrap();
    assert!(created.status == 201 && stored.contains("workspace:Head"), "{stored}");
    server.until("accounts have followed", |server| {
        server.stderr().contains("configuration reloaded")
    });

    let body = user("bob").to_string();
    let mut shut_out = begin(&server, &body);
    server.reconfigure(|text| text.replace("127.0.0.0/8", "192.0.2.0/24"));
    shut_out.write(&body);
    assert_eq!(shut_out.reply().status, 401);
}

#[test]
fn twenty_reloads_under_load_cost_no_request() {
    let mut server = start(CATALOGUE);
    let client = server.client();
    let (ending, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (client, ending, done) = (client.clone(), &ending, &done);
            scope.spawn(move || {
                let name = |turn: usize| format!("u{number}-{turn}");
                for turn in 0.. {
                    if ending.load(Ordering::Relaxed) {
                        break;
                    }
                    // An id means the same under every name.
                    let body = with(&name(turn), "entitlements", "workspace:main");
                    let (path, _) = create(&client, "/Users", &body);
                    assert_eq!(access(&client, &path).len(), 1, "whatever it is called");
                    let title = json!([{"op": "replace", "path": "title", "value": "x"}]);
                    client.patch(&path, &title).expect(200);
                    client.get("/Users?count=5").expect(200);
                    client.delete(&path).expect(204);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for turn in 0..20 {
            let (from, to) = if turn % 2 == 0 { ("Main", "Head") } else { ("Head", "Main") };
            let (from, to) = (format!("\"{from}\""), format!("\"{to}\""));
            server.reconfigure(|text| text.replace(&from, &to));
        }
        ending.store(true, Ordering::Relaxed);
    });
    assert!(done.load(Ordering::Relaxed) > 3, "there was load");
    server.succeed(&["verify"]);
}

#[test]
#[ignore = "takes minutes: it measures how long changes wait while 100,000 accounts follow a renamed role"]
fn a_renamed_role_of_100_000_accounts_delays_changes_little() {
    const ACCOUNTS: usize = 100_000;
    let server = start(CATALOGUE);
    let client = server.client();
    for first in (0..ACCOUNTS).step_by(1_000) {
        let one = |number: usize| {
            let data = with(&format!("user{number}"), "roles", "Guest");
            json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": data})
        };
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let operations: Vec<Value> = (first..first + 1_000).map(one).collect();
        client.post("/Bulk", &json!({"schemas": [schema], "Operations": operations})).expect(200);
    }
    let (path, _) = create(&client, "/Users", &user("probe"));
    // The times of changes, one after the other, in milliseconds.
    let changes_until = |end: &dyn Fn(usize) -> bool| {
        let mut times = Vec::new();
        while !end(times.len()) {
            let title =
                json!([{"op": "replace", "path": "title", "value": times.len().to_string()}]);
            let watch = scimd::clock::Stopwatch::start();
            client.patch(&path, &title).expect(200);
            times.push(watch.elapsed().as_secs_f64() * 1_000.0);
        }
        times.sort_by(f64::total_cmp);
        times
    };
    let before = changes_until(&|count| count == 200);
    server.rewrite(|text| text.replace("name = \"Guest\"", "name = \"Visitor\""));
    let watch = scimd::clock::Stopwatch::start();
    server.signal("HUP");
    let during = changes_until(&|_| server.stderr().contains("(SIGHUP)"));
    let reload = watch.elapsed();
    assert!(server.stderr().contains("configuration reloaded"), "{}", server.stderr());
    let figures = |times: &[f64]| {
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        format!("{} changes, {median:.1} ms at the median, {longest:.1} ms at most", times.len())
    };
    println!("before: {}", figures(&before));
    println!("during the reload, {reload:?}: {}", figures(&during));
    assert!(during[during.len() - 1] < 2_000.0, "{}", figures(&during));
}
