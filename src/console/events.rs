//! `/events`: the change feed, and webhooks and how far their deliveries are; tests and repeated deliveries.

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use crate::operator::{EventInfo, FeedInfo, OperatorReply, OperatorRequest, WebhookInfo};

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    layout: Layout,
    webhooks: Vec<WebhookInfo>,
    feed: FeedInfo,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let OperatorReply::Webhooks(webhooks) = call.execute(OperatorRequest::ListWebhooks)? else {
        return Err(unexpected());
    };
    let OperatorReply::Feed(feed) = call.execute(OperatorRequest::ShowFeed)? else {
        return Err(unexpected());
    };
    call.page(&EventsPage { layout: Layout::new(call, "Events", "/events"), webhooks, feed })
}

impl EventsPage {
    /// The page of what an event is about, if it has one.
    fn page(event: &EventInfo) -> Option<String> {
        let (kind, id) = event.subject.strip_prefix('/')?.split_once('/')?;
        let section = match kind {
            "Users" => "users",
            "Groups" => "groups",
            _ => return None,
        };
        Some(format!("/{section}/{}", query_value(id)))
    }

    fn mib(bytes: &u64) -> u64 {
        bytes.div_ceil(1 << 20)
    }
}

pub(super) fn test(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let name = call.form.get("webhook").to_owned();
    call.execute(OperatorRequest::TestWebhook { name: name.clone() })?;
    Ok(call.done("/events", format!("{name} took the test.")))
}

pub(super) fn resend(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let (name, after) = (call.form.get("webhook").to_owned(), call.form.get("after").to_owned());
    if after.is_empty() {
        return Err(ConsoleFailure::bad(
            "the form does not say from where to deliver again; expected oldest, head, or a cursor",
        ));
    }
    call.execute(OperatorRequest::ResendWebhook { name: name.clone(), after })?;
    Ok(call.done("/events", format!("{name} gets everything after that cursor again.")))
}
