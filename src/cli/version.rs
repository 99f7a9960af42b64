//! `scimd version`: which build this is, and which formats of data it writes.

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::output;
use crate::log::local;
use crate::store::{record, snapshot};

#[derive(Args)]
pub(super) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a build says of itself.
#[derive(Serialize)]
struct BuildInfo {
    version: &'static str,
    /// The commit of the source; only packages name it.
    commit: Option<&'static str>,
    target: String,
    formats: DataFormats,
}

/// The formats of data that this build writes. It reads these and earlier ones.
#[derive(Serialize)]
struct DataFormats {
    journal: u8,
    snapshot: u8,
    record: u8,
}

impl VersionArgs {
    pub(super) fn run(&self) -> Result<()> {
        let info = BuildInfo {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("SCIMD_COMMIT").filter(|commit| !commit.is_empty()),
            target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
            formats: DataFormats {
                journal: local::FORMAT,
                snapshot: snapshot::FORMAT,
                record: record::FORMAT,
            },
        };
        if self.json {
            return output::json(&info);
        }
        let DataFormats { journal, snapshot, record } = info.formats;
        output::key_values(&[
            ("Version", vec![info.version.to_owned()]),
            (
                "Commit",
                vec![info.commit.unwrap_or("unknown (not built by packaging/build)").to_owned()],
            ),
            ("Target", vec![info.target]),
            ("Formats", vec![format!("journal {journal}, snapshot {snapshot}, record {record}")]),
        ])
    }
}
