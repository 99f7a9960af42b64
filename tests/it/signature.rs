//! Signatures: of the heads of the audit trail, and of backups.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::Value;

use crate::harness::{Server, create, files, total, user};

/// How many bytes the signature of a backup has.
const SIGNATURE_BYTES: usize = 80;

fn printed(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

/// The exit code of `audit --verify` and what it prints.
fn verify(server: &Server, more: &[&str]) -> (i32, String) {
    let output = server.run(&[&["audit", "--verify"], more].concat());
    (output.status.code().unwrap(), printed(&output))
}

/// A server that has stopped, and the path of a copy of its public key outside of its data folder.
fn stopped() -> (Server, String) {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    server.stop();
    let copy = server.folder().join("kept.pub");
    fs::copy(server.data().join("signing.pub"), &copy).unwrap();
    (server, copy.to_str().unwrap().to_owned())
}

#[test]
fn the_head_is_signed_at_a_stop_and_the_public_key_alone_verifies_it() {
    let (server, key) = stopped();
    for file in ["signing.key", "signing.pub", "signatures"] {
        let mode = fs::metadata(server.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let json: Value =
        serde_json::from_str(&server.succeed(&["audit", "--verify", "--json"])).unwrap();
    assert_eq!((&json["signed"], &json["signatures"]), (&json["head"], &2.into()));
    fs::remove_file(server.data().join("signing.key")).unwrap();
    fs::remove_file(server.data().join("signing.pub")).unwrap();
    let (code, told) = verify(&server, &["--key", &key]);
    assert!(code == 0 && told.contains("the newest of 2 signed heads"), "{told}");
    let (other, other_key) = stopped();
    let (code, told) = verify(&server, &["--key", &other_key]);
    assert!(code == 1 && told.contains("was not made with this key"), "{told}");
    drop(other);
}

#[test]
fn a_trail_that_was_cut_or_written_anew_does_not_fit_its_signatures() {
    let (server, key) = stopped();
    let path = files(&server.data().join("journal")).remove(0);
    let whole = fs::read(&path).unwrap();
    let at = whole.windows(3).position(|window| window == b"ada").unwrap();
    let mut cut = whole.clone();
    cut[at..].fill(0);
    fs::write(&path, &cut).unwrap();
    let (code, told) = verify(&server, &[]);
    assert!(code == 1 && told.contains("its tail was truncated"), "{told}");
    fs::write(&path, &whole).unwrap();

    let signatures = server.data().join("signatures");
    let text = fs::read_to_string(&signatures).unwrap();
    fs::write(&signatures, text.replacen('a', "b", 1)).unwrap();
    assert_eq!(verify(&server, &["--key", &key]).0, 1);
    fs::remove_file(&signatures).unwrap();
    let (code, told) = verify(&server, &["--key", &key]);
    assert!(code == 1 && told.contains("no signature was made with this key"), "{told}");
}

#[test]
fn a_backup_is_restored_only_if_the_known_key_has_signed_it() {
    let (server, key) = stopped();
    assert!(server.succeed(&["backup", "b"]).contains("Signed     yes"));
    let backup = server.folder().join("b");
    let path = backup.to_str().unwrap();
    let fresh = || Server::configure("");
    fresh().succeed(&["restore", path, "--key", &key]);

    let (other, other_key) = stopped();
    let target = fresh();
    let said = target.fail(&["restore", path, "--key", &other_key], 1);
    assert!(said.contains("its signature does not match") && said.contains("--unsigned"), "{said}");
    assert!(!target.data().exists());
    // A key in the data folder is known as well.
    fs::create_dir(target.data()).unwrap();
    fs::copy(other.data().join("signing.key"), target.data().join("signing.key")).unwrap();
    assert!(target.fail(&["restore", path], 1).contains("does not match"));
    target.succeed(&["restore", path, "--unsigned"]);

    let whole = fs::read(&backup).unwrap();
    fs::write(&backup, &whole[..whole.len() - SIGNATURE_BYTES]).unwrap();
    let said = fresh().fail(&["restore", path, "--key", &key], 1);
    assert!(said.contains("it has no signature"), "{said}");
    let mut unkeyed = fresh();
    unkeyed.succeed(&["restore", path]);
    unkeyed.boot(&[]);
    assert_eq!(total(&unkeyed.client_with(server.token())), 1);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let (server, _) = stopped();
    let key = server.data().join("signing.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let output = server.run(&["serve"]);
    assert!(output.status.code() == Some(1) && printed(&output).contains("run `chmod 600"));
}
