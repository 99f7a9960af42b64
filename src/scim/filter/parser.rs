//! The parser of filters: the grammar of RFC 7644, figure 1, with limits enforced while parsing.

use std::borrow::Cow;
use std::str::FromStr;

use super::lexer::{FilterToken, PlacedToken, lex};
use super::literal::{literal, unquoted};
use super::{
    CompareOp, Comparison, Filter, Literal, MAX_ALTERNATIVES, MAX_BYTES, MAX_DEPTH, MAX_PATH_BYTES,
    MAX_TERMS, PatchPath,
};
use crate::scim::error::ScimError;
use crate::scim::path::{self, AttrPath};
use crate::scim::schema::ResourceType;

impl Filter {
    /// Parses a filter for resources of the given type.
    ///
    /// # Errors
    ///
    /// `invalidFilter`, saying where: malformed, an unknown attribute, an operator that does not fit
    /// the attribute's type, or more than [`MAX_BYTES`], [`MAX_DEPTH`], [`MAX_TERMS`] or
    /// [`MAX_ALTERNATIVES`].
    pub fn parse(resource_type: &ResourceType, text: &str) -> Result<Self, ScimError> {
        parse(resource_type, text).map_err(|problem| {
            ScimError::invalid_filter(format!("The filter is not valid: {problem}."))
        })
    }
}

impl<'a> PatchPath<'a> {
    /// Parses a path, within the limits of filters.
    ///
    /// # Errors
    ///
    /// A clause that says what is wrong and where.
    pub(in crate::scim) fn parse(
        resource_type: &'a ResourceType,
        text: &str,
    ) -> Result<Self, String> {
        parse_path(resource_type, text)
    }
}

/// Parses a whole filter; the error is a clause that says what is wrong and where.
pub(super) fn parse(resource_type: &ResourceType, text: &str) -> Result<Filter, String> {
    let tokens = words(text, MAX_BYTES)?;
    let mut parser = Parser::new(resource_type, text, &tokens, MAX_ALTERNATIVES);
    let filter = parser.or()?;
    parser.end()?;
    if parser.terms > MAX_TERMS && !is_one_of_many(resource_type, &filter) {
        return Err(format!(
            "it has {} comparisons; more than {MAX_TERMS}, up to {MAX_ALTERNATIVES}, are allowed only if all are eq \
             on one indexed attribute, joined by or, such as id eq \"…\" or id eq \"…\"",
            parser.terms
        ));
    }
    Ok(filter)
}

/// Whether a filter asks whether an indexed attribute equals one of many values.
fn is_one_of_many(resource_type: &ResourceType, filter: &Filter) -> bool {
    let Filter::Or(parts) = filter else { return false };
    let mut paths = parts.iter().map(|part| match part {
        Filter::Compare(Comparison { path, op: CompareOp::Eq, literal: Literal::Text(_) }) => {
            Some(path)
        }
        _ => None,
    });
    let first = paths.next().flatten();
    first.is_some_and(|path| resource_type.equality_index(path).is_some())
        && paths.all(|path| path == first)
}

/// Parses the path of a PATCH operation; the error is a clause that says what is wrong and where.
fn parse_path<'a>(resource_type: &'a ResourceType, text: &str) -> Result<PatchPath<'a>, String> {
    let tokens = words(text, MAX_PATH_BYTES)?;
    let Some((_, FilterToken::Word(name))) = tokens.first() else {
        return Err("expected an attribute at its beginning".to_owned());
    };
    let mut located = path::locate_anywhere(resource_type, name)?;
    let outer = located.qualified();
    let mut parser = Parser::new(resource_type, text, &tokens, MAX_TERMS);
    parser.rest.next();
    let mut filter = None;
    if parser.peek() == Some(&FilterToken::OpenBracket) {
        if !located.attribute.multi_valued || located.sub_attribute.is_some() {
            return Err(format!(
                "\"{name}\" has one value, so brackets can't select among several"
            ));
        }
        filter = Some(parser.brackets(&outer)?);
        if let Some(FilterToken::Word(word)) = parser.peek() {
            let attribute = located.attribute;
            let sub_attribute = word.strip_prefix('.').and_then(|name| {
                parser.rest.next();
                let named = attribute.sub_attribute(name);
                if attribute.is_value(name) { Some(None) } else { named.map(Some) }
            });
            let whole = || path::unknown(resource_type, &format!("{outer}[…]{word}"));
            located.sub_attribute = sub_attribute.ok_or_else(whole)?;
        }
    }
    parser.end()?;
    Ok(PatchPath { located, filter, literals: parser.literals })
}

fn words(text: &str, max_bytes: usize) -> Result<Vec<PlacedToken<'_>>, String> {
    if text.len() > max_bytes {
        return Err(format!("it has {} bytes; at most {max_bytes} are allowed", text.len()));
    }
    lex(text)
}

struct Parser<'a> {
    resource_type: &'a ResourceType,
    rest: std::slice::Iter<'a, PlacedToken<'a>>,
    end: usize,
    /// The multi-valued attribute whose brackets are being parsed.
    inside: Option<&'a str>,
    depth: usize,
    terms: usize,
    max_terms: usize,
    /// The literals as written, in the order of the comparisons.
    literals: Vec<String>,
}

impl<'a> Parser<'a> {
    fn new(
        resource_type: &'a ResourceType,
        text: &str,
        tokens: &'a [PlacedToken<'a>],
        max_terms: usize,
    ) -> Self {
        Self {
            resource_type,
            rest: tokens.iter(),
            end: text.len(),
            inside: None,
            depth: 0,
            terms: 0,
            max_terms,
            literals: Vec::new(),
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.rest.next() {
            None => Ok(()),
            Some((at, token)) => Err(format!("unexpected {} at position {at}", show(token))),
        }
    }

    fn peek(&self) -> Option<&'a FilterToken<'a>> {
        self.rest.as_slice().first().map(|(_, token)| token)
    }

    fn position(&self) -> usize {
        self.rest.as_slice().first().map_or(self.end, |(at, _)| *at)
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(FilterToken::Word(word)) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.rest.next();
        }
        found
    }

    fn expect(&mut self, expected: &FilterToken<'_>) -> Result<(), String> {
        let at = self.position();
        match self.rest.next() {
            Some((_, token)) if token == expected => Ok(()),
            Some((_, token)) => {
                Err(format!("expected {} at position {at}, not {}", show(expected), show(token)))
            }
            None => Err(format!("{} is missing at its end", show(expected))),
        }
    }

    fn or(&mut self) -> Result<Filter, String> {
        let mut parts = vec![];
        loop {
            match self.and()? {
                // `a or (b or c)` is `a or b or c`.
                Filter::Or(inner) => parts.extend(inner),
                other => parts.push(other),
            }
            if !self.keyword("or") {
                return Ok(one_or(parts, Filter::Or));
            }
        }
    }

    fn and(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.factor()?];
        while self.keyword("and") {
            parts.push(self.factor()?);
        }
        Ok(one_or(parts, Filter::And))
    }

    fn factor(&mut self) -> Result<Filter, String> {
        // `not` is also a possible attribute name: only a parenthesis makes it an operator.
        let next_is_open = matches!(self.rest.as_slice().get(1), Some((_, FilterToken::Open)));
        if next_is_open && self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.group()?)));
        }
        if self.peek() == Some(&FilterToken::Open) {
            return self.group();
        }
        self.term()
    }

    fn group(&mut self) -> Result<Filter, String> {
        self.expect(&FilterToken::Open)?;
        self.enter()?;
        let filter = self.or()?;
        self.depth -= 1;
        self.expect(&FilterToken::Close)?;
        Ok(filter)
    }

    fn enter(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} levels deep"));
        }
        Ok(())
    }

    fn term(&mut self) -> Result<Filter, String> {
        self.terms += 1;
        if self.terms > self.max_terms {
            return Err(format!("it has more than {} comparisons", self.max_terms));
        }
        let at = self.position();
        let name: &'a str = match self.rest.next() {
            Some((_, FilterToken::Word(word))) => word,
            Some((_, token)) => {
                return Err(format!("expected an attribute at position {at}, not {}", show(token)));
            }
            None => return Err("an attribute is missing at its end".to_owned()),
        };
        if self.peek() == Some(&FilterToken::OpenBracket) {
            return self.element(name);
        }
        self.comparison(name)
    }

    /// Parses the operator and the literal after an attribute.
    fn comparison(&mut self, name: &str) -> Result<Filter, String> {
        let at = self.position();
        let word = match self.rest.next() {
            Some((_, FilterToken::Word(word))) => word,
            Some((_, token)) => {
                return Err(format!("expected an operator at position {at}, not {}", show(token)));
            }
            None => return Err(format!("an operator is missing after \"{name}\"")),
        };
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(self.resolve_whole(name)?));
        }
        let mut path = self.resolve(name)?;
        let op: CompareOp = word.parse()?;
        let (text, quoted) = match self.rest.next() {
            Some((at, FilterToken::Word(word))) => (unquoted(word, *at)?, false),
            Some((_, FilterToken::Quoted(text))) => (text.as_str(), true),
            _ => return Err(format!("a value is missing after \"{name} {word}\"")),
        };
        let text = &self.in_vocabulary(&path, op, text);
        let literal = literal(&path, op, text, quoted)?;
        if literal == Literal::Null {
            path = self.resolve_whole(name)?;
        }
        self.literals.push(text.clone().into_owned());
        Ok(Filter::Compare(Comparison { path, op, literal }))
    }

    /// Returns the canonical spelling of a literal that has synonyms, such as a role's name and id.
    /// An unknown literal equals nothing.
    fn in_vocabulary<'t>(&self, path: &AttrPath, op: CompareOp, text: &'t str) -> Cow<'t, str> {
        let vocabulary = match op {
            CompareOp::Eq | CompareOp::Ne => path.leaf(self.resource_type),
            _ => None,
        };
        let canonical = vocabulary.and_then(|leaf| leaf.vocabulary.as_ref()?.canonical(text).ok());
        canonical.map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// Resolves the path of a comparison.
    fn resolve(&self, name: &str) -> Result<AttrPath, String> {
        self.visible(AttrPath::resolve(self.resource_type, &self.absolute(name))?)
    }

    /// Resolves the path of a presence test or a comparison with null: the whole attribute, so that
    /// an element without a `value` counts.
    fn resolve_whole(&self, name: &str) -> Result<AttrPath, String> {
        self.visible(AttrPath::resolve_whole(self.resource_type, &self.absolute(name))?)
    }

    fn visible(&self, path: AttrPath) -> Result<AttrPath, String> {
        path.check_visible(self.resource_type).map(|()| path)
    }

    fn absolute<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match self.inside {
            Some(outer) => Cow::Owned(format!("{outer}.{name}")),
            None => Cow::Borrowed(name),
        }
    }

    fn element(&mut self, name: &'a str) -> Result<Filter, String> {
        if self.inside.is_some() {
            return Err(format!("the brackets after \"{name}\" are inside other brackets"));
        }
        let path = AttrPath::resolve_whole(self.resource_type, name)?;
        let inner = self.brackets(name)?;
        let Some(FilterToken::Word(word)) = self.peek() else {
            return Ok(Filter::Element(path, Box::new(inner)));
        };
        let Some(sub_attribute) = word.strip_prefix('.') else {
            return Ok(Filter::Element(path, Box::new(inner)));
        };
        // `emails[type eq "work"].value eq "a"`: the comparison is one more thing asked of the element.
        self.rest.next();
        self.inside = Some(name);
        let compared = self.comparison(sub_attribute);
        self.inside = None;
        let both = Filter::And(vec![inner, compared?]);
        Ok(Filter::Element(path, Box::new(both)))
    }

    /// Parses the filter in the brackets after an attribute.
    fn brackets(&mut self, name: &'a str) -> Result<Filter, String> {
        self.expect(&FilterToken::OpenBracket)?;
        self.enter()?;
        self.inside = Some(name);
        let inner = self.or()?;
        self.inside = None;
        self.depth -= 1;
        self.expect(&FilterToken::CloseBracket)?;
        Ok(inner)
    }
}

fn one_or(mut parts: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            many(parts)
        }
    }
}

fn show(token: &FilterToken<'_>) -> String {
    match token {
        FilterToken::Open => "\"(\"".to_owned(),
        FilterToken::Close => "\")\"".to_owned(),
        FilterToken::OpenBracket => "\"[\"".to_owned(),
        FilterToken::CloseBracket => "\"]\"".to_owned(),
        FilterToken::Word(word) => format!("\"{}\"", word.escape_debug()),
        FilterToken::Quoted(_) => "a quoted string".to_owned(),
    }
}

impl FromStr for CompareOp {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word)).ok_or_else(|| {
            format!(
                "\"{}\" is not an operator; known: eq, ne, co, sw, ew, gt, ge, lt, le and pr",
                word.escape_debug()
            )
        })
    }
}
