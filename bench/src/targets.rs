//! What scimd promises on two cores, and whether a run kept it.

use std::time::Duration;

use serde_json::Value;

use crate::cases::{
    ACTIVE, CONTAINS, CREATE, FIRST_PAGE, FULL_HANDSHAKE, GROUPS, RESUMED_HANDSHAKE, RETRIEVE,
    USER_NAME_EQ, member_of,
};
use crate::load::Run;
use crate::measure::{CaseResult, ON_ONE_CORE, Results};
use crate::seed;

/// A promise and what was found.
pub struct Target {
    pub name: String,
    pub wanted: String,
    pub found: String,
    pub met: bool,
}

const MIB: f64 = 1024.0 * 1024.0;

/// The promises for a directory of the run's size. `baseline` is the JSON of a run with fewer users.
pub fn check(results: &Results, baseline: Option<&Value>) -> Vec<Target> {
    let mut targets = Vec::new();
    for (case, share) in
        [(RETRIEVE, 0.85), (USER_NAME_EQ, 0.85), (FIRST_PAGE, 0.40), (ACTIVE, 0.25), (CREATE, 0.25)]
    {
        let of_case = results.cases.iter().filter(|one| one.name == case);
        // One client alone waits for the disk, or for the page: those are promised for many.
        let for_many = [FIRST_PAGE, ACTIVE, CREATE].contains(&case);
        for one in of_case.filter(|one| !for_many || one.connections > 1) {
            if let Some(ratio) = one.ratio {
                let name =
                    format!("{case}, {} connections, of the bare server's rate", one.connections);
                targets.push(at_least(name, share * 100.0, ratio * 100.0, "%"));
            }
        }
    }
    for (case, more) in [(RETRIEVE, 4.0), (USER_NAME_EQ, 6.0)] {
        let name = format!("{case}{ON_ONE_CORE}");
        for one in results.cases.iter().filter(|one| one.name == name) {
            if let Some(bare) = &one.bare {
                let micros = |run: &Run| run.processor.as_secs_f64() * 1e6;
                let found = micros(&one.scimd) - micros(bare);
                let name = format!("{name}: CPU for each more than of the bare server");
                targets.push(below(name, more, found, "us"));
            }
        }
    }
    for case in [FULL_HANDSHAKE, RESUMED_HANDSHAKE] {
        for one in results.cases.iter().filter(|one| one.name == case) {
            if let Some(ratio) = one.ratio {
                let name = format!("{case}, {} connections, of the bare server", one.connections);
                targets.push(at_least(name, 95.0, ratio * 100.0, "%"));
            }
        }
    }
    if let Some((alone, beside)) = results.beside_creates {
        let times = beside.as_secs_f64() / alone.as_secs_f64();
        targets.push(below("p99 of a retrieve beside creates, against alone", 2.0, times, "times"));
    }
    let groups = results.create_groups;
    if groups.groups > 0 {
        let shared = groups.changes as f64 / groups.groups as f64;
        targets.push(at_least("creates for each fdatasync, 32 connections", 8.0, shared, ""));
    }
    let created = results.cases.iter().find(|one| one.name == CREATE && one.connections > 1);
    if let Some(created) = created.filter(|_| results.raw_log_rate > 0.0) {
        let share = created.scimd.requests_per_second / results.raw_log_rate * 100.0;
        targets.push(at_least("creates, 32 connections, of the raw log's rate", 60.0, share, "%"));
    }
    let large = results.users > 100_000;
    if !large && let Some(alone) = one(results, CONTAINS) {
        targets.push(below("a filter without an index", 150.0, millis(alone.scimd.p50), "ms"));
    }
    if !large {
        let filled = results.memory_filled.resident as f64 / MIB;
        targets.push(below("memory after filling", 120.0, filled, "MiB"));
    }
    let memory = [results.memory_filled, results.memory_measured, results.memory_created];
    let peak = memory.iter().map(|memory| memory.peak).max().unwrap_or_default() as f64 / MIB;
    targets.push(below("memory at its peak", if large { 900.0 } else { 200.0 }, peak, "MiB"));
    if !large {
        let trimmed = results.disk_trimmed as f64 / MIB;
        targets.push(below("on disk with keep_journal, later", 500.0, trimmed, "MiB"));
    }
    let (clean, killed) = if large { (10_000.0, 10_000.0) } else { (1_000.0, 3_000.0) };
    let name = "start to ready after a clean stop";
    targets.push(below(name, clean, millis(results.start_after_stop), "ms"));
    let name = "start to ready after SIGKILL";
    targets.push(below(name, killed, millis(results.start_after_kill), "ms"));
    groups_of_any_size(results, &mut targets);
    if let Some(baseline) = baseline {
        growth(results, baseline, &mut targets);
    }
    targets
}

fn groups_of_any_size(results: &Results, targets: &mut Vec<Target>) {
    let (small, largest) =
        (one(results, &member_of(seed::SMALL)), one(results, &member_of(100_000)));
    if let (Some(small), Some(largest)) = (small, largest) {
        let times = largest.scimd.p50.as_secs_f64() / small.scimd.p50.as_secs_f64();
        let name = "PATCH of a member of 100000, against one of 10";
        targets.push(below(name, 1.5, times, "times"));
    }
    if let Some(list) = one(results, GROUPS) {
        let took = millis(list.scimd.processor);
        targets.push(below(format!("{GROUPS}: CPU for each"), 3.0, took, "ms"));
    }
    for name in [member_of(20_000), format!("{}, all shown", member_of(20_000))] {
        if let Some(patch) = one(results, &name) {
            targets.push(below(name, 100.0, millis(patch.scimd.p99), "ms (p99)"));
        }
    }
}

/// What a request takes, compared with a smaller directory; what looks at every user grows with it.
fn growth(results: &Results, baseline: &Value, targets: &mut Vec<Target>) {
    let cases = baseline["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
    for result in &results.cases {
        let steady = [RETRIEVE, USER_NAME_EQ, FIRST_PAGE, ACTIVE, CREATE];
        let before = cases.iter().find(|before| {
            before["name"] == result.name.as_str() && before["connections"] == result.connections
        });
        let before = before.and_then(|before| before["scimd"]["p50_ms"].as_f64());
        if let (true, Some(before)) = (steady.contains(&result.name.as_str()), before) {
            let name = format!(
                "{}, {} connections, p50 against {} users",
                result.name, result.connections, baseline["users"]
            );
            targets.push(below(name, 1.3, millis(result.scimd.p50) / before, "times"));
        }
    }
}

/// A case with one connection.
fn one<'a>(results: &'a Results, name: &str) -> Option<&'a CaseResult> {
    results.cases.iter().find(|case| case.name == name && case.connections == 1)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn at_least(name: impl Into<String>, wanted: f64, found: f64, unit: &str) -> Target {
    target(name, format!("at least {wanted} {unit}"), found, unit, found >= wanted)
}

fn below(name: impl Into<String>, wanted: f64, found: f64, unit: &str) -> Target {
    target(name, format!("below {wanted} {unit}"), found, unit, found < wanted)
}

fn target(name: impl Into<String>, wanted: String, found: f64, unit: &str, met: bool) -> Target {
    let found = format!("{found:.1} {unit}");
    Target { name: name.into(), wanted, found, met }
}
