//! Named operators of the console: the table in memory, and the commands that change them.

pub(crate) mod commands;
pub(crate) mod table;
