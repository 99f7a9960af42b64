//! The `scimd` binary: parses the command line, runs it, turns an error into an exit code.

use std::process::ExitCode;

use rustix::fs::Mode;
use scimd::cli::{CommandLine, ExitKind, FailureForm, is_closed_output};

/// Fast under threads, also where the C library's own allocator is not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // No file that is made is for others, unless the code says so.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let command = match CommandLine::of_process() {
        Ok(command) => command,
        Err(kind) => return ExitCode::from(kind.code()),
    };
    let form = command.failure();
    let Err(error) = command.run() else { return ExitCode::SUCCESS };
    if is_closed_output(&error) {
        return ExitCode::SUCCESS;
    }
    report(&error, form);
    ExitCode::from(ExitKind::of(&error).code())
}

#[expect(clippy::print_stderr, reason = "the one place where the failure of a command is reported")]
fn report(error: &anyhow::Error, form: FailureForm) {
    for line in form.lines(error) {
        eprintln!("{line}");
    }
}
