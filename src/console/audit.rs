//! `/audit`: the audit log with search, its head to note down, and the check of its chain.

use std::sync::Arc;

use askama::Template;
use hyper::StatusCode;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply, query_value};
use super::timeline::Timeline;
use super::verification::VerificationOutcome;
use crate::log::Position;
use crate::operator::audit::{AuditFilter, AuditQuery, AuditReply};
use crate::operator::resource::ResourceKind;
use crate::operator::{OperatorReply, OperatorRequest, execute};

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    layout: Layout,
    event: String,
    connection: String,
    user: String,
    problem: Option<String>,
    timeline: Option<Timeline>,
    older: Option<String>,
    head: String,
}

#[derive(Template)]
#[template(path = "audit-verified.html")]
struct VerifiedPage {
    layout: Layout,
    /// How many seconds a check that is under way has taken.
    under_way: Option<u64>,
    last: Option<Arc<VerificationOutcome>>,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let field = |name: &str| call.query.get(name).to_owned();
    let (event, connection, user) = (field("event"), field("connection"), field("user"));
    let mut filter = AuditFilter::default();
    filter.events.extend((!event.is_empty()).then(|| event.clone()));
    filter.connection = Some(connection.clone()).filter(|name| !name.is_empty());
    let mut problem = None;
    if !user.is_empty() {
        match account(call, &user)? {
            Some(id) => filter.accounts.push(id),
            None => {
                problem = Some(format!(
                    "No user has the name or id \"{user}\" now. Search for the id of a former user, or run \
                     `scimd audit --user` to search by former names."
                ));
            }
        }
    }
    let timeline = match problem {
        None => Some(Timeline::read(call, filter, call.query.get("upto"))?),
        Some(_) => None,
    };
    let older = timeline.as_ref().and_then(|timeline| timeline.older).map(|upto| {
        let [event, connection, user] = [&event, &connection, &user].map(|text| query_value(text));
        format!("/audit?event={event}&connection={connection}&user={user}&upto={upto}")
    });
    let OperatorReply::Audit(AuditReply::Head(head)) =
        call.execute(OperatorRequest::Audit(AuditQuery::Head))?
    else {
        return Err(unexpected());
    };
    let layout = Layout::new(call, "Audit log", "/audit");
    call.page(&AuditPage { layout, event, connection, user, problem, timeline, older, head })
}

/// The id of the user with a name; an id stands for itself.
fn account(call: &ConsoleCall, user: &str) -> Result<Option<String>, ConsoleFailure> {
    if crate::scim::resource::ResourceId::parse(&user.to_ascii_lowercase()).is_some() {
        return Ok(Some(user.to_ascii_lowercase()));
    }
    let request = OperatorRequest::ShowResource {
        kind: ResourceKind::User,
        name: user.to_owned(),
        access: false,
    };
    match call.execute(request) {
        Ok(OperatorReply::Resource(view)) => {
            Ok(view.resource.get("id").and_then(|id| id.as_str()).map(ToOwned::to_owned))
        }
        Err(ConsoleFailure::Status(StatusCode::NOT_FOUND | StatusCode::CONFLICT, _)) => Ok(None),
        Ok(_) => Err(unexpected()),
        Err(failure) => Err(failure),
    }
}

pub(super) fn verify(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let anchor = call.form.get("anchor").to_owned();
    if !anchor.is_empty() && Position::parse(&anchor).is_none() {
        return Err(ConsoleFailure::bad(
            "the anchor is wrong; expected SEQUENCE:HASH, as this page and `scimd audit --head` show it",
        ));
    }
    let anchors = if anchor.is_empty() { Vec::new() } else { vec![anchor.clone()] };
    let query = AuditQuery::Verify { anchors, signatures: true };
    let (context, actor) = (call.operator()?, call.actor());
    let check = move || match execute(&context, actor, OperatorRequest::Audit(query)) {
        OperatorReply::Audit(AuditReply::Verified(verified)) => Ok(verified),
        OperatorReply::Failed(reason) => Err(reason),
        _ => Err("unexpected reply of the operator API".to_owned()),
    };
    let begun = call.console.verifications.begin(anchor, check);
    match begun.map_err(|error| ConsoleFailure::internal(&error))? {
        true => Ok(ConsoleReply::redirect("/audit/verified")),
        false => Err(ConsoleFailure::status(
            StatusCode::SERVICE_UNAVAILABLE,
            "the chain is being checked already; /audit/verified shows the result",
        )),
    }
}

/// What the last check found, or that one is under way.
pub(super) fn verified(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let verifications = &call.console.verifications;
    let under_way = verifications.under_way().map(|took| took.as_secs());
    let layout = Layout::new(call, "Verify chain", "/audit");
    call.page(&VerifiedPage { layout, under_way, last: verifications.last() })
}

impl VerifiedPage {
    fn seconds(outcome: &VerificationOutcome) -> String {
        format!("{:.1}", outcome.took.as_secs_f64())
    }

    /// The number of the change of a head.
    fn change(head: &str) -> &str {
        head.split(':').next().unwrap_or_default()
    }
}
