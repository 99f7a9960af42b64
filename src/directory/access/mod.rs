//! Access of accounts: the effective access, and the rewriting of stored access for another catalogue.

pub(crate) mod effective;
pub(crate) mod migrate;
