//! `[limits]`: bounds on connections, times and sizes.

use std::time::Duration;

use super::reader::Section;

/// Bounds on connections, times and sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Open connections at once; 1 to 100000.
    pub max_connections: usize,
    /// Open connections at once from one address, or one /64 of IPv6; 1 to 100000.
    pub max_connections_per_address: usize,
    /// Refused requests in a minute from one address, or one /64 of IPv6, before further ones
    /// receive 429 instead of 401; 0 to 100000, 0 for no limit.
    pub max_refusals_per_minute: u32,
    /// Time for the TLS handshake; 1s to 5m.
    pub handshake_timeout: Duration,
    /// Time for a request's head, from its first byte; 1s to 5m.
    pub header_timeout: Duration,
    /// Time for a request's body; 1s to 10m.
    pub body_timeout: Duration,
    /// Time that a connection may wait between requests; 1s to 1h.
    pub idle_timeout: Duration,
    /// Time for the work on a request, once it has been read; 1s to 10m.
    pub request_timeout: Duration,
    /// Time that open requests get when the server stops; 1s to 10m.
    pub drain_timeout: Duration,
    /// Size of a request's head, in bytes; 8192 to 1048576.
    pub max_header_bytes: usize,
    /// Size of a request's body, in bytes; 1024 to 67108864.
    pub max_body_bytes: usize,
    /// Resources in a list response where the request names no `count`; 1 to 10000.
    pub default_count: usize,
    /// Resources in a list response, whatever the request's `count`; 1 to 10000, not below
    /// `default_count`.
    pub max_count: usize,
    /// Size of a resource as stored JSON, in bytes; 1024 to 1048576.
    pub max_resource_bytes: usize,
    /// Resources that one search looks at, 1 to 100000000.
    pub max_scan: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_connections: 800,
            max_connections_per_address: 256,
            max_refusals_per_minute: 10,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(20),
            max_header_bytes: 16_384,
            max_body_bytes: 1_048_576,
            default_count: 100,
            max_count: 1_000,
            max_resource_bytes: 65_536,
            max_scan: 2_000_000,
        }
    }
}

impl LimitsConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        let up_to = |minutes: u64| Duration::from_secs(1)..=Duration::from_secs(minutes * 60);
        let limits = Self {
            max_connections: section.integer(
                "max_connections",
                1..=100_000,
                default.max_connections,
            ),
            max_connections_per_address: section.integer(
                "max_connections_per_address",
                1..=100_000,
                default.max_connections_per_address,
            ),
            max_refusals_per_minute: section.integer(
                "max_refusals_per_minute",
                0..=100_000,
                default.max_refusals_per_minute,
            ),
            handshake_timeout: section.duration(
                "handshake_timeout",
                up_to(5),
                default.handshake_timeout,
            ),
            header_timeout: section.duration("header_timeout", up_to(5), default.header_timeout),
            body_timeout: section.duration("body_timeout", up_to(10), default.body_timeout),
            idle_timeout: section.duration("idle_timeout", up_to(60), default.idle_timeout),
            request_timeout: section.duration(
                "request_timeout",
                up_to(10),
                default.request_timeout,
            ),
            drain_timeout: section.duration("drain_timeout", up_to(10), default.drain_timeout),
            max_header_bytes: section.integer(
                "max_header_bytes",
                8_192..=1_048_576,
                default.max_header_bytes,
            ),
            max_body_bytes: section.integer(
                "max_body_bytes",
                1_024..=67_108_864,
                default.max_body_bytes,
            ),
            default_count: section.integer("default_count", 1..=10_000, default.default_count),
            max_count: section.integer("max_count", 1..=10_000, default.max_count),
            max_resource_bytes: section.integer(
                "max_resource_bytes",
                1_024..=1_048_576,
                default.max_resource_bytes,
            ),
            max_scan: section.integer("max_scan", 1..=100_000_000, default.max_scan),
        };
        let Self { default_count, max_count, .. } = limits;
        if max_count < default_count {
            let key = if section.is_written("max_count") { "max_count" } else { "default_count" };
            section.problem(
                key,
                format!(
                    "max_count is {max_count} and default_count is {default_count}; expected \
                     max_count to be at least default_count"
                ),
            );
        }
        limits
    }
}
