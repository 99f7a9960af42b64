//! The configuration: one struct for each concern, its defaults, and the TOML files.
//!
//! Each section is read from a `reader::Section`, which records every problem with its place and
//! key. The settings of access, connections and schemas are parsed into the types of those modules:
//! the layers below do not depend on this module. A [`Config`] is always consistent: rules that
//! span keys have been checked too. `config.example.toml` shows every key.

mod access;
mod application;
mod brake;
mod connection;
mod connection_file;
mod console;
mod cut_off;
mod effective;
mod error;
mod events;
mod federation;
mod grant;
mod limits;
mod listen;
mod load;
mod log;
mod merge;
mod metrics;
mod name;
mod notify;
mod oauth;
mod oidc;
mod place;
mod problems;
mod process;
mod public_url;
mod reader;
mod requests;
mod role;
mod root;
mod schema;
mod source;
mod store;
pub mod template;
mod webhook;
mod widening;
mod workspace;

pub use connection::is_connection_name;
pub use connection_file::{connection_settings, connection_text, holds_only};
pub use console::ConsoleConfig;
pub use effective::EffectiveSetting;
pub use error::ConfigError;
pub use events::EventsConfig;
pub use limits::LimitsConfig;
pub use listen::ListenConfig;
pub use load::SYSTEM_FILE;
pub use log::LogConfig;
pub use metrics::MetricsConfig;
pub use notify::{MailConfig, MailTls, NotifyConfig};
pub use oauth::OauthConfig;
pub use oidc::OidcConfig;
pub use place::Place;
pub use problems::Problem;
pub use process::ProcessConfig;
pub use requests::RequestsConfig;
pub use root::Config;
pub use schema::SchemaLines;
pub use source::Sources;
pub use store::{EngineConfig, ReadsConfig, RetentionConfig, StoreConfig};
pub use webhook::{WebhookConfig, WebhookUrl};
pub use widening::Widening;
