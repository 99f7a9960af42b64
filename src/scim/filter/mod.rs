//! The filter language (RFC 7644, section 3.4.2.2).

#[cfg(test)]
mod laws;
mod lexer;
mod literal;
mod matching;
mod needle;
mod outline;
mod parser;
#[cfg(test)]
mod peer;
mod print;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Number;

pub(super) use lexer::literal_texts;
pub use needle::Needles;

use super::json::rename;
use super::moment::Moment;
use super::path::{AttrPath, Located};

/// The maximum size of a filter, in bytes.
pub const MAX_BYTES: usize = 128 * 1024;
/// The maximum size of the path of a PATCH operation, in bytes.
pub(super) const MAX_PATH_BYTES: usize = 8 * 1024;
/// The maximum nesting depth of parentheses and brackets.
pub const MAX_DEPTH: usize = 32;
/// The maximum number of comparisons in a filter, but for those that [`MAX_ALTERNATIVES`] bounds.
pub const MAX_TERMS: usize = 64;
/// The maximum number of comparisons in a filter that is an `or` of equalities on one indexed attribute.
pub const MAX_ALTERNATIVES: usize = 1_000;

/// A filter whose every attribute is known to the schema it was parsed for.
///
/// Operators have been checked against attribute types, so matching can't fail: a resource either
/// matches or it does not.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every part matches.
    And(Vec<Self>),
    /// Some part matches.
    Or(Vec<Self>),
    /// The part does not match.
    Not(Box<Self>),
    /// At least one value at the path satisfies the comparison.
    Compare(Comparison),
    /// The path has a value.
    Present(AttrPath),
    /// One element of the attribute matches the whole inner filter, as in
    /// `emails[type eq "work" and value co "@example.com"]`.
    Element(AttrPath, Box<Self>),
}

impl Filter {
    /// The number of comparisons.
    pub(super) fn terms(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(part) | Self::Element(_, part) => part.terms(),
            Self::Compare(_) | Self::Present(_) => 1,
        }
    }
}

/// A comparison of an attribute with a literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The path of the compared attribute.
    pub path: AttrPath,
    /// The operator.
    pub op: CompareOp,
    /// The literal.
    pub literal: Literal,
}

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl CompareOp {
    /// Every operator.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The operator's name in a filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

/// A literal in the type of the attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A text; folded, if letter case does not matter for the attribute.
    Text(String),
    /// A number.
    Number(Number),
    /// A boolean.
    Boolean(bool),
    /// A moment.
    Moment(Moment),
    /// `null`: no value.
    Null,
}

impl Filter {
    /// Replaces the literals that are ids of a table.
    pub fn rename_ids(&mut self, ids: &HashMap<String, String>) {
        match self {
            Self::And(parts) | Self::Or(parts) => {
                parts.iter_mut().for_each(|part| part.rename_ids(ids));
            }
            Self::Not(part) | Self::Element(_, part) => part.rename_ids(ids),
            Self::Compare(Comparison { literal: Literal::Text(text), .. }) => rename(text, ids),
            Self::Compare(_) | Self::Present(_) => {}
        }
    }
}

/// The path of a PATCH operation (RFC 7644, figure 7).
#[derive(Debug)]
pub(super) struct PatchPath<'a> {
    /// The attribute and sub-attribute that it names.
    pub(super) located: Located<'a>,
    /// The filter in its brackets, which selects elements of the attribute.
    pub(super) filter: Option<Filter>,
    /// The literals of the filter as written, in the order of its comparisons.
    pub(super) literals: Vec<String>,
}
