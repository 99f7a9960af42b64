//! Access of accounts: the effective access, what explains it and who has it, and the rewriting of stored access
//! for another catalogue.

pub(crate) mod effective;
pub(crate) mod explain;
pub(crate) mod graph;
pub(crate) mod holders;
pub(crate) mod migrate;

#[cfg(test)]
mod laws;
