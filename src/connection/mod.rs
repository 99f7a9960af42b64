//! Who speaks to us: the methods of connections, the dialects that they use, and their tokens.

pub mod dialect;
pub mod flat;
pub mod method;
pub mod token;
