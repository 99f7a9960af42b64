//! Notifications: a real program, and a real mail server of the test's own with a CA of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Server, create, free_port, user};

/// A program that adds what it gets to a file in the data directory, where the sandbox lets it write.
fn program(folder: &Path, text: &str) -> PathBuf {
    let program = folder.join("notify");
    fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// A mail server that takes what it is sent.
struct MailServer {
    port: u16,
    folder: TempDir,
    /// Each mail with the commands before it.
    mails: Receiver<String>,
    /// What it does.
    behaviour: Arc<Mutex<Behaviour>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Behaviour {
    Takes,
    Refuses,
    Hangs,
}

impl MailServer {
    /// Speaks TLS from the first byte, or after STARTTLS.
    fn start(implicit: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = Arc::new(certificates(folder.path()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, mails) = channel();
        let behaviour = Arc::new(Mutex::new(Behaviour::Takes));
        let shared = Arc::clone(&behaviour);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, sender, behaviour) =
                    (Arc::clone(&tls), sender.clone(), *shared.lock().unwrap());
                // A client that goes away ends the session.
                std::thread::spawn(move || {
                    session(stream.unwrap(), implicit, tls, behaviour, &sender);
                });
            }
        });
        Self { port, folder, mails, behaviour }
    }

    /// The table of the configuration.
    fn config(&self, more: &str) -> String {
        let ca = self.folder.path().join("ca.pem");
        format!(
            "[notify.mail]\nserver = \"localhost:{}\"\nfrom = \"scimd <scimd@example.com>\"\nto = [\"ops@example.com\"]\n\
             ca_file = \"{}\"\n{more}\n",
            self.port,
            ca.display()
        )
    }

    fn mail(&self) -> String {
        self.mails.recv_timeout(Duration::from_secs(20)).expect("a mail")
    }
}

/// Writes a CA and makes a certificate of it for localhost.
fn certificates(folder: &Path) -> ServerConfig {
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &ca).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    config.with_single_cert(vec![certificate.der().clone()], key).unwrap()
}

fn session(
    mut stream: TcpStream,
    implicit: bool,
    tls: Arc<ServerConfig>,
    behaviour: Behaviour,
    mails: &Sender<String>,
) {
    if behaviour == Behaviour::Hangs {
        std::thread::sleep(Duration::from_secs(120));
        return;
    }
    let secured = |stream| StreamOwned::new(ServerConnection::new(tls).unwrap(), stream);
    if implicit {
        return dialogue(&mut secured(stream), true, behaviour, mails);
    }
    let _ = stream.write_all(b"220 mx\r\n");
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        if line.starts_with("STARTTLS") {
            let _ = stream.write_all(b"220 go\r\n");
            return dialogue(&mut secured(stream), false, behaviour, mails);
        }
        let _ = stream.write_all(b"250-mx\r\n250 STARTTLS\r\n");
        line.clear();
    }
}

/// The part of SMTP that a client needs to hand over a mail.
fn dialogue(
    stream: &mut StreamOwned<ServerConnection, TcpStream>,
    greets: bool,
    behaviour: Behaviour,
    mails: &Sender<String>,
) {
    let mut seen = String::new();
    if greets && stream.write_all(b"220 mx\r\n").is_err() {
        return;
    }
    let mut in_data = false;
    while let Some(line) = read_line(stream) {
        seen.push_str(&line);
        let answer = match line.split_whitespace().next() {
            Some(".") if in_data => {
                in_data = false;
                let _ = mails.send(std::mem::take(&mut seen));
                "250 taken"
            }
            _ if in_data => continue,
            Some("EHLO") => "250-mx\r\n250 AUTH PLAIN",
            Some("AUTH") if line.contains("AHNjaW1kAHMzY3JldA==") => "235 welcome",
            Some("AUTH") => "535 5.7.8 no",
            Some("RCPT") if behaviour == Behaviour::Refuses => "550 5.7.1 relaying denied",
            Some("DATA") => {
                in_data = true;
                "354 go on"
            }
            _ => "250 ok",
        };
        if stream.write_all(format!("{answer}\r\n").as_bytes()).is_err() {
            return;
        }
    }
}

fn read_line(stream: &mut impl Read) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).ok()? == 1 {
        line.push(byte[0]);
        if byte[0] == b'\n' {
            return String::from_utf8(line).ok();
        }
    }
    None
}

/// A configuration whose connection may deactivate three users within the window, and is then paused.
const BRAKE: &str = "[connections.default]\nmethod = \"okta-custom\"\nservice_origin = \"localhost\"\n\
    [connections.default.brake]\naction = \"hold\"\npercent = 1\nminimum = 1\n";

fn exceed(server: &Server) {
    let client = server.client();
    let users: Vec<String> =
        (0..4).map(|number| create(&client, "/Users", &user(&format!("user{number}"))).0).collect();
    let other = server.succeed(&["token", "list"]);
    assert!(other.contains("default"));
    for path in users {
        let _ = client.delete(&path);
    }
}

#[test]
fn a_program_gets_each_event_and_its_output_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("data/events");
    let text = format!("cat >>'{}'\necho heard", events.display());
    let program = program(folder.path(), &text);
    let mut server =
        Server::start_with(&format!("[notify]\ncommand = \"{}\"\n", program.display()));
    // The sandbox lets the program write where the server may.
    fs::write(
        &program,
        format!("#!/bin/sh\ncat >>'{}'\necho heard\n", server.data().join("events").display()),
    )
    .unwrap();
    let printed = server.succeed(&["notify", "test"]);
    assert!(printed.contains("notify: delivered"), "{printed}");
    server.until("the output is logged", |server| server.stderr().contains("output=\"heard\""));
    let event: Value =
        serde_json::from_slice(&fs::read(server.data().join("events")).unwrap()).unwrap();
    assert_eq!(event["type"], "test");
    assert!(event["endpoint"].as_str().unwrap().ends_with("/scim/v2"), "{event}");
}

#[test]
fn a_pause_is_mailed_over_starttls_with_the_commands_that_help() {
    let mail = MailServer::start(false);
    let password = mail.folder.path().join("password");
    fs::write(&password, "s3cret\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let signs_in = format!("user = \"scimd\"\npassword_file = \"{}\"", password.display());
    let server = Server::start_with(&format!("{BRAKE}{}", mail.config(&signs_in)));
    server.succeed(&["brake", "pause", "--reason", "migration"]);
    let mail = mail.mail().replace("=\r\n", "");
    for words in [
        "MAIL FROM:<scimd@example.com>",
        "RCPT TO:<ops@example.com>",
        "Subject: [scimd] connection.held: default",
        "migration",
        "scimd brake",
    ] {
        assert!(mail.contains(words), "{words}: {mail}");
    }
    assert!(!server.stderr().contains("s3cret"));
}

#[test]
fn mail_is_sent_over_tls_from_the_first_byte() {
    let mail = MailServer::start(true);
    let server = Server::start_with(&mail.config("tls = \"implicit\""));
    let printed = server.succeed(&["notify", "test"]);
    assert!(printed.starts_with("mail to ops@example.com by localhost:"), "{printed}");
    assert!(mail.mail().contains("Subject: [scimd] test: scimd"));
}

#[test]
fn a_test_says_why_each_way_fails_and_what_to_do() {
    let mail = MailServer::start(false);
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "echo the pager is off >&2; exit 7");
    let config = format!("[notify]\ncommand = \"{}\"\n{}", program.display(), mail.config(""));
    let server = Server::start_with(&config);
    *mail.behaviour.lock().unwrap() = Behaviour::Refuses;
    let failed = || {
        let output = server.run(&["notify", "test"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = failed();
    assert!(printed.contains("exit status: 7: the pager is off"), "{printed}");
    assert!(
        printed.contains("relaying denied") && printed.contains("check notify.mail.from"),
        "{printed}"
    );
    fs::remove_file(program).unwrap();
    assert!(failed().contains("correct notify.command"));
    // A certificate of a CA that is not the configured one.
    fs::copy(server.certificate(), mail.folder.path().join("ca.pem")).unwrap();
    let printed = failed();
    assert!(printed.contains("notify.mail.ca_file"), "{printed}");
}

#[test]
fn what_hangs_is_ended_and_clients_are_served_meanwhile() {
    let mail = MailServer::start(false);
    *mail.behaviour.lock().unwrap() = Behaviour::Hangs;
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "sleep 100 & sleep 100");
    let config = format!("[notify]\ncommand = \"{}\"\n{}", program.display(), mail.config(""));
    let server = Server::start_with(&config);
    let test =
        server.command(&["notify", "test"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    exceed(&server);
    let output = test.wait_with_output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("did not end within 30s and was killed"), "{printed}");
    assert!(printed.contains("did not take the mail within 30s"), "{printed}");
}

#[test]
fn a_failed_delivery_is_logged_with_what_to_do_and_tried_again() {
    let port = free_port();
    let config = format!(
        "{BRAKE}[notify.mail]\nserver = \"127.0.0.1:{port}\"\nfrom = \"a@example.com\"\nto = [\"b@example.com\"]\n"
    );
    let mut server = Server::start_with(&config);
    server.succeed(&["brake", "pause"]);
    server.until("the failure is logged", |server| {
        server.stderr().contains("a notification was not delivered; trying again")
    });
    let log = server.stderr();
    let line = log.lines().find(|line| line.contains("trying again")).unwrap();
    assert!(
        line.contains("check notify.mail.server") && line.contains("connection.held"),
        "{line}"
    );
}

#[test]
fn the_sandbox_lets_through_what_was_configured_at_the_start_and_nothing_else() {
    let mail = MailServer::start(false);
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path(), "cat");
    let mut server = Server::start();
    assert!(server.fail(&["notify", "test"], 2).contains("no notifications are configured"));
    // Neither was foreseen: the reload says that both need a restart.
    let table = mail.config("");
    server
        .rewrite(|text| format!("{text}\n[notify]\ncommand = \"{}\"\n{table}", program.display()));
    let log = server.reload();
    assert!(log.contains("notify changed; restart scimd to apply"), "{log}");
    assert!(server.fail(&["notify", "test"], 2).contains("restart scimd"));
    server.stop();
    server.boot(&[]);
    server.succeed(&["notify", "test"]);
    assert!(mail.mail().contains("[scimd] test"));
    // Another program, and mail to another port, are within what the sandbox lets through.
    server.reconfigure(|text| text.replace("ops@example.com", "other@example.com"));
    server.succeed(&["notify", "test"]);
    assert!(mail.mail().contains("RCPT TO:<other@example.com>"));
}

#[test]
fn a_check_names_what_keeps_notifications_from_being_delivered() {
    let server = Server::configure_with_data(
        "[notify]\ncommand = \"no-such-program\"\n[notify.mail]\nserver = \"mx\"\nfrom = \"a@example.com\"\n\
         to = [\"b@example.com\"]\npassword_file = \"password\"\n",
    );
    fs::write(server.folder().join("password"), "x").unwrap();
    fs::set_permissions(server.folder().join("password"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let output = server.run(&["config", "check"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("notify.command: can't run") && stderr.contains("chmod 600"),
        "{stderr}"
    );
}
