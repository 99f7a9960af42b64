//! The outline of a filter: its attributes and operators, without any value.

use super::{Comparison, Filter};

/// The number of different comparisons that an outline shows.
const MAX_SHOWN: usize = 8;

impl Filter {
    /// Each attribute and operator of the filter once, such as `userName eq, emails.type eq`. A long filter
    /// ends with `…`.
    pub fn outline(&self) -> String {
        let mut shown = Vec::new();
        self.collect(&mut shown);
        shown.join(", ")
    }

    fn collect(&self, shown: &mut Vec<String>) {
        let comparison = match self {
            Self::And(parts) | Self::Or(parts) => {
                return parts.iter().for_each(|part| part.collect(shown));
            }
            Self::Not(part) | Self::Element(_, part) => return part.collect(shown),
            Self::Compare(Comparison { path, op, .. }) => format!("{path} {}", op.as_str()),
            Self::Present(path) => format!("{path} pr"),
        };
        if shown.len() <= MAX_SHOWN && !shown.contains(&comparison) {
            let is_full = shown.len() == MAX_SHOWN;
            shown.push(if is_full { "…".to_owned() } else { comparison });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scim::filter::Filter;
    use crate::scim::schemas::user;

    fn outline(text: &str) -> String {
        Filter::parse(&user::resource_type(), text).unwrap().outline()
    }

    #[test]
    fn an_outline_has_attributes_and_operators_and_no_value() {
        for (text, expected) in [
            ("userName eq \"ada\"", "userName eq"),
            ("userName eq \"a\" or userName eq \"b\"", "userName eq"),
            (
                "not (emails[type eq \"work\" and value co \"@b\"]) and title pr",
                "emails.type eq, emails.value co, title pr",
            ),
            ("meta.created gt 2026-03-01 and active eq true", "meta.created gt, active eq"),
        ] {
            assert_eq!(outline(text), expected);
        }
        let operators = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
        let long = operators.map(|op| format!("userName {op} \"secret\"")).join(" and ");
        let outline = outline(&long);
        assert!(outline.ends_with(", …") && !outline.contains("secret"), "{outline}");
    }
}
