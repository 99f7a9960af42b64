//! An error together with the errors that caused it.

use std::error::Error;

/// Returns the message of an error, followed by the messages of all its causes: `a: b: c`.
pub fn with_causes(error: &dyn Error) -> String {
    chain(error).fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Returns the messages of all causes of an error, outermost first, without its own: `b: c`.
///
/// `None` if nothing caused it. This is the field `cause` of a log line whose field `error` is the
/// error itself.
pub fn causes(error: &dyn Error) -> Option<String> {
    chain(error).map(ToString::to_string).reduce(|text, cause| format!("{text}: {cause}"))
}

fn chain(error: &dyn Error) -> impl Iterator<Item = &dyn Error> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{name}")]
    struct Link {
        name: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn no_cause_is_left_out() {
        let root = Link { name: "disk", source: None };
        let middle = Link { name: "file", source: Some(Box::new(root)) };
        let outer = Link { name: "store", source: Some(Box::new(middle)) };
        assert_eq!(with_causes(&outer), "store: file: disk");
        assert_eq!(causes(&outer).as_deref(), Some("file: disk"));
        assert_eq!(causes(&Link { name: "alone", source: None }), None);
    }
}
