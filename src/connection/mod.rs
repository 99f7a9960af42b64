//! Who speaks to us: the methods of connections, what each is used to, and their tokens.

pub mod method;
pub mod token;
