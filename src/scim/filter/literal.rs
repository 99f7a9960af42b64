//! The parser of the literals in a filter.

use serde_json::Number;

use super::{CompareOp, Literal};
use crate::scim::attribute::Type;
use crate::scim::path::AttrPath;
use crate::scim::value::{fold, moment};

/// Parses the literal in the type of the attribute. Unquoted texts are accepted, since clients send
/// them (`externalId eq jyoung`).
pub(super) fn literal(
    path: &AttrPath,
    op: CompareOp,
    text: &str,
    quoted: bool,
) -> Result<Literal, String> {
    let substring = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
    let ordered = matches!(op, CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le);
    let unfit = |what: &str| Err(format!("\"{path}\" can't be compared this way: {what}"));
    if !quoted && text.eq_ignore_ascii_case("null") {
        return match op {
            CompareOp::Eq | CompareOp::Ne => Ok(Literal::Null),
            CompareOp::Co | CompareOp::Sw | CompareOp::Ew => {
                unfit("null can't be used with co, sw or ew")
            }
            CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => {
                unfit("null can't be used with gt, ge, lt or le")
            }
        };
    }
    match path.kind {
        Type::Complex => unfit("it is complex; use one of its sub-attributes"),
        Type::Boolean if substring || ordered => {
            unfit("it is a boolean and can't be used with gt, ge, lt or le")
        }
        Type::Boolean if text.eq_ignore_ascii_case("true") => Ok(Literal::Boolean(true)),
        Type::Boolean if text.eq_ignore_ascii_case("false") => Ok(Literal::Boolean(false)),
        Type::Boolean => unfit("expected true or false"),
        Type::Integer | Type::Decimal if substring => {
            unfit("it is a number and can't be used with co, sw or ew")
        }
        Type::Integer | Type::Decimal => match text.parse::<Number>() {
            Ok(number) => Ok(Literal::Number(number)),
            Err(_) => unfit("expected a number"),
        },
        Type::DateTime if !substring => match moment(text) {
            Some(moment) => Ok(Literal::Moment(moment)),
            None => unfit("expected a date and time such as \"2026-03-01T08:15:00Z\""),
        },
        Type::Binary if ordered => unfit("it is binary and can't be used with gt, ge, lt or le"),
        Type::String | Type::Reference | Type::Binary | Type::DateTime => {
            Ok(Literal::Text(if path.case_exact {
                text.to_owned()
            } else {
                fold(text).into_owned()
            }))
        }
    }
}

/// Checks an unquoted literal: it consists of characters that can't be anything else, so that a quotation
/// mark of another kind is not taken for a part of the value.
pub(super) fn unquoted(word: &str, at: usize) -> Result<&str, String> {
    match word.chars().find(|&c| !c.is_alphanumeric() && !"-_.:@+".contains(c)) {
        None => Ok(word),
        Some(other) => Err(format!(
            "the value at position {at} contains {other:?}; a value with such a character must be in \
             double quotes"
        )),
    }
}
