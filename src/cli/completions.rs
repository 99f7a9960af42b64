//! `scimd completions`: what a shell needs to complete commands and options.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

use super::definitions;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell to complete commands for
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<()> {
        // The generator panics where it can't write: a closed pipe is no reason to.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definitions(), "scimd", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
