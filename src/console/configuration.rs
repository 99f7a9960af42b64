//! `/settings`: every setting in force, and where it comes from. Read-only.

use askama::Template;

use super::call::{ConsoleCall, unexpected};
use super::page::Layout;
use super::reply::{ConsoleFailure, ConsoleReply};
use crate::operator::{OperatorReply, OperatorRequest, SettingInfo};

/// The most settings on one page.
const MAX_SETTINGS: usize = 600;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    layout: Layout,
    settings: Vec<SettingInfo>,
    more: usize,
    sought: String,
    only_changed: bool,
}

pub(super) fn show(call: &ConsoleCall) -> Result<ConsoleReply, ConsoleFailure> {
    let OperatorReply::Settings(mut settings) = call.execute(OperatorRequest::ShowSettings)? else {
        return Err(unexpected());
    };
    let sought = call.query.get("q").to_owned();
    let only_changed = call.query.has("changed");
    settings.retain(|setting| {
        setting.key.contains(&sought) && (!only_changed || setting.file.is_some())
    });
    let more = settings.len().saturating_sub(MAX_SETTINGS);
    settings.truncate(MAX_SETTINGS);
    let layout = Layout::new(call, "Settings", "/settings");
    call.page(&SettingsPage { layout, settings, more, sought, only_changed })
}
