//! The HTTP service: bytes in `transport`, SCIM in `scim`, and what stands between them.
//!
//! A request passes, in this order: connection limits and TLS (`transport`), peer address, credential and
//! origin (`gate`), route (`router`), scope (`gate`), body (`body`), handler (`scim`). Each request gets
//! exactly one response, and each authenticated request one line in the log. [`routes()`] lists all routes.

mod audience;
mod authorization_server;
mod body;
mod claimed_names;
mod client_request;
mod context;
mod credential;
mod daily_quota;
mod denial;
mod deny_limiter;
mod discovery_documents;
mod error;
mod error_form;
mod error_report;
mod events;
mod failed_writes;
mod federation;
mod framing;
mod gate;
mod health;
pub mod metrics;
mod oauth;
mod path_parameters;
mod precondition;
mod request_metrics;
mod request_notes;
mod request_record;
mod respond;
mod router;
mod routes;
mod scim;
mod service;
mod turns;
mod work_limits;

pub use audience::{Audience, TokenScope};
pub use routes::routes;
pub use service::ScimService;

/// The path below which SCIM is served.
pub const BASE_PATH: &str = "/scim/v2";
/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/oauth2/token";
