//! `[notify]`: who is notified, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::Mailbox;

use super::reader::Section;
use crate::text::{InvalidText, keyword};

/// The most recipients of a mail.
const MAX_RECIPIENTS: usize = 20;

/// How an operator is notified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyConfig {
    /// The program that is run with each notification.
    pub command: Option<PathBuf>,
    /// The mail that is sent with each notification.
    pub mail: Option<MailConfig>,
}

/// How mail is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailConfig {
    /// The mail server.
    pub server: MailServer,
    /// How the connection to it is encrypted.
    pub tls: MailTls,
    /// The sender.
    pub from: Mailbox,
    /// The recipients, at least one.
    pub to: Vec<Mailbox>,
    /// The user that signs in.
    pub user: Option<String>,
    /// The file with the password of that user; `None` to send without signing in.
    pub password_file: Option<PathBuf>,
    /// The PEM file with the CA of the server; `None` for the public CAs that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailTls {
    /// After STARTTLS, without which nothing is sent.
    Starttls,
    /// From the first byte.
    Implicit,
}

impl MailTls {
    const ALL: [Self; 2] = [Self::Starttls, Self::Implicit];

    fn as_str(self) -> &'static str {
        match self {
            Self::Starttls => "starttls",
            Self::Implicit => "implicit",
        }
    }
}

impl FromStr for MailTls {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        keyword::parse("encryption", &Self::ALL, Self::as_str, text)
    }
}

/// The host name, or address, and port of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// The name for which its certificate must be.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The port for mail from programs (RFC 6409), and the one with TLS from the first byte (RFC 8314).
const SUBMISSION: u16 = 587;
const SUBMISSIONS: u16 = 465;

impl FromStr for MailServer {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let invalid = || {
            InvalidText::new(format!(
                "{text:?} is not a host and port; expected such as \"smtp.example.com:587\""
            ))
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| invalid())?),
            None => (text, SUBMISSION),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if host.is_empty() || host.len() > 253 || port == 0 || !host.bytes().all(is_name) {
            return Err(invalid());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl NotifyConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let command = section.path("command");
        let is_written = section.is_written("mail");
        let mail = section.table("mail", |mail| MailConfig::read(mail, is_written));
        Self { command, mail }
    }

    /// Whether anything is configured.
    pub fn is_configured(&self) -> bool {
        self.command.is_some() || self.mail.is_some()
    }

    /// The files that are read for each mail, with the key of each.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &PathBuf)> {
        let mail = self.mail.iter();
        mail.flat_map(|mail| {
            let password =
                mail.password_file.iter().map(|file| ("notify.mail.password_file", file));
            password.chain(mail.ca_file.iter().map(|file| ("notify.mail.ca_file", file)))
        })
    }

    /// Every path, to be taken from the folder of the configuration file.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut Option<PathBuf>> {
        let mail = self.mail.iter_mut();
        let of_mail = mail.flat_map(|mail| [&mut mail.password_file, &mut mail.ca_file]);
        std::iter::once(&mut self.command).chain(of_mail)
    }
}

impl MailConfig {
    fn read(section: &mut Section<'_, '_>, is_written: bool) -> Option<Self> {
        let server: Option<MailServer> = section.optional("server");
        let tls: Option<MailTls> = section.optional("tls");
        let from: Option<ConfiguredMailbox> = section.optional("from");
        let to: Option<Vec<ConfiguredMailbox>> = section.array("to");
        let user: Option<String> = section.optional("user");
        let password_file = section.path("password_file");
        let ca_file = section.path("ca_file");
        if !is_written {
            return None;
        }
        for (key, expected) in [
            ("server", "a mail server such as \"smtp.example.com:587\""),
            ("from", "the sender's address"),
            ("to", "a list of addresses"),
        ] {
            if !section.is_written(key) {
                section.missing(key, &format!("missing; expected {expected}"));
            }
        }
        if section.is_written("user") && password_file.is_none() {
            section.missing("user", "given without password_file; expected both or no user");
        }
        if let Some(to) = to.as_ref().filter(|to| to.is_empty() || to.len() > MAX_RECIPIENTS) {
            let message = format!("{} addresses; expected 1 to {MAX_RECIPIENTS}", to.len());
            section.problem("to", message);
        }
        let (server, ConfiguredMailbox(from)) = (server?, from?);
        let tls = tls.unwrap_or(match server.port {
            SUBMISSIONS => MailTls::Implicit,
            _ => MailTls::Starttls,
        });
        let to = to?.into_iter().map(|ConfiguredMailbox(to)| to).collect();
        Some(Self { server, tls, from, to, user, password_file, ca_file })
    }
}

struct ConfiguredMailbox(Mailbox);

impl FromStr for ConfiguredMailbox {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        text.parse().map(Self).map_err(|_| {
            InvalidText::new(format!(
                "{text:?} is not a mail address; expected such as \"ops@example.com\" or \"scimd <scimd@example.com>\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn parse(text: &str) -> Result<NotifyConfig, String> {
        let read = Config::parse(&format!("[notify]\n{text}"), Path::new("/etc/config.toml"));
        read.map(|config| config.notify).map_err(|error| error.to_string())
    }

    #[test]
    fn mail_has_usual_ports_and_paths_from_the_file() {
        let mail = "mail = { server = 'mx.example.com', from = 'scimd <s@example.com>', to = ['o@example.com'], \
                    password_file = 'secrets/mail' }";
        let read = parse(&format!("command = 'notify'\n{mail}")).unwrap();
        assert_eq!(read.command.as_deref(), Some(Path::new("/etc/notify")));
        let mail = read.mail.unwrap();
        assert_eq!((mail.server.port, mail.tls), (587, MailTls::Starttls));
        assert_eq!(mail.password_file.as_deref(), Some(Path::new("/etc/secrets/mail")));
        let implicit = "mail = { server = 'mx:465', from = 'a@b.example', to = ['c@d.example'] }";
        assert_eq!(parse(implicit).unwrap().mail.unwrap().tls, MailTls::Implicit);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let base = "mail = { server = 'mx', from = 'a@b.example', to = ['c@d.example']";
        for (text, words) in [
            ("mail = { server = 'mx' }".to_owned(), "notify.mail.from: missing"),
            ("mail.server = 'smtp://x'".to_owned(), "is not a host and port"),
            (format!("{base}, user = 'x' }}"), "notify.mail.user: given without password_file"),
            (format!("{base}, tls = 'none' }}"), "notify.mail.tls: unknown encryption \"none\""),
            ("mail = { server = 'mx', from = 'a', to = [] }".to_owned(), "is not a mail address"),
            (
                "mail = { server = 'mx', from = 'a@b.example', to = [] }".to_owned(),
                "expected 1 to 20",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
