//! `scimd completions`: what a shell needs to complete commands and options.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the completions of `scimd`, the definition of the whole command line.
    pub(super) fn run(&self, mut scimd: Command) -> Result<()> {
        // The generator panics where it can't write: a closed pipe is no reason to.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut scimd, "scimd", &mut script);
        Ok(io::stdout().write_all(&script)?)
    }
}
