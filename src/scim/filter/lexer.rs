//! The lexer of filters.

use std::borrow::Cow;
use std::ops::Range;

/// A token of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FilterToken<'a> {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[`
    OpenBracket,
    /// `]`
    CloseBracket,
    /// A path, an operator or an unquoted literal.
    Word(&'a str),
    /// A quoted literal, unescaped.
    Quoted(String),
}

/// A token and the byte offset at which it begins.
pub(super) type PlacedToken<'a> = (usize, FilterToken<'a>);

/// Splits a filter into tokens.
///
/// # Errors
///
/// A sentence that says which quoted text does not end or is not a JSON string.
pub(super) fn lex(text: &str) -> Result<Vec<PlacedToken<'_>>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        let (token, length) = match first {
            '(' => (FilterToken::Open, 1),
            ')' => (FilterToken::Close, 1),
            '[' => (FilterToken::OpenBracket, 1),
            ']' => (FilterToken::CloseBracket, 1),
            '"' | '\'' => quoted(rest, first, at)?,
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || "()[]\"'".contains(c));
                let word = length.and_then(|length| rest.get(..length)).unwrap_or(rest);
                (FilterToken::Word(word), word.len())
            }
        };
        tokens.push((at, token));
        rest = rest.get(length..).unwrap_or_default();
    }
}

/// Reads a quoted literal. Both kinds of quotation mark delimit the same escapes, those of a JSON string.
fn quoted(rest: &str, mark: char, at: usize) -> Result<(FilterToken<'_>, usize), String> {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find_map(|(index, c)| {
        let closes = c == mark && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(index)
    });
    let inner = end
        .and_then(|end| rest.get(1..end))
        .ok_or_else(|| format!("the quoted string at position {at} does not end"))?;
    let json = match mark {
        '\'' => Cow::Owned(in_double_quotes(inner)),
        _ => Cow::Borrowed(rest.get(..inner.len() + 2).unwrap_or_default()),
    };
    let text = serde_json::from_str(&json)
        .map_err(|_| format!("the quoted string at position {at} is not a JSON string"))?;
    Ok((FilterToken::Quoted(text), inner.len() + 2))
}

/// Returns the JSON string for the inner part of a literal in single quotes: `\'` is an apostrophe, and `"`
/// needs no escape.
fn in_double_quotes(inner: &str) -> String {
    let mut json = String::with_capacity(inner.len() + 2);
    json.push('"');
    let mut escaped = false;
    for c in inner.chars() {
        match c {
            '\'' if escaped => drop(json.pop()),
            '"' if !escaped => json.push('\\'),
            _ => {}
        }
        json.push(c);
        escaped = c == '\\' && !escaped;
    }
    json.push('"');
    json
}

/// The texts that may be literals of a filter or a path, and where they stand: quoted ones, and words. None
/// if it is malformed.
pub(in crate::scim) fn literal_texts(text: &str) -> Vec<(Range<usize>, String)> {
    let tokens = lex(text).unwrap_or_default();
    let ends = tokens.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    let texts = tokens.iter().zip(ends).filter_map(|((at, token), end)| {
        let length = text.get(*at..end)?.trim_end().len();
        let read = match token {
            FilterToken::Word(word) => (*word).to_owned(),
            FilterToken::Quoted(text) => text.clone(),
            _ => return None,
        };
        Some((*at..at + length, read))
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_places() {
        let tokens = lex(r#" a.b[x eq "q\"\u0041"]and(not z)"#).unwrap();
        assert_eq!(
            tokens,
            [
                (1, FilterToken::Word("a.b")),
                (4, FilterToken::OpenBracket),
                (5, FilterToken::Word("x")),
                (7, FilterToken::Word("eq")),
                (10, FilterToken::Quoted("q\"A".to_owned())),
                (21, FilterToken::CloseBracket),
                (22, FilterToken::Word("and")),
                (25, FilterToken::Open),
                (26, FilterToken::Word("not")),
                (30, FilterToken::Word("z")),
                (31, FilterToken::Close),
            ]
        );
    }

    #[test]
    fn both_quotation_marks_delimit_a_literal() {
        for (text, literal) in [
            (r#"'a b'"#, "a b"),
            (r#"'say "hi"'"#, "say \"hi\""),
            (r#""it's""#, "it's"),
            (r#"'it\'s'"#, "it's"),
            (r#"'a\\'"#, "a\\"),
            (r#"'\"\u0041\n'"#, "\"A\n"),
            ("''", ""),
            ("'\u{1f600}'", "\u{1f600}"),
        ] {
            assert_eq!(lex(text), Ok(vec![(0, FilterToken::Quoted(literal.to_owned()))]), "{text}");
        }
        let tokens = lex("a eq'b'").unwrap();
        assert_eq!(
            tokens[1..],
            [(2, FilterToken::Word("eq")), (4, FilterToken::Quoted("b".into()))]
        );
        for text in ["'", "'a", "o'brien", "'a\"", "'a\\'", "'\\x'", "'a\nb'"] {
            assert!(lex(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quoted_text_must_end_and_be_json() {
        assert_eq!(lex("a eq \"x").unwrap_err(), "the quoted string at position 5 does not end");
        assert_eq!(
            lex("a eq \"x\\\"").unwrap_err(),
            "the quoted string at position 5 does not end"
        );
        assert!(lex("a eq \"\\x\"").unwrap_err().contains("not a JSON string"));
    }
}
