//! Workload identity federation: assertions of an issuer stand for a client secret.

use std::fs;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::harness::issuer::{KeyServer, ask, claims, jwks, signed};
use crate::harness::proxy::Proxy;
use crate::harness::{Server, free_port};

const TRUST: &str = "[connections.entra]\nmethod = \"entra\"\n[connections.entra.federation]\n\
    issuer = \"https://login.example/tenant/v2.0\"\nsubject = \"object-id\"\naudiences = [\"api://app\"]\n";
const NO_LIMIT: &str = "[limits]\nmax_refusals_per_minute = 0\n";

fn status(server: &Server, token: &str) -> u16 {
    server.client_with(token).get("/Users?count=0").status
}

/// A server that trusts an issuer whose keys are in a file.
fn with_file(more: &str) -> Server {
    let mut server =
        Server::configure(&format!("{TRUST}jwks_file = \"keys.json\"\n{more}{NO_LIMIT}"));
    fs::write(server.folder().join("keys.json"), jwks(&[0])).unwrap();
    server.boot(&["--first-boot"]);
    server
}

#[test]
fn an_assertion_gets_an_access_token_with_or_without_the_client_id() {
    let mut server = with_file("");
    let assertion = signed(0, &claims());
    let reply = ask(&server, Some("entra"), &assertion).expect(200);
    assert_eq!((reply.text("/token_type"), &reply.body["expires_in"]), ("Bearer", &json!(7_200)));
    let token = reply.text("/access_token");
    assert_eq!(status(&server, token), 200);
    let again = ask(&server, None, &assertion).expect(200);
    assert_eq!(again.text("/access_token"), token, "an assertion may be sent again");
    server.kill();
    server.boot(&[]);
    assert_eq!(status(&server, token), 200);
    fs::write(server.folder().join("keys.json"), jwks(&[1])).unwrap();
    assert_eq!(ask(&server, None, &assertion).status, 401, "the key is gone");
    ask(&server, None, &signed(1, &claims())).expect(200);
    server.reconfigure(|text| text.replace("object-id", "another-id"));
    assert_eq!(status(&server, token), 401, "access tokens end with their trust");
}

#[test]
fn a_refusal_says_claim_by_claim_what_was_expected_and_what_came() {
    let mut server = with_file("");
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        claims[claim] = value;
        signed(0, &claims)
    };
    let good = signed(0, &claims());
    let unsigned = format!(
        "{}.{}.",
        BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#),
        good.split('.').nth(1).unwrap()
    );
    let mut bodies = Vec::new();
    for assertion in [
        with("aud", json!("api://else")),
        with("iss", json!("https://else")),
        with("sub", json!("else")),
        with("exp", json!(1)),
        with("exp", Value::Null),
        with("nbf", json!(4_000_000_000_u64)),
        signed(1, &claims()),
        unsigned,
        "x".repeat(20_000),
        String::from("x"),
    ] {
        let reply = ask(&server, Some("entra"), &assertion);
        assert_eq!((reply.status, reply.text("/error")), (401, "invalid_client"));
        bodies.push(reply.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(ask(&server, Some("else"), &good).status, 401);
    assert_eq!(ask(&server, None, &with("sub", json!("else"))).status, 401);
    let log = server.stop();
    assert!(log.contains("aud: expected one of"), "{log}");
    let audit = server.succeed(&["audit", "--json", "--event", "request.refused"]);
    assert!(
        audit.contains("client_assertion") && audit.contains("and \\\"api://else\\\" came"),
        "{audit}"
    );
    assert!(server.succeed(&["audit", "--event", "request.refused"]).contains("aud: expected"));
}

#[test]
fn two_trusts_that_nothing_tells_apart_are_a_configuration_error() {
    let second = "jwks_file = \"k\"\n[connections.two]\nmethod = \"entra\"\n[connections.two.federation]\n\
        issuer = \"https://login.example/tenant/v2.0\"\nsubject = \"object-id\"\n";
    let check = |more: &str| {
        let server = Server::configure(&format!("{TRUST}{second}{more}"));
        let output = server.run(&["config", "check"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = check("audiences = [\"api://app\"]\njwks_file = \"k\"\n");
    assert!(code == Some(2) && said.contains("same issuer, subject and audience"), "{said}");
    let (code, said) =
        check("audiences = [\"api://b\"]\nclient_id = \"entra\"\njwks_file = \"k\"\n");
    assert!(code == Some(2) && said.contains("same client_id"), "{said}");
    let (code, said) = check("audiences = [\"api://b\"]\njwks_url = \"http://x/keys\"\n");
    assert!(code == Some(2) && said.contains("jwks_url"), "{said}");
    let (_, said) =
        check("audiences = [\"api://b\"]\nalgorithms = [\"HS256\"]\njwks_file = \"k\"\n");
    assert!(said.contains("RS256") && said.contains("algorithms"), "{said}");
}

/// A server that trusts an issuer whose keys it fetches.
fn with_url() -> (Server, KeyServer) {
    let url =
        |port: u16| format!("{TRUST}jwks_url = \"https://localhost:{port}/keys\"\n{NO_LIMIT}");
    let server = Server::configure(&url(1));
    let keys = KeyServer::start(&server.folder().join("ca.pem"));
    server.rewrite(|text| text.replace("localhost:1/", &format!("localhost:{}/", keys.port)));
    (server, keys)
}

fn boot(server: &mut Server) {
    let mut serve = server.command(&["serve", "--first-boot"]);
    serve.env("SSL_CERT_FILE", server.folder().join("ca.pem"));
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        serve.env_remove(proxy);
    }
    server.boot_as(serve, true);
}

#[test]
fn keys_are_fetched_once_for_an_assertion_that_is_as_expected_and_kept() {
    let (mut server, keys) = with_url();
    keys.answer("200 OK", &jwks(&[0]));
    boot(&mut server);
    let mut wrong = claims();
    wrong["aud"] = json!("api://else");
    assert_eq!(ask(&server, Some("entra"), &signed(0, &wrong)).status, 401);
    assert_eq!(keys.requests(), 0, "none for a claim that is wrong");
    let token = ask(&server, Some("entra"), &signed(0, &claims())).expect(200);
    assert_eq!(status(&server, token.text("/access_token")), 200);
    ask(&server, None, &signed(0, &claims())).expect(200);
    assert_eq!(keys.requests(), 1);
    for _ in 0..3 {
        assert_eq!(ask(&server, None, &signed(1, &claims())).status, 401, "an unknown key");
    }
    assert_eq!(keys.requests(), 1, "one attempt in five minutes");
    assert!(server.reload().contains("configuration reloaded"));
    ask(&server, None, &signed(0, &claims())).expect(200);
    assert_eq!(keys.requests(), 1, "kept over a reload");
}

#[test]
fn a_source_of_keys_that_misbehaves_refuses_and_holds_nothing_up() {
    let (mut server, keys) = with_url();
    let large = format!("{}{}", jwks(&[0]), " ".repeat(10 << 20));
    let ec = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"key-0","x":"AA","y":"AA"}]}"#;
    for (status, body, reason) in [
        ("302 Found", "", "redirects are not followed"),
        ("404 Not Found", "", "404"),
        ("200 OK", "garbage", "no JSON Web Key Set"),
        ("200 OK", ec, "signature: expected one by RS256"),
        ("200 OK", &large, "can't be read"),
        ("", "", "no answer within 5 seconds"),
    ] {
        match status {
            "" => keys.answer.lock().unwrap().clear(),
            _ => keys.answer(status, body),
        }
        boot(&mut server);
        let (before, assertion) = (keys.requests(), signed(0, &claims()));
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&server, None, &assertion));
            assert_eq!(self::status(&server, "scimd_x"), 401, "others are answered meanwhile");
            let refused = asked.join().unwrap();
            assert_eq!(refused.status, 401);
            assert!(!refused.body.to_string().contains("garbage"));
        });
        assert_eq!(keys.requests(), before + 1, "{reason}");
        let log = server.stop();
        assert!(log.contains(reason), "{reason} in {log}");
    }
}

#[test]
fn the_first_issuer_with_a_url_is_added_by_a_reload_and_its_keys_come_through_the_proxy() {
    let mut server = with_file("");
    server.stop();
    let keys = KeyServer::start(&server.folder().join("ca.pem"));
    keys.answer("200 OK", &jwks(&[1]));
    let proxy = Proxy::start(keys.port);
    let mut serve = server.command(&["serve"]);
    serve.env("SSL_CERT_FILE", server.folder().join("ca.pem"));
    serve.env("HTTPS_PROXY", proxy.url());
    for variable in ["https_proxy", "NO_PROXY", "no_proxy"] {
        serve.env_remove(variable);
    }
    server.boot_as(serve, false);
    assert_eq!(ask(&server, None, &signed(1, &claims())).status, 401);
    let with = |url: &str| format!("jwks_url = \"{url}\"");
    let file = "jwks_file = \"keys.json\"";
    server.reconfigure(|text| text.replace(file, &with("https://keys.example/keys")));
    let token = ask(&server, None, &signed(1, &claims())).expect(200);
    assert_eq!(status(&server, token.text("/access_token")), 200);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(heads[0].starts_with("CONNECT keys.example:443 HTTP/1.1\r\n"), "{heads:?}");
    let user = BASE64.encode(b"user:secret");
    assert!(heads[0].contains(&format!("Proxy-Authorization: Basic {user}\r\n")), "{heads:?}");
    let port = free_port();
    server.rewrite(|text| {
        text.replace("https://keys.example/", &format!("https://keys.example:{port}/"))
    });
    let log = server.reload();
    assert!(log.contains("restart scimd to apply"), "another port needs a restart: {log}");
}

/// The configuration without its federation.
fn without_federation(text: &str) -> String {
    let (before, after) = text.split_once("[connections.entra.federation]\n").unwrap();
    let (_, after) = after.split_once("jwks_file = \"keys.json\"\n").unwrap();
    format!("{before}{after}")
}

#[test]
fn a_federation_or_connection_that_comes_back_revives_no_access_token() {
    let mut server = with_file("");
    let config = fs::read_to_string(server.folder().join("config.toml")).unwrap();
    let without = without_federation(&config);
    let no_connection = without.replace("[connections.entra]\n", "[connections.other]\n");
    let get = |server: &Server| {
        ask(server, None, &signed(0, &claims())).expect(200).text("/access_token").to_owned()
    };
    let first = get(&server);
    server.reconfigure(|_| without.clone());
    assert_eq!(status(&server, &first), 401);
    server.reconfigure(|_| config.clone());
    let second = get(&server);
    assert_eq!((status(&server, &first), status(&server, &second)), (401, 200));
    for gone in [&without, &no_connection] {
        let before = get(&server);
        server.stop();
        server.rewrite(|_| gone.clone());
        server.boot(&[]);
        server.reconfigure(|_| config.clone());
        assert_eq!(status(&server, &before), 401);
        let after = get(&server);
        assert_ne!(after, before);
        server.kill();
        server.boot(&[]);
        assert_eq!(status(&server, &after), 200, "it outlives a crash");
    }
    let audit = server.succeed(&["audit", "--json", "--event", "client.revoked"]);
    assert_eq!(audit.matches("federation-entra-").count(), 3, "{audit}");
    assert_eq!(server.succeed(&["client", "list", "--json"]).trim(), "[]");
    let id = audit.split('"').find(|word| word.starts_with("federation-entra-")).unwrap();
    server.fail(&["client", "revoke", id], 4);
}
