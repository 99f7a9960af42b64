//! Sends a notification by mail: SMTP (RFC 5321) over TLS.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use lettre::message::{Message, MessageBuilder};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::notification::DueNotification;
use crate::config::{MailConfig, MailTls};
use crate::file;
use crate::text::{shorten, with_causes};

/// How long one attempt may take in all.
const TIME: Duration = Duration::from_secs(30);
/// The longest text of a mail server that is shown, in characters.
const MAX_REASON: usize = 500;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Sends a mail.
///
/// # Errors
///
/// Why it was not sent, and what to do.
pub(super) async fn send(
    mail: &MailConfig,
    due: &DueNotification,
    endpoint: &str,
) -> Result<(), String> {
    let message = message(mail, due, endpoint)?;
    let for_transport = mail.clone();
    // Files are read.
    let transport = tokio::task::spawn_blocking(move || transport(&for_transport));
    let transport = transport.await.map_err(|error| error.to_string())??;
    let server = &mail.server;
    match tokio::time::timeout(TIME, transport.send(message)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            // Its text has those of its causes.
            let reason = error.to_string();
            let reason = shorten(&reason, MAX_REASON);
            Err(format!("mail server {server}: {reason}; {}", remedy(&error)))
        }
        Err(_) => Err(format!(
            "mail server {server} did not take the mail within {TIME:?}; check that it is reachable from this machine"
        )),
    }
}

fn remedy(error: &SmtpError) -> &'static str {
    match error.status().map(u16::from) {
        Some(530 | 534 | 535) => "check notify.mail.user and password_file",
        Some(_) => "check notify.mail.from and to, and what the mail server allows this machine",
        None if is_of_tls(error) => {
            "its certificate must be for that host, from a public CA or the one in notify.mail.ca_file"
        }
        None => "check notify.mail.server and tls, and that this machine may connect to it",
    }
}

/// Whether the two sides could not agree on TLS, or the certificate of the server is not accepted.
fn is_of_tls(error: &SmtpError) -> bool {
    let first: Option<&(dyn Error + 'static)> = error.source();
    let mut causes = std::iter::successors(first, |&cause| cause.source());
    error.is_tls()
        || causes.any(|cause| {
            let cause = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            matches!(cause, Some(cause) if cause.is::<rustls::Error>())
        })
}

fn message(mail: &MailConfig, due: &DueNotification, endpoint: &str) -> Result<Message, String> {
    let id = format!("<{}@{}>", uuid::Uuid::now_v7(), mail.from.email.domain());
    let to = mail.to.iter().cloned();
    let message = to.fold(Message::builder(), MessageBuilder::to);
    let message = message
        .from(mail.from.clone())
        .subject(due.title())
        .message_id(Some(id))
        .body(due.text(endpoint));
    message.map_err(|error| format!("no mail can be made: {error}; check notify.mail"))
}

/// Reads the files that a mail needs.
///
/// # Errors
///
/// A file can't be used.
pub(super) fn transport(mail: &MailConfig) -> Result<Transport, String> {
    let host = &mail.server.host;
    let mut tls = TlsParameters::builder(host.clone());
    if let Some(path) = &mail.ca_file {
        let ca = Certificate::from_pem(&read("ca_file", path)?.bytes)
            .map_err(|_| format!("notify.mail.ca_file: {} is no PEM file", path.display()))?;
        tls = tls.certificate_store(CertificateStore::None).add_root_certificate(ca);
    }
    let tls = tls.build_rustls().map_err(|error| with_causes(&error))?;
    let tls = match mail.tls {
        MailTls::Starttls => Tls::Required(tls),
        MailTls::Implicit => Tls::Wrapper(tls),
    };
    let mut transport = Transport::builder_dangerous(host.clone())
        .port(mail.server.port)
        .tls(tls)
        .timeout(Some(TIME))
        .hello_name(ClientId::Domain(mail.from.email.domain().to_owned()));
    if let Some(path) = &mail.password_file {
        let file = read("password_file", path)?;
        if !file.is_private() {
            return Err(format!(
                "notify.mail.password_file: others may read {path}; run `chmod 600 {path}`",
                path = path.display()
            ));
        }
        let password = String::from_utf8(file.bytes)
            .map_err(|_| format!("notify.mail.password_file: {} is not UTF-8", path.display()))?;
        let user = mail.user.clone().unwrap_or_else(|| mail.from.email.to_string());
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        transport = transport.credentials(Credentials::new(user, password));
    }
    Ok(transport.build())
}

fn read(key: &str, path: &Path) -> Result<file::SmallFile, String> {
    file::read(path).map_err(|error| {
        format!(
            "notify.mail.{key}: can't read {}: {error}; check the path, and that the user that runs scimd may read it",
            path.display()
        )
    })
}
