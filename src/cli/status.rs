//! `scimd status`: whether a server runs, how it is doing, and what needs attention.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::json;

use super::exit::CliError;
use super::operator::{OperatorClient, unexpected};
use super::output;
use super::table::{self, Cell, TextTable};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::operator::{
    ConnectionStatus, Finding, OperatorReply, OperatorRequest, ServerStatus, StatusLimits,
    WebhookInfo, findings,
};
use crate::store::last_backup::LastBackup;
use crate::text::duration;

const MIB: u64 = 1024 * 1024;

#[derive(Args)]
pub(super) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) fn run(&self, config: &Config) -> Result<()> {
        let reply = OperatorClient::new(config).ask_server(&OperatorRequest::ShowStatus)?;
        let status = match reply {
            Some(OperatorReply::Status(status)) => status,
            Some(_) => return unexpected(),
            None => return self.report_not_running(config),
        };
        let certificate = certificate_end(config);
        let backup = LastBackup::read(&config.data_dir);
        let limits = StatusLimits {
            certificate: certificate.as_ref().copied().map_err(|error| format!("{error:#}")),
            min_free_mib: config.store.min_free_mib,
            snapshot_interval: config.store.snapshot_interval,
        };
        let findings = findings(&status, &limits, Clock::System.now());
        if self.json {
            output::json(&json!({
                "running": true,
                "server": status,
                "last_backup": backup,
                "certificate_expires": certificate.as_ref().ok().copied().flatten(),
                "findings": findings,
            }))?;
        } else {
            let end = certificate.as_ref().ok().copied().flatten();
            print(&status, end, backup.as_ref(), &findings)?;
        }
        match findings.len() {
            0 => Ok(()),
            1 => bail!("1 problem needs attention"),
            count => bail!("{count} problems need attention"),
        }
    }

    fn report_not_running(&self, config: &Config) -> Result<()> {
        let data_dir = config.data_dir.display();
        if self.json {
            output::json(&json!({"running": false, "data_dir": data_dir.to_string()}))?;
        }
        Err(CliError::not_running(format!(
            "scimd is not running on data directory {data_dir}; start it with `systemctl start scimd` or `scimd \
             serve`"
        )))
    }
}

/// Until when the configured certificate is valid; `None` without TLS.
fn certificate_end(config: &Config) -> Result<Option<Timestamp>> {
    if !config.listen.tls {
        return Ok(None);
    }
    let certificate = app::certificate(config, None)?;
    Ok(certificate.map(|certificate| certificate.not_after()))
}

fn print(
    status: &ServerStatus,
    certificate: Option<Timestamp>,
    backup: Option<&LastBackup>,
    findings: &[Finding],
) -> Result<()> {
    let config_file = status.config_file.as_deref().unwrap_or("none (built-in configuration)");
    let up = Clock::System.now().duration_since(status.since).unsigned_abs();
    let running = format!(
        "yes, since {} ({})",
        output::moment(Some(status.since), ""),
        duration::display(Duration::from_secs(up.as_secs()))
    );
    let ready = if status.ready { "yes" } else { "no" };
    output::key_values(&[
        ("Running", vec![running]),
        ("Ready", vec![ready.to_owned()]),
        ("Version", vec![status.version.clone()]),
        ("Process", vec![status.pid.to_string()]),
        ("Configuration", vec![config_file.to_owned()]),
        ("Data directory", vec![status.data_dir.clone()]),
        ("Endpoint", vec![status.endpoint.clone()]),
        ("Certificate expires", vec![output::moment(certificate, "no TLS")]),
        (
            "Disk space",
            status.disk_free_bytes.iter().map(|free| format!("{} MiB", free / MIB)).collect(),
        ),
        ("Snapshot", vec![output::moment(status.snapshot, "none yet")]),
        (
            "Last backup",
            vec![backup.map_or_else(|| "none yet: `scimd backup FILE`".to_owned(), last_backup)],
        ),
    ])?;
    output::line("")?;
    let rows: Vec<[Cell; 6]> = status.connections.iter().map(row).collect();
    let head = ["CONNECTION", "LAST REQUEST", "LAST SUCCESS", "ERRORS (1h)", "TOKENS", "BRAKE"];
    TextTable::new(head, false).print(&rows)?;
    output::line("")?;
    if !status.webhooks.is_empty() {
        let rows: Vec<[String; 4]> = status.webhooks.iter().map(webhook_row).collect();
        table::print_texts(["WEBHOOK", "STATE", "BEHIND", "URL"], &rows)?;
        output::line("")?;
    }
    for Finding { finding, action } in findings {
        output::line(&output::sanitize(&format!("! {finding}: {action}")))?;
    }
    if findings.is_empty() {
        output::line("All is well.")?;
    }
    Ok(())
}

/// When and where the last backup was written, and what was checked of it.
fn last_backup(backup: &LastBackup) -> String {
    let verified = if backup.verified { "verified" } else { "not verified" };
    let signed = if backup.signed { "signed" } else { "not signed" };
    let file = backup.file.display();
    let time = output::moment(Some(backup.time), "");
    output::sanitize(&format!("{time} to {file} ({verified}, {signed})"))
}

fn row(connection: &ConnectionStatus) -> [Cell; 6] {
    let is_held = connection.brake.as_ref().is_some_and(|brake| brake.hold.is_some());
    [
        connection.name.clone().into(),
        Cell::Time(connection.traffic.last_request, "none"),
        Cell::Time(connection.traffic.last_success, "none"),
        format!("{} of {}", connection.traffic.errors, connection.traffic.requests).into(),
        connection.tokens.len().to_string().into(),
        Cell::alert_if(is_held, if is_held { "paused" } else { "-" }),
    ]
}

fn webhook_row(webhook: &WebhookInfo) -> [String; 4] {
    let state = match (&webhook.parked, webhook.failing_since) {
        (Some(_), _) => "parked",
        (None, Some(_)) => "failing",
        (None, None) => "ok",
    };
    let state = match webhook.other_sender() {
        Some(sender) => format!("{state}, {}", output::sanitize(&sender)),
        None => state.to_owned(),
    };
    [webhook.name.clone(), state, webhook.behind.to_string(), webhook.url.clone()]
}
