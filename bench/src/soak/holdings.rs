//! What a server holds while it runs: it must stay where it is once it has warmed up.

use anyhow::Result;

use super::Problems;
use crate::process;
use crate::scimd::Scimd;

/// How much more memory there may be in the last third of the time than in the one before.
const MEMORY: f64 = 0.10;
/// How many descriptors more.
const DESCRIPTORS: usize = 10;

/// What it holds at one moment.
#[derive(Clone, Copy)]
pub struct Sample {
    pub resident: u64,
    pub descriptors: usize,
}

/// What it held from the beginning on, at even distances.
#[derive(Default)]
pub struct Holdings(Vec<Sample>);

impl Holdings {
    /// Looks, and notes it.
    pub fn sample(&mut self, scimd: &Scimd) -> Result<Sample> {
        let pid = scimd.pid()?;
        let descriptors = process::entries(pid, "fd")?;
        let sample = Sample { resident: process::memory(pid)?.resident, descriptors };
        self.0.push(sample);
        Ok(sample)
    }

    /// Prints the medians of the last two thirds, and what has grown.
    pub fn check(&self, problems: &Problems) {
        let third = self.0.len() / 3;
        let parts = self.0.get(third..).unwrap_or_default().split_at(third);
        let medians = |of: fn(&Sample) -> f64| [median(parts.0, of), median(parts.1, of)];
        let [before, after] = medians(|sample| mib(sample.resident));
        let grown = after / before - 1.0;
        let memory = format!(
            "memory: median {before:.1} MiB in the middle third, {after:.1} MiB in the last: {:+.1} %, at most {:+.0} %",
            100.0 * grown,
            100.0 * MEMORY
        );
        println!("{memory}");
        let [fewer, more] = medians(|sample| sample.descriptors as f64);
        let descriptors = format!(
            "descriptors: median {fewer:.0} in the middle third, {more:.0} in the last; at most {DESCRIPTORS} more or fewer"
        );
        println!("{descriptors}");
        // Not a number, if there is no sample, is not flat either.
        if grown.is_nan() || grown > MEMORY {
            problems.add("flat", &anyhow::anyhow!("{memory}"));
        }
        if (more - fewer).is_nan() || (more - fewer).abs() > DESCRIPTORS as f64 {
            problems.add("flat", &anyhow::anyhow!("{descriptors}"));
        }
    }
}

pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(samples: impl Iterator<Item = (u64, usize)>) -> usize {
        let samples = samples.map(|(resident, descriptors)| Sample { resident, descriptors });
        let problems = Problems::default();
        Holdings(samples.collect()).check(&problems);
        problems.count()
    }

    #[test]
    fn what_grows_is_found_and_what_warms_up_is_not() {
        const MIB: u64 = 1024 * 1024;
        assert_eq!(problems((0..30).map(|number| ((100 + number % 5) * MIB, 60))), 0);
        assert_eq!(problems((0..30).map(|number| ((50 + number.min(9) * 5) * MIB, 60))), 0);
        assert_eq!(problems((0..30).map(|number| ((100 + 2 * number) * MIB, 60))), 1);
        assert_eq!(problems((0..30).map(|number| (100 * MIB, 60 + 2 * number))), 1);
        assert_eq!(problems(std::iter::empty()), 2);
    }
}
