//! Assertions that are taken, and each way in which one is not.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use std::sync::LazyLock;

use super::*;

const NOW: i64 = 1_800_000_000;

/// An RSA key, as PKCS #1.
static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

fn base64url(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

fn rsa_jwk(id: &str) -> Value {
    let public = RSA.public_key();
    let n = base64url(public.modulus().big_endian_without_leading_zero());
    let e = base64url(public.exponent().big_endian_without_leading_zero());
    json!({"kty": "RSA", "use": "sig", "kid": id, "n": n, "e": e})
}

fn rsa_key() -> EncodingKey {
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = RSA.as_der().unwrap();
    // PKCS #8 wraps PKCS #1 behind 26 bytes.
    EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..])
}

fn keys(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer", "sub": "subject", "aud": "api://app", "jti": "1",
        "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 3_600,
    })
}

fn signed(claims: &Value) -> String {
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::RS256) };
    encode(&header, claims, &rsa_key()).unwrap()
}

fn check_claims(claims: &Value, now: i64) -> Result<(), BadAssertion> {
    let audiences = ["api://app".to_owned(), "api://other".to_owned()];
    let expected = ExpectedClaims {
        kind: AssertionKind::Federated,
        issuer: "https://issuer",
        subject: "subject",
        audiences: &audiences,
        max_life: 86_400,
    };
    Assertion::read(&signed(claims))?.check_claims(&expected, now)
}

/// Checks an assertion that a client signs with its own key.
fn check_own(claims: &Value) -> Result<(), BadAssertion> {
    let audiences = ["https://scim".to_owned(), "https://scim/oauth2/token".to_owned()];
    let expected = ExpectedClaims {
        kind: AssertionKind::OwnKey,
        issuer: "client-a",
        subject: "client-a",
        audiences: &audiences,
        max_life: MAX_CLIENT_LIFE,
    };
    Assertion::read(&signed(claims))?.check_claims(&expected, NOW)
}

fn check_signature(text: &str, keys: &KeySet) -> Result<(), BadAssertion> {
    Assertion::read(text)?.check_signature(keys, &[AssertionAlgorithm::Rs256])
}

#[test]
fn an_assertion_that_is_as_expected_is_taken() {
    assert_eq!(check_claims(&claims(), NOW), Ok(()));
    let mut several = claims();
    several["aud"] = json!(["api://else", "api://other"]);
    assert_eq!(check_claims(&several, NOW), Ok(()));
    assert_eq!(check_signature(&signed(&claims()), &keys(&[rsa_jwk("one")])), Ok(()));
}

#[test]
fn each_claim_that_is_not_as_expected_is_named_with_both() {
    for (claim, value, words) in [
        (
            "iss",
            json!("https://else"),
            "iss: expected \"https://issuer\", and \"https://else\" came",
        ),
        ("iss", json!(null), "iss: expected \"https://issuer\", and none came"),
        ("sub", json!("else"), "sub: expected \"subject\", and \"else\" came"),
        ("sub", json!(["subject"]), "sub: expected"),
        (
            "aud",
            json!("else"),
            "aud: expected one of [\"api://app\", \"api://other\"], and \"else\" came",
        ),
        ("aud", json!([]), "aud: expected"),
        ("aud", json!({"api://app": 1}), "aud: expected"),
        ("exp", json!(NOW - 300), "exp: expected a time after 1799999700, and 1799999700 came"),
        ("exp", json!(null), "exp: expected a time after 1799999700, and none came"),
        ("exp", json!("9999999999"), "exp: expected a time"),
        ("exp", json!(NOW + 90_000), "exp: expected at most 86400 seconds of life, and 90010 came"),
        ("exp", json!(1e300), "exp: expected at most"),
        ("nbf", json!(NOW + 301), "nbf: expected a time before 1800000300"),
        ("iat", json!(NOW + 301), "iat: expected a time before 1800000300"),
        ("iat", json!("now"), "iat: expected a time"),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        let refused = check_claims(&claims, NOW).unwrap_err().to_string();
        assert!(refused.starts_with(words) && !refused.contains(';'), "{refused}");
    }
    let all = check_claims(&json!({}), NOW).unwrap_err().to_string();
    assert_eq!(all.matches(';').count(), 3, "{all}");
}

#[test]
fn five_minutes_between_two_clocks_are_overlooked() {
    for (claim, value) in [("exp", NOW - 299), ("nbf", NOW + 300), ("iat", NOW + 300)] {
        let mut claims = claims();
        claims[claim] = json!(value);
        assert_eq!(check_claims(&claims, NOW), Ok(()), "{claim}");
    }
}

#[test]
fn only_a_signature_by_the_named_key_and_a_permitted_algorithm_is_taken() {
    let (good, set) = (signed(&claims()), keys(&[rsa_jwk("one")]));
    let parts: Vec<&str> = good.split('.').collect();
    let with_header = |header: Value| {
        format!("{}.{}.{}", base64url(header.to_string().as_bytes()), parts[1], parts[2])
    };
    let public = RSA.public_key();
    let public = public.modulus().big_endian_without_leading_zero();
    let hs256 = |secret: &[u8]| {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims(), &EncodingKey::from_secret(secret).unwrap()).unwrap()
    };
    let mut changed = claims();
    changed["sub"] = json!("else");
    let payload = base64url(changed.to_string().as_bytes());
    for (name, text) in [
        ("none", with_header(json!({"alg": "none", "kid": "one"}))),
        ("no alg", with_header(json!({"kid": "one"}))),
        ("HS256 by the modulus", hs256(public)),
        ("HS256 by the JSON of the key", hs256(rsa_jwk("one").to_string().as_bytes())),
        ("another kid", with_header(json!({"alg": "RS256", "kid": "two"}))),
        ("a header that says PS256", with_header(json!({"alg": "PS256", "kid": "one"}))),
        (
            "a critical extension",
            with_header(json!({"alg": "RS256", "kid": "one", "crit": ["b64"]})),
        ),
        ("another payload", format!("{}.{payload}.{}", parts[0], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.x")),
        (
            "an assertion within one",
            format!("{}.{}.{}", parts[0], base64url(good.as_bytes()), parts[2]),
        ),
        (
            "a deep payload",
            format!("{}.{}.{}", parts[0], base64url("[".repeat(9_000).as_bytes()), parts[2]),
        ),
        ("a huge one", format!("{good}{}", "x".repeat(MAX_ASSERTION))),
        ("nothing", String::new()),
    ] {
        assert!(check_signature(&text, &set).is_err(), "{name}");
    }
}

#[test]
fn a_key_of_another_type_use_or_size_signs_nothing() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = (base64url(&point[..32]), base64url(&point[32..]));
    let ec = json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y});
    let good = signed(&claims());
    assert!(check_signature(&good, &keys(&[ec])).is_err());
    let with = |name: &str, value: Value| {
        let mut key = rsa_jwk("one");
        key[name] = value;
        json!({"keys": [key]}).to_string()
    };
    for text in [with("use", json!("enc")), with("alg", json!("RS512")), with("n", json!("AQAB"))] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), BadKeySet, "{text}");
    }
    for text in ["", "[]", "{}", r#"{"keys": []}"#, r#"{"keys": [1, {"kty": "oct", "k": "AA"}]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).unwrap_err(), BadKeySet, "{text}");
    }
    let beside = keys(&[json!({"kty": "new"}), rsa_jwk("two"), rsa_jwk("one")]);
    assert_eq!(check_signature(&good, &beside), Ok(()), "beside keys that are not known");
}

#[test]
fn each_check_of_a_clients_own_assertion_refuses_one_that_is_right_but_for_it() {
    let good = json!({
        "iss": "client-a", "sub": "client-a", "aud": "https://scim", "jti": "1",
        "iat": NOW, "nbf": NOW, "exp": NOW + 600,
    });
    assert_eq!(check_own(&good), Ok(()));
    let endpoint = "https://scim/oauth2/token";
    for (claim, value) in [
        ("aud", json!(endpoint)),
        ("aud", json!([endpoint])),
        ("iat", Value::Null),
        ("nbf", Value::Null),
        ("exp", json!(NOW + 1)),
        ("jti", json!("x".repeat(1_000))),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        assert_eq!(check_own(&claims), Ok(()), "{claim}");
    }
    for (claim, value, words) in [
        ("iss", json!("client-b"), "iss: expected \"client-a\", and \"client-b\" came"),
        ("sub", json!("client-b"), "sub: expected \"client-a\", and \"client-b\" came"),
        ("aud", json!("https://else"), "aud: expected one of"),
        ("aud", json!(["https://scim", endpoint]), "aud: expected one of"),
        ("aud", json!(["https://scim", "https://else"]), "aud: expected one of"),
        ("exp", Value::Null, "exp: expected a time"),
        ("iat", json!("now"), "iat: expected a time before"),
        ("exp", json!(NOW + 601), "exp: expected at most 600 seconds of life, and 601 came"),
        ("nbf", json!(NOW + 301), "nbf: expected a time before"),
        ("iat", json!(NOW - 1), "exp: expected at most 600 seconds of life, and 601 came"),
        ("jti", Value::Null, "jti: expected a text, and none came"),
        ("jti", json!(""), "jti: expected a text, and \"\" came"),
        ("jti", json!(7), "jti: expected a text, and 7 came"),
    ] {
        let mut claims = good.clone();
        claims[claim] = value;
        let refused = check_own(&claims).unwrap_err().to_string();
        assert!(refused.starts_with(words) && !refused.contains(';'), "{refused}");
    }
    let mut early = good.clone();
    (early["iat"], early["nbf"], early["exp"]) = (json!(NOW + 301), Value::Null, json!(NOW + 800));
    let refused = check_own(&early).unwrap_err().to_string();
    assert!(refused.starts_with("iat: expected a time before") && !refused.contains(';'));
    let mut from_nbf = good.clone();
    (from_nbf["iat"], from_nbf["nbf"]) = (Value::Null, json!(NOW - 1));
    assert!(check_own(&from_nbf).is_err(), "without iat its life begins with nbf");
    let mut open_ended = good;
    (open_ended["iat"], open_ended["nbf"], open_ended["exp"]) =
        (Value::Null, Value::Null, json!(NOW + 601));
    assert!(check_own(&open_ended).is_err(), "without iat and nbf its life begins now");
}

#[test]
fn a_set_without_ids_serves_an_assertion_that_names_one() {
    let mut key = rsa_jwk("one");
    key.as_object_mut().unwrap().remove("kid");
    assert_eq!(check_signature(&signed(&claims()), &keys(&[key])), Ok(()));
}

#[test]
fn what_the_header_says_is_checked_also_where_the_signature_is_right() {
    let set = keys(&[rsa_jwk("one")]);
    let check = |more: Value| {
        let mut header = json!({"typ": "JWT", "alg": "RS256", "kid": "one"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let header: Header = serde_json::from_value(header).unwrap();
        check_signature(&encode(&header, &claims(), &rsa_key()).unwrap(), &set)
    };
    assert_eq!(check(json!({})), Ok(()));
    for more in [json!({"crit": ["b64"]}), json!({"enc": "A128GCM"}), json!({"zip": "DEF"})] {
        let unsupported = BadAssertion::Unreadable("its header asks for what is not supported");
        assert_eq!(check(more.clone()), Err(unsupported), "{more}");
    }
    for more in [json!({"kid": "two"}), json!({"alg": "PS256"})] {
        assert!(check(more.clone()).is_err(), "{more}");
    }
    let mut large = claims();
    large["more"] = json!("x".repeat(MAX_ASSERTION));
    let refused = check_signature(&signed(&large), &set).unwrap_err();
    assert_eq!(refused, BadAssertion::Unreadable("it is longer than 16 KiB"));
}
