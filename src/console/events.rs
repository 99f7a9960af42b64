//! `/events`: webhooks and how far their deliveries are; tests and repeated deliveries.

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply};
use crate::operator::{OperatorReply, OperatorRequest, WebhookInfo};

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    layout: Layout,
    webhooks: Vec<WebhookInfo>,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    match call.execute(OperatorRequest::ListWebhooks)? {
        OperatorReply::Webhooks(webhooks) => {
            call.page(&EventsPage { layout: Layout::new(call, "Events", "/events"), webhooks })
        }
        _ => Err(unexpected()),
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
