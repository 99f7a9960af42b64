//! Integration tests: the real binary over real TLS, and the shape of the code itself.
//!
//! One binary, so that it links once. Tests speak as clients through `harness`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on fails, and that is what it is for"
)]
#![allow(clippy::disallowed_methods, reason = "a test measures with the clock of its machine")]

mod harness;

mod access;
mod access_explained;
mod application;
mod architecture;
mod audit;
mod backup;
mod bad_input;
mod basic;
mod brake;
mod bulk;
mod cli;
mod client_ca;
mod client_key;
mod clock;
mod conf_d;
mod connection;
mod connection_command;
mod console;
mod console_connections;
mod console_oidc;
mod console_operator;
mod console_pages;
mod console_sign_in;
mod discovery;
mod documents;
mod events;
mod exit;
mod failure;
mod federation;
mod first_boot;
mod flat;
mod framing;
mod gate;
mod golden;
mod grant;
mod group;
mod history;
mod hostile;
mod import;
mod inspect;
mod large;
mod life;
mod limits;
mod lists;
mod log;
mod manual;
mod many_groups;
mod memory;
mod method;
mod metrics;
mod notify;
mod oauth;
mod operator;
mod patch;
mod query;
mod read_only;
mod recover;
mod recovery;
mod reload;
mod requests;
mod reserve;
mod route;
mod sandbox;
mod schema;
mod setup;
mod shape;
mod share;
mod signature;
mod signs;
mod slow;
mod snapshot;
mod start;
mod status;
mod stored_data;
mod systemd;
mod throttle;
mod token;
mod undo;
mod unix;
mod verify;
mod version;
mod webhook;
