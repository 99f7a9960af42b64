//! Confirmation by the operator at the terminal, before something that is hard to take back.

use std::io::{self, BufRead as _, IsTerminal as _};

use anyhow::{Result, bail};

use super::exit::CliError;
use super::output;

/// Asks a question on the terminal, and returns if the answer is yes.
///
/// # Errors
///
/// The answer is not yes: exit code 1. There is no terminal to ask on: exit code 2.
pub(super) fn confirm(question: &str) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let reason = "nothing was changed: there is no terminal to ask for confirmation; add --yes";
        return Err(CliError::usage(reason));
    }
    output::prompt(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    bail!("canceled; nothing was changed")
}
