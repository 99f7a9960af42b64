//! Formatting of filters.

use std::fmt;

use super::{Comparison, Filter, Literal};
use crate::scim::attribute::VALUE;
use crate::scim::path::AttrPath;

/// Writes the filter in one spelling that parses back to an equal filter.
///
/// Texts are as they are compared: where letter case does not matter, they are in lower case. The
/// text may be longer than the one that was parsed, up to the point of exceeding
/// [`super::MAX_BYTES`]; it is never nested deeper.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(self, f, Place::Top)
    }
}

/// The position of a part of a filter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside brackets: paths are whole.
    Top,
    /// In brackets: paths begin at the element.
    Element,
}

fn write(filter: &Filter, f: &mut fmt::Formatter<'_>, place: Place) -> fmt::Result {
    match filter {
        Filter::And(parts) => {
            join(parts, f, place, " and ", |part| matches!(part, Filter::And(_) | Filter::Or(_)))
        }
        Filter::Or(parts) => join(parts, f, place, " or ", |part| matches!(part, Filter::Or(_))),
        Filter::Not(part) => {
            f.write_str("not (")?;
            write(part, f, place)?;
            f.write_str(")")
        }
        Filter::Compare(Comparison { path, op, literal }) => {
            write_path(path, f, place)?;
            write!(f, " {} {literal}", op.as_str())
        }
        Filter::Present(path) => {
            write_path(path, f, place)?;
            f.write_str(" pr")
        }
        Filter::Element(path, inner) => {
            write_path(path, f, place)?;
            f.write_str("[")?;
            write(inner, f, Place::Element)?;
            f.write_str("]")
        }
    }
}

fn join(
    parts: &[Filter],
    f: &mut fmt::Formatter<'_>,
    place: Place,
    word: &str,
    in_parentheses: fn(&Filter) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        if in_parentheses(part) {
            f.write_str("(")?;
            write(part, f, place)?;
            f.write_str(")")?;
        } else {
            write(part, f, place)?;
        }
    }
    Ok(())
}

fn write_path(path: &AttrPath, f: &mut fmt::Formatter<'_>, place: Place) -> fmt::Result {
    match (place, &path.sub_attribute) {
        (Place::Element, Some(name)) => f.write_str(name),
        (Place::Element, None) => f.write_str(VALUE),
        _ => write!(f, "{path}"),
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
            Self::Number(number) => number.fmt(f),
            Self::Boolean(flag) => flag.fmt(f),
            Self::Moment(moment) => write!(f, "\"{moment}\""),
            Self::Null => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scim::filter::Filter;
    use crate::scim::schemas::user;

    fn printed(text: &str) -> String {
        let filter = Filter::parse(&user::resource_type(), text).unwrap();
        let printed = filter.to_string();
        assert_eq!(Filter::parse(&user::resource_type(), &printed).unwrap(), filter, "{printed}");
        printed
    }

    #[test]
    fn parentheses_stand_where_the_meaning_needs_them() {
        for text in [
            "title pr and (nickName pr or locale pr)",
            "title pr or nickName pr and locale pr",
            "(title pr and nickName pr) and locale pr",
            "not (not (title pr or nickName pr))",
            "emails[type eq \"work\" and not (value co \"@b\") or primary eq true]",
        ] {
            assert_eq!(printed(text), text);
        }
        assert_eq!(printed("((title PR)or(nickName pr))"), "title pr or nickName pr");
    }

    #[test]
    fn paths_and_literals_take_one_spelling() {
        for (text, expected) in [
            ("EMAILS Eq \"A\\\"\\u0041\\n\"", "emails.value eq \"a\\\"a\\n\""),
            ("externalId eq jYoung", "externalId eq \"jYoung\""),
            ("active eq \"TRUE\"", "active eq true"),
            ("emails eq NULL", "emails eq null"),
            ("title eq \"null\"", "title eq \"null\""),
            (
                "meta.created gt 2026-03-01T09:15:00+01:00",
                "meta.created gt \"2026-03-01T08:15:00Z\"",
            ),
            ("meta.created gt 2026-03-01", "meta.created gt \"2026-03-01T00:00:00Z\""),
            (
                "meta.created lt 9999-12-31T23:59:59-01:00",
                "meta.created lt \"9999-12-31T10:59:59-14:00\"",
            ),
            (
                "URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager[Value pr]",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager[value pr]",
            ),
        ] {
            assert_eq!(printed(text), expected);
        }
    }
}
