//! The sandbox of the running server: what it can no longer do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::harness::{Server, files, total};

/// A value of each thread of a server, from `/proc`.
fn of_threads(server: &Server, field: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let values = threads.map(|thread| {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    });
    values.collect()
}

/// Copies the server's certificate to another folder, and has the configuration name it there.
fn certificate_in(server: &Server, folder: &Path) {
    for file in ["cert.pem", "key.pem"] {
        fs::copy(server.data().join("tls").join(file), folder.join(file)).unwrap();
    }
    fs::set_permissions(folder.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let folder = folder.display();
    let keys =
        format!("certificate = '{folder}/cert.pem'\nprivate_key = '{folder}/key.pem'\n[listen]\n");
    server.rewrite(|text| {
        let (before, after) = text.split_once("[listen]\n").unwrap();
        let keys = keys.strip_suffix("[listen]\n").unwrap();
        format!("{before}[listen]\n{keys}{after}")
    });
}

#[test]
fn every_thread_is_restricted_and_the_log_says_so() {
    let server = Server::start();
    let threads = of_threads(&server, "Seccomp");
    assert!(threads.len() > 4 && threads.iter().all(|mode| mode == "2"), "{threads:?}");
    assert!(of_threads(&server, "NoNewPrivs").iter().all(|value| value == "1"));
    let log = server.stderr();
    let line = log.lines().find(|line| line.contains("sandbox enabled")).unwrap();
    assert!(line.contains("INFO") && line.contains("files=\"Landlock "), "{line}");
    assert!(line.contains("system_calls=\"seccomp\""), "{line}");
}

#[test]
fn the_folder_for_connections_is_made_before_the_sandbox_closes() {
    let server = Server::start();
    let found = fs::metadata(server.folder().join("conf.d")).unwrap();
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
}

#[test]
fn it_can_be_turned_off() {
    let mut server = Server::start_with("[process]\nsandbox = false");
    assert!(of_threads(&server, "Seccomp").iter().all(|mode| mode == "0"));
    assert!(server.stderr().contains("sandbox disabled"));
    let elsewhere = tempfile::tempdir().unwrap();
    certificate_in(&server, elsewhere.path());
    assert!(server.reload().contains("configuration reloaded"));
}

#[test]
fn a_link_out_of_the_data_folder_lets_nothing_be_written() {
    let mut server = Server::start();
    let (elsewhere, requests) = (tempfile::tempdir().unwrap(), server.data().join("snapshots"));
    server.stop();
    server.rewrite(|text| format!("{text}\n[store]\nsnapshot_interval = '1s'\n"));
    server.boot(&[]);
    let _ = fs::remove_dir_all(&requests);
    symlink(elsewhere.path(), &requests).unwrap();
    server.until("a snapshot is refused", |server| server.stderr().contains("Permission denied"));
    assert_eq!(files(elsewhere.path()), Vec::<std::path::PathBuf>::new());
    assert_eq!(total(&server.client()), 0);
}

#[test]
fn a_reload_that_needs_a_file_outside_is_refused_and_names_the_setting() {
    let mut server = Server::start();
    let elsewhere = tempfile::tempdir().unwrap();
    certificate_in(&server, elsewhere.path());
    let log = server.reload();
    assert!(log.contains("listen.certificate: the sandbox does not let"), "{log}");
    assert!(log.contains("process.sandbox = false"), "{log}");
    assert_eq!(total(&server.client()), 0);
    server.stop();
    server.boot(&[]);
    assert!(server.stderr().contains(&elsewhere.path().display().to_string()));
}
