//! Signing in by OAuth: how many token requests one core answers, and what an access token costs a SCIM request.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::cases::{self, Case};
use crate::client::{Ask, Connection, Target};
use crate::load::{self, Asking, Run, Times};
use crate::pair::{interval, median};
use crate::process;
use crate::scimd::Scimd;
use crate::seed;

/// The clients that ask for tokens, each of a connection of its own, and for how long: one may have 30,000 in a minute.
const CLIENTS: usize = 16;
const TOKEN_ROUNDS: usize = 6;
const TOKEN_TIMES: Times =
    Times { warm_up: Duration::from_millis(100), measured: Duration::from_secs(1) };
/// The connections that retrieve users at once.
const CONNECTIONS: usize = 8;
pub const TOKEN_ENDPOINT: &str = "/oauth2/token";
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "api://scimd";

#[derive(clap::Args)]
pub struct OAuth {
    /// The scimd binary
    #[arg(long)]
    scimd: PathBuf,
    /// The folder for the data folder
    #[arg(long)]
    dir: PathBuf,
    /// The number of users
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(200..=1_000_000))]
    users: u32,
    /// The seconds that each token is used in each round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// The number of rounds in which the tokens are compared
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(6..=99))]
    rounds: u32,
    /// The core that the server runs on, by taskset
    #[arg(long, default_value_t = 0)]
    core: usize,
}

impl OAuth {
    pub fn run(self) -> Result<()> {
        fs::create_dir_all(&self.dir)?;
        let keys = std::path::absolute(&self.dir)?;
        let keys = keys.join(format!("scimd-bench-keys-{}.json", std::process::id()));
        let key = RsaKeyPair::generate(KeySize::Rsa2048)?;
        fs::write(&keys, key_set(&key)?.to_string())?;
        let mut more = String::new();
        for number in 0..CLIENTS {
            more.push_str(&format!(
                "\n[connections.c{number}]\nmethod = \"okta-custom\"\n[connections.c{number}.federation]\n\
                 issuer = \"{ISSUER}\"\nsubject = \"workload{number}\"\naudiences = [\"{AUDIENCE}\"]\njwks_file = {keys:?}\n"
            ));
        }
        let scimd = Scimd::first_boot_with(&self.scimd, &self.dir, &more)?;
        process::pin(scimd.pid()?, &self.core.to_string())?;
        let users = Arc::new(seed::users(&scimd.target()?, self.users as usize)?);
        println!(
            "| case | requests/s | p99, ms | CPU of scimd for each, us | requests/s of CPU |\n| --- | --- | --- | --- | --- |"
        );
        let secrets = (0..CLIENTS).map(|number| basic(&scimd, &format!("c{number}")));
        let secrets = secrets.collect::<Result<Vec<String>>>()?;
        let target = scimd.target()?.without_token();
        self.tokens("client_secret_basic", &scimd, &target, |number| {
            let form = "grant_type=client_credentials&scope=scim";
            Ask::form(TOKEN_ENDPOINT, form).authorized(&secrets[number])
        })?;
        let assertions = (0..CLIENTS).map(|number| assertion(&key, number));
        let assertions = assertions.collect::<Result<Vec<String>>>()?;
        self.tokens("federated assertion (RS256, jwks_file)", &scimd, &target, |number| {
            Ok(Ask::form(TOKEN_ENDPOINT, federated_form(number, &assertions[number])))
        })?;
        let static_token = scimd.target()?;
        let secret = basic(&scimd, "default")?;
        let access_token = static_token.with_token(&access_token(&target, &secret)?)?;
        let cases = cases::of_users(&users);
        let retrieve = cases.first().context("there is no case")?;
        self.compare(&scimd, retrieve, &static_token, &access_token)?;
        fs::remove_file(keys)?;
        scimd.discard()
    }

    /// Token requests of all clients at once; the medians of the rounds.
    fn tokens(
        &self,
        name: &str,
        scimd: &Scimd,
        target: &Target,
        ask: impl Fn(usize) -> Result<Ask>,
    ) -> Result<()> {
        let mut runs = Vec::new();
        for _ in 0..TOKEN_ROUNDS {
            let mut askings = Vec::new();
            for number in 0..CLIENTS {
                let ask = ask(number)?;
                askings.push(Box::new(move || ask.clone()) as Asking);
            }
            runs.push(load::run(target, scimd.pid()?, askings, TOKEN_TIMES)?);
        }
        row(&format!("token request, {name}"), &runs);
        Ok(())
    }

    /// The same requests with the one token and with the other, in turn.
    fn compare(&self, scimd: &Scimd, case: &Case, old: &Target, new: &Target) -> Result<()> {
        let (mut runs, targets) = ([Vec::new(), Vec::new()], [old, new]);
        let measured = Duration::from_secs_f64(self.seconds);
        let times = Times { warm_up: measured / 10, measured };
        for round in 0..self.rounds as usize {
            for side in [round % 2, 1 - round % 2] {
                let askings = (0..CONNECTIONS).map(|_| (case.asking)()).collect();
                let run = load::run(targets[side], scimd.pid()?, askings, times)?;
                runs[side].push(run);
            }
        }
        row("retrieve by id, static token", &runs[0]);
        row("retrieve by id, access token", &runs[1]);
        let ratios = |of: fn(&Run) -> f64| -> Result<String> {
            let pairs = runs[0].iter().zip(&runs[1]);
            let mut ratios: Vec<f64> = pairs.map(|(old, new)| of(new) / of(old)).collect();
            let (low, high) = interval(&mut ratios)?;
            Ok(format!("{:.3} [{low:.3}, {high:.3}]", median(&mut ratios)))
        };
        println!(
            "\naccess token to static token, median of {} rounds with its 95 % interval:",
            self.rounds
        );
        println!("CPU for each request {}", ratios(|run| run.processor.as_secs_f64())?);
        println!("requests/s {}", ratios(|run| run.requests_per_second)?);
        Ok(())
    }
}

fn row(name: &str, runs: &[Run]) {
    let of = |figure: fn(&Run) -> f64| median(&mut runs.iter().map(figure).collect::<Vec<_>>());
    let processor = of(|run| run.processor.as_secs_f64());
    println!(
        "| {name} | {:.0} | {:.1} | {:.0} | {:.0} |",
        of(|run| run.requests_per_second),
        of(|run| run.p99.as_secs_f64() * 1e3),
        processor * 1e6,
        1.0 / processor
    );
}

/// A new client of a connection, as it presents itself.
pub fn basic(scimd: &Scimd, connection: &str) -> Result<String> {
    let client = scimd.command(&["client", "generate", "--json", "--connection", connection])?;
    let client: Value = serde_json::from_str(&client)?;
    let member = |name: &str| client[name].as_str().with_context(|| format!("no {name}"));
    let pair = format!("{}:{}", member("client_id")?, member("client_secret")?);
    Ok(format!("Basic {}", base64(pair.as_bytes(), b'+', b'/', true)))
}

fn access_token(target: &Target, authorization: &str) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask =
        Ask::form(TOKEN_ENDPOINT, "grant_type=client_credentials").authorized(authorization)?;
    let reply = runtime.block_on(async { Connection::open(target).await?.ask(ask).await })?;
    Ok(reply.json()?["access_token"].as_str().context("no access token")?.to_owned())
}

/// The public key as the document that `jwks_file` names.
fn key_set(key: &RsaKeyPair) -> Result<Value> {
    // RSAPublicKey (RFC 8017): a sequence of the modulus, of 256 bytes behind a zero, and the exponent, of three.
    let public = key.public_key().as_ref();
    let (n, e) = public.get(9..265).zip(public.get(267..270)).context("an unexpected key")?;
    Ok(json!({"keys": [{
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": url_base64(n), "e": url_base64(e),
    }]}))
}

/// An assertion that is valid for an hour.
#[expect(clippy::disallowed_methods, reason = "an assertion has the time of the clock")]
fn assertion(key: &RsaKeyPair, number: usize) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let head = json!({"alg": "RS256", "kid": "one", "typ": "JWT"});
    let claims = json!({
        "iss": ISSUER, "sub": format!("workload{number}"), "aud": AUDIENCE, "iat": now, "exp": now + 3_600,
    });
    let part = |value: Value| url_base64(value.to_string().as_bytes());
    let text = format!("{}.{}", part(head), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
        .map_err(|_| anyhow!("an assertion can't be signed"))?;
    Ok(format!("{text}.{}", url_base64(&signature)))
}

fn federated_form(number: usize, assertion: &str) -> String {
    const TYPE: &str = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    format!(
        "grant_type=client_credentials&scope=scim&client_id=c{number}&client_assertion_type={TYPE}&client_assertion={assertion}"
    )
}

fn url_base64(bytes: &[u8]) -> String {
    base64(bytes, b'-', b'_', false)
}

/// Base64 (RFC 4648) with these two last digits.
pub fn base64(bytes: &[u8], plus: u8, slash: u8, padded: bool) -> String {
    let digit = |value: u32| match (value & 63) as u8 {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + value - 26,
        value @ 52..62 => b'0' + value - 52,
        62 => plus,
        _ => slash,
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().fold(0, |value, byte| value << 8 | u32::from(*byte));
        let value = value << (8 * (3 - chunk.len()));
        let digits = [18, 12, 6, 0].map(|shift| char::from(digit(value >> shift)));
        text.extend(&digits[..=chunk.len()]);
        if padded {
            text.extend(std::iter::repeat_n('=', 3 - chunk.len()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (plain, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(plain.as_bytes(), b'+', b'/', true), text);
        }
        assert_eq!(url_base64(&[0xfb, 0xff, 0xfe]), "-__-");
    }
}
