//! Tokens: the table that requests are authenticated with, and the commands that change it.

pub(crate) mod commands;
pub(crate) mod table;
pub(crate) mod validity;
