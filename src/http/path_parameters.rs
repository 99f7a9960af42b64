//! What the path of a request names, as handlers receive it.

/// The values of the placeholders in the template of a route.
#[derive(Clone, Debug, Default)]
pub(super) struct PathParameters {
    /// The value of `{type}` or `{offer}`, else empty.
    pub(super) endpoint: String,
    /// The value of `{id}`, else empty.
    pub(super) id: String,
}
