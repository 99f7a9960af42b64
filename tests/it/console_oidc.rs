//! Signing in to the console at an OpenID provider, and every answer of it that is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use data_encoding::BASE64URL_NOPAD;
use scimd::console::routes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::issuer::{KeyServer, jwks, signed};
use crate::harness::{Browser, Page, Server};

/// A server with a provider, which knows its document and its keys.
fn start() -> (Server, KeyServer) {
    let mut server = Server::configure(
        "[console]\n[console.oidc]\nissuer = \"https://localhost:1\"\nclient_id = \"scimd\"\n\
         client_secret_file = \"secret\"\nca_file = \"ca.pem\"\nrole_claim = \"groups\"\n\
         roles = { admins = \"admin\", staff = \"viewer\" }\n",
    );
    let secret = server.folder().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).unwrap();
    let provider = KeyServer::start(&server.folder().join("ca.pem"));
    let issuer = format!("https://localhost:{}", provider.port);
    server.rewrite(|text| text.replace("https://localhost:1\"", &format!("{issuer}\"")));
    let document = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
        "authorization_response_iss_parameter_supported": true,
    });
    provider.answer_at("/.well-known/openid-configuration", "200 OK", &document.to_string());
    provider.answer_at("/jwks", "200 OK", &jwks(&[0]));
    server.boot(&["--first-boot"]);
    (server, provider)
}

fn claims(provider: &KeyServer, nonce: &str) -> Value {
    let now = jiff::Timestamp::now().as_second();
    json!({
        "iss": format!("https://localhost:{}", provider.port), "aud": "scimd", "sub": "00u1",
        "iat": now, "exp": now + 300, "nonce": nonce, "preferred_username": "ada@example.com",
        "groups": ["everyone", "admins"],
    })
}

/// A sign-in that has begun: where the browser is sent.
struct Begun {
    target: String,
}

impl Begun {
    fn new(browser: &mut Browser<'_>, next: &str) -> Self {
        let page = browser.get(&format!("/sign-in/oidc?next={next}")).expect(303);
        let cookie = page.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-scimd-oidc=") && cookie.contains("SameSite=Lax"));
        assert!(cookie.contains("HttpOnly") && cookie.contains("Secure"), "{cookie}");
        Self { target: page.header("location").unwrap().to_owned() }
    }

    fn parameter(&self, name: &str) -> String {
        let start = format!("{name}=");
        let pairs = self.target.split(['?', '&']);
        pairs.filter_map(|pair| pair.strip_prefix(&start)).next().unwrap_or_default().to_owned()
    }

    /// Has the provider give an ID token, and sends the browser back.
    fn back(&self, browser: &mut Browser<'_>, provider: &KeyServer, id_token: &str) -> Page {
        let answer = json!({"access_token": "x", "token_type": "Bearer", "id_token": id_token});
        provider.answer_at("/token", "200 OK", &answer.to_string());
        browser.get(&self.callback(provider))
    }

    fn callback(&self, provider: &KeyServer) -> String {
        let issuer = format!("https%3A%2F%2Flocalhost%3A{}", provider.port);
        format!("/sign-in/oidc/callback?code=c0de&state={}&iss={issuer}", self.parameter("state"))
    }
}

#[test]
fn a_user_of_the_provider_signs_in_with_the_role_that_a_claim_gives() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in").expect(200);
    assert!(page.text.contains(&format!("Sign in at localhost:{}", provider.port)));
    let begun = Begun::new(&mut browser, "%2Foperators");
    assert_eq!(begun.parameter("response_type"), "code");
    assert_eq!(
        (begun.parameter("code_challenge_method"), begun.parameter("max_age")),
        ("S256".to_owned(), String::new())
    );
    let claims = claims(&provider, &begun.parameter("nonce"));
    let page = begun.back(&mut browser, &provider, &signed(0, &claims)).expect(200);
    assert!(
        page.text.contains("http-equiv=\"refresh\" content=\"0;url=/operators\""),
        "{}",
        page.text
    );
    assert!(!browser.cookies.contains_key("__Host-scimd-oidc"), "it is used up");
    let page = browser.get("/operators").expect(200);
    assert!(page.text.contains("ada@example.com (sub 00u1)"), "{}", page.text);
    let asked = provider.request_to("/token");
    let form = asked.split("\r\n\r\n").nth(1).unwrap();
    let verifier = form.split('&').find_map(|pair| pair.strip_prefix("code_verifier=")).unwrap();
    let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier));
    assert_eq!(challenge, begun.parameter("code_challenge"));
    assert!(form.contains("code=c0de") && !form.contains("s3cret"), "{form}");
    assert!(asked.to_lowercase().contains("authorization: basic "), "{asked}");
    let events = server.succeed(&["audit", "--event", "operator.signed_in", "--json"]);
    assert!(events.contains("\"00u1\"") && events.contains("provider"), "{events}");
}

#[test]
fn an_answer_that_is_not_whole_signs_nobody_in() {
    let (server, provider) = start();
    let with = |nonce: &str, claim: &str, value: Value| {
        let mut claims = claims(&provider, nonce);
        claims[claim] = value;
        signed(0, &claims)
    };
    type Token<'a> = &'a dyn Fn(&str) -> String;
    let wrong: [(&str, Token<'_>); 9] = [
        ("nonce", &|_| with("", "nonce", json!("other"))),
        ("iss", &|nonce| with(nonce, "iss", json!("https://evil.example"))),
        ("aud", &|nonce| with(nonce, "aud", json!("other"))),
        ("azp", &|nonce| with(nonce, "azp", json!("other"))),
        ("exp", &|nonce| with(nonce, "exp", json!(1))),
        ("iat", &|nonce| with(nonce, "iat", json!(1))),
        ("signature", &|nonce| {
            let other = signed(1, &claims(&provider, nonce));
            other.replacen(
                other.split('.').next().unwrap(),
                signed(0, &json!({})).split('.').next().unwrap(),
                1,
            )
        }),
        ("kid", &|nonce| signed(1, &claims(&provider, nonce))),
        ("gives no role", &|nonce| with(nonce, "groups", json!(["everyone"]))),
    ];
    for (why, token) in wrong {
        let mut browser = Browser::new(&server);
        let begun = Begun::new(&mut browser, "%2F");
        let token = token(&begun.parameter("nonce"));
        let page = begun.back(&mut browser, &provider, &token).expect(403);
        assert!(page.text.contains("role=\"alert\""), "{why}: {}", page.text);
        browser.get("/").expect(303);
        server.logged(why);
    }
}

#[test]
fn an_answer_counts_once_in_the_browser_that_asked_for_it() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let begun = Begun::new(&mut browser, "%2F");
    let token = signed(0, &claims(&provider, &begun.parameter("nonce")));
    let cookies = browser.cookies.clone();
    begun.back(&mut Browser::new(&server), &provider, &token).expect(403);
    let state = begun.parameter("state");
    let path = begun.callback(&provider);
    browser.get(&path.replace(&state, "other")).expect(403);
    browser.cookies.clone_from(&cookies);
    let wrong_issuer = path.replace("localhost", "evil.example");
    let mut other = Browser::new(&server);
    let another = Begun::new(&mut other, "%2F");
    let wrong_issuer = wrong_issuer.replace(&state, &another.parameter("state"));
    other.get(&wrong_issuer).expect(403);
    begun.back(&mut browser, &provider, &token).expect(200);
    browser.get("/").expect(200);
    let mut thief = Browser::new(&server);
    thief.cookies = cookies;
    begun.back(&mut thief, &provider, &token).expect(403);
    thief.get("/").expect(303);
}

#[test]
fn what_the_provider_refuses_or_fails_at_is_said_and_a_link_works() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let begun = Begun::new(&mut browser, "%2F");
    let state = begun.parameter("state");
    let denied = format!("/sign-in/oidc/callback?error=%3Cb%3Eaccess_denied&state={state}");
    let page = browser.get(&denied).expect(403);
    assert!(
        page.text.contains("&#60;b&#62;access_denied") && page.text.contains("scimd console link")
    );
    let begun = Begun::new(&mut browser, "%2F");
    provider.answer_at("/token", "400 Bad Request", "{\"error\":\"invalid_grant\"}");
    browser.get(&begun.callback(&provider)).expect(403);
    server.logged("invalid_grant");
    let begun = Begun::new(&mut browser, "%2F");
    provider.answer_at("/token", "200 OK", "not JSON");
    browser.get(&begun.callback(&provider)).expect(403);
    let (other, silent) = start();
    silent.answer_at("/.well-known/openid-configuration", "500 Internal Server Error", "");
    let mut browser = Browser::new(&other);
    for _ in 0..3 {
        let page = browser.get("/sign-in/oidc").expect(502);
        assert!(page.text.contains("scimd console link"), "{}", page.text);
    }
    assert_eq!(silent.requests(), 1, "it is not asked again and again");
    Browser::signed_in(&other).get("/").expect(200);
}

#[test]
fn what_needs_a_recent_sign_in_has_the_provider_ask_again() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let begun = Begun::new(&mut browser, "%2F");
    let token = signed(0, &claims(&provider, &begun.parameter("nonce")));
    begun.back(&mut browser, &provider, &token).expect(200);
    let fields = [("name", "bob"), ("role", "viewer")];
    let page = browser.submit("/operators", "/operators", &fields).expect(303);
    let again = page.header("location").unwrap().to_owned();
    assert!(again.starts_with("/sign-in/again"), "{again}");
    assert!(browser.get(&again).expect(200).text.contains("/sign-in/oidc"));
    let now = jiff::Timestamp::now().as_second();
    for (auth_time, status) in [(Value::Null, 403), (json!(now - 300), 403), (json!(now), 200)] {
        let begun = Begun::new(&mut browser, "%2F");
        assert_eq!(begun.parameter("max_age"), "60");
        let mut claims = claims(&provider, &begun.parameter("nonce"));
        claims["auth_time"] = auth_time;
        begun.back(&mut browser, &provider, &signed(0, &claims)).expect(status);
    }
    browser.submit("/operators", "/operators", &fields).expect(200);
}

#[test]
fn without_a_recent_sign_in_nothing_that_can_do_harm_is_done() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let begun = Begun::new(&mut browser, "%2F");
    let token = signed(0, &claims(&provider, &begun.parameter("nonce")));
    begun.back(&mut browser, &provider, &token).expect(200);
    let csrf = browser.get("/").hidden("csrf");
    let before = server.succeed(&["audit", "--head"]);
    let mut asked = Vec::new();
    for (method, template, _, needs_recent_sign_in) in routes() {
        if needs_recent_sign_in {
            let path = template.replace("{name}", "default").replace("{id}", "x");
            let page = browser.post(&path, &[("csrf", &csrf), ("from", "/brake")]).expect(303);
            assert_eq!(page.header("location"), Some("/sign-in/again?next=%2Fbrake"), "{path}");
            asked.push(format!("{method} {template}"));
        }
    }
    for route in [
        "POST /add-connection",
        "POST /add-connection/token",
        "POST /connections/{name}",
        "POST /connections/{name}/token",
        "POST /connections/{name}/client",
        "POST /connections/{name}/remove",
        "POST /undo",
        "POST /brake/resume",
        "POST /operators",
        "POST /operators/{name}/role",
    ] {
        assert!(asked.iter().any(|one| one == route), "{route} in {asked:?}");
    }
    assert_eq!(server.succeed(&["audit", "--head"]), before, "nothing is done");
}

#[test]
fn what_was_entered_is_kept_while_its_operator_signs_in_again() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let sign_in = |browser: &mut Browser<'_>, next: &str| {
        let begun = Begun::new(browser, next);
        let mut claims = claims(&provider, &begun.parameter("nonce"));
        claims["auth_time"] = json!(jiff::Timestamp::now().as_second());
        begun.back(browser, &provider, &signed(0, &claims)).expect(200);
    };
    sign_in(&mut browser, "%2F");
    let page = "/add-connection";
    let fields = [("name", "entra"), ("method", "entra"), ("ip_allowlist", "192.0.2.7")];
    let again = browser.submit(page, page, &fields).expect(303);
    assert_eq!(again.header("location"), Some("/sign-in/again?next=%2Fadd-connection"));
    sign_in(&mut browser, "%2Fadd-connection");
    browser.get("/connections/default").expect(200);
    let kept = browser.get(page).expect(200).text;
    assert!(kept.contains("value=\"192.0.2.7\"") && kept.contains("not saved yet"), "{kept}");
    assert!(kept.contains("value=\"entra\" required checked"), "{kept}");
    let empty = browser.get(page).expect(200).text;
    assert!(!empty.contains("192.0.2.7"), "once: {empty}");
    let fields = [&fields[..], &[("default_workspace", "Main")]].concat();
    browser.submit(page, "/add-connection/token", &fields).expect(200);
    // What one has entered is not for another who signs in.
    let mut browser = Browser::new(&server);
    sign_in(&mut browser, "%2F");
    browser.submit(page, page, &fields).expect(303);
    let link = server.succeed(&["console", "link"]);
    browser.use_link(link.trim()).expect(303);
    assert!(!browser.get(page).expect(200).text.contains("192.0.2.7"));
}

#[test]
fn another_provider_or_another_role_ends_the_sessions_of_the_provider() {
    let (mut server, provider) = start();
    let cookies = {
        let mut browser = Browser::new(&server);
        let begun = Begun::new(&mut browser, "%2F");
        let token = signed(0, &claims(&provider, &begun.parameter("nonce")));
        begun.back(&mut browser, &provider, &token).expect(200);
        browser.get("/").expect(200);
        browser.cookies.clone()
    };
    server.reconfigure(|text| text.replace("admins = \"admin\"", "admins = \"viewer\""));
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    browser.get("/").expect(303);
    server.rewrite(|text| text.replace("admins = \"viewer\"", "admins = \"admin\""));
    let log = server.reload();
    let is_warned = |line: &str| line.contains("WARN") && line.contains("console.oidc.roles");
    assert!(log.lines().any(is_warned), "{log}");
}

#[test]
fn another_user_of_the_provider_does_not_take_a_session_over_by_signing_in_again() {
    let (server, provider) = start();
    let mut browser = Browser::new(&server);
    let begun = Begun::new(&mut browser, "%2F");
    let token = signed(0, &claims(&provider, &begun.parameter("nonce")));
    begun.back(&mut browser, &provider, &token).expect(200);
    let begun = Begun::new(&mut browser, "%2F");
    let mut other = claims(&provider, &begun.parameter("nonce"));
    other["auth_time"] = json!(jiff::Timestamp::now().as_second());
    other["sub"] = json!("00u2");
    let page = begun.back(&mut browser, &provider, &signed(0, &other)).expect(403);
    assert!(page.text.contains("another user than ada@example.com (sub 00u1)"), "{}", page.text);
    server.logged("signed in again in the session of");
    assert!(browser.get("/").expect(200).text.contains("sub 00u1"));
    // Once that session has ended, it is a sign-in like any other.
    let begun = Begun::new(&mut browser, "%2F");
    browser.submit("/", "/sign-out", &[]).expect(303);
    other["nonce"] = json!(begun.parameter("nonce"));
    begun.back(&mut browser, &provider, &signed(0, &other)).expect(200);
    assert!(browser.get("/").expect(200).text.contains("sub 00u2"));
}
