//! The history of a user or group: `--history` of `scimd user show` and `scimd group show`.

use anyhow::Result;
use clap::Args;

use super::audit;
use super::exit::ExitKind;
use super::operator::OperatorClient;
use super::resource;
use crate::config::Config;
use crate::operator::resource::ResourceKind;
use crate::scim::resource::ResourceId;

#[derive(Args)]
pub(super) struct HistoryArgs {
    /// Show the history instead: who made each change, and the values before and after; the newest change last
    #[arg(long)]
    pub(super) history: bool,
    /// With --history: show the newest N changes
    #[arg(
        long,
        value_name = "N",
        requires = "history",
        default_value_t = 100,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    limit: u32,
}

impl HistoryArgs {
    /// Prints the history of a user or group. One that was deleted is found by its id, a user by a former name as well.
    pub(super) fn print(
        &self,
        config: &Config,
        kind: ResourceKind,
        name: &str,
        json: bool,
    ) -> Result<()> {
        let ids = match ResourceId::parse(&name.to_ascii_lowercase()) {
            Some(id) => vec![id.to_string()],
            None => {
                let mut operator = OperatorClient::new(config);
                match resource::find(&mut operator, kind, name.to_owned(), false) {
                    Ok(found) => vec![resource::text(&found.resource, &["id"])],
                    Err(error)
                        if kind == ResourceKind::User
                            && ExitKind::of(&error) == ExitKind::NotFound =>
                    {
                        audit::former_accounts(config, name)?
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        audit::print_history(config, ids, self.limit as usize, json)
    }
}
