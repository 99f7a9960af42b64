//! Signing in to the console as a named operator, the own account, and the page of operators.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE32_NOPAD;
use serde_json::Value;
use totp_rs::{Builder, Secret};

use crate::harness::{Browser, Page, Server};

const PASSWORD: &str = "correct horse battery staple";

fn start() -> Server {
    Server::start_with("[console]\n")
}

/// The code of a secret, now or that many steps later.
fn code(secret: &str, later: u64) -> String {
    let bytes = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let secret = Secret::new_stack(bytes.try_into().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    totp.generate(now + 30 * later).to_string()
}

/// Adds an operator with a password; the secret of the one-time codes.
fn add(server: &Server, name: &str, role: &str) -> String {
    let args = ["operator", "add", name, "--role", role, "--password-file", "-"];
    let mut command = server.command(&args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let uri = String::from_utf8(output.stdout).unwrap();
    uri.split(['=', '&']).nth(1).unwrap_or_else(|| panic!("{uri}")).to_owned()
}

fn enter(browser: &mut Browser<'_>, name: &str, password: &str, code: &str) -> Page {
    let fields = [("name", name), ("password", password), ("code", code)];
    browser.submit("/sign-in", "/sign-in", &fields)
}

fn signed_in<'a>(server: &'a Server, name: &str, role: &str) -> Browser<'a> {
    let secret = add(server, name, role);
    let mut browser = Browser::new(server);
    enter(&mut browser, name, PASSWORD, &code(&secret, 0)).expect(303);
    browser
}

fn events(server: &Server, event: &str) -> Vec<Value> {
    let lines = server.succeed(&["audit", "--event", event, "--json"]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_operator_enrols_by_a_link_and_then_signs_in_with_password_and_code() {
    let server = start();
    server.succeed(&["operator", "add", "ada", "--role", "operator"]);
    let link = server.succeed(&["console", "link", "--operator", "ada"]);
    let mut browser = Browser::new(&server);
    let page = browser.use_link(link.trim()).expect(303);
    assert_eq!(page.header("location"), Some("/account/enrol"));
    browser.get("/account/qr.svg").expect(404);
    browser.submit("/account/enrol", "/account/enrol", &[]).expect(303);
    let page = browser.get("/account/enrol").expect(200);
    let secret = page.text.split("<code id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let secret = secret.replace(' ', "");
    let image = browser.get("/account/qr.svg").expect(200);
    assert_eq!(image.header("content-type"), Some("image/svg+xml"));
    assert!(image.text.contains("<svg") && image.header("cache-control") == Some("no-store"));
    let mut finish = |password: &str, again: &str, code: &str| {
        let fields = [("password", password), ("again", again), ("code", code)];
        browser.submit("/account/enrol", "/account/enrol/finish", &fields)
    };
    for (password, again, entered, why) in [
        ("too short", "too short", code(&secret, 0), "12 characters"),
        (PASSWORD, "another one", code(&secret, 0), "differ"),
        (PASSWORD, PASSWORD, "000000".to_owned(), "present one"),
    ] {
        let page = finish(password, again, &entered).expect(422);
        assert!(page.text.contains(why), "{}", page.text);
    }
    finish("", "", &code(&secret, 0)).expect(409);
    let done = finish(PASSWORD, PASSWORD, &code(&secret, 0)).expect(303);
    assert_eq!(done.header("location"), Some("/"));
    assert!(browser.get("/").expect(200).text.contains("enrolled"));
    browser.submit("/", "/sign-out", &[]).expect(303);
    let again = enter(&mut browser, "ada", PASSWORD, &code(&secret, 0)).expect(403);
    assert!(again.text.contains("used already"), "{}", again.text);
    enter(&mut browser, "Ada", PASSWORD, &code(&secret, 1)).expect(303);
    assert!(browser.get("/").expect(200).text.contains("role operator"));
    let signed_in = events(&server, "operator.signed_in");
    let of_ada = |event: &&Value| event["subject"] == "ada" && event["actor"]["name"] == "ada";
    assert_eq!(signed_in.iter().filter(of_ada).count(), 2, "{signed_in:?}");
}

#[test]
fn whatever_is_wrong_is_answered_alike_and_recorded_without_what_was_entered() {
    let server = start();
    let secret = add(&server, "ada", "admin");
    let mut browser = Browser::new(&server);
    let said = |page: Page| {
        let alert = page.expect(403).text.split("role=\"alert\">").nth(1).unwrap().to_owned();
        alert.split('<').next().unwrap().to_owned()
    };
    let wrong = said(enter(&mut browser, "ada", "another password", &code(&secret, 0)));
    for (name, password, code) in [
        ("ada", PASSWORD, "000000".to_owned()),
        ("nobody-at-all", PASSWORD, code(&secret, 0)),
        ("\"><script>alert(1)</script>", "x", String::new()),
    ] {
        assert_eq!(said(enter(&mut browser, name, password, &code)), wrong);
    }
    let page = enter(&mut browser, "\"><script>", "x", "").expect(403);
    assert!(!page.text.contains("<script>") && page.text.contains("&#60;script"), "{}", page.text);
    browser.get("/").expect(303);
    let mut server = server;
    server.stop();
    let refused = server.succeed(&["audit", "--event", "request.refused", "--json"]);
    assert!(refused.contains("console_sign_in") && refused.contains("operator ada"), "{refused}");
    assert!(!refused.contains("nobody-at-all"), "it may be a password: {refused}");
}

#[test]
fn the_eleventh_failure_of_a_name_waits_and_a_link_works_meanwhile() {
    let server = start();
    let secret = add(&server, "ada", "admin");
    let mut browser = Browser::new(&server);
    for _ in 0..10 {
        enter(&mut browser, "ada", "another password", "000000").expect(403);
    }
    let page = enter(&mut browser, "ada", PASSWORD, &code(&secret, 0)).expect(429);
    assert!(page.text.contains("try again in"), "{}", page.text);
    let link = server.succeed(&["console", "link", "--operator", "ada"]);
    let page = browser.use_link(link.trim()).expect(303);
    assert_eq!(page.header("location"), Some("/"), "codes are enrolled");
}

#[test]
fn the_form_works_with_password_managers() {
    let server = start();
    let page = Browser::new(&server).get("/sign-in").expect(200);
    assert!(!page.text.contains("<input id=\"password\""), "there are no named operators");
    add(&server, "ada", "viewer");
    let page = Browser::new(&server).get("/sign-in").expect(200);
    for part in [
        "autocomplete=\"username\"",
        "autocomplete=\"current-password\"",
        "autocomplete=\"one-time-code\"",
    ] {
        assert!(page.text.contains(part), "{}", page.text);
    }
    assert!(!page.text.contains("onpaste") && !page.text.contains("autocomplete=\"off\""));
}

#[test]
fn a_change_of_role_or_a_removal_ends_sessions_at_once() {
    let server = start();
    let mut browser = signed_in(&server, "ada", "admin");
    browser.get("/operators").expect(200);
    server.succeed(&["operator", "set", "ada", "--role", "viewer"]);
    browser.get("/operators").expect(303);
    let link = server.succeed(&["console", "link", "--operator", "ada"]);
    browser.use_link(link.trim()).expect(303);
    browser.get("/").expect(200);
    browser.get("/operators").expect(403);
    let later = server.succeed(&["console", "link", "--operator", "ada"]);
    server.succeed(&["operator", "remove", "ada"]);
    browser.get("/").expect(303);
    let page = browser.get(&later.trim()[later.find("/link/").unwrap()..]).expect(200);
    assert!(page.text.contains("This link is not valid"), "{}", page.text);
}

#[test]
fn another_password_ends_the_other_sessions_and_sign_out_everywhere_ends_all() {
    let server = start();
    let secret = add(&server, "ada", "viewer");
    let (mut one, mut other) = (Browser::new(&server), Browser::new(&server));
    enter(&mut one, "ada", PASSWORD, &code(&secret, 0)).expect(303);
    enter(&mut other, "ada", PASSWORD, &code(&secret, 1)).expect(303);
    let new = "another long password";
    let fields = [("password", new), ("again", new)];
    one.submit("/account", "/account/password", &fields).expect(303);
    one.get("/account").expect(200);
    other.get("/account").expect(303);
    let link = server.succeed(&["console", "link", "--operator", "ada"]);
    other.use_link(link.trim()).expect(303);
    other.get("/account").expect(200);
    one.submit("/account", "/account/sign-out-everywhere", &[]).expect(303);
    one.get("/").expect(303);
    other.get("/").expect(303);
    let changed = events(&server, "operator.changed");
    assert!(changed.iter().all(|event| event["actor"]["name"] == "ada"), "{changed:?}");
    assert!(!server.succeed(&["audit", "--json"]).contains("argon2"));
}

#[test]
fn an_admin_manages_operators_and_their_actions_carry_the_admins_name() {
    let server = start();
    let mut admin = signed_in(&server, "ada", "admin");
    for (name, role, why) in [
        ("a b", "viewer", "no name of an operator"),
        ("<script>x</script>", "viewer", "no name of an operator"),
        ("ada", "viewer", "exists already"),
    ] {
        let fields = [("name", name), ("role", role)];
        let page = admin.submit("/operators", "/operators", &fields).expect(422);
        assert!(page.text.contains(why) && !page.text.contains("<script>x"), "{}", page.text);
    }
    admin.submit("/operators", "/operators", &[("name", "bob"), ("role", "root")]).expect(400);
    let fields = [("name", "Bob"), ("role", "viewer")];
    let page = admin.submit("/operators", "/operators", &fields).expect(200);
    let link = page.text.split("<code id=\"url\">").nth(1).unwrap().split('<').next().unwrap();
    let mut bob = Browser::new(&server);
    bob.use_link(link).expect(303);
    bob.get("/operators").expect(403);
    bob.submit("/account", "/operators", &fields).expect(403);
    let page = admin.get("/operators").expect(200);
    assert!(page.text.contains("/operators/bob") && page.text.contains("not enrolled"));
    let at = "/operators/bob";
    admin.submit(at, "/operators/bob/role", &[("role", "operator")]).expect(303);
    bob.get("/").expect(303);
    admin.submit(at, "/operators/bob/end-sessions", &[]).expect(303);
    admin.submit(at, "/operators/bob/link", &[]).expect(200);
    admin.submit(at, "/operators/bob/remove", &[]).expect(303);
    admin.get(at).expect(404);
    let by_ada = |event: &str| {
        let events = events(&server, event);
        let of_bob = events.iter().filter(|event| event["subject"] == "bob");
        of_bob.filter(|event| event["actor"]["name"] == "ada").count()
    };
    // Two links: the one with which an operator is added, and the later one.
    assert_eq!((by_ada("operator"), by_ada("operator.linked")), (6, 2));
}

#[test]
fn who_is_no_named_operator_has_no_password_to_change() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let page = browser.get("/account").expect(200);
    assert!(page.text.contains("not a named operator"), "{}", page.text);
    browser.get("/account/enrol").expect(409);
    let fields = [("password", PASSWORD), ("again", PASSWORD)];
    browser.submit("/account", "/account/password", &fields).expect(409);
    browser.submit("/account", "/account/sign-out-everywhere", &[]).expect(409);
    browser.get("/").expect(200);
}
