//! The web console: who gets in, and what every page holds to.

use std::net::TcpListener;
use std::process::Command;

use scimd::console::routes;

use crate::harness::{Browser, Server, free_port, scimd};

const CONSOLE: &str = "[console]\n";

fn start() -> Server {
    Server::start_with(CONSOLE)
}

/// A path of a route, with something in each open segment.
fn path_of(template: &str) -> String {
    let segments = template.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn the_link_of_the_first_boot_signs_in_once() {
    let server = start();
    let printed = server.stdout();
    let link = printed.lines().find_map(|line| line.strip_prefix("Console      ")).unwrap();
    assert!(
        link.starts_with(&format!("https://127.0.0.1:{}/link/", server.console_port())),
        "{link}"
    );
    assert!(printed.contains("Your browser will warn") && printed.contains("SHA-256"), "{printed}");
    let mut browser = Browser::new(&server);
    let page = browser.get(&link[link.find("/link/").unwrap()..]).expect(200);
    assert!(page.text.contains("role <b>admin</b>"), "{}", page.text);
    let done = browser.use_link(link).expect(303);
    assert_eq!(done.header("location"), Some("/"));
    let overview = browser.get("/").expect(200);
    assert!(overview.text.contains("<h1>Overview</h1>") && overview.text.contains("All is well"));
    let mut other = Browser::new(&server);
    let page = other.get(&link[link.find("/link/").unwrap()..]).expect(200);
    assert!(page.text.contains("This link is not valid"), "{}", page.text);
    let csrf = other.get("/link/x").text;
    assert!(!csrf.contains("name=\"token\""));
}

#[test]
fn looking_at_a_link_does_not_use_it_up_but_its_button_does() {
    let server = start();
    let link = server.succeed(&["console", "link"]);
    assert_eq!(link.lines().count(), 1, "the URL alone: {link}");
    let mut looking = Browser::new(&server);
    let path = link.trim()[link.find("/link/").unwrap()..].to_owned();
    looking.get(&path).expect(200);
    looking.send("HEAD", &path, None);
    let mut browser = Browser::new(&server);
    let page = browser.get(&path).expect(200);
    let (csrf, token) = (page.hidden("csrf"), page.hidden("token"));
    let fields = [("csrf", csrf.as_str()), ("token", token.as_str())];
    browser.post("/link", &fields).expect(303);
    browser.get("/").expect(200);
    browser.cookies.remove("__Host-scimd");
    let again = browser.post("/link", &fields).expect(200);
    assert!(again.text.contains("This link is not valid"), "replayed: {}", again.text);
    browser.get("/").expect(303);
}

#[test]
fn only_hosts_of_this_machine_and_the_configured_one_are_served() {
    let server = Server::start_with("[console]\npublic_url = \"https://console.example.com\"\n");
    let mut browser = Browser::new(&server);
    for host in ["localhost", "127.0.0.1:8444", "[::1]:1", "console.example.com"] {
        browser.host = host.to_owned();
        browser.get("/sign-in").expect(200);
    }
    for host in ["evil.example", "console.example.com.evil.example", "192.0.2.1"] {
        browser.host = host.to_owned();
        let page = browser.get("/sign-in").expect(421);
        assert!(page.text.contains("console.public_url"), "{}", page.text);
    }
    let link = server.succeed(&["console", "link"]);
    assert!(link.starts_with("https://console.example.com/link/"), "{link}");
}

#[test]
fn every_answer_carries_the_headers_that_protect_it() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let overview = browser.get("/").expect(200);
    let style =
        overview.text.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let style = style.to_owned();
    for path in ["/", "/sign-in", "/none", "/link/x", &style] {
        let page = browser.get(path);
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"),
            "{policy}"
        );
        for part in
            ["frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert!(page.header("strict-transport-security").unwrap().contains("31536000"));
        let cache = page.header("cache-control").unwrap();
        assert_eq!(cache == "no-store", !path.starts_with("/assets/"), "{path}: {cache}");
        assert!(!page.text.contains(" style=") && !page.text.contains("<script>"), "{path}");
    }
}

#[test]
fn the_cookie_of_a_session_is_for_this_site_and_no_script() {
    let server = start();
    let mut browser = Browser::new(&server);
    let link = server.succeed(&["console", "link"]);
    let done = browser.use_link(link.trim());
    let cookie = done.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("__Host-scimd=") && !cookie.contains("Domain"), "{cookie}");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(&format!("; {attribute}")), "{cookie}");
    }
    let before = browser.cookies["__Host-scimd"].clone();
    let link = server.succeed(&["console", "link"]);
    browser.use_link(link.trim()).expect(303);
    assert_ne!(before, browser.cookies["__Host-scimd"], "a new token at each sign-in");
    browser.cookies.insert("__Host-scimd".to_owned(), before);
    browser.get("/").expect(303);
}

#[test]
fn every_page_leads_those_without_a_session_to_the_sign_in() {
    let server = start();
    let mut browser = Browser::new(&server);
    for (method, template, role, _) in routes() {
        let path = path_of(template);
        let page = browser.send(method, &path, (method == "POST").then_some("csrf=x"));
        if role.is_some() {
            let leads = page.header("location").is_some_and(|to| to.starts_with("/sign-in"));
            assert!(page.status == 303 && leads, "{method} {path}: {} {}", page.status, page.head);
        }
    }
    browser.get("/no-such-page").expect(303);
    browser.cookies.insert("__Host-scimd".to_owned(), "A".repeat(43));
    browser.get("/").expect(303);
}

#[test]
fn a_form_without_the_token_of_its_session_is_refused() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    for fields in [&[][..], &[("csrf", "")], &[("csrf", "x")]] {
        let page = browser.post("/sign-out", fields).expect(403);
        assert!(page.text.contains("does not belong to this session"), "{}", page.text);
    }
    let foreign = Browser::signed_in(&server).get("/").hidden("csrf");
    browser.post("/sign-out", &[("csrf", &foreign)]).expect(403);
    let own = browser.get("/").hidden("csrf");
    for (name, value) in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        browser.headers = vec![(name.to_owned(), value.to_owned())];
        browser.post("/sign-out", &[("csrf", &own)]).expect(403);
    }
    browser.headers.clear();
    browser.get("/").expect(200);
    browser.post("/sign-out", &[("csrf", &own)]).expect(303);
    browser.get("/").expect(303);
}

#[test]
fn a_signed_out_session_is_over_also_for_those_who_kept_its_cookie() {
    let server = start();
    let mut browser = Browser::signed_in(&server);
    let kept = browser.cookies.clone();
    browser.submit("/", "/sign-out", &[]).expect(303);
    assert!(!browser.cookies.contains_key("__Host-scimd"), "the cookie is removed");
    browser.cookies = kept;
    browser.get("/").expect(303);
}

#[test]
fn a_session_ends_without_requests_and_live_views_do_not_keep_it() {
    let server = Server::start_with("[console]\nidle_timeout = \"2s\"\n");
    let mut browser = Browser::signed_in(&server);
    browser.headers = vec![("X-Scimd-Live".to_owned(), "1".to_owned())];
    browser.get("/").expect(200);
    let mut looks = 0;
    while browser.get("/").status == 200 {
        looks += 1;
        assert!(looks < 200, "a live view keeps the session");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn a_form_has_its_limits() {
    let server = start();
    let mut browser = Browser::new(&server);
    browser.get("/sign-in");
    let page = browser.post("/link", &[("csrf", &"x".repeat(64 * 1024))]).expect(413);
    assert!(page.text.contains("65536 bytes"), "{}", page.text);
    let pad = "x".repeat(64 * 1024 - "csrf=".len());
    browser.post("/link", &[("csrf", &pad)]).expect(403);
    browser.send("POST", "/link", Some(&"a=1&".repeat(300))).expect(400);
    browser.headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
    browser.send("POST", "/link", Some("a=1")).expect(415);
    browser.send("PUT", "/link", None).expect(303);
}

#[test]
fn a_taken_address_stops_the_start_and_says_which_key_to_change() {
    let port = free_port();
    let _holder = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = Server::configure(CONSOLE);
    let own = format!("127.0.0.1:{}", server.console_port());
    server.rewrite(|text| text.replace(&own, &format!("127.0.0.1:{port}")));
    let output = server.run(&["serve", "--first-boot"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(
        error.contains(&format!("can't listen on 127.0.0.1:{port} for the console")),
        "{error}"
    );
    assert!(error.contains("console.address") && error.contains("console.enabled"), "{error}");
}

#[test]
fn the_console_speaks_tls_where_the_other_listener_does_not() {
    let mut server = Server::configure("[listen]\ntls = false\n[console]\n");
    server.boot(&["--first-boot"]);
    let printed = server.stdout();
    assert!(!printed.contains("\nCertificate "), "{printed}");
    Browser::signed_in(&server).get("/").expect(200);
}

#[test]
fn commands_say_why_there_is_no_link() {
    let server = Server::start();
    let said = server.fail(&["console", "link"], 1);
    assert!(said.contains("console.enabled = true"), "{said}");
    let server = start();
    assert!(
        server.fail(&["console", "link", "--operator", "ada"], 4).contains("\"ada\" not found")
    );
    assert!(server.fail(&["console", "link", "--expires", "25h"], 1).contains("1s to 1d"));
    let folder = tempfile::tempdir().unwrap();
    let mut alone: Command = scimd(&["console", "link"]);
    let output = alone.current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_reload_changes_how_long_sessions_last_and_names_what_needs_a_restart() {
    let mut server = start();
    let cookies = Browser::signed_in(&server).cookies;
    let lifetime = "[console]\nsession_lifetime = \"1s\"\n";
    server.reconfigure(|text| text.replace("[console]\n", lifetime));
    server.until("the session ends", |server| {
        let mut browser = Browser::new(server);
        browser.cookies.clone_from(&cookies);
        browser.get("/").status == 303
    });
    let port = format!(":{}\"", server.console_port());
    server.rewrite(|text| text.replace(&port, ":1\""));
    assert!(server.reload().contains("console.address changed; restart scimd to apply"));
}

#[test]
fn stopping_closes_the_console_as_well() {
    let mut server = start();
    Browser::signed_in(&server).get("/").expect(200);
    server.stop();
    assert!(TcpListener::bind(("127.0.0.1", server.console_port())).is_ok());
}
