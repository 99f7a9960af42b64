//! The public keys that an operator registers for a client: one in a PEM file, or a JSON Web Key Set.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, ThumbprintHash};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::{AssertionAlgorithm, KeySet};

/// The number of keys that a client may have.
pub const MAX_CLIENT_KEYS: usize = 8;
/// The members of a JSON Web Key that are secret (RFC 7518, section 6).
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why a file holds no keys for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClientKey {
    /// The PEM file has a private key.
    #[error(
        "it holds a private key, which the client alone should have; register the public key, which \
         `openssl pkey -in FILE -pubout` writes"
    )]
    PrivatePem,
    /// The PEM file has a certificate.
    #[error(
        "it holds a certificate; register its key, which `openssl x509 -in FILE -noout -pubkey` writes"
    )]
    Certificate,
    /// The file has no public key in PEM.
    #[error("it holds no PUBLIC KEY in PEM; `openssl pkey -in FILE -pubout` writes one")]
    NoPem,
    /// The file is no set of keys.
    #[error("it is no JSON Web Key Set such as {{\"keys\": [{{\"kty\": …}}]}}")]
    NoSet,
    /// The set has no key, or too many.
    #[error("it holds {0} keys; expected 1 to {MAX_CLIENT_KEYS}")]
    Number(usize),
    /// A key of the set is secret.
    #[error(
        "its key {0} is a private or symmetric one, which the client alone should have; register public keys"
    )]
    PrivateJwk(usize),
    /// A key of the set can't verify an assertion.
    #[error(
        "its key {0} can't be used; expected an RSA key of 2048 to 8192 bits, an EC key on P-256 or P-384, or an \
         Ed25519 key, for signatures"
    )]
    Unfit(usize),
    /// Two keys of the set have one id.
    #[error("its key {0} has the kid of another key; give each its own")]
    SameId(usize),
}

impl KeySet {
    /// Reads the public key in a PEM file.
    ///
    /// # Errors
    ///
    /// [`BadClientKey`].
    pub fn of_public_key(pem: &[u8]) -> Result<Self, BadClientKey> {
        let has = |label: &str| memchr::memmem::find(pem, label.as_bytes()).is_some();
        if has("PRIVATE KEY-----") {
            return Err(BadClientKey::PrivatePem);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| {
            if has("-----BEGIN CERTIFICATE-----") {
                BadClientKey::Certificate
            } else {
                BadClientKey::NoPem
            }
        })?;
        let key = jwk(&der).ok_or(BadClientKey::Unfit(1))?;
        Self::of_client(vec![key])
    }

    /// Reads a JSON Web Key Set, or one JSON Web Key.
    ///
    /// # Errors
    ///
    /// [`BadClientKey`].
    pub fn of_jwks(text: &[u8]) -> Result<Self, BadClientKey> {
        let read: Value = serde_json::from_slice(text).map_err(|_| BadClientKey::NoSet)?;
        let keys = match read.get("keys") {
            Some(Value::Array(keys)) => keys.clone(),
            None if read.get("kty").is_some() => vec![read],
            _ => return Err(BadClientKey::NoSet),
        };
        if keys.is_empty() || keys.len() > MAX_CLIENT_KEYS {
            return Err(BadClientKey::Number(keys.len()));
        }
        let mut parsed = Vec::new();
        for (number, key) in (1..).zip(keys) {
            if SECRET_MEMBERS.iter().any(|member| key.get(member).is_some()) {
                return Err(BadClientKey::PrivateJwk(number));
            }
            parsed.push(serde_json::from_value(key).map_err(|_| BadClientKey::Unfit(number))?);
        }
        Self::of_client(parsed)
    }

    fn of_client(keys: Vec<Jwk>) -> Result<Self, BadClientKey> {
        for (index, key) in keys.iter().enumerate() {
            let is_fit = AssertionAlgorithm::ALL.iter().any(|one| one.fits(key));
            if !is_fit || !is_whole(key) {
                return Err(BadClientKey::Unfit(index + 1));
            }
            let id = &key.common.key_id;
            if id.is_some() && keys.iter().take(index).any(|other| other.common.key_id == *id) {
                return Err(BadClientKey::SameId(index + 1));
            }
        }
        Ok(Self(keys))
    }

    /// The thumbprints of the keys (RFC 7638), by which people can compare them.
    pub fn thumbprints(&self) -> Vec<String> {
        let thumbprint = |key: &Jwk| key.thumbprint(ThumbprintHash::SHA256).ok();
        self.0.iter().filter_map(thumbprint).collect()
    }
}

/// The key of a SubjectPublicKeyInfo, if it is of a known type.
fn jwk(der: &[u8]) -> Option<Jwk> {
    let info = SubjectPublicKeyInfoRef::from_der(der).ok()?;
    let bits = info.subject_public_key.as_bytes()?;
    if info.algorithm.oid == RSA {
        return Jwk::from_decoding_key(&DecodingKey::from_rsa_der(bits), None).ok();
    }
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let written = if info.algorithm.oid == ED25519_KEY {
        json!({"kty": "OKP", "crv": "Ed25519", "x": text(bits)})
    } else if info.algorithm.oid == EC {
        let curve: ObjectIdentifier = info.algorithm.parameters?.decode_as().ok()?;
        let curve = if curve == P256 { Some("P-256") } else { (curve == P384).then_some("P-384") };
        // The form without compression: 4, x, y.
        let point = bits.strip_prefix(&[4])?;
        let (x, y) = point.split_at_checked(point.len() / 2)?;
        json!({"kty": "EC", "crv": curve?, "x": text(x), "y": text(y)})
    } else {
        return None;
    };
    serde_json::from_value(written).ok()
}

/// Whether the cryptography takes a key of a known type.
fn is_whole(key: &Jwk) -> bool {
    let bytes = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    let is_whole = || match &key.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            let components = RsaPublicKeyComponents { n: bytes(&rsa.n)?, e: bytes(&rsa.e)? };
            components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok().map(drop)
        }
        AlgorithmParameters::EllipticCurve(ec) => {
            let algorithm = match ec.curve {
                EllipticCurve::P256 => &ECDSA_P256_SHA256_FIXED,
                _ => &ECDSA_P384_SHA384_FIXED,
            };
            let point = [vec![4], bytes(&ec.x)?, bytes(&ec.y)?].concat();
            UnparsedPublicKey::new(algorithm, point).parse().ok().map(drop)
        }
        AlgorithmParameters::OctetKeyPair(okp) => {
            UnparsedPublicKey::new(&ED25519, bytes(&okp.x)?).parse().ok().map(drop)
        }
        _ => None,
    };
    is_whole().is_some()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::encoding::PublicKeyX509Der;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _,
    };
    use data_encoding::BASE64;

    use super::*;

    fn pem(label: &str, der: &[u8]) -> Vec<u8> {
        let body = BASE64.encode(der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
            .into_bytes()
    }

    fn public(der: &PublicKeyX509Der<'_>) -> Vec<u8> {
        pem("PUBLIC KEY", der.as_ref())
    }

    fn kind(keys: &KeySet) -> String {
        let written = serde_json::to_value(keys).unwrap();
        let text = |name: &str| written[0][name].as_str().unwrap_or_default().to_owned();
        format!("{}{}", text("kty"), text("crv"))
    }

    #[test]
    fn a_public_key_of_each_type_is_read_from_pem() {
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        for (file, expected) in [
            (public(&rsa.public_key().as_der().unwrap()), "RSA"),
            (public(&p256.public_key().as_der().unwrap()), "ECP-256"),
            (public(&p384.public_key().as_der().unwrap()), "ECP-384"),
            (public(&ed.public_key().as_der().unwrap()), "OKPEd25519"),
        ] {
            let keys = KeySet::of_public_key(&file).unwrap();
            assert_eq!(kind(&keys), expected);
            assert_eq!(keys.thumbprints()[0].len(), 43);
            let set = serde_json::to_vec(&json!({"keys": serde_json::to_value(&keys).unwrap()}));
            assert_eq!(KeySet::of_jwks(&set.unwrap()).unwrap(), keys, "{expected}");
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_with_what_to_do() {
        let refused = |file: &[u8]| KeySet::of_public_key(file).unwrap_err();
        let ed = Ed25519KeyPair::generate().unwrap();
        let whole = public(&ed.public_key().as_der().unwrap());
        let both = [whole.as_slice(), &pem("PRIVATE KEY", b"x")].concat();
        assert_eq!(refused(&both), BadClientKey::PrivatePem);
        assert_eq!(refused(&pem("EC PRIVATE KEY", b"x")), BadClientKey::PrivatePem);
        assert_eq!(refused(&pem("CERTIFICATE", b"x")), BadClientKey::Certificate);
        assert_eq!(refused(b""), BadClientKey::NoPem);
        assert_eq!(refused(&pem("PUBLIC KEY", b"x")), BadClientKey::Unfit(1));
        assert!(BadClientKey::PrivatePem.to_string().contains("-pubout"));
    }

    #[test]
    fn a_set_has_one_to_eight_public_keys_that_can_be_used() {
        let rsa = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let file = public(&rsa.public_key().as_der().unwrap());
        let keys = serde_json::to_value(KeySet::of_public_key(&file).unwrap()).unwrap();
        let with = |id: usize, name: &str, value: &str| {
            let mut key = keys[0].clone();
            key["kid"] = json!(id.to_string());
            if !name.is_empty() {
                key[name] = json!(value);
            }
            key
        };
        let read = |keys: Vec<Value>| KeySet::of_jwks(json!({"keys": keys}).to_string().as_bytes());
        let many = |count: usize| (0..count).map(|id| with(id, "", "")).collect::<Vec<_>>();
        assert!(read(many(MAX_CLIENT_KEYS)).is_ok());
        assert!(KeySet::of_jwks(with(1, "", "").to_string().as_bytes()).is_ok(), "a single key");
        for (keys, expected) in [
            (many(0), BadClientKey::Number(0)),
            (many(MAX_CLIENT_KEYS + 1), BadClientKey::Number(9)),
            (vec![with(1, "", ""), with(2, "d", "AQ")], BadClientKey::PrivateJwk(2)),
            (vec![json!({"kty": "oct", "k": "AA"})], BadClientKey::PrivateJwk(1)),
            (vec![with(1, "n", "AQAB")], BadClientKey::Unfit(1)),
            (vec![with(1, "e", "AA")], BadClientKey::Unfit(1)),
            (vec![with(1, "use", "enc")], BadClientKey::Unfit(1)),
            (vec![with(1, "alg", "RS512")], BadClientKey::Unfit(1)),
            (vec![with(1, "n", &"A".repeat(1_368))], BadClientKey::Unfit(1)),
            (
                vec![json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})],
                BadClientKey::Unfit(1),
            ),
            (vec![with(1, "", ""), with(1, "", "")], BadClientKey::SameId(2)),
        ] {
            assert_eq!(read(keys).unwrap_err(), expected);
        }
        for text in ["", "[]", "{}", "{\"keys\": 1}"] {
            assert_eq!(KeySet::of_jwks(text.as_bytes()).unwrap_err(), BadClientKey::NoSet);
        }
    }
}
