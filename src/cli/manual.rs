//! `scimd manual`: the manual pages, one for each command, from the same definitions as the help.

mod config_page;

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{examples, output};
use crate::config::SYSTEM_FILE;

/// What the page of `scimd` itself says beyond its help: sections, each with its entries.
const SECTIONS: [(&str, &[(&str, &str)]); 5] = [
    (
        "ENVIRONMENT",
        &[
            ("SCIMD_CONFIG", "The configuration file, where --config names none."),
            ("NO_COLOR", "If set, nothing is coloured on a terminal."),
        ],
    ),
    (
        "FILES",
        &[
            ("config.toml", "The configuration, if there is one in the working directory."),
            (
                SYSTEM_FILE,
                "The configuration of the service; used if there is none in the working directory.",
            ),
            ("/var/lib/scimd", "The data directory of the service, unless data_dir names another."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Done."),
            (
                "1",
                "The operation failed, or problems were found; standard error says what to do, as JSON if the result is JSON.",
            ),
            ("2", "Usage or configuration error."),
            ("3", "scimd is not running."),
            ("4", "Not found."),
            ("5", "No permission."),
        ],
    ),
    (
        "SIGNALS",
        &[
            ("SIGTERM, SIGINT", "The server answers the open requests, then stops."),
            ("SIGHUP", "The server reloads its configuration and certificate."),
        ],
    ),
    (
        "SEE ALSO",
        &[
            ("scimd.toml(5)", "Every key of the configuration."),
            ("/usr/share/doc/scimd/docs/install.md", "Installation, upgrade and removal."),
            ("/usr/share/doc/scimd/config.example.toml", "Every key with its default."),
        ],
    ),
];

#[derive(Args)]
pub(super) struct ManualArgs {
    /// The directory to write the pages to; created if missing
    dir: PathBuf,
}

impl ManualArgs {
    /// Writes the pages of `scimd`, the definition of the whole command line.
    pub(super) fn run(&self, scimd: Command) -> Result<()> {
        let write = |name: &str, page: &[u8]| {
            let path = self.dir.join(name);
            fs::write(&path, page).with_context(|| format!("can't write {}", path.display()))
        };
        output::create_for_all_users();
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("can't create {}", self.dir.display()))?;
        let mut scimd = scimd.disable_help_subcommand(true);
        scimd.build();
        pages(&scimd, "", &write)?;
        write("scimd.toml.5", &configuration()?)
    }
}

/// Writes the page of the command with these words, and those of the commands below it.
fn pages(command: &Command, words: &str, write: &impl Fn(&str, &[u8]) -> Result<()>) -> Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        pages(below, format!("{words} {}", below.get_name()).trim_start(), write)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    write(&format!("{name}.1"), &page(command, name, words)?)
}

/// The page of the configuration.
fn configuration() -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    writeln!(page, ".TH \"SCIMD.TOML\" \"5\" \"\" \"scimd {version}\" \"scimd manual\"")?;
    config_page::page().to_writer(&mut page)?;
    Ok(page)
}

/// The examples of a command.
fn examples_section(words: &str) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXAMPLES"]);
    for (what, line) in examples::of(words) {
        roff.control("TP", []).text([roman(format!("{what}:"))]).text([bold(*line)]);
    }
    roff
}

fn page(command: &Command, name: &str, words: &str) -> Result<Vec<u8>> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let man = Man::new(command.clone().override_usage(usage));
    let mut page = Vec::new();
    // No date: the version says as much, and the same source makes the same page.
    let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    writeln!(page, ".TH \"{title}\" \"1\" \"\" \"scimd {version}\" \"scimd manual\"")?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    // Without one, it would say what NAME says.
    if command.get_long_about().is_some() {
        man.render_description_section(&mut page)?;
    }
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    examples_section(words).to_writer(&mut page)?;
    if words.is_empty() {
        sections().to_writer(&mut page)?;
    }
    Ok(page)
}

fn sections() -> Roff {
    let mut roff = Roff::new();
    for (section, entries) in SECTIONS {
        roff.control("SH", [section]);
        for (entry, text) in entries {
            roff.control("TP", []).text([bold(*entry)]).text([roman(*text)]);
        }
    }
    roff
}
