//! The test of the test: servers that were sabotaged must be found out within a few cycles.
//!
//! scimd has no switch for any of this. A sync that does nothing comes from outside; everything else is
//! a patch to a copy of the source, which is built in a folder of its own. A patch that no longer
//! applies is a failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::base::Base;
use crate::report::{Row, Tally};
use crate::server;
use crate::session::Session;
use crate::{damage, feed, log, powercut};

/// Within how many cycles a sabotaged server must be found out.
const CYCLES: usize = 50;
const LIMIT: Duration = Duration::from_secs(120);

/// Every sync does nothing, and says that it did.
pub(crate) fn no_sync(session: &Session) -> Row {
    let tally = session.tally("canary-no-sync", true);
    cut_power(session, "canary-no-sync", true, &tally);
    tally.row()
}

/// Changes are answered before they are on disk.
pub(crate) fn early_answer(session: &Session) -> Row {
    let tally = session.tally("canary-early-answer", true);
    match sabotaged(session, "early-answer") {
        Ok(session) => cut_power(&session, "canary-early-answer", false, &tally),
        Err(error) => tally.broken(error),
    }
    tally.row()
}

/// The same as [`no_sync`], for the log by itself.
pub(crate) fn log_no_sync(session: &Session) -> Row {
    let tally = session.tally("canary-log-no-sync", true);
    log::run_cuts(session, "canary-log-no-sync", CYCLES, true, &tally);
    tally.row()
}

/// Nothing that is read is held against its checksum.
pub(crate) fn no_checksum(session: &Session) -> Row {
    let tally = session.tally("canary-no-checksum", true);
    match sabotaged(session, "no-checksum") {
        Ok(session) => damage::run(&session, "canary-no-checksum", CYCLES, LIMIT, &tally),
        Err(error) => tally.broken(error),
    }
    tally.row()
}

/// Some events of the change feed are left out.
pub(crate) fn skipped_event(session: &Session) -> Row {
    follow(session, "canary-skipped-event", "skip-event")
}

/// Two events of a page of the change feed change places.
pub(crate) fn swapped_events(session: &Session) -> Row {
    follow(session, "canary-swapped-events", "swap-events")
}

fn follow(session: &Session, name: &str, patch: &str) -> Row {
    let tally = session.tally(name, true);
    match sabotaged(session, patch) {
        Ok(session) => feed::run_kills(&session, name, CYCLES, LIMIT, &tally),
        Err(error) => tally.broken(error),
    }
    tally.row()
}

fn cut_power(session: &Session, name: &'static str, sync_lies: bool, tally: &Tally) {
    let setting = powercut::Setting { name, changes: 15, sync_lies, is_followed: false };
    let recorded = Base::of_clients(session, name, 3, 5)
        .and_then(|base| powercut::record(session, &setting, &base));
    match recorded {
        Ok(recording) => powercut::replay(session, name, &recording, CYCLES, LIMIT, tally),
        Err(error) => tally.broken(error),
    }
}

/// A session whose server is built from a patched copy of the source.
fn sabotaged(session: &Session, patch: &str) -> Result<Session, String> {
    let source = crate::path_in("DURABILITY_SOURCE")?;
    let target = crate::path_in("DURABILITY_TARGET")?.join("canaries");
    let copied = target.join("source");
    let failed = |error: std::io::Error| format!("can't copy the source: {error}");
    if copied.exists() {
        fs::remove_dir_all(&copied).map_err(failed)?;
    }
    for folder in ["src", "templates"] {
        server::copy(&source.join(folder), &copied.join(folder)).map_err(failed)?;
    }
    for name in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "config.example.toml"] {
        fs::copy(source.join(name), copied.join(name)).map_err(failed)?;
    }
    // Cargo.toml names the integration tests; they are not built, but must be there.
    fs::create_dir_all(copied.join("tests/it")).map_err(failed)?;
    fs::write(copied.join("tests/it/main.rs"), "").map_err(failed)?;
    // It names the driver of the log, too.
    let driver = "tests/durability/driver";
    server::copy(&source.join(driver), &copied.join(driver)).map_err(failed)?;
    let file = source.join(format!("tests/durability/canaries/{patch}.patch"));
    let mut apply = Command::new("patch");
    apply.args(["--strip=1", "--forward", "--no-backup-if-mismatch", "--input"]).arg(&file);
    done(apply.current_dir(&copied), &format!("{} does not apply any more", file.display()))?;
    let built = target.join("target");
    seed(&session.template.binary, &built)?;
    let mut build = Command::new("cargo");
    build.args(["build", "--locked", "--quiet", "--bin", "scimd", "--target-dir"]).arg(&built);
    // Built soon is better here than running fast.
    build.envs([("CARGO_INCREMENTAL", "1"), ("CARGO_PROFILE_DEV_OPT_LEVEL", "0")]);
    done(build.current_dir(&copied), &format!("with {} it does not build", file.display()))?;
    let binary = target.join(format!("scimd-{patch}"));
    fs::copy(built.join("debug/scimd"), &binary).map_err(failed)?;
    let template = session.template.with_binary(&binary);
    Ok(Session { template, ..session.clone() })
}

/// Gives the builds of canaries the dependencies that were built for the server itself.
fn seed(binary: &Path, built: &Path) -> Result<(), String> {
    if built.exists() {
        return Ok(());
    }
    let from: PathBuf = binary.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(built.join("debug")).map_err(|error| error.to_string())?;
    // With their times: they say that nothing has to be built again. What is linked is never written to.
    for (part, how) in [("deps", "-al"), ("build", "-a"), (".fingerprint", "-a")] {
        let mut copy = Command::new("cp");
        copy.arg(how).arg(from.join(part)).arg(built.join("debug"));
        done(&mut copy, "can't copy what was built")?;
    }
    Ok(())
}

fn done(command: &mut Command, otherwise: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{otherwise}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{otherwise}: {}", String::from_utf8_lossy(&said).trim()))
}
