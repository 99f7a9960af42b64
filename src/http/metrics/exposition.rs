//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write as _};

use super::catalogue::Metric;
use crate::metrics::HistogramSnapshot;

/// A label and its value.
pub(super) type Label<'a> = (&'a str, &'a str);

/// Metrics in the text format, one family after the other.
#[derive(Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a metric: the samples that follow belong to it.
    pub(super) fn family(&mut self, metric: &Metric) {
        let Metric { name, kind, help } = metric;
        self.push(format_args!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str()));
    }

    /// Writes a metric with one value, or without a value if it is not known.
    pub(super) fn single(&mut self, metric: &Metric, value: Option<impl Display>) {
        self.family(metric);
        if let Some(value) = value {
            self.sample(metric.name, &[], value);
        }
    }

    /// Writes a value with its labels.
    pub(super) fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.push(format_args!("{before}{label}=\"{text}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.push(format_args!("{end} {value}\n"));
    }

    /// Writes a histogram with its labels. Observed values are divided by `unit`.
    pub(super) fn histogram(
        &mut self,
        metric: &Metric,
        labels: &[Label<'_>],
        counts: &HistogramSnapshot,
        unit: f64,
    ) {
        let name = metric.name;
        let bounds = counts.buckets.iter().map(|&(bound, count)| {
            let bound = bound as f64 / unit;
            (bound.to_string(), count)
        });
        for (bound, count) in bounds.chain([("+Inf".to_owned(), counts.count)]) {
            let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", &*bound)]).collect();
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        self.sample(&format!("{name}_sum"), labels, counts.sum as f64 / unit);
        self.sample(&format!("{name}_count"), labels, counts.count);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = self.0.write_fmt(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{FDATASYNC, REFUSALS, SNAPSHOT};
    use super::*;
    use crate::metrics::Histogram;

    #[test]
    fn labels_are_escaped_and_histograms_add_up() {
        let mut text = Exposition::default();
        text.family(&REFUSALS);
        text.sample(REFUSALS.name, &[("a", "\"\\\n"), ("b", "")], 7);
        text.single(&SNAPSHOT, None::<u64>);
        let histogram = Histogram::new(&[500, 1_000]);
        for value in [400, 600, 2_000_000] {
            histogram.observe(value);
        }
        text.histogram(&FDATASYNC, &[("disk", "x")], &histogram.counts(), 1e6);
        let lines = text.into_string();
        let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("# HELP")).collect();
        assert_eq!(
            lines,
            [
                "# TYPE scimd_refusals_total counter",
                r#"scimd_refusals_total{a="\"\\\n",b=""} 7"#,
                "# TYPE scimd_snapshot_timestamp_seconds gauge",
                r#"scimd_fdatasync_duration_seconds_bucket{disk="x",le="0.0005"} 1"#,
                r#"scimd_fdatasync_duration_seconds_bucket{disk="x",le="0.001"} 2"#,
                r#"scimd_fdatasync_duration_seconds_bucket{disk="x",le="+Inf"} 3"#,
                r#"scimd_fdatasync_duration_seconds_sum{disk="x"} 2.001"#,
                r#"scimd_fdatasync_duration_seconds_count{disk="x"} 3"#,
            ]
        );
    }
}
