//! Tokens and clients: the tables that requests are authenticated with, and the commands that change them.

pub(crate) mod client_commands;
pub(crate) mod client_table;
pub(crate) mod commands;
pub(crate) mod table;
pub(crate) mod validity;
