//! Tests of the parser.

use super::{
    CompareOp, Comparison, Filter, Literal, MAX_ALTERNATIVES, MAX_BYTES, MAX_DEPTH, MAX_TERMS,
    parser,
};
use crate::scim::schemas::user;

fn parse(text: &str) -> Result<Filter, String> {
    parser::parse(&user::resource_type(), text)
}

fn problem(text: &str) -> String {
    parse(text).expect_err("must be refused")
}

fn compare(filter: &Filter) -> (&str, CompareOp, &Literal) {
    let Filter::Compare(Comparison { path, op, literal }) = filter else {
        panic!("a comparison, not {filter:?}")
    };
    (&path.attribute, *op, literal)
}

#[test]
fn a_comparison_takes_the_type_and_case_of_its_attribute() {
    let text = |text: &str| Literal::Text(text.to_owned());
    let filter = parse("USERNAME Eq \"A@B.c\"").unwrap();
    assert_eq!(compare(&filter), ("userName", CompareOp::Eq, &text("a@b.c")));
    let filter = parse("externalId eq JYoung").unwrap();
    assert_eq!(compare(&filter), ("externalId", CompareOp::Eq, &text("JYoung")));
    let filter = parse("active ne False").unwrap();
    assert_eq!(compare(&filter), ("active", CompareOp::Ne, &Literal::Boolean(false)));
    let filter = parse("meta.lastModified ge 2026-03-01T08:15:00+01:00").unwrap();
    let moment = crate::scim::value::moment("2026-03-01T07:15:00Z").unwrap();
    assert_eq!(compare(&filter), ("meta", CompareOp::Ge, &Literal::Moment(moment)));
    let filter = parse("title eq null").unwrap();
    assert_eq!(compare(&filter), ("title", CompareOp::Eq, &Literal::Null));
}

#[test]
fn and_binds_more_closely_than_or_and_not_most_closely() {
    let filter = parse("title pr or not (nickName pr) and locale pr").unwrap();
    let Filter::Or(parts) = filter else { panic!("or") };
    let [Filter::Present(_), Filter::And(inner)] = parts.as_slice() else { panic!("or of two") };
    assert!(matches!(inner.as_slice(), [Filter::Not(_), Filter::Present(_)]));
    assert!(matches!(parse("(title pr or nickName pr) and locale pr"), Ok(Filter::And(_))));
}

#[test]
fn brackets_hold_a_filter_on_one_element() {
    let filter = parse(r#"emails[type eq "work" and value co "@b"]"#).unwrap();
    let Filter::Element(path, inner) = filter else { panic!("an element") };
    assert_eq!(path.attribute, "emails");
    assert!(matches!(*inner, Filter::And(_)));
    assert!(problem("emails[userName eq \"a\"]").contains("no attribute \"emails.userName\""));
    assert!(problem("emails[type[value pr]]").contains("inside other brackets"));
}

#[test]
fn quotation_marks_of_both_kinds_are_alike_and_unquoted_values_are_plain() {
    for (single, double) in [
        ("userName eq 'a@b.c'", "userName eq \"a@b.c\""),
        (
            "emails[type eq 'work' and value eq 'a b']",
            "emails[type eq \"work\" and value eq \"a b\"]",
        ),
        ("active eq 'True'", "active eq \"True\""),
        ("title eq 'null'", "title eq \"null\""),
        ("title eq 'it\\'s'", "title eq \"it's\""),
    ] {
        assert_eq!(parse(single), parse(double), "{single}");
    }
    for plain in ["jyoung", "\u{e9}va-1_2.3:4", "a+b@c.d", "-1.5"] {
        assert!(parse(&format!("title eq {plain}")).is_ok(), "{plain}");
    }
    for other in ["{}", "a;b", "\u{2018}a\u{2019}", "`a`", "a,b", "a=b", "a%20b", "\\", "*", "a/b"]
    {
        let problem = problem(&format!("title eq {other}"));
        assert!(problem.contains("must be in double quotes"), "{other}: {problem}");
    }
    for broken in ["o'brien", "'a'b", "'a''b'", "'a'\"b\"", "'a", "a'"] {
        assert!(parse(&format!("title eq {broken}")).is_err(), "{broken}");
    }
}

#[test]
fn limits_hold_while_parsing() {
    let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert!(problem(&nested(MAX_DEPTH + 1)).contains("32 levels"));
    assert!(problem(&"not (".repeat(1_600)).contains("32 levels"));
    let terms = |count: usize| vec!["title pr"; count].join(" or ");
    assert!(parse(&terms(MAX_TERMS)).is_ok());
    assert!(problem(&terms(MAX_TERMS + 1)).contains("65 comparisons; more than 64"));
    let long = |bytes: usize| format!("title eq \"{}\"", "a".repeat(bytes - 11));
    assert!(parse(&long(MAX_BYTES)).is_ok());
    assert!(problem(&long(MAX_BYTES + 1)).contains("131073 bytes"));
}

#[test]
fn one_of_many_values_of_an_indexed_attribute_may_be_asked_for() {
    let many = |path: &str, count: usize| vec![format!("{path} eq \"a\""); count].join(" or ");
    for path in ["id", "userName", "externalId", "emails.value"] {
        assert!(parse(&many(path, MAX_ALTERNATIVES)).is_ok(), "{path}");
        assert!(problem(&many(path, MAX_ALTERNATIVES + 1)).contains("more than 1000"));
    }
    assert!(parse(&format!("({}) or ({})", many("id", 40), many("id", 40))).is_ok());
    for other in [
        many("title", 65),
        many("id", 64) + " or userName eq \"a\"",
        many("id", 64) + " or id ne \"a\"",
        many("id", 64) + " or id eq null",
        format!("not ({})", many("id", 65)),
        format!("({}) and active eq true", many("id", 64)),
        format!("emails[{}]", many("value", 65)),
    ] {
        assert!(problem(&other).contains("joined by or"), "{other:.60}");
    }
}

#[test]
fn problems_say_where() {
    assert_eq!(problem(""), "an attribute is missing at its end");
    assert_eq!(problem("userName"), "an operator is missing after \"userName\"");
    assert_eq!(problem("userName eq"), "a value is missing after \"userName eq\"");
    assert!(problem("userName is \"a\"").contains("\"is\" is not an operator"));
    assert_eq!(problem("(title pr"), "\")\" is missing at its end");
    assert_eq!(problem("title pr)"), "unexpected \")\" at position 8");
    assert_eq!(problem("\"a\" eq 1"), "expected an attribute at position 0, not a quoted string");
    assert!(problem("active gt true").contains("can't be used with gt"));
    assert!(problem("active eq 1").contains("true or false"));
    assert!(problem("name eq \"a\"").contains("complex"));
    assert!(problem("meta.created gt \"x\"").contains("a date and time such as"));
    assert!(problem("title gt null").contains("null can't be used with gt, ge, lt or le"));
}
