//! The first start, the ones after it, and certificates.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Server, scimd, total, user};

/// The printed line that begins with a word, without it.
#[track_caller]
fn line(printed: &str, word: &str) -> String {
    let found = printed.lines().find_map(|line| line.strip_prefix(word));
    found.unwrap_or_else(|| panic!("no line with {word:?} in {printed}")).trim().to_owned()
}

/// Runs a command of this machine that must succeed.
#[track_caller]
fn shell(folder: &Path, line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).current_dir(folder).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Insists that serving failed with a last line that says what to do; that line.
#[track_caller]
fn refuses(output: &Output, code: i32) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "nothing is shown that will not be served");
    let errors: Vec<_> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(stderr.ends_with(&format!("{}\n", errors[0])), "{stderr}");
    errors[0].to_owned()
}

/// A certificate and key that another server made, in `tls/` of a folder.
fn pair(folder: &Path) {
    let other = Server::start();
    fs::create_dir_all(folder.join("tls")).unwrap();
    for file in ["cert.pem", "key.pem"] {
        fs::copy(other.data().join("tls").join(file), folder.join("tls").join(file)).unwrap();
    }
}

const OWN: &str = "[listen]\ncertificate = \"tls/cert.pem\"\nprivate_key = \"tls/key.pem\"";

#[test]
fn without_a_configuration_the_defaults_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let output = scimd(&["config", "check"]).current_dir(&folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("https://127.0.0.1:8443 on 127.0.0.1:8443"), "{printed}");
    assert!(printed.contains("connections: default"), "{printed}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "checking makes nothing");
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn the_printed_curl_line_works_when_it_is_pasted() {
    let server = Server::start();
    server.client().post("/Users", &user("ada")).expect(201);
    let printed = server.stdout();
    let curl = printed.lines().find(|line| line.starts_with("curl ")).expect("a curl line");
    assert!(curl.contains(server.token()), "{curl}");
    let elsewhere = tempfile::tempdir().unwrap();
    let answer: Value =
        serde_json::from_str(&shell(elsewhere.path(), &format!("{curl} -sS"))).unwrap();
    assert_eq!(
        (&answer["totalResults"], &answer["Resources"][0]["userName"]),
        (&1.into(), &"ada".into())
    );
    let endpoint = line(&printed, "Endpoint ");
    assert_eq!(endpoint, format!("https://127.0.0.1:{}/scim/v2", server.port()));
    assert!(curl.contains(&format!("{endpoint}/Users")), "{curl}");
    assert_eq!(
        Path::new(&line(&printed, "Certificate ")),
        server.certificate().canonicalize().unwrap()
    );
}

#[test]
#[ignore = "needs openssl; .ci/run installs it and runs this"]
fn the_printed_fingerprint_is_the_one_that_openssl_shows() {
    let server = Server::start();
    let shown = shell(&server.data(), "openssl x509 -in tls/cert.pem -noout -fingerprint -sha256");
    let (_, fingerprint) = shown.trim().split_once('=').unwrap();
    assert_eq!(line(&server.stdout(), "Fingerprint  SHA-256 "), fingerprint);
    let names = shell(&server.data(), "openssl x509 -in tls/cert.pem -noout -ext subjectAltName");
    for name in ["DNS:localhost", "IP Address:127.0.0.1"] {
        assert!(names.contains(name), "{names}");
    }
}

#[test]
fn what_the_first_boot_makes_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start();
    let mode =
        |path: &str| server.data().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("tls"), mode("tls/key.pem")), (0o700, 0o700, 0o600));
    for path in ["journal", "state", "lock"] {
        assert!(server.data().join(path).exists(), "{path}");
    }
}

#[test]
fn a_second_start_prints_no_token_and_serves_the_same_users() {
    let mut server = Server::start();
    let created = server.client().post("/Users", &user("ada")).expect(201);
    let certificate = fs::read(server.certificate()).unwrap();
    for args in [&["--first-boot"][..], &[], &["--first-boot"]] {
        server.stop();
        server.boot(args);
        let printed = server.stdout();
        assert!(!printed.contains("scimd_") && !printed.contains("curl"), "{printed}");
        assert_eq!(printed.is_empty(), args.is_empty(), "{printed}");
        assert_eq!(fs::read(server.certificate()).unwrap(), certificate);
        let read = server.client().get(&format!("/Users/{}", created.text("/id"))).expect(200);
        assert_eq!(read.body, created.body);
    }
    let listed = server.succeed(&["token", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    let id = listed.lines().nth(1).unwrap().split(' ').next().unwrap();
    assert!(line(&server.stdout(), "Token ").starts_with(id));
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn each_connection_gets_a_token_of_its_own() {
    let mut server = Server::configure(
        "[connections.okta]\nmethod = \"okta\"\n[connections.app]\nmethod = \"custom\"\nservice_origin = \"app.example.com\"",
    );
    server.boot(&["--first-boot"]);
    let printed = server.stdout();
    let lines: Vec<_> = printed.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 2, "{printed}");
    for curl in lines {
        let answer = shell(server.folder(), &format!("{curl} -sS"));
        assert!(answer.contains("\"totalResults\":0"), "{answer}");
    }
}

#[test]
fn serving_without_a_token_refuses_everything_and_says_which_command_to_run() {
    let mut server = Server::configure("");
    server.boot(&[]);
    server.stranger().header("X-Request-Origin", "localhost").get("/Users").error(401, None);
    server.until("the log names the command", |server| {
        server.stderr().contains("run `scimd token generate --connection default`")
    });
    assert_eq!(server.stdout(), "");
    let token = server.succeed(&["token", "generate", "--connection", "default"]);
    assert_eq!(total(&server.client_with(token.trim())), 0);
}

#[test]
#[ignore = "needs openssl; .ci/run installs it and runs this"]
fn an_own_certificate_is_served_and_none_is_made() {
    let mut server = Server::configure(OWN);
    pair(server.folder());
    server.boot(&["--first-boot"]);
    let printed = server.stdout();
    assert!(!printed.contains("--cacert"), "its owner has a certificate that clients trust");
    let token = line(&printed, "Token ");
    assert!(!server.certificate().exists());
    let own = server.folder().join("tls/cert.pem");
    let client = crate::harness::Client::new(&own, server.port()).bearer(&token);
    assert_eq!(total(&client.header("X-Request-Origin", "localhost")), 0);
    let shown = shell(server.folder(), "openssl x509 -in tls/cert.pem -noout -fingerprint -sha256");
    assert!(shown.trim().ends_with(&line(&printed, "Fingerprint  SHA-256 ")), "{shown}");
}

#[test]
fn a_certificate_that_can_not_be_served_stops_the_start_with_a_line_of_advice() {
    let server = Server::configure(OWN);
    let folder = server.folder().join("tls");
    let start = || refuses(&server.run(&["serve", "--first-boot"]), 1);
    assert!(start().contains("tls/cert.pem"), "missing");
    pair(server.folder());
    fs::write(folder.join("empty.pem"), "").unwrap();
    let right = fs::read(folder.join("key.pem")).unwrap();
    fs::remove_file(folder.join("key.pem")).unwrap();
    assert!(start().contains("tls/key.pem"), "missing");
    fs::write(folder.join("key.pem"), "not a key").unwrap();
    assert!(start().contains("no usable private key"), "{}", start());
    pair(&folder);
    fs::copy(folder.join("tls/key.pem"), folder.join("key.pem")).unwrap();
    assert!(start().contains("does not belong to the certificate"), "{}", start());
    fs::write(folder.join("key.pem"), right).unwrap();
    fs::write(folder.join("cert.pem"), "not a certificate").unwrap();
    assert!(start().contains("contains no certificate"), "{}", start());
    let tokens = server.succeed(&["token", "list"]);
    assert_eq!(tokens.lines().count(), 0, "no token was made: {tokens}");
}

#[test]
fn half_of_the_self_signed_pair_is_not_replaced() {
    let mut server = Server::start();
    server.stop();
    let key = server.data().join("tls/key.pem");
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let said = refuses(&server.run(&["serve"]), 1);
    assert!(said.contains("key.pem does not"), "{said}");
    fs::write(&key, bytes).unwrap();
    server.boot(&[]);
    assert_eq!(total(&server.client()), 0);
}

#[test]
fn the_second_server_on_a_folder_is_told_who_holds_it() {
    let server = Server::start();
    let said = refuses(&server.run(&["serve", "--first-boot"]), 1);
    assert!(said.contains(&format!("in use by process {}", server.pid())), "{said}");
    assert_eq!(total(&server.client()), 0, "the first one goes on");
    server.succeed(&["token", "list"]);
}

#[test]
fn a_taken_port_stops_the_start_before_a_token_is_made() {
    let holder = Server::start();
    let second = Server::configure("");
    let file = second.folder().join("config.toml");
    let config = fs::read_to_string(&file).unwrap();
    let taken = config.replace(&second.port().to_string(), &holder.port().to_string());
    fs::write(&file, taken).unwrap();
    let said = refuses(&second.run(&["serve", "--first-boot"]), 1);
    assert!(said.contains(&format!("127.0.0.1:{}", holder.port())), "{said}");
    assert_eq!(second.succeed(&["token", "list"]).lines().count(), 0);
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn plain_text_is_served_on_loopback_when_it_is_written_down() {
    let mut server = Server::configure("[listen]\ntls = false");
    server.boot(&["--first-boot"]);
    let printed = server.stdout();
    assert!(line(&printed, "Endpoint ").starts_with("http://127.0.0.1:"), "{printed}");
    assert!(!printed.contains("Fingerprint") && !server.certificate().exists());
    let curl = printed.lines().find(|line| line.starts_with("curl ")).unwrap();
    assert!(shell(server.folder(), &format!("{curl} -sS")).contains("\"totalResults\":0"));
}
