//! `scimd init`: writes a commented configuration.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use super::exit::{CliError, ExitKind};
use super::output;
use crate::config::template::{InitOptions, connection_name, render};
use crate::config::{Config, ConfigError, SYSTEM_FILE};

const FILE_NAME: &str = "config.toml";

#[derive(Args)]
pub(super) struct InitArgs {
    /// The directory to write config.toml to
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// The data directory, relative to --dir [default: scimd-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Provider type: okta, okta-custom, entra, generic or custom
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// The name of the connection [default: the method]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address and port to listen on [default: port 8443 on every interface, or on loopback]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Default workspace of new accounts
    #[arg(long, value_name = "NAME")]
    default_workspace: Option<String>,
    /// Required X-Request-Origin value
    #[arg(long, value_name = "ORIGIN")]
    service_origin: Option<String>,
    /// Client addresses to allow: addresses, networks and a-b ranges, comma-separated
    #[arg(long, value_name = "LIST")]
    ip_allowlist: Option<String>,
    /// The URL that identity providers use, without /scim/v2
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl InitArgs {
    pub(super) fn run(self) -> Result<()> {
        let path = self.dir.join(FILE_NAME);
        let options = InitOptions {
            data_dir: self.data_dir,
            name: self.name,
            listen: self.listen,
            method: self.method,
            default_workspace: self.default_workspace,
            service_origin: self.service_origin,
            ip_allowlist: self.ip_allowlist,
            public_url: self.public_url,
        };
        let text = render(&options);
        if let Err(ConfigError::Invalid { problems, .. }) = Config::parse(&text, &path) {
            // The lines are those of a file that is not written: the keys are what was asked for.
            let problems: Vec<String> = problems
                .iter()
                .map(|problem| format!("{}: {}", problem.key, problem.message))
                .collect();
            return Err(CliError::usage(problems.join("; ")));
        }
        // The service, which has a user of its own, reads it.
        output::create_for_all_users();
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("can't create {}", self.dir.display()))?;
        let shown = path.display();
        let mut file = match File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(CliError::of_kind(
                    ExitKind::Failure,
                    format!("{shown} already exists; remove it first, or choose another --dir"),
                ));
            }
            Err(error) => return Err(error).with_context(|| format!("can't create {shown}")),
        };
        file.write_all(text.as_bytes()).with_context(|| format!("can't write {shown}"))?;
        // The service has a user of its own, whom the data folder belongs to: not the one who runs this.
        let next = match path == Path::new(SYSTEM_FILE) {
            true => "systemctl enable --now scimd".to_owned(),
            false => format!("scimd serve --config {shown} --first-boot"),
        };
        if let Ok(config) = Config::parse(&text, &path)
            && config.public_url.port().unwrap_or(443) != config.listen.address.port()
        {
            output::note(&format!(
                "Clients connect to {}, and scimd listens on {}: forward the port, or change listen.address.",
                config.public_url, config.listen.address
            ))?;
        }
        let name = connection_name(&options);
        output::note(&format!(
            "Wrote {shown} with connection {name}. Review it, then run `{next}`."
        ))
    }
}
