//! An ID token that is taken, and each check that one can fail.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048).unwrap());

fn keys() -> KeySet {
    let public = RSA.public_key();
    let n = BASE64URL_NOPAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = BASE64URL_NOPAD.encode(public.exponent().big_endian_without_leading_zero());
    let set = json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "one", "n": n, "e": e}]});
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

fn signed_by(pair: &KeyPair, algorithm: Algorithm, claims: &Value) -> String {
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    // PKCS #8 wraps PKCS #1 behind 26 bytes.
    let key = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
    let header = Header { kid: Some("one".to_owned()), ..Header::new(algorithm) };
    encode(&header, claims, &key).unwrap()
}

fn claims() -> Value {
    json!({
        "iss": "https://idp", "sub": "248289761001", "aud": "scimd", "nonce": "n-0S6",
        "iat": NOW - 5, "exp": NOW + 300, "auth_time": NOW - 100,
        "preferred_username": "ada@example.com", "groups": ["Admins", "Staff"],
    })
}

fn check_text(text: &str, max_age: Option<i64>) -> Result<ProvenUser, String> {
    let expected =
        ExpectedIdToken { issuer: "https://idp", client_id: "scimd", nonce: "n-0S6", max_age };
    IdToken::read(text)?.check(&keys(), &expected, "groups", NOW)
}

fn check(claims: &Value) -> Result<ProvenUser, String> {
    check_text(&signed_by(&RSA, Algorithm::RS256, claims), Some(300))
}

#[track_caller]
fn refused(claim: &str, value: &Value) {
    let mut changed = claims();
    changed[claim] = value.clone();
    let why = check(&changed).unwrap_err();
    assert!(why.starts_with(claim), "{claim} {value}: {why}");
}

#[test]
fn a_token_that_is_as_expected_proves_a_user() {
    let user = check(&claims()).unwrap();
    assert_eq!(
        (user.subject.as_str(), user.name.as_deref()),
        ("248289761001", Some("ada@example.com"))
    );
    assert_eq!(user.groups, ["Admins", "Staff"]);
    let text = signed_by(&RSA, Algorithm::PS256, &claims());
    assert_eq!(check_text(&text, None), Ok(user));
}

#[test]
fn each_claim_is_checked() {
    refused("iss", &json!("https://idp/"));
    refused("iss", &json!(null));
    for audience in [json!("other"), json!([]), json!(["other"]), json!(null), json!(7)] {
        refused("aud", &audience);
    }
    for azp in [json!("other"), json!(null), json!(7)] {
        refused("azp", &azp);
    }
    for exp in [json!(NOW - SKEW), json!(null), json!("soon"), json!(0)] {
        refused("exp", &exp);
    }
    for iat in [json!(NOW + SKEW + 1), json!(NOW - MAX_AGE - SKEW), json!(null), json!(u64::MAX)] {
        refused("iat", &iat);
    }
    for nbf in [json!(NOW + SKEW + 1), json!(null), json!("x")] {
        refused("nbf", &nbf);
    }
    for nonce in [json!("n-0S7"), json!(""), json!(null), json!("n-0S6 ")] {
        refused("nonce", &nonce);
    }
    for auth_time in [json!(NOW - 300 - SKEW), json!(NOW + SKEW + 1), json!(null)] {
        refused("auth_time", &auth_time);
    }
    for subject in
        [json!(""), json!(" "), json!(null), json!("a".repeat(256)), json!("ä"), json!("a\n")]
    {
        refused("sub", &subject);
    }
}

#[test]
fn a_token_for_several_audiences_says_that_it_is_for_us() {
    let mut several = claims();
    several["aud"] = json!(["other", "scimd"]);
    assert!(check(&several).unwrap_err().starts_with("azp"));
    several["azp"] = json!("scimd");
    assert!(check(&several).is_ok());
}

#[test]
fn the_boundaries_of_time_are_taken() {
    for (claim, at) in [
        ("exp", NOW - SKEW + 1),
        ("iat", NOW + SKEW),
        ("iat", NOW - MAX_AGE - SKEW + 1),
        ("nbf", NOW + SKEW),
        ("auth_time", NOW - 300 - SKEW + 1),
    ] {
        let mut changed = claims();
        changed[claim] = json!(at);
        assert!(check(&changed).is_ok(), "{claim}");
    }
}

#[test]
fn only_a_key_of_the_provider_signs_and_only_by_a_known_algorithm() {
    for (pair, algorithm) in [
        (&*OTHER, Algorithm::RS256),
        (&*RSA, Algorithm::RS384),
        (&*RSA, Algorithm::RS512),
        (&*RSA, Algorithm::PS512),
    ] {
        let why = check_text(&signed_by(pair, algorithm, &claims()), None).unwrap_err();
        assert!(why.starts_with("signature"), "{why}");
    }
    let hmac =
        encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(b"x").unwrap());
    assert!(check_text(&hmac.unwrap(), None).is_err());
    let good = signed_by(&RSA, Algorithm::RS256, &claims());
    let body = good.split('.').nth(1).unwrap();
    let none = format!("{}.{body}.", BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#));
    assert!(check_text(&none, None).is_err());
    let unsigned = good.rsplit_once('.').unwrap().0.to_owned() + ".";
    assert!(check_text(&unsigned, None).is_err());
    let mut other = claims();
    other["sub"] = json!("root");
    let other = BASE64URL_NOPAD.encode(other.to_string().as_bytes());
    assert!(check_text(&good.replace(body, &other), None).is_err(), "other claims");
    for bad in ["", "a.b", "a.b.c", "...."] {
        assert!(check_text(bad, None).is_err());
    }
}

#[test]
fn a_name_that_hides_something_is_not_shown() {
    let mut odd = claims();
    odd["preferred_username"] = json!("ada\u{202e}nimda");
    odd["email"] = json!("ada@example.com");
    assert_eq!(check(&odd).unwrap().name.as_deref(), Some("ada@example.com"));
    for claim in ["preferred_username", "email"] {
        odd.as_object_mut().unwrap().remove(claim);
    }
    assert_eq!(check(&odd).unwrap().name, None);
}

#[test]
fn a_claim_without_roles_gives_none() {
    for groups in [json!(null), json!(7), json!({"a": 1}), json!([1, 2])] {
        let mut changed = claims();
        changed["groups"] = groups;
        assert!(check(&changed).unwrap().groups.is_empty());
    }
    let mut one = claims();
    one["groups"] = json!("Admins");
    assert_eq!(check(&one).unwrap().groups, ["Admins"]);
}
