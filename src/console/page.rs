//! The layout around every page, and how values are shown.

use askama::Template;
use jiff::Timestamp;

use super::assets::{ASSETS, Assets};
use super::call::ConsoleCall;
use crate::clock::Clock;
use crate::credential::OperatorRole;
use crate::operator::Identity;

/// The sections of the navigation: path, label, least role.
const SECTIONS: &[(&str, &str, OperatorRole)] = &[
    ("/", "Overview", OperatorRole::Viewer),
    ("/connections", "Connections", OperatorRole::Viewer),
    ("/requests", "Requests", OperatorRole::Viewer),
    ("/users", "Users", OperatorRole::Viewer),
    ("/groups", "Groups", OperatorRole::Viewer),
    ("/access", "Access", OperatorRole::Viewer),
    ("/brake", "Brake", OperatorRole::Viewer),
    ("/undo", "Undo", OperatorRole::Viewer),
    ("/audit", "Audit log", OperatorRole::Viewer),
    ("/events", "Events", OperatorRole::Viewer),
    ("/operators", "Operators", OperatorRole::Admin),
    ("/settings", "Settings", OperatorRole::Viewer),
];

/// What stands around every page.
pub(super) struct Layout {
    pub(super) title: String,
    /// The path of the section that the page is in; empty for none.
    pub(super) section: &'static str,
    /// The path of the page.
    pub(super) path: String,
    /// Who has signed in.
    pub(super) identity: Option<Identity>,
    /// The token that forms must carry.
    pub(super) csrf: String,
    /// Whether the operator signed in recently.
    pub(super) is_recent: bool,
    /// A sentence about what was done before.
    pub(super) notice: Option<String>,
    pub(super) assets: &'static Assets,
}

impl Layout {
    pub(super) fn new(call: &ConsoleCall, title: impl Into<String>, section: &'static str) -> Self {
        let session = call.session.as_ref();
        let notice = session.filter(|_| !call.is_live);
        Self {
            title: title.into(),
            section,
            path: call.path.clone(),
            identity: session.map(|session| session.identity.clone()),
            csrf: call.csrf.clone(),
            is_recent: session.is_some_and(|session| session.is_recent),
            notice: notice.and_then(|session| call.console.sessions.take_notice(&session.digest)),
            assets: &ASSETS,
        }
    }

    /// The same, for a page that is also the answer to forms that are sent elsewhere: forms come back to this path.
    pub(super) fn at(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// Whether the operator has at least a role, by its word.
    pub(super) fn may(&self, role: &str) -> bool {
        let least = role.parse().unwrap_or(OperatorRole::Admin);
        self.identity.as_ref().is_some_and(|identity| identity.role >= least)
    }

    /// The sections that the operator may see.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let role = self.identity.as_ref().map(|identity| identity.role);
        let shown = SECTIONS.iter().filter(move |(_, _, least)| role >= Some(*least));
        shown.map(|(path, label, _)| (*path, *label))
    }
}

/// A page that says why a request is not answered as asked.
#[derive(Template)]
#[template(path = "error.html")]
pub(super) struct ErrorPage {
    layout: Layout,
    status: u16,
    reason: String,
}

impl ErrorPage {
    pub(super) fn new(status: u16, reason: String) -> Self {
        let title = match status {
            403 => "Not allowed",
            404 => "Not found",
            409 => "Not done",
            421 => "Wrong host",
            500.. => "Something went wrong",
            _ => "Request not understood",
        };
        let layout = Layout {
            title: title.to_owned(),
            section: "",
            path: String::new(),
            identity: None,
            csrf: String::new(),
            is_recent: false,
            notice: None,
            assets: &ASSETS,
        };
        Self { layout, status, reason: sentence(reason) }
    }
}

/// A reason as a sentence, whatever it is in the log.
pub(super) fn sentence(mut reason: String) -> String {
    if let Some(first) = reason.get(..1) {
        let first = first.to_uppercase();
        reason.replace_range(..1, &first);
    }
    reason
}

/// A time as pages show it, to the second, in UTC.
pub(super) fn moment(time: &Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time as programs read it.
pub(super) fn machine(time: &Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago a time was, or in how long it will be, in one unit.
pub(super) fn relative(time: &Timestamp) -> String {
    let seconds = Clock::System.now().duration_since(*time).as_secs();
    let words = in_one_unit(seconds.unsigned_abs());
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("{words} ago"),
        _ => format!("in {words}"),
    }
}

/// A length of time in its largest unit.
pub(super) fn in_one_unit(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size).unwrap_or(&(1, "second"));
    let count = seconds / unit.0;
    format!("{count} {}{}", unit.1, if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_one_unit() {
        for (seconds, shown) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (7_199, "1 hour"),
            (86_400 * 3, "3 days"),
        ] {
            assert_eq!(in_one_unit(seconds), shown);
        }
    }

    #[test]
    fn the_page_of_a_failure_escapes_its_reason() {
        let page = ErrorPage::new(404, "user \"<script>\" not found".to_owned()).render().unwrap();
        assert!(page.contains("User &#34;&#60;script&#62;&#34; not found"), "{page}");
        assert!(ErrorPage::new(400, "é".to_owned()).render().unwrap().contains('é'));
    }
}
