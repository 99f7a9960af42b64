//! What identity providers send, byte for byte, and what they must get back: the files below
//! `tests/golden/`, each played against a server of its own. `tests/golden/README.md` says how one is
//! written, and lists which quirk is proved by which.

mod expect;
mod file;
mod laws;
mod play;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use crate::harness;
use file::Golden;

/// How many servers run at once.
const AT_ONCE: usize = 4;

/// The variable that limits a run to the files whose names contain its value.
const ONLY: &str = "GOLDEN";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The name of every file below the folder, without the one that describes them.
fn names() -> BTreeSet<String> {
    let folder = folder();
    let name = |path: PathBuf| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
    harness::files(&folder).into_iter().map(name).filter(|name| name != "README.md").collect()
}

#[test]
fn every_file_is_answered_as_it_says() {
    let only = std::env::var(ONLY).unwrap_or_default();
    let names: Vec<String> = names().into_iter().filter(|name| name.contains(&only)).collect();
    assert!(!names.is_empty(), "no golden file has {only:?} in its name");
    let (queue, failures) = (Mutex::new(names.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap().next();
                    let Some(name) = next else { break };
                    if let Err(problem) = check(name) {
                        failures.lock().unwrap().push(format!("{name}\n{problem}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let (failed, all) = (failures.len(), names.len());
    assert!(
        failures.is_empty(),
        "\n{}\n{failed} of {all} golden files failed",
        failures.join("\n")
    );
}

/// Reads a file and plays it.
fn check(name: &str) -> Result<(), String> {
    let place: Vec<&str> = name.split('/').collect();
    if place.len() != 2 || !name.ends_with(".json") {
        return Err("  golden files are called CLIENT/BEHAVIOUR.json".to_owned());
    }
    let text = fs::read_to_string(folder().join(name)).map_err(|error| format!("  {error}"))?;
    let golden = Golden::parse(&text).map_err(|problem| format!("  {problem}"))?;
    // A server that does not start panics, and tells its log.
    catch_unwind(AssertUnwindSafe(|| play::play(&golden))).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().cloned();
        Err(format!("  {}", told.unwrap_or_else(|| "it panicked".to_owned())))
    })
}

#[test]
fn the_table_of_quirks_names_every_file_and_every_row_a_proof() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let mut named = BTreeSet::new();
    let mut in_table = false;
    for row in text.lines() {
        if row.ends_with("| proved by |") || !row.starts_with('|') {
            in_table = row.starts_with('|');
            continue;
        }
        if !in_table || row.starts_with("| ---") {
            continue;
        }
        let proof = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let words: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!words.is_empty(), "no file proves: {row}");
        for word in words {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(word);
            assert!(word.ends_with(".json") || path.exists(), "there is no {word}: {row}");
            named.insert(word.to_owned());
        }
    }
    named.retain(|word| word.ends_with(".json"));
    assert_eq!(names(), named, "files that there are, and files that the table names");
}
