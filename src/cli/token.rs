//! `scimd token`: make, list and end tokens.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::arguments::OwnerArgs;
use super::audit::last_change;
use super::confirm::confirm;
use super::exit::{CliError, ExitKind};
use super::list::{ListFormat, ListOutput};
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::Cell;
use crate::app;
use crate::config::Config;
use crate::connection::token::TokenOwner;
use crate::operator::{OperatorReply, OperatorRequest, TokenInfo};
use crate::text::duration;

/// The columns of the list.
const HEAD: [&str; 8] =
    ["ID", "OWNER", "STATUS", "CREATED", "EXPIRES", "LAST USED", "LAST DENIED", "DESCRIPTION"];

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it to stdout
    Generate {
        #[command(flatten)]
        owner: OwnerArgs,
        #[command(flatten)]
        new: NewToken,
    },
    /// Generate a token that replaces the other tokens of its connection or application
    Reset {
        #[command(flatten)]
        owner: OwnerArgs,
        /// Keep existing tokens valid for this long, such as 24h
        #[arg(long, value_parser = duration::parse, default_value = "0s")]
        overlap: Duration,
        #[command(flatten)]
        new: NewToken,
    },
    /// List tokens (secrets are never shown)
    List {
        #[command(flatten)]
        list: ListOutput,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke tokens immediately
    Revoke {
        /// Token ids, or unambiguous beginnings of ids, from `scimd token list`
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Do not ask before the last valid token of a connection or application is revoked
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Args)]
pub(super) struct NewToken {
    /// Lifetime, such as 90d, or `never`
    #[arg(long, value_parser = Expiry::parse, default_value = "365d", value_name = "DURATION|never")]
    expires: Expiry,
    /// Description, shown by `scimd token list`
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Write the token to a new file (mode 0600) instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How long a token is valid; `None` for ever.
#[derive(Clone, Copy)]
pub(super) struct Expiry(Option<Duration>);

impl Expiry {
    pub(super) fn duration(self) -> Option<Duration> {
        self.0
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self(None)),
            _ => match duration::parse(text) {
                Ok(duration) if duration.is_zero() => {
                    Err("the lifetime must be longer than 0".to_owned())
                }
                Ok(duration) => Ok(Self(Some(duration))),
                Err(error) => Err(format!("{error}, or \"never\"")),
            },
        }
    }
}

impl TokenCommand {
    pub(super) fn run(self, config: &Config) -> Result<()> {
        match self {
            Self::Generate { owner, new } => {
                let owner = owner.find(config)?;
                let description = new.description.clone();
                new.make(config, |valid_for| OperatorRequest::GenerateToken {
                    owner,
                    valid_for,
                    description,
                })
            }
            Self::Reset { owner, overlap, new } => {
                if !owner.is_given() {
                    let message = "say whose tokens to replace, with --connection or --application";
                    return Err(CliError::usage(message));
                }
                let owner = owner.find(config)?;
                let description = new.description.clone();
                new.make(config, |valid_for| OperatorRequest::ResetTokens {
                    owner,
                    valid_for,
                    overlap,
                    description,
                })
            }
            Self::List { list, json } => {
                match OperatorClient::new(config).ask(OperatorRequest::ListTokens)? {
                    OperatorReply::Tokens(tokens) => {
                        let json = json.then_some(ListFormat::Json);
                        let mut printer = list.printer(json, HEAD);
                        printer.print(&tokens, |token| token, row)?;
                        printer.end("No tokens.")
                    }
                    _ => unexpected(),
                }
            }
            Self::Revoke { ids, yes } => revoke(config, ids, yes),
        }
    }
}

impl NewToken {
    fn make(
        self,
        config: &Config,
        request: impl FnOnce(Option<Duration>) -> OperatorRequest,
    ) -> Result<()> {
        // The file comes first: a token that can't be handed over must not be made.
        let file = self.output.as_deref().map(output::create).transpose()?;
        let reply = OperatorClient::new(config).ask(request(self.expires.0));
        let (secret, token, limited) = match reply {
            Ok(OperatorReply::Generated { secret, token, limited }) => (secret, token, limited),
            failed => {
                if let Some(path) = &self.output {
                    // It is empty and was made a moment ago.
                    let _ = std::fs::remove_file(path);
                }
                return failed.and_then(|_| unexpected());
            }
        };
        let copy =
            if self.output.is_some() { "" } else { "Copy it now; it won't be shown again. " };
        match (file, &self.output) {
            (Some(mut file), Some(path)) => {
                writeln!(file, "{secret}").and_then(|()| file.sync_all()).with_context(|| {
                    format!("can't write {}; revoke token {}", path.display(), token.id)
                })?;
                output::note(&format!("Wrote the token to {}.", path.display()))?;
            }
            _ => output::line(&secret)?,
        }
        output::note(&format!(
            "Created token {} for {}, {}. {copy}Endpoint: {}",
            token.id,
            token.owner,
            match token.expires {
                Some(_) => format!("expires {}", output::moment(token.expires, "")),
                None => "never expires".to_owned(),
            },
            app::endpoint(config)
        ))?;
        for old in limited {
            output::note(&format!(
                "Token {} now expires {}.",
                old.id,
                output::moment(old.expires, "never")
            ))?;
        }
        Ok(())
    }
}

/// Revokes tokens. Where a connection or application is left without one, it is asked first, if there is a terminal: a script that
/// revokes a token does so at once.
fn revoke(config: &Config, ids: Vec<String>, yes: bool) -> Result<()> {
    let OperatorReply::Tokens(tokens) =
        OperatorClient::new(config).ask(OperatorRequest::ListTokens)?
    else {
        return unexpected();
    };
    let (going, staying): (Vec<&TokenInfo>, Vec<&TokenInfo>) = tokens
        .iter()
        .filter(|token| token.status == "valid")
        .partition(|token| ids.iter().any(|id| token.id.starts_with(id.as_str())));
    let mut cut_off: Vec<&TokenOwner> = going.iter().map(|token| &token.owner).collect();
    cut_off.retain(|owner| staying.iter().all(|token| token.owner != **owner));
    cut_off.sort_unstable();
    cut_off.dedup();
    if !cut_off.is_empty() {
        output::note(&format!(
            "Warning: {} has no other valid token; all its requests will get 401.",
            cut_off.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        ))?;
        if !yes && std::io::stdin().is_terminal() {
            confirm("Revoke anyway?")?;
        }
    }
    for id in ids {
        let request = OperatorRequest::RevokeToken { id: id.clone() };
        match OperatorClient::new(config).ask(request) {
            Ok(OperatorReply::Revoked(token)) => output::note(&format!(
                "Revoked token {} ({} \"{}\"), effective immediately.",
                token.id,
                token.owner.kind(),
                token.owner.name()
            ))?,
            Ok(_) => return unexpected(),
            Err(error) => note_earlier_revocation(config, &id, error)?,
        }
    }
    Ok(())
}

/// Says that a token is revoked already, if that is why it was not found.
fn note_earlier_revocation(config: &Config, id: &str, error: anyhow::Error) -> Result<()> {
    if ExitKind::of(&error) != ExitKind::NotFound {
        return Err(error);
    }
    let Some(earlier) = last_change(config, "token.revoked", id)? else { return Err(error) };
    let since = output::moment(Some(earlier.time), "");
    output::note(&format!("Token {id} is revoked already, since {since}."))
}

fn row(token: &TokenInfo) -> [Cell; 8] {
    let denied = token.last_denied.as_ref().map_or_else(
        || "never".to_owned(),
        |denial| format!("{} ({})", output::moment(Some(denial.time), ""), denial.reason),
    );
    [
        token.id.clone().into(),
        token.owner.to_string().into(),
        Cell::alert_if(token.status != "valid", token.status.as_str()),
        Cell::Time(Some(token.created), ""),
        Cell::Time(token.expires, "never"),
        Cell::Time(token.last_used, "never"),
        output::sanitize(&denied).into(),
        output::sanitize(token.description.as_deref().unwrap_or_default()).into(),
    ]
}
