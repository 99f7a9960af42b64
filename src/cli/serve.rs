//! `scimd serve`: runs the server until it is stopped.

use anyhow::{Context as _, Result, bail};
use clap::Args;

use super::output;
use crate::app::{self, Certificate, Sandbox, ServerParts, ServerRuntime, StartExtension};
use crate::config::Config;
use crate::connection::setup::curl;
use crate::connection::token::TokenOwner;
use crate::directory::UnknownAccess;
use crate::event::Actor;
use crate::logging::{self, Logging};
use crate::operator::{OperatorContext, OperatorReply, OperatorRequest, actor, execute};

/// The validity of a token of the first boot.
const TOKEN_VALIDITY: std::time::Duration = std::time::Duration::from_secs(365 * 24 * 60 * 60);

/// The validity of a link of the first boot.
const LINK_VALIDITY: std::time::Duration = std::time::Duration::from_secs(10 * 60);

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Create what is missing (data directory, self-signed certificate, a token for each connection without
    /// one) and print endpoint and tokens
    #[arg(long)]
    first_boot: bool,
    /// Remove access that is no longer configured, instead of refusing to start
    #[arg(long)]
    drop_unknown_access: bool,
}

impl ServeArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        app::check_open_files(config)?;
        let socket = app::passed_socket()?;
        app::create_data_folder(config)?;
        let sandbox = Sandbox::enter(config)?;
        let runtime = ServerRuntime::new()?;
        // Declared before all that logs when it is dropped: the last lines are written at every exit.
        let Logging { levels, dropped_lines, flusher, flush: _flush } =
            logging::start(config.log.level, config.log.format).context("can't start logging")?;
        app::raise_open_files();
        app::protect_memory();
        let extension = StartExtension::begin("reading the journal");
        let unknown = match self.drop_unknown_access {
            true => UnknownAccess::Drop,
            false => UnknownAccess::Refuse,
        };
        let directory = app::start_directory(config, unknown)?;
        directory.migrate_accounts(&|| true)?;
        app::issue_access_tokens(config, &directory)?;
        app::check_code_key(&directory)?;
        app::trust_issuers(config, &directory);
        let certificate = app::certificate(config, None)?;
        drop(extension);
        let config = config.clone();
        let parts = ServerParts {
            config,
            directory,
            certificate,
            socket,
            sandbox,
            levels,
            dropped_lines,
            flusher,
        };
        app::serve(runtime, parts, |config, context, certificate| match self.first_boot {
            true => welcome(config, context, certificate),
            false => Ok(()),
        })
    }
}

/// Prints the settings that an operator gives to the identity provider.
fn welcome(
    config: &Config,
    context: &OperatorContext,
    certificate: Option<&Certificate>,
) -> Result<()> {
    let endpoint = app::endpoint(config);
    let of_console = certificate;
    let certificate = certificate.filter(|_| config.listen.tls);
    output::line(&format!("\nEndpoint     {endpoint}"))?;
    if let Some(certificate) = certificate {
        let path = std::path::absolute(&certificate.path)?;
        output::line(&format!("Certificate  {}", path.display()))?;
        output::line(&format!("Fingerprint  SHA-256 {}", certificate.fingerprint()?))?;
        if certificate.self_signed {
            output::line("             Self-signed: give the file to your client. Okta and Entra")?;
            output::line("             accept only certificates from a public CA.")?;
        }
    }
    for (name, connection) in &config.connections {
        output::line(&format!("\nConnection   {name} (method {})", connection.method))?;
        if let Some(token) = context.directory.valid_tokens(name).pop() {
            output::line(&format!(
                "Token        {}, created {}; `scimd token reset --connection {name}` replaces it",
                token.id,
                output::moment(Some(token.created), "")
            ))?;
            continue;
        }
        let request = OperatorRequest::GenerateToken {
            description: None,
            owner: TokenOwner::Connection(name.clone()),
            valid_for: Some(TOKEN_VALIDITY),
        };
        let secret = match execute(context, Actor::System, request) {
            OperatorReply::Generated { secret, .. } => secret,
            OperatorReply::Failed(reason) => {
                bail!("can't make a token for connection {name}: {reason}")
            }
            _ => bail!("can't make a token for connection {name}"),
        };
        output::line(&format!("Token        {secret}"))?;
        output::line("             Copy it now; it won't be shown again. Test it with:")?;
        let shown = certificate.filter(|certificate| certificate.self_signed);
        let path = shown.map(|certificate| std::path::absolute(&certificate.path)).transpose()?;
        output::line(&curl(connection, &endpoint, path.as_deref(), &secret))?;
    }
    if let Some(certificate) = of_console.filter(|_| config.console.enabled) {
        console(context, certificate)?;
    }
    output::line(
        "\nNext         `scimd setup` prints the values to enter in your identity provider; Ctrl-C stops scimd\n",
    )
}

/// Prints a one-time link to the console, and what a browser says of its certificate.
fn console(context: &OperatorContext, certificate: &Certificate) -> Result<()> {
    let request = OperatorRequest::CreateConsoleLink { operator: None, valid_for: LINK_VALIDITY };
    let url = match execute(context, actor::offline(), request) {
        OperatorReply::ConsoleLink { url, .. } => url,
        OperatorReply::Failed(reason) => bail!("can't make a link to the console: {reason}"),
        _ => bail!("can't make a link to the console"),
    };
    output::line(&format!("\nConsole      {url}"))?;
    output::line(
        "             The link works once, within 10 minutes. `scimd console link` prints another.",
    )?;
    if certificate.self_signed {
        output::line(
            "             Your browser will warn that the connection is not private: scimd made the",
        )?;
        output::line(
            "             certificate itself, and no public CA vouches for it. Go on only if the browser",
        )?;
        output::line("             shows this fingerprint for it:")?;
        output::line(&format!("             SHA-256 {}", certificate.fingerprint()?))?;
    }
    Ok(())
}
