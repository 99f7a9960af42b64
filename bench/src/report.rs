//! The figures, as a table for people and as JSON for programs.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Run;
use crate::measure::{CaseResult, Results};
use crate::process::Memory;
use crate::targets::Target;

const MIB: f64 = 1024.0 * 1024.0;

/// The table.
pub fn text(results: &Results, targets: &[Target]) -> String {
    let mut text = format!(
        "\n{} users; {}; {}\n{} rounds of {} s each, scimd and the bare server in turn; medians of the rounds\n\n",
        results.users,
        machine(),
        today(),
        results.rounds,
        results.time.as_secs_f64(),
    );
    text.push_str(&format!(
        "{:<34} {:>5} {:>8} | {:>9} {:>9} {:>9} {:>8} | {:>9} {:>9} {:>9} {:>8} | {:>6}\n",
        "", "", "answer", "scimd", "p50", "p99", "CPU", "bare", "p50", "p99", "CPU", ""
    ));
    text.push_str(&format!(
        "{:<34} {:>5} {:>8} | {:>9} {:>9} {:>9} {:>8} | {:>9} {:>9} {:>9} {:>8} | {:>6}\n",
        "case",
        "conns",
        "bytes",
        "req/s",
        "ms",
        "ms",
        "us/req",
        "req/s",
        "ms",
        "ms",
        "us/req",
        "ratio"
    ));
    for case in &results.cases {
        let bare = case.bare.as_ref().map(columns).unwrap_or_else(|| " ".repeat(38));
        let ratio = case.ratio.map(|ratio| format!("{:.0} %", ratio * 100.0)).unwrap_or_default();
        text.push_str(&format!(
            "{:<34} {:>5} {:>8} | {} | {bare} | {ratio:>6}\n",
            case.name,
            case.connections,
            case.answer_bytes,
            columns(&case.scimd),
        ));
    }
    text.push('\n');
    for (name, value) in facts(results) {
        text.push_str(&format!("{name:<42} {value}\n"));
    }
    text.push('\n');
    for target in targets {
        let met = if target.met { "met" } else { "NOT MET" };
        text.push_str(&format!(
            "{:<64} {:<20} {:>16}  {met}\n",
            target.name, target.wanted, target.found
        ));
    }
    text
}

fn columns(run: &Run) -> String {
    format!(
        "{:>9.1} {:>9.3} {:>9.3} {:>8.0}",
        run.requests_per_second,
        millis(run.p50),
        millis(run.p99),
        run.processor.as_secs_f64() * 1e6
    )
}

/// What is not a case, as lines.
fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let memory = |memory: Memory| {
        let (resident, peak) = (memory.resident as f64 / MIB, memory.peak as f64 / MIB);
        format!("{resident:.0} MiB, at its peak {peak:.0} MiB")
    };
    let groups = results.create_groups;
    vec![
        ("filled through bulk requests", format!("{:.0} users/s", results.seed_rate)),
        ("ready after a clean stop", format!("{:.0} ms", millis(results.start_after_stop))),
        ("ready after SIGKILL under load", format!("{:.0} ms", millis(results.start_after_kill))),
        ("memory after filling", memory(results.memory_filled)),
        ("memory after a start", memory(results.memory_started)),
        ("memory after all cases but creating", memory(results.memory_measured)),
        ("memory after creating", memory(results.memory_created)),
        (
            "creating with 32 connections",
            format!("{} changes in {} fdatasyncs", groups.changes, groups.groups),
        ),
        ("the raw log in such groups", format!("{:.0} changes/s", results.raw_log_rate)),
        (
            "on disk with keep_journal, later",
            format!("{:.0} MiB", results.disk_trimmed as f64 / MIB),
        ),
        (
            "on disk at the end",
            format!(
                "{:.0} MiB for {} users: journal {:.0}, state {:.0}",
                results.disk_total as f64 / MIB,
                results.users_at_end,
                results.disk_journal as f64 / MIB,
                results.disk_state as f64 / MIB,
            ),
        ),
    ]
}

/// The same for programs.
pub fn json(results: &Results, targets: &[Target]) -> Value {
    let memory =
        |memory: Memory| json!({"resident_bytes": memory.resident, "peak_bytes": memory.peak});
    json!({
        "machine": machine(),
        "date": today(),
        "users": results.users,
        "rounds": results.rounds,
        "seconds": results.time.as_secs_f64(),
        "cases": results.cases.iter().map(case).collect::<Vec<_>>(),
        "bulk_users_per_second": results.seed_rate,
        "start_after_stop_ms": millis(results.start_after_stop),
        "start_after_kill_ms": millis(results.start_after_kill),
        "memory": {
            "filled": memory(results.memory_filled),
            "started": memory(results.memory_started),
            "measured": memory(results.memory_measured),
            "created": memory(results.memory_created),
        },
        "creates_of_32_connections": {
            "changes": results.create_groups.changes,
            "fdatasyncs": results.create_groups.groups,
            "raw_log_per_second": results.raw_log_rate,
        },
        "disk": {
            "users": results.users_at_end,
            "total_bytes": results.disk_total,
            "journal_bytes": results.disk_journal,
            "state_bytes": results.disk_state,
            "trimmed_bytes": results.disk_trimmed,
        },
        "targets": targets.iter().map(target).collect::<Vec<_>>(),
    })
}

fn case(case: &CaseResult) -> Value {
    json!({
        "name": case.name,
        "connections": case.connections,
        "answer_bytes": case.answer_bytes,
        "scimd": run(&case.scimd),
        "bare": case.bare.as_ref().map(run),
        "ratio": case.ratio,
    })
}

/// The figures of one case.
pub fn run(run: &Run) -> Value {
    json!({
        "requests": run.requests,
        "requests_per_second": run.requests_per_second,
        "p50_ms": millis(run.p50),
        "p99_ms": millis(run.p99),
        "processor_us": run.processor.as_secs_f64() * 1e6,
    })
}

fn target(target: &Target) -> Value {
    json!({
        "name": target.name,
        "wanted": target.wanted,
        "found": target.found,
        "met": target.met,
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// Processors and kernel.
pub fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{processors} x {}, Linux {}", model.unwrap_or("unknown"), kernel.trim())
}

#[expect(clippy::disallowed_methods, reason = "the date of a report; nothing depends on it")]
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}
