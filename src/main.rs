//! The `scimd` binary: parses the command line, runs it, turns an error into an exit code.

use std::process::ExitCode;

use rustix::fs::Mode;
use scimd::cli::{Cli, ExitKind, error_lines, is_closed_output, printable};

/// Fast under threads, also where the C library's own allocator is not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // No file that is made is for others, unless the code says so.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let Err(error) = Cli::of_process().run() else { return ExitCode::SUCCESS };
    if is_closed_output(&error) {
        return ExitCode::SUCCESS;
    }
    report(&error);
    ExitCode::from(ExitKind::of(&error).code())
}

#[expect(clippy::print_stderr, reason = "the one place where the failure of a command is reported")]
fn report(error: &anyhow::Error) {
    for line in error_lines(error) {
        eprintln!("{}", printable(&line));
    }
}
