//! The parser against another one, that of the crate `scim_v2`.
//!
//! The other parser knows the grammar alone, and keeps to its letter. So where both are given the
//! same text, they may differ in two ways only: we refuse what the schema does not allow, and we
//! accept what is left after unquoted texts are quoted, words are spaced out, and a dot after a URN is
//! a colon. One more difference is listed: what is asked of an element behind its brackets.

use proptest::prelude::*;
use serde_json::Value;

use super::Filter;
use super::laws::written;
use super::lexer::{FilterToken, lex};
use crate::scim::sample::{EXTENSION, SCHEMA, resource_type};

fn ours(text: &str) -> Result<Filter, String> {
    Filter::parse(&resource_type(), text).map_err(|error| error.detail)
}

fn theirs(text: &str) -> bool {
    text.parse::<scim_v2::filter::Filter>().is_ok()
}

/// Whether we refuse a filter for what its attributes are, which the other parser does not know.
fn is_of_the_schema(problem: &str) -> bool {
    problem.contains("has no attribute") || problem.contains("can't be compared this way")
}

/// A filter that we accept, to the letter of the grammar: one space between words, and texts quoted.
fn to_the_letter(text: &str) -> String {
    #[derive(PartialEq)]
    enum Next {
        Attribute,
        Operator,
        Literal,
        Joint,
    }
    let mut next = Next::Attribute;
    let mut letter = String::new();
    let tokens = lex(text).unwrap();
    for (index, (_, token)) in tokens.iter().enumerate() {
        let opens = matches!(tokens.get(index + 1), Some((_, FilterToken::Open)));
        // The other parser reads ` primary` as ` pr`, but not where it follows a bracket.
        if !letter.is_empty() && !letter.ends_with(['(', '[']) {
            letter.push(' ');
        }
        letter.push_str(&match token {
            FilterToken::Open => "(".to_owned(),
            FilterToken::Close => ")".to_owned(),
            FilterToken::OpenBracket => "[".to_owned(),
            FilterToken::CloseBracket => "]".to_owned(),
            FilterToken::Word(word) if next == Next::Literal && !is_json(word) => quote(word),
            FilterToken::Word(word) if next == Next::Attribute => colon_after_urn(word),
            FilterToken::Word(word) => (*word).to_owned(),
            FilterToken::Quoted(text) => quote(text),
        });
        next = match (next, token) {
            (Next::Attribute, FilterToken::Word(_)) if !opens => Next::Operator,
            (Next::Operator, FilterToken::OpenBracket) => Next::Attribute,
            (Next::Operator, FilterToken::Word(word)) if word.eq_ignore_ascii_case("pr") => {
                Next::Joint
            }
            (Next::Operator, _) => Next::Literal,
            (Next::Literal, _) => Next::Joint,
            (Next::Joint, FilterToken::Word(_)) => Next::Attribute,
            (same, _) => same,
        };
    }
    letter
}

/// A path with a colon after its URN, where we take a dot as well.
fn colon_after_urn(word: &str) -> String {
    for urn in [EXTENSION, SCHEMA] {
        if let Some((named, rest)) = word.split_at_checked(urn.len())
            && named.eq_ignore_ascii_case(urn)
            && let Some(rest) = rest.strip_prefix('.')
        {
            return format!("{named}:{rest}");
        }
    }
    word.to_owned()
}

/// Whether a filter asks for a part of an element behind its brackets, as the listed difference does.
fn asks_behind_brackets(text: &str) -> bool {
    lex(text).is_ok_and(|tokens| {
        let words = |(_, token): &(usize, FilterToken<'_>)| matches!(token, FilterToken::Word(word) if word.starts_with('.'));
        tokens.iter().any(words)
    })
}

/// Whether a word is `true`, `false`, `null` or a number of JSON.
fn is_json(word: &str) -> bool {
    serde_json::from_str::<Value>(word).is_ok_and(|value| !value.is_array() && !value.is_object())
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// Filters that one of the two refuses, and why it is right for us to differ.
const DIFFERENCES: [(&str, bool, &str); 17] = [
    ("externalId eq jyoung", true, "Entra's documents send texts unquoted"),
    ("bought gt 2026-03-01T08:15:00Z", true, "as they do moments"),
    ("name eq a+b", true, "an unquoted text is any word of letters, digits and a few signs"),
    ("name eq 'a b'", true, "clients quote texts so"),
    ("name eq 1e999", true, "as it is where a number would not fit"),
    ("on eq True", true, "clients send booleans in their own language's spelling"),
    ("name eq NULL", true, "and null"),
    ("not(name pr)", true, "a parenthesis ends a word"),
    ("(name pr)and(serial pr)", true, "on both sides"),
    ("name eq\"a\"and serial pr", true, "as does a quotation mark"),
    ("ports[value pr].type eq \"a\"", true, "Entra asks for a part of an element so"),
    ("name.x pr", false, "the schema knows no such sub-attribute"),
    ("ports[name pr]", false, "nor this one of an element"),
    ("and pr", false, "an attribute may have this name, but none has"),
    ("size eq \"a\"", false, "a complex attribute has no value of its own"),
    ("on gt true", false, "RFC 7644, table 3: booleans have no order"),
    ("bought eq \"x\"", false, "not a moment"),
];

#[test]
fn differences_are_as_listed() {
    for (text, accepted, reason) in DIFFERENCES {
        assert_eq!(ours(text).is_ok(), accepted, "{text}: {reason}");
        assert_eq!(theirs(text), !accepted, "{text}: {reason}");
    }
}

#[test]
fn both_parsers_agree_on_the_corners_of_the_grammar() {
    let accepted = [
        "name  eq  \"a\"",
        "name\teq\n\"\\u00e9\\n\"",
        "( name pr )",
        "NOT  (name pr) AND not (not (serial PR))",
        "ports [ value pr and (type eq \"a\" or primary eq true) ]",
        "urn:example:scim:extension:Place:owner.value Eq \"a\"",
        "count eq -1.5e3",
        "on eq \"true\"",
        "name ne null",
    ];
    for text in accepted {
        assert!(ours(text).is_ok() && theirs(text), "{text}");
    }
    let refused = [
        "",
        "name",
        "name eq",
        "name pr x",
        "name prx",
        "name pr and",
        "name pr serial pr",
        "not name pr",
        "()",
        "(name pr",
        "name pr)",
        "ports[]",
        "ports[value[type pr]]",
        "count eq 01",
        "count eq +1",
        "count eq 1.",
        "count eq .5",
        "name eq \"a",
        "name eq \"\\x\"",
        "name eq \"\\ud800\"",
        "name eq \"a\nb\"",
        "name eq 5 5",
        "\"name\" eq \"a\"",
    ];
    for text in refused {
        assert!(ours(text).is_err() && !theirs(text), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_parsers_accept_or_refuse_alike(
        choices in prop::collection::vec(any::<u8>(), 0..120),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_usize, "[ ()\\[\\]\"'\\\\.:a1x\t-]|pr|eq|and|not"), 0..4),
    ) {
        let mut text = written(&choices);
        for (place, removed, added) in edits {
            let mut characters: Vec<char> = text.chars().collect();
            let at = place.index(characters.len() + 1);
            let end = characters.len().min(at + removed);
            characters.splice(at..end, added.chars());
            text = characters.into_iter().collect();
        }
        match ours(&text) {
            Ok(_) if asks_behind_brackets(&text) => {}
            Ok(filter) => {
                let letter = to_the_letter(&text);
                prop_assert!(theirs(&letter), "only we accept {:?}, or {:?}", text, letter);
                prop_assert_eq!(&ours(&letter).unwrap(), &filter, "{} is not {}", letter, text);
                prop_assert_eq!(&ours(&filter.to_string()).unwrap(), &filter, "{}", filter);
            }
            Err(problem) if is_of_the_schema(&problem) => {}
            Err(problem) => prop_assert!(!theirs(&text), "only we refuse {:?}: {}", text, problem),
        }
    }
}
