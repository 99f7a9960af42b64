//! The catalogue of metrics: name, kind and help text.

/// How the value of a metric changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// Only increases, from 0 at each start.
    Counter,
    /// The present value.
    Gauge,
    /// Observations up to each bound, from 0 at each start.
    Histogram,
}

impl MetricKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: MetricKind,
    pub(super) help: &'static str,
}

macro_rules! catalogue {
    ($($constant:ident = $kind:ident $name:literal $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(super) const $constant: Metric =
                Metric { name: $name, kind: MetricKind::$kind, help: $help };
        )*

        /// All of them.
        #[cfg(test)]
        const CATALOGUE: &[Metric] = &[$($constant),*];
    };
}

catalogue! {
    REQUESTS = Counter "scimd_http_requests_total"
        "Answered requests. No connection: denied requests. No route: requests without a route.";
    SCIM_ERRORS = Counter "scimd_scim_errors_total"
        "Requests of a connection that were answered with an error, by scimType.";
    LAST_REQUEST = Gauge "scimd_last_request_timestamp_seconds"
        "When the last authenticated request of a connection was answered.";
    LAST_SUCCESS = Gauge "scimd_last_success_timestamp_seconds"
        "When the last request of a connection was answered without an error.";
    REQUEST_LOG_DROPPED = Counter "scimd_request_log_dropped_total"
        "Dropped records of the request log: too many were waiting, or they could not be written.";
    DURATION = Histogram "scimd_http_request_duration_seconds"
        "Time from a request's head to its answer, its body included.";
    KNOWN_REFUSALS = Counter "scimd_known_token_refusals_total"
        "Denied requests with a known token, by reason.";
    REFUSALS = Counter "scimd_refusals_total"
        "Denied requests, by the true reason.";
    THROTTLED = Counter "scimd_throttled_total"
        "Requests that were answered 429, by the limit in the configuration.";
    CONNECTIONS_OPEN = Gauge "scimd_connections_open"
        "Connections that are open.";
    CONNECTIONS_ACCEPTED = Counter "scimd_connections_accepted_total"
        "Connections that were accepted and kept.";
    CONNECTIONS_REFUSED = Counter "scimd_connections_refused_total"
        "Connections that were closed at once, by the limit in the configuration.";
    CONNECTIONS_DISPLACED = Counter "scimd_connections_displaced_total"
        "Connections without an authenticated request that were closed to admit another.";
    HANDSHAKES_FAILED = Counter "scimd_tls_handshakes_failed_total"
        "Failed TLS handshakes, by error or timeout.";
    WRITER_WAITING = Gauge "scimd_writer_waiting"
        "Changes waiting for the writer; beyond 1024 of a connection further ones get 503.";
    COMMIT_CHANGES = Histogram "scimd_commit_changes"
        "Changes written to disk at once.";
    FDATASYNC = Histogram "scimd_fdatasync_duration_seconds"
        "Duration of the fdatasync of a group of changes.";
    JOURNAL_SEQUENCE = Gauge "scimd_journal_sequence"
        "The number of the last change on disk.";
    JOURNAL_BYTES = Gauge "scimd_journal_bytes"
        "Size of the journal's files.";
    DATABASE_BYTES = Gauge "scimd_database_bytes"
        "Size of the database's files.";
    STATE_HELD = Gauge "scimd_state_memory_bytes"
        "State loaded into memory.";
    DISK_FREE = Gauge "scimd_disk_free_bytes"
        "Free space on the disk of the data directory.";
    SNAPSHOT = Gauge "scimd_snapshot_timestamp_seconds"
        "When the newest snapshot was taken.";
    FEED_BEHIND = Gauge "scimd_feed_behind_changes"
        "Changes on disk that have no events in the change feed yet.";
    FEED_BEHIND_SECONDS = Gauge "scimd_feed_behind_seconds"
        "Age of the last change that has its events while later ones have none, else 0.";
    FEED_BYTES = Gauge "scimd_feed_bytes"
        "Size of the change feed's files.";
    FEED_CONSUMERS = Gauge "scimd_feed_consumers"
        "Consumers of the change feed that wait for events or stream them.";
    WEBHOOK_DELIVERIES = Counter "scimd_webhook_deliveries_total"
        "Deliveries to a webhook, by result.";
    WEBHOOK_EVENTS = Counter "scimd_webhook_events_total"
        "Events in the deliveries that a webhook took.";
    WEBHOOK_BEHIND = Gauge "scimd_webhook_behind_changes"
        "Changes on disk that are not yet delivered to a webhook.";
    WEBHOOK_FAILING_SECONDS = Gauge "scimd_webhook_failing_seconds"
        "Time since deliveries to a webhook began to fail, else 0.";
    WEBHOOK_PARKED = Gauge "scimd_webhook_parked"
        "1 while a webhook is parked, else 0.";
    WRITABLE = Gauge "scimd_writable"
        "1 while changes can be made, else 0.";
    CLOCK_ALARM = Gauge "scimd_clock_alarm"
        "1 while the clock is not trusted, else 0.";
    RESOURCES = Gauge "scimd_resources"
        "Resources in the directory, by the endpoint of their type.";
    BRAKE_ALARMS = Counter "scimd_brake_alarms_total"
        "How often a connection removed access from more accounts than its brake allows.";
    BRAKE_GAIN_ALARMS = Counter "scimd_brake_gain_alarms_total"
        "How often a connection reactivated, or gave company permissions to, more accounts than its brake allows.";
    HELD = Gauge "scimd_connection_held"
        "1 while a connection is paused, else 0.";
    TOKENS_VALID = Gauge "scimd_tokens_valid"
        "Valid tokens of each connection and application of the configuration.";
    TOKEN_EXPIRES = Gauge "scimd_token_expires_timestamp_seconds"
        "When the first and the last valid token of a connection or application expire; +Inf for never.";
    CERTIFICATE_EXPIRES = Gauge "scimd_certificate_expires_timestamp_seconds"
        "When the served certificate expires.";
    BUILD = Gauge "scimd_build_info"
        "Always 1; its label is the version.";
    LOG_LINES_DROPPED = Counter "scimd_log_lines_dropped_total"
        "Log lines that were dropped because standard error did not accept them in time.";
    PROCESS_START = Gauge "process_start_time_seconds"
        "When scimd started.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes"
        "Memory that scimd has in use.";
    PROCESS_FILES = Gauge "process_open_fds"
        "Files and sockets that scimd has open.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The names in a text that look like those of metrics, without what a histogram adds.
    fn names_in(text: &str) -> BTreeSet<&str> {
        let words = text.split(|part: char| !part.is_ascii_alphanumeric() && part != '_');
        let named = words.filter(|word| word.starts_with("scimd_") || word.starts_with("process_"));
        named.map(|name| name.trim_end_matches("_bucket")).collect()
    }

    #[test]
    fn the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() {
        let known: BTreeSet<&str> = CATALOGUE.iter().map(|metric| metric.name).collect();
        for text in [
            include_str!("../../../packaging/monitoring/scimd-alerts.yml"),
            include_str!("../../../packaging/monitoring/scimd-dashboard.json"),
        ] {
            let named = names_in(text);
            assert!(named.len() > 8, "{named:?}");
            assert_eq!(named.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new());
        }
        let dashboard = include_str!("../../../packaging/monitoring/scimd-dashboard.json");
        serde_json::from_str::<serde_json::Value>(dashboard).unwrap();
    }

    #[test]
    fn each_metric_has_a_name_of_its_own_that_fits_its_kind_and_says_something() {
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for Metric { name, kind, help } in CATALOGUE {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(name.starts_with("scimd_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert!(
                help.len() > 10 && help.ends_with('.') && !help.contains('\n'),
                "{name}: {help}"
            );
        }
    }
}
