//! What a consumer asks for: the parameters of the query, and the headers that go before them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::header::{ACCEPT, HeaderName};
use hyper::http::request::Parts;

use super::stream::EVENT_STREAM;
use crate::feed::{Cursor, EventFilter};
use crate::http::error::Failure;
use crate::text::{excerpt, nearest};

/// The cursor of the last event that a client of server-sent events has got.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

const PARAMETERS: [&str; 6] = ["after", "limit", "wait", "types", "connection", "attributes"];
/// The events of a page, and how many there are without `limit`.
const LIMIT: RangeInclusive<usize> = 1..=1_000;
const DEFAULT_LIMIT: usize = 100;
/// The seconds to wait for events.
const WAIT: RangeInclusive<usize> = 0..=60;

/// What a consumer asks for.
#[derive(Debug)]
pub(super) struct FeedRequest {
    /// `None` for everything that is kept.
    pub(super) after: Option<Cursor>,
    /// How many events a page has at most.
    pub(super) limit: usize,
    pub(super) wait: Duration,
    /// Whether it wants server-sent events.
    pub(super) streams: bool,
    pub(super) filter: EventFilter,
}

impl FeedRequest {
    /// # Errors
    ///
    /// [`Failure::BadParameter`], which says what is expected.
    pub(super) fn parse(parts: &Parts) -> Result<Self, Failure> {
        let mut given = BTreeMap::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if !PARAMETERS.contains(&name.as_ref()) {
                return Err(unknown(&name));
            }
            if given.insert(name.clone(), value).is_some() {
                return Err(bad(format!("The parameter \"{name}\" is there twice.")));
            }
        }
        let last = parts.headers.get(LAST_EVENT_ID).filter(|last| !last.is_empty());
        let after = match (last, given.get("after")) {
            (Some(last), _) => Some(Cursor::parse(last.to_str().unwrap_or("not ASCII"))),
            (None, Some(after)) => Some(Cursor::parse(after)),
            (None, None) => None,
        };
        let number = |name: &str, range, default| match given.get(name) {
            Some(text) => number(name, text, range),
            None => Ok(default),
        };
        let list = |name: &str| {
            let texts = given.get(name).map(|text| text.split(',').map(str::trim));
            texts.into_iter().flatten().filter(|text| !text.is_empty())
        };
        let filter = EventFilter::new(list("types"), list("connection"), list("attributes"));
        let accepted = parts.headers.get_all(ACCEPT).iter();
        Ok(Self {
            after: after.transpose().map_err(|error| bad(error.to_string()))?,
            limit: number("limit", LIMIT, DEFAULT_LIMIT)?,
            wait: Duration::from_secs(number("wait", WAIT, 0)? as u64),
            streams: accepted
                .filter_map(|accept| accept.to_str().ok())
                .any(|accept| accept.contains(EVENT_STREAM)),
            filter: filter.map_err(|error| bad(format!("\"types\": {error}")))?,
        })
    }
}

fn number(name: &str, text: &str, range: RangeInclusive<usize>) -> Result<usize, Failure> {
    let read = text.parse().ok().filter(|number| range.contains(number));
    let (first, last) = (range.start(), range.end());
    read.ok_or_else(|| {
        let text = excerpt(text, 64);
        bad(format!("\"{name}\" is \"{text}\"; expected a whole number of {first} to {last}."))
    })
}

fn unknown(name: &str) -> Failure {
    let hint = match nearest(name, PARAMETERS) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("expected some of {}.", PARAMETERS.join(", ")),
    };
    bad(format!("There is no parameter \"{}\"; {hint}", excerpt(name, 64)))
}

fn bad(detail: String) -> Failure {
    Failure::BadParameter(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str, headers: &[(&'static str, &str)]) -> Result<FeedRequest, String> {
        let mut request = hyper::Request::builder().uri(format!("/events?{query}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        FeedRequest::parse(&parts).map_err(|failure| match failure {
            Failure::BadParameter(detail) => detail,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn parameters_have_defaults_and_bounds() {
        let plain = parse("", &[]).unwrap();
        assert!(plain.after.is_none() && !plain.streams);
        assert_eq!((plain.limit, plain.wait), (100, Duration::ZERO));
        for query in ["limit=1", "limit=1000", "wait=0", "wait=60", "types=user.*,access.changed"] {
            assert!(parse(query, &[]).is_ok(), "{query}");
        }
        for (query, words) in [
            ("limit=0", "\"limit\" is \"0\"; expected a whole number of 1 to 1000."),
            ("limit=1001", "expected a whole number of 1 to 1000."),
            ("limit=many", "\"limit\" is \"many\""),
            ("wait=61", "expected a whole number of 0 to 60."),
            ("wait=-1", "expected a whole number of 0 to 60."),
            ("wait=", "expected a whole number of 0 to 60."),
            ("limit=1&limit=2", "\"limit\" is there twice"),
            ("afer=x", "did you mean \"after\"?"),
            ("colour=red", "expected some of after, limit, wait, types, connection, attributes."),
            ("after=7", "\"7\" is no cursor."),
            ("types=user.maried", "\"user.maried\" is no type of events"),
        ] {
            let error = parse(query, &[]).unwrap_err();
            assert!(error.contains(words), "{query}: {error}");
        }
    }

    #[test]
    fn the_last_event_id_goes_before_the_cursor_of_the_query() {
        let after = "after=abababababababab.7";
        let cursor = |headers: &[_]| parse(after, headers).unwrap().after.unwrap().sequence();
        assert_eq!(cursor(&[]), 7);
        assert_eq!(cursor(&[("last-event-id", "abababababababab.9.1")]), 9);
        assert_eq!(cursor(&[("last-event-id", "")]), 7);
        assert!(parse(after, &[("last-event-id", "x")]).is_err());
        let accept = parse("", &[("accept", "text/html, text/event-stream;q=0.9")]);
        assert!(accept.unwrap().streams);
    }
}
