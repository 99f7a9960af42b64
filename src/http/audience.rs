//! The audience of a route: who may call it.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everyone. Credentials are not looked at.
    Public,
    /// OAuth clients, which prove themselves in the request.
    Client,
    /// Callers whose token has this scope.
    Token(TokenScope),
}

/// What a token permits: that of a connection to read and to write, that of an application what its configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenScope {
    /// To read resources and discovery.
    Read,
    /// To change resources.
    Write,
    /// To follow the change feed.
    Events,
}

impl TokenScope {
    /// The name of the scope.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Events => "events",
        }
    }
}
