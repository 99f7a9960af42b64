//! Events as JSON (CloudEvents 1.0), written once.

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

use crate::directory::DirectoryError;
use crate::directory::settings::Settings;
use crate::event::{Actor, Verb};
use crate::feed::cursor::{Cursor, FeedId};
use crate::feed::event::EventType;
use crate::feed::ring::{RingEvent, RingWriter};
use crate::log::Frame;
use crate::scim::resource::ResourceId;
use crate::scim::schema::ResourceType;
use crate::store::StoreError;

/// Below which path of the public URL resources are.
const BASE_PATH: &str = "/scim/v2";

/// Writes the events of one frame.
pub(super) struct Emitter<'a> {
    ring: &'a mut RingWriter,
    /// Behind the next event.
    cursor: Cursor,
    /// The URL below which resources are.
    pub(super) base_url: String,
    /// The connection whose change it is; empty if it is no connection's.
    connection: &'a str,
    /// What stands between the type and the subject.
    time: String,
    /// The beginning of `data`.
    cause: Vec<u8>,
    json: Vec<u8>,
}

/// Where the change of a frame comes from, as consumers see it.
#[derive(Serialize, Default)]
struct Cause<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    /// The id of the request, as in the request log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    /// What was undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reload: bool,
}

impl<'a> Cause<'a> {
    fn of(frame: &'a Frame) -> Self {
        let mut cause = match &frame.head.actor {
            Actor::Connection { name, token, .. } => {
                Self { connection: Some(name), token: Some(token), ..Self::default() }
            }
            actor @ Actor::Operator { .. } => {
                Self { operator: Some(actor.to_string()), ..Self::default() }
            }
            Actor::System => Self::default(),
        };
        cause.request = frame.head.details.request.as_deref();
        let event = &frame.head.event;
        cause.undo = (event.verb == Verb::Undone).then_some(&event.subject);
        cause.reload = matches!(event.verb, Verb::Followed)
            || (event.kind == "settings" && event.verb == Verb::Changed);
        cause
    }
}

impl<'a> Emitter<'a> {
    pub(super) fn new(
        feed: FeedId,
        frame: &'a Frame,
        settings: &Settings,
        ring: &'a mut RingWriter,
    ) -> Self {
        let public_url = settings.public_url.as_ref().map_or("", |url| url.as_str());
        let connection = match &frame.head.actor {
            Actor::Connection { name, .. } => name.as_str(),
            Actor::Operator { .. } | Actor::System => "",
        };
        Self {
            ring,
            cursor: Cursor { feed, sequence: frame.sequence, index: 0 },
            base_url: format!("{public_url}{BASE_PATH}"),
            connection,
            time: format!("{:.3}", frame.head.time),
            // A struct of texts has a form as JSON.
            cause: serde_json::to_vec(&Cause::of(frame)).unwrap_or_default(),
            json: Vec::new(),
        }
    }

    /// Writes one event. `data` appends further fields, each with a comma before it.
    pub(super) fn emit(
        &mut self,
        event_type: EventType,
        resource_type: &ResourceType,
        id: ResourceId,
        changed: &[String],
        data: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), DirectoryError> {
        let Self { json, cursor, base_url, time, .. } = self;
        json.clear();
        // Writing to memory does not fail.
        let _ = write!(json, "{{\"specversion\":\"1.0\",\"id\":\"{cursor}\",\"source\":");
        put(json, base_url);
        let _ = write!(
            json,
            ",\"type\":\"{event_type}\",\"time\":\"{time}\",\"subject\":\"/{}/{id}\",\
             \"datacontenttype\":\"application/json\",\"data\":{{\"cause\":",
            resource_type.endpoint
        );
        json.extend_from_slice(&self.cause);
        data(json);
        if !changed.is_empty() {
            json.extend_from_slice(b",\"changed\":");
            put(json, changed);
        }
        json.extend_from_slice(b"}}");
        let event = RingEvent {
            sequence: cursor.sequence,
            index: cursor.index,
            event_type,
            connection: self.connection,
            changed,
            json,
        };
        self.ring.append(&event).map_err(|error| unwritten(&error))?;
        self.cursor.index += 1;
        Ok(())
    }
}

/// The error for events that can't be written.
pub(super) fn unwritten(error: &std::io::Error) -> DirectoryError {
    StoreError::Folder(format!("can't write the change feed: {error}")).into()
}

/// Appends a value.
pub(super) fn put<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(json, value);
}

/// Appends a list of texts.
pub(super) fn put_texts<T: Display>(json: &mut Vec<u8>, texts: impl Iterator<Item = T>) {
    json.push(b'[');
    for (number, text) in texts.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        put(json, &text.to_string());
    }
    json.push(b']');
}
