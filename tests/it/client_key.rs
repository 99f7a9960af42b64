//! OAuth clients that sign assertions with a key of their own (RFC 7523): registered, used, refused.

use std::fs;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::harness::Server;
use crate::harness::issuer::{ask, jwks, public_key, signed};

const NO_LIMIT: &str = "[limits]\nmax_refusals_per_minute = 0\n";

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(der))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A client that has the key in a file; its id.
fn register(server: &Server, option: &str, file: &str) -> String {
    let path = server.folder().join("client-key");
    fs::write(&path, file).unwrap();
    let printed = server.succeed(&["client", "generate", "--json", option, path.to_str().unwrap()]);
    let json: Value = serde_json::from_str(&printed).unwrap();
    assert!(json.get("client_secret").is_none(), "{json}");
    assert_eq!(json["audience"], issuer(server));
    assert_eq!(json["token_url"], format!("{}/oauth2/token", issuer(server)));
    json["client_id"].as_str().unwrap().to_owned()
}

fn issuer(server: &Server) -> String {
    format!("https://127.0.0.1:{}", server.port())
}

/// The claims of a good assertion.
fn claims(server: &Server, id: &str) -> Value {
    json!({
        "iss": id, "sub": id, "aud": issuer(server), "iat": now(), "exp": now() + 300,
        "jti": format!("{:016x}", rand::random::<u64>()),
    })
}

fn status(server: &Server, token: &str) -> u16 {
    server.client_with(token).get("/Users?count=0").status
}

#[test]
fn a_key_of_each_type_stands_for_a_secret() {
    let server = Server::start();
    let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let der = |der: PublicKeyX509Der<'_>| pem(der.as_ref());
    for (algorithm, public, private) in [
        (
            Algorithm::ES256,
            der(p256.public_key().as_der().unwrap()),
            EncodingKey::from_ec_der(p256.to_pkcs8v1().unwrap().as_ref()),
        ),
        (
            Algorithm::ES384,
            der(p384.public_key().as_der().unwrap()),
            EncodingKey::from_ec_der(p384.to_pkcs8v1().unwrap().as_ref()),
        ),
        (
            Algorithm::EdDSA,
            der(ed.public_key().as_der().unwrap()),
            EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref()),
        ),
    ] {
        let id = register(&server, "--public-key", &public);
        let header = Header { kid: Some("any".to_owned()), ..Header::new(algorithm) };
        let assertion = encode(&header, &claims(&server, &id), &private).unwrap();
        let token = ask(&server, Some(&id), &assertion).expect(200);
        assert_eq!(status(&server, token.text("/access_token")), 200, "{algorithm:?}");
    }
    let id = register(&server, "--public-key", &pem(public_key(0).as_ref()));
    let first = ask(&server, None, &signed(0, &claims(&server, &id))).expect(200);
    let mut endpoint = claims(&server, &id);
    endpoint["aud"] = json!([format!("{}/oauth2/token", issuer(&server))]);
    let second = ask(&server, Some(&id), &signed(0, &endpoint)).expect(200);
    assert_eq!(first.text("/access_token"), second.text("/access_token"));
    let listed = server.succeed(&["client", "list"]);
    assert!(listed.contains(&id) && listed.contains("key"), "{listed}");
    server.succeed(&["client", "revoke", &id]);
    assert_eq!(status(&server, first.text("/access_token")), 401);
    assert_eq!(ask(&server, None, &signed(0, &claims(&server, &id))).status, 401);
}

#[test]
fn a_set_of_keys_serves_while_they_are_rotated_and_the_metadata_names_the_method() {
    let server = Server::start();
    let id = register(&server, "--jwks", &jwks(&[0, 1]));
    for number in [0, 1] {
        ask(&server, None, &signed(number, &claims(&server, &id))).expect(200);
    }
    let metadata = server.stranger().get("//.well-known/oauth-authorization-server").expect(200);
    let list = |name: &str| metadata.body[name].as_array().unwrap().clone();
    assert!(list("token_endpoint_auth_methods_supported").contains(&json!("private_key_jwt")));
    let algorithms = list("token_endpoint_auth_signing_alg_values_supported");
    assert_eq!(json!(algorithms), json!(["RS256", "PS256", "ES256", "ES384", "EdDSA"]));
    let audit = server.succeed(&["audit", "--json", "--event", "client.generated"]);
    assert!(audit.contains("\"key\"") && audit.contains(&id), "{audit}");
}

#[test]
fn an_assertion_is_taken_once_also_after_a_restart_and_a_crash() {
    let mut server = Server::start_with(NO_LIMIT);
    let id = register(&server, "--jwks", &jwks(&[0]));
    let (first, second) = (signed(0, &claims(&server, &id)), signed(0, &claims(&server, &id)));
    let token = ask(&server, None, &first).expect(200).text("/access_token").to_owned();
    assert_eq!(ask(&server, None, &first).status, 401);
    server.kill();
    server.boot(&[]);
    assert_eq!(ask(&server, None, &first).status, 401);
    ask(&server, None, &second).expect(200);
    server.stop();
    server.boot(&[]);
    for used in [&first, &second] {
        assert_eq!(ask(&server, None, used).status, 401);
    }
    ask(&server, None, &signed(0, &claims(&server, &id))).expect(200);
    assert_eq!(status(&server, &token), 200, "the access token stays valid");
    let audit = server.succeed(&["audit", "--json", "--event", "request.refused"]);
    assert!(audit.contains("jti: expected a new one") && audit.contains(&id), "{audit}");
}

#[test]
fn each_wrong_assertion_is_refused_alike_and_the_audit_log_says_what_is_wrong() {
    let mut server = Server::start_with(NO_LIMIT);
    let id = register(&server, "--jwks", &jwks(&[0]));
    let other = register(&server, "--jwks", &jwks(&[1]));
    let secret: Value =
        serde_json::from_str(&server.succeed(&["client", "generate", "--json"])).unwrap();
    let with = |claim: &str, value: Value| {
        let mut claims = claims(&server, &id);
        claims[claim] = value;
        signed(0, &claims)
    };
    let good = claims(&server, &id);
    let unsigned = format!(
        "{}.{}.",
        BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#),
        BASE64URL_NOPAD.encode(good.to_string().as_bytes())
    );
    let hs256 = |secret: &[u8]| {
        let header = Header { kid: Some("key-0".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &good, &EncodingKey::from_secret(secret).unwrap()).unwrap()
    };
    let both = json!([issuer(&server), "https://else"]);
    let long = json!(now() + 701);
    let cases = [
        unsigned,
        hs256(pem(public_key(0).as_ref()).as_bytes()),
        signed(1, &good),
        with("iss", json!("else")),
        with("aud", json!("https://else")),
        with("aud", both),
        with("exp", json!(now() - 301)),
        with("exp", Value::Null),
        with("exp", long),
        with("nbf", json!(now() + 400)),
        with("iat", json!(now() + 400)),
        with("jti", Value::Null),
        with("jti", json!("")),
    ];
    let refuse = |named: &str, assertion: &str| {
        let reply = ask(&server, Some(named), assertion);
        assert_eq!((reply.status, reply.text("/error")), (401, "invalid_client"));
        reply.body
    };
    let body = refuse(&id, "x");
    for assertion in &cases {
        assert_eq!(refuse(&id, assertion), body);
    }
    assert_eq!(refuse(&other, &signed(0, &good)), body, "of another client");
    assert_eq!(refuse(secret["client_id"].as_str().unwrap(), &signed(0, &good)), body);
    assert_eq!(refuse("client-0123456789ab", &signed(0, &good)), body);
    ask(&server, Some(&id), &signed(0, &good)).expect(200);
    let log = server.stop();
    for words in ["the assertion can't be read", "the client is unknown or was revoked"] {
        assert!(log.contains(words), "{words} in {log}");
    }
    let audit = server.succeed(&["audit", "--json", "--event", "request.refused"]);
    for (words, of) in [("iss: expected", &id), ("has a secret, not a key", &id)] {
        assert!(audit.contains(words) && audit.contains(of.as_str()), "{words} in {audit}");
    }
}

#[test]
fn a_file_without_a_usable_public_key_is_refused_with_what_to_do() {
    let server = Server::configure_with_data("");
    let path = server.folder().join("file");
    let path = path.to_str().unwrap();
    let refused = |option: &str, file: &str| {
        fs::write(path, file).unwrap();
        server.fail(&["client", "generate", option, path], 2)
    };
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(refused("--public-key", private).contains("openssl pkey -in FILE -pubout"));
    assert!(refused("--public-key", "x").contains("PUBLIC KEY"));
    assert!(refused("--jwks", "x").contains("JSON Web Key Set"));
    let small = r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}"#;
    assert!(refused("--jwks", small).contains("2048"));
    let missing = server.fail(&["client", "generate", "--jwks", "/nowhere"], 2);
    assert!(missing.contains("/nowhere"), "{missing}");
    let both = server.run(&["client", "generate", "--jwks", path, "--public-key", path]);
    assert_eq!(both.status.code(), Some(2));
}
