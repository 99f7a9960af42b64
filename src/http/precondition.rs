//! Entity tags in requests (RFC 7644, section 3.14; RFC 9110, section 13).

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::scim::resource::{EntityTag, Version};

/// The versions that If-Match names; `None` if any will do. What a resource shows of its groups does not
/// count: a change of theirs is no reason to refuse a change of the resource.
pub(super) fn if_match(headers: &HeaderMap) -> Option<Vec<Version>> {
    tags(headers, &IF_MATCH).map(|tags| tags.into_iter().map(|tag| tag.version).collect())
}

/// Whether If-None-Match names this tag: the client has what it stands for.
pub(super) fn is_known(headers: &HeaderMap, present: EntityTag) -> bool {
    headers.contains_key(IF_NONE_MATCH)
        && tags(headers, &IF_NONE_MATCH).is_none_or(|tags| tags.contains(&present))
}

/// The tags that a header names, without those that are none of ours; `None` for `*` and if the
/// header is not there. SCIM compares weakly: `W/"3"` and `"3"` are one.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<EntityTag>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    let tags: Vec<&str> = lines
        .flat_map(|line| line.to_str().unwrap_or_default().split(','))
        .map(str::trim)
        .collect();
    if tags.contains(&"*") {
        return None;
    }
    Some(tags.into_iter().filter_map(tag).collect())
}

/// The versions that an entity tag outside of a header names.
pub(super) fn versions_of(tag: &str) -> Vec<Version> {
    self::tag(tag.trim()).map(|tag| tag.version).into_iter().collect()
}

fn tag(text: &str) -> Option<EntityTag> {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    EntityTag::parse(quoted.strip_prefix('"')?.strip_suffix('"')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (IF_MATCH, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn tags_are_read_weak_or_strong_one_or_many() {
        assert_eq!(if_match(&headers(&[])), None);
        assert_eq!(if_match(&headers(&["*"])), None);
        let three = Some(vec![Version(3)]);
        assert_eq!(if_match(&headers(&["W/\"3\""])), three);
        assert_eq!(if_match(&headers(&["\"3\""])), three);
        assert_eq!(if_match(&headers(&["W/\"3.ff\""])), three, "groups do not count");
        let several = Some(vec![Version(1), Version(2), Version(3)]);
        assert_eq!(if_match(&headers(&["W/\"1\", \"2\"", "\"3\""])), several);
        assert_eq!(if_match(&headers(&["\"abc\", 3, "])), Some(Vec::new()), "matches nothing");
    }
}
