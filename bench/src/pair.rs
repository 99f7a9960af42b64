//! A paired run: two scimd binaries side by side on one machine, measured alternately.
//!
//! Each case is measured in rounds. In a round both binaries answer the same kind of requests one after
//! the other, and the ratio of their rates is kept; which one begins changes with each round. The
//! verdict on a case is the median of the ratios with its 95 % confidence interval, taken from the order
//! statistics, so that it makes no assumption about how the rates are distributed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::cases::{self, Case};
use crate::load::{self, Run, Times};
use crate::scimd::Scimd;
use crate::seed;

/// The new binary is not worse if the lower end of the interval is at least this.
const NOT_WORSE: f64 = 0.97;

/// What to compare, and how.
#[derive(clap::Args)]
pub struct Pair {
    /// The binary to compare with
    #[arg(long)]
    old: PathBuf,
    /// The binary to judge
    #[arg(long)]
    new: PathBuf,
    /// The folder for the data folders, on the disk to measure
    #[arg(long)]
    dir: PathBuf,
    /// The number of users
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(200..=10_000_000))]
    users: u32,
    /// The seconds that each binary is measured in each round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The number of rounds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(6..=99))]
    rounds: u32,
    /// The number of connections; repeat for several
    #[arg(long, default_values_t = [32])]
    connections: Vec<usize>,
    /// Only cases whose name contains this text; repeat for several
    #[arg(long)]
    only: Vec<String>,
    /// The file to write the figures to as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One of the binaries, filled, with the cases for its resources.
struct Side {
    scimd: Scimd,
    cases: Vec<Case>,
}

/// The verdict on one case.
struct Verdict {
    name: String,
    connections: usize,
    old: f64,
    new: f64,
    median: f64,
    low: f64,
    high: f64,
}

impl Pair {
    /// Fills both, measures all cases, prints the table.
    pub fn run(self) -> Result<()> {
        let old = self.side("old", &self.old)?;
        let new = self.side("new", &self.new)?;
        println!("{:<34} {:>5} | {:>9} {:>9} | ratio", "case", "conns", "old", "new");
        let mut verdicts = Vec::new();
        for (old_case, new_case) in old.cases.iter().zip(&new.cases) {
            let wanted = |only: &String| old_case.name.contains(only.as_str());
            if !self.only.is_empty() && !self.only.iter().any(wanted) {
                continue;
            }
            for &connections in &self.connections {
                let sides = [(&old.scimd, old_case), (&new.scimd, new_case)];
                let verdict = self.measure(sides, connections)?;
                println!("{}", verdict.row());
                verdicts.push(verdict);
            }
        }
        if let Some(path) = &self.json {
            let verdicts: Vec<_> = verdicts.iter().map(Verdict::json).collect();
            fs::write(path, format!("{:#}\n", json!(verdicts)))?;
        }
        old.scimd.discard()?;
        new.scimd.discard()
    }

    fn side(&self, name: &str, binary: &Path) -> Result<Side> {
        eprintln!("filling the {name} one with {} users", self.users);
        let mut scimd = Scimd::first_boot(binary, &self.dir.join(name))?;
        let users = Arc::new(seed::users(&scimd.target()?, self.users as usize)?);
        let groups = seed::groups(&scimd.target()?, &users)?;
        // Memory as after a start, not as after filling.
        scimd.stop()?;
        scimd.start()?;
        let mut cases = cases::of_users(&users);
        cases.extend(cases::of_groups(&users, &groups));
        cases.push(cases::create(&users));
        Ok(Side { scimd, cases })
    }

    fn measure(&self, sides: [(&Scimd, &Case); 2], connections: usize) -> Result<Verdict> {
        let name = sides[0].1.name.clone();
        eprintln!("{name}, {connections} connections");
        let measured = Duration::from_secs_f64(self.seconds);
        let times = Times { warm_up: measured / 10, measured };
        let run = |(scimd, case): (&Scimd, &Case)| -> Result<Run> {
            let askings = (0..connections).map(|_| (case.asking)()).collect();
            load::run(&(case.client)(&scimd.target()?), scimd.pid()?, askings, times)
        };
        let (mut old, mut new, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let first = usize::from(round % 2 == 1);
            let mut rates = [0.0; 2];
            for side in [first, 1 - first] {
                rates[side] = run(sides[side])?.requests_per_second;
            }
            old.push(rates[0]);
            new.push(rates[1]);
            ratios.push(rates[1] / rates[0]);
        }
        let (low, high) = interval(&mut ratios)?;
        let median = median(&mut ratios);
        let (old, new) = (self::median(&mut old), self::median(&mut new));
        Ok(Verdict { name, connections, old, new, median, low, high })
    }
}

impl Verdict {
    fn row(&self) -> String {
        let verdict = if self.low >= NOT_WORSE { "not worse" } else { "WORSE, or not certain" };
        format!(
            "{:<34} {:>5} | {:>9.0} {:>9.0} | {:.3} [{:.3}, {:.3}] {verdict}",
            self.name, self.connections, self.old, self.new, self.median, self.low, self.high
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "case": self.name,
            "connections": self.connections,
            "old_requests_per_second": self.old,
            "new_requests_per_second": self.new,
            "ratio": self.median,
            "ratio_low": self.low,
            "ratio_high": self.high,
        })
    }
}

/// The value in the middle.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// The 95 % confidence interval of the median: the number of values below the true median is binomial
/// with p = 1/2, so the interval leaves out as many values at each end as keep its coverage at 95 %.
pub fn interval(values: &mut [f64]) -> Result<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let (mut below, mut term, mut cut) = (0.0, 0.5_f64.powi(count as i32), 0);
    while below + term <= 0.025 {
        below += term;
        cut += 1;
        term *= (count - cut + 1) as f64 / cut as f64;
    }
    ensure!(cut > 0, "{count} rounds are too few for an interval of 95 %");
    Ok((values[cut - 1], values[count - cut]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_twenty_values_leaves_out_five_at_each_end() {
        let mut values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(interval(&mut values).unwrap(), (6.0, 15.0));
        let mut six: Vec<f64> = (1..=6).map(f64::from).collect();
        assert_eq!(interval(&mut six).unwrap(), (1.0, 6.0));
        assert!(interval(&mut [1.0; 5]).is_err());
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 4.0]), 2.5);
    }
}
