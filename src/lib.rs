//! scimd: an on-prem SCIM 2.0 provisioning appliance.
//!
//! The library is the whole appliance; the binary only parses the command line. Modules stand on
//! floors, and each imports from its own floor and below (`ARCHITECTURE.md` says why):
//!
//! - ground: [`authorities`], [`clock`], [`file`](mod@file), [`text`], [`secret`], [`logging`], [`metrics`];
//! - vocabulary, pure rules: [`scim`], [`access`], [`connection`], [`credential`], [`event`], [`settings`];
//! - storage, bytes on disk: [`log`], [`store`]; beside it the configuration file, parsed into the
//!   vocabulary: [`config`], and the request log: [`request_log`];
//! - service, what the service provider and its operators do, and what applications see of it: [`directory`], [`operator`],
//!   [`feed`];
//! - doors: [`http`], [`console`], [`admin`], and the ways out, to operators and applications: [`notify`], [`webhook`];
//!   what they share: ports that are listened on ([`transport`]), HTTP to other systems ([`fetch`]);
//! - roof: [`app`], [`cli`].

pub mod authorities;
pub mod clock;
pub mod file;
pub mod logging;
pub mod metrics;
pub mod secret;
pub mod text;

pub mod access;
pub mod connection;
pub mod credential;
pub mod event;
pub mod scim;
pub mod settings;

pub mod config;
pub mod log;
pub mod request_log;
pub mod store;

pub mod directory;
pub mod feed;
pub mod operator;

pub mod admin;
pub mod console;
pub mod fetch;
pub mod http;
pub mod notify;
pub mod transport;
pub mod webhook;

pub mod app;
pub mod cli;
