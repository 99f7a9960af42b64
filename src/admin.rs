//! The admin socket: the door through which the command line reaches a running server.
//!
//! One line of JSON in, an operator's request; one line out, the reply to it.

pub mod client;
pub mod socket;

/// The name of the socket in the data folder.
pub const SOCKET: &str = "admin.sock";
