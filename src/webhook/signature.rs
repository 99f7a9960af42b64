//! Signatures of deliveries (Standard Webhooks 1.0).

use aws_lc_rs::hmac;
use data_encoding::BASE64;

/// The prefix of secrets.
const PREFIX: &str = "whsec_";
/// The number of bytes of a secret.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The secrets of a webhook: one, or two during a rotation.
#[derive(Clone)]
pub struct SigningKeys(Vec<hmac::Key>);

impl SigningKeys {
    /// Reads the lines of a secret file.
    ///
    /// # Errors
    ///
    /// What is wrong, and how to make a secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let remedy = "make one with `echo whsec_$(openssl rand -base64 32)`";
        if lines.is_empty() || lines.len() > 2 {
            return Err(format!(
                "{} lines; expected one secret, or two during a rotation: {remedy}",
                lines.len()
            ));
        }
        let key = |line: &str| {
            let bytes = BASE64.decode(line.strip_prefix(PREFIX)?.as_bytes()).ok()?;
            BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
        };
        let keys: Option<Vec<hmac::Key>> = lines.into_iter().map(key).collect();
        keys.map(Self).ok_or_else(|| {
            format!("a line is not whsec_ and the base64 of 24 to 64 bytes; {remedy}")
        })
    }

    /// The value of the header `webhook-signature`: one signature for each secret.
    pub(super) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let sign = |key: &hmac::Key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            format!("v1,{}", BASE64.encode(context.sign().as_ref()))
        };
        self.0.iter().map(sign).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        let keys = SigningKeys::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\r\n").ok().unwrap();
        let signed =
            keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = SigningKeys::parse(&format!("whsec_{0}\nwhsec_{0}\n", BASE64.encode(&[7; 24])));
        assert_eq!(two.ok().unwrap().sign("a", 1, b"").split(' ').count(), 2);
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8=", "whsec_!"]
        {
            assert!(SigningKeys::parse(wrong).err().unwrap().contains("openssl rand"), "{wrong}");
        }
    }
}
