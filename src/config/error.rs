//! Why a configuration can't be used.

use std::io;
use std::path::PathBuf;

use super::problems::Problem;
use crate::file::MAX_BYTES;

/// The reason why the configuration could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: cannot be read: {source}", file.display())]
    Unreadable {
        /// The file that was asked for.
        file: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is larger than 1 MiB.
    #[error("{}: larger than {MAX_BYTES} bytes; expected a configuration file", file.display())]
    TooLarge {
        /// The file that was asked for.
        file: PathBuf,
    },
    /// Others may write the file.
    #[error(
        "other users may write {file} (mode {mode:03o}) and so decide who gets access; check its contents, then run \
         `chmod go-w {file}`", file = file.display()
    )]
    Open {
        /// The file that was asked for.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file or folder that could decide who gets in belongs to another user.
    #[error(
        "{} belongs to user {owner}, who may not configure scimd; if it is the right file, give it to root or to the \
         owner of config.toml, choose another configuration with --config, or run this in another directory",
        file.display()
    )]
    Foreign {
        /// The file or folder that was found.
        file: PathBuf,
        /// The user id of its owner.
        owner: u32,
    },
    /// A file of `conf.d` is a symbolic link.
    #[error("{} is a symbolic link; replace it with the file or directory itself", file.display())]
    Link {
        /// The link.
        file: PathBuf,
    },
    /// `conf.d` has too many files.
    #[error("{} has more than {most} files; combine some of them", folder.display())]
    TooMany {
        /// The folder.
        folder: PathBuf,
        /// The number of files that are read at most.
        most: usize,
    },
    /// The file was written again and again while it was read.
    #[error("{}: is still being written; reload again when it is complete", file.display())]
    Unsettled {
        /// The file that was asked for.
        file: PathBuf,
    },
    /// The file's content is wrong; shown with one line for each problem.
    #[error("{}", lines(problems))]
    Invalid {
        /// Every problem, sorted by file and line; never empty.
        problems: Vec<Problem>,
    },
    /// The system lets the process open too few files for the connections.
    #[error(
        "{}: limits.max_connections: {max_connections} exceeds {most}, the limit on open files ({limit}) minus 100 \
         for other files; expected a smaller number, or a higher limit (LimitNOFILE, ulimit -Hn)",
        file.display()
    )]
    OpenFiles {
        /// The file that was read.
        file: PathBuf,
        /// The configured number of connections.
        max_connections: usize,
        /// The limit on open files.
        limit: u64,
        /// The largest number of connections under that limit.
        most: u64,
    },
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
