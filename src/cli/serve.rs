//! `scimd serve`: serves until it is told to stop.

use anyhow::{Result, bail};
use clap::Args;

use super::output;
use crate::admin::{Reply, Request, execute};
use crate::app::{self, Certificate};
use crate::config::Config;
use crate::directory::Directory;
use crate::event::Actor;
use crate::logging;

/// How long a token of the first boot is valid.
const TOKEN_VALIDITY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

#[derive(Args)]
pub(super) struct Serve {
    /// Make what is missing (data folder, certificate, a token for each connection that has none)
    /// and print what to give to the identity provider
    #[arg(long)]
    first_boot: bool,
}

impl Serve {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        logging::start(&config.log);
        let directory = app::open_directory(config)?;
        let certificate = app::certificate(config)?;
        app::serve(config, directory, certificate.as_ref(), |directory| {
            if self.first_boot {
                welcome(config, directory, certificate.as_ref())?;
            }
            Ok(())
        })
    }
}

/// Prints what an operator pastes into the identity provider.
fn welcome(
    config: &Config,
    directory: &Directory,
    certificate: Option<&Certificate>,
) -> Result<()> {
    let endpoint = app::endpoint(config);
    output::line(&format!("\nEndpoint     {endpoint}"))?;
    if let Some(certificate) = certificate {
        let path = std::path::absolute(&certificate.path)?;
        output::line(&format!("Certificate  {}", path.display()))?;
        output::line(&format!("Fingerprint  SHA-256 {}", certificate.fingerprint()?))?;
    }
    let site = app::site(config);
    for (name, connection) in &config.connections {
        output::line(&format!("\nConnection   {name} (method {})", connection.method))?;
        if let Some(token) = directory.valid_tokens(name).pop() {
            output::line(&format!(
                "Token        {} of {}, shown when it was made; `scimd token reset --connection {name}` makes another",
                token.id,
                output::moment(Some(token.created), "")
            ))?;
            continue;
        }
        let request =
            Request::GenerateToken { connection: name.clone(), valid_for: Some(TOKEN_VALIDITY) };
        let secret = match execute(directory, &site, Actor::System, request) {
            Reply::Generated { secret, .. } => secret,
            Reply::Failed(reason) => bail!("can't make a token for connection {name}: {reason}"),
            _ => bail!("can't make a token for connection {name}"),
        };
        output::line(&format!("Token        {secret}"))?;
        output::line("             shown this once: copy it now. Try it with")?;
        output::line(&curl(config, name, certificate, &secret)?)?;
    }
    output::line("")
}

/// A line that lists the users.
fn curl(
    config: &Config,
    name: &str,
    certificate: Option<&Certificate>,
    secret: &str,
) -> Result<String> {
    let mut line = "curl".to_owned();
    if let Some(certificate) = certificate.filter(|certificate| certificate.self_signed) {
        let path = std::path::absolute(&certificate.path)?;
        line.push_str(&format!(" --cacert {}", quote(&path.to_string_lossy())));
    }
    line.push_str(&format!(" -H {}", quote(&format!("Authorization: Bearer {secret}"))));
    let connection = config.connections.get(name);
    if let Some(origin) = connection.and_then(|connection| connection.service_origin.as_ref()) {
        line.push_str(&format!(" -H {}", quote(&format!("X-Request-Origin: {origin}"))));
    }
    line.push_str(&format!(" {}", quote(&format!("{}/Users", app::endpoint(config)))));
    Ok(line)
}

/// A word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}
