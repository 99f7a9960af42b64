//! Whether the server may start programs.

/// Whether the server may start programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// It may not.
    Refused,
    /// It may. They inherit the sandbox.
    Allowed,
}
