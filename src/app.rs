//! The roof: joins the parts, starts them, replaces their settings and stops them.

mod access_token_key;
mod capture;
mod certificate;
mod code_key;
mod config_check;
mod connection_change;
mod connection_files;
mod console;
mod credential_warnings;
mod data_folder;
mod database;
mod file_settings;
mod fixed_settings;
mod grant_warnings;
mod head_signatures;
mod issuer_trusts;
mod key_file;
mod listen;
mod maintenance_task;
mod migrate;
mod notifications;
mod open_files;
mod process;
mod reload;
mod reload_connections;
mod sandbox;
mod serve;
mod settings;
mod site;
mod supervisor;
mod watch;
mod webhooks;

pub use access_token_key::issue_access_tokens;
pub use certificate::{Certificate, CertificateTrust, certificate, self_signed};
pub use code_key::check_code_key;
pub use config_check::{ConfigFindings, check_config, config_files, token_warnings};
pub use connection_change::change_connection;
pub use data_folder::{
    change_log, check_exists, create_data_folder, new_identity, open_damaged, open_directory,
    open_directory_read_only, start_directory, verify, verify_trail,
};
pub use grant_warnings::missed_grants;
pub use issuer_trusts::trust_issuers;
pub use migrate::{LogMove, migrate_to_local, migrate_to_postgres};
pub use open_files::{check_open_files, raise_open_files};
pub use process::protect_memory;
pub use sandbox::Sandbox;
pub use serve::{ServerParts, ServerRuntime, serve};
pub use settings::{effective_settings, endpoint, site_info, token_url, vocabulary};
pub use site::Site;
pub use supervisor::{StartExtension, passed_socket};
