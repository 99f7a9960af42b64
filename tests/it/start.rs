//! What a start refuses, in one sentence that says what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::harness::{Server, files, total};

/// Insists that a start fails with one line, which has these words.
#[track_caller]
fn refuses(server: &Server, words: &[&str]) {
    refuses_with(server, 1, words);
}

/// Insists that a start fails with an exit code and one line, which has these words.
#[track_caller]
fn refuses_with(server: &Server, code: i32, words: &[&str]) {
    let output = server.run(&["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && words.iter().all(|word| errors[0].contains(word)), "{said}");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A server that has stopped.
fn stopped() -> Server {
    let mut server = Server::start();
    server.stop();
    server
}

#[test]
fn a_data_folder_that_others_may_enter() {
    let mut server = stopped();
    for mode in [0o750, 0o705, 0o710] {
        set_mode(&server.data(), mode);
        refuses(
            &server,
            &["is accessible to other users", &format!("mode {mode:o}"), "run `chmod 700"],
        );
    }
    set_mode(&server.data(), 0o700);
    server.boot(&[]);
    assert_eq!(total(&server.client()), 0);
}

#[test]
fn an_empty_data_folder_is_closed_to_others() {
    let mut server = Server::configure("");
    fs::create_dir(server.data()).unwrap();
    set_mode(&server.data(), 0o755);
    server.boot(&["--first-boot"]);
    assert_eq!(fs::metadata(server.data()).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn links_in_place_of_what_should_be_there() {
    let mut server = stopped();
    let (data, moved) = (server.data(), server.folder().join("moved"));
    fs::rename(&data, &moved).unwrap();
    symlink("moved", &data).unwrap();
    let target = moved.canonicalize().unwrap();
    refuses(
        &server,
        &["is a symbolic link", &format!("data_dir to the directory itself: {}", target.display())],
    );
    fs::remove_file(&data).unwrap();
    fs::rename(&moved, &data).unwrap();
    for file in ["lock", "tls/key.pem", "journal"] {
        let (path, aside) = (data.join(file), server.folder().join("aside"));
        fs::rename(&path, &aside).unwrap();
        symlink(&aside, &path).unwrap();
        refuses(&server, &[&format!("{file} is a symbolic link"), "replace it with its target"]);
        fs::remove_file(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
    }
    server.boot(&[]);
}

#[test]
fn a_data_folder_of_another_user() {
    let server = stopped();
    let us = fs::metadata(server.folder()).unwrap().uid();
    if us == 0 {
        chown(server.data(), Some(65_534), None).unwrap();
    } else {
        // What a user can't give away, root has already.
        server.rewrite(|text| text.replace("\"data\"", "\"/\""));
    }
    let owner = if us == 0 { 65_534 } else { 0 };
    let words = [format!("belongs to user {owner}"), format!("`sudo -u '#{owner}' scimd")];
    refuses_with(&server, 5, &[&words[0], &words[1]]);
    // No command may leave files there that the owner can't read.
    let listed = server.run(&["token", "generate"]);
    let said = String::from_utf8(listed.stderr).unwrap();
    assert!(listed.status.code() == Some(5) && said.contains(&words[0]), "{said}");
}

#[test]
#[ignore = "needs root; .ci/run has it and runs this"]
fn a_file_of_another_user_in_the_data_folder() {
    let server = stopped();
    chown(server.data().join("tls/key.pem"), Some(65_534), None).unwrap();
    refuses(&server, &["tls/key.pem", "belongs to user 65534", "chown -R 0"]);
}

#[test]
fn a_disk_that_takes_nothing() {
    for server in [Server::configure(""), stopped()] {
        // Without the trap a write would kill, not fail.
        let limited = "trap '' XFSZ; ulimit -f 0; exec \"$0\" serve";
        let mut serve = Command::new("sh");
        serve.args(["-c", limited, env!("CARGO_BIN_EXE_scimd")]).current_dir(server.folder());
        let output = serve.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("can't write to the data directory") && said.contains("free disk space"),
            "{said}"
        );
    }
}

/// A server with a certificate of its own that is valid between two years.
fn with_certificate(from: i32, to: i32) -> Server {
    let own = "[listen]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n";
    let server = Server::configure(own);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let certificate = params.self_signed(&key).unwrap();
    fs::write(server.folder().join("cert.pem"), certificate.pem()).unwrap();
    fs::write(server.folder().join("key.pem"), key.serialize_pem()).unwrap();
    set_mode(&server.folder().join("key.pem"), 0o600);
    server
}

#[test]
fn a_certificate_out_of_its_time() {
    let expired = with_certificate(2001, 2002);
    refuses(&expired, &["cert.pem expired 2002-01-01T00:00:00Z; replace it"]);
    let early = with_certificate(2200, 2201);
    refuses(
        &early,
        &["cert.pem is not valid before 2200-01-01T00:00:00Z; check this machine's clock"],
    );
}

#[test]
fn a_private_key_that_others_may_read() {
    let mut server = with_certificate(2001, 2200);
    let key = server.folder().join("key.pem");
    for mode in [0o644, 0o604, 0o660] {
        set_mode(&key, mode);
        refuses(&server, &["other users may read the private key", "key.pem", "run `chmod 600"]);
    }
    // A key of root's may be shared with a group.
    set_mode(&key, 0o640);
    if fs::metadata(&key).unwrap().uid() == 0 {
        server.boot(&[]);
        server.stop();
    } else {
        refuses(&server, &["run `chmod 600"]);
    }
    set_mode(&key, 0o400);
    server.boot(&[]);
}

#[test]
fn files_in_the_data_folder_are_closed_to_others() {
    let mut server = stopped();
    let open = [server.data().join("journal"), server.data().join("lock")];
    open.iter().for_each(|path| set_mode(path, 0o777));
    server.boot(&[]);
    assert!(
        server.stderr().contains("WARN removed permissions of other users on files"),
        "{}",
        server.stderr()
    );
    for path in open.iter().chain(&files(&server.data())) {
        assert_eq!(fs::symlink_metadata(path).unwrap().mode() & 0o077, 0, "{}", path.display());
    }
    server.stop();
    // Whatever the umask of the caller is, it makes none that is open.
    let mut other = Server::configure("");
    let mut serve = Command::new("sh");
    serve.args(["-c", "umask 000; exec \"$0\" serve --first-boot", env!("CARGO_BIN_EXE_scimd")]);
    serve.current_dir(other.folder());
    other.boot_as(serve, true);
    assert!(!other.stderr().contains("removed permissions of other users"), "{}", other.stderr());
    for path in files(&other.data()) {
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn what_is_no_regular_file_is_neither_waited_for_nor_read() {
    let server = stopped();
    let fifo = |path: &Path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    let pipe = server.data().join("journal/00000000000000009999.journal");
    fifo(&pipe);
    refuses(&server, &["neither a file nor a directory", "9999.journal"]);
    let said = server.fail(&["user", "list"], 1);
    assert!(said.contains("not a regular file"), "{said}");
    fs::remove_file(pipe).unwrap();
    let other =
        Server::configure("[listen]\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n");
    let cert = other.folder().join("cert.pem");
    fifo(&cert);
    refuses(&other, &["cert.pem", "not a regular file"]);
    let said = other.fail(&["restore", "backup", "--key", "cert.pem"], 1);
    assert!(said.contains("not a regular file"), "{said}");
    fs::remove_file(&cert).unwrap();
    // Sparse: it takes no room.
    fs::File::create(&cert).unwrap().set_len(3 << 30).unwrap();
    refuses(&other, &["cert.pem", "larger than 1048576 bytes"]);
}

#[test]
fn signals_without_a_meaning_end_nothing_and_no_core_is_dumped() {
    let server = Server::start();
    for signal in ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR"] {
        server.signal(signal);
    }
    assert_eq!(total(&server.client()), 0);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}

#[test]
#[ignore = "needs root; .ci/run has it and runs this"]
fn a_configuration_that_another_user_has_put_into_the_working_folder() {
    let server = stopped();
    let config = server.folder().join("config.toml");
    chown(&config, Some(65_534), None).unwrap();
    let said = server.fail(&["token", "list"], 2);
    assert!(said.contains("config.toml belongs to user 65534"), "{said}");
    server.succeed(&["token", "list", "--config", config.to_str().unwrap()]);
    fs::remove_file(&config).unwrap();
    let folder = server.folder().join("scimd-data");
    fs::rename(server.data(), &folder).unwrap();
    chown(&folder, Some(65_534), None).unwrap();
    let said = server.fail(&["token", "list"], 2);
    assert!(said.contains("scimd-data belongs to user 65534"), "{said}");
}

#[test]
#[ignore = "needs root; .ci/run has it and runs this"]
fn an_admin_socket_that_another_user_answers() {
    let server = Server::start();
    server.succeed(&["token", "list"]);
    let socket = server.data().join("admin.sock");
    fs::remove_file(&socket).unwrap();
    [server.folder(), &server.data()].iter().for_each(|path| set_mode(path, 0o777));
    let answer = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); \
                  print(flush=True); s.accept()[0].sendall(b'{\"tokens\":[]}\\n')";
    let mut other = Command::new("python3");
    other.args(["-c", answer]).arg(&socket).stdout(std::process::Stdio::piped());
    let mut other = std::os::unix::process::CommandExt::uid(&mut other, 65_534).spawn().unwrap();
    std::io::Read::read(other.stdout.as_mut().unwrap(), &mut [0]).unwrap();
    let said = server.fail(&["token", "list"], 1);
    assert!(said.contains("user 65534 answers"), "{said}");
    let _ = other.kill();
    other.wait().unwrap();
}
