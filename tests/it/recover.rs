//! `scimd recover`: a damaged journal beside a database that is whole; and damage to what is not a resource.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::harness::{Server, create, files, group, user};

fn journal(server: &Server) -> PathBuf {
    let all = files(&server.data().join("journal"));
    all.into_iter().find(|path| path.extension().is_some_and(|one| one == "journal")).unwrap()
}

/// Turns one bit in the middle of the frames.
fn damage(server: &Server) {
    let file = journal(server);
    let mut bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[used / 3] ^= 1;
    fs::write(&file, &bytes).unwrap();
}

/// Every file of the data directory with its bytes.
fn content(server: &Server) -> Vec<(PathBuf, Vec<u8>)> {
    files(&server.data()).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn what_the_database_holds_comes_back_although_the_journal_is_damaged() {
    let mut server = Server::start();
    let client = server.client();
    let (path, ada) = create(&client, "/Users", &user("ada"));
    create(&client, "/Groups", &group("Team", &[&ada]));
    create(&client, "/Users", &user("grace"));
    let shown = client.get(&path).expect(200).body;
    server.stop();
    damage(&server);
    let said = server.fail(&["serve"], 1);
    assert!(said.contains("scimd recover --from-database"), "{said}");

    let before = content(&server);
    let recovered = server.succeed(&["recover", "--from-database", "saved"]);
    assert!(
        recovered.contains("Users      2") && recovered.contains("Signed     no"),
        "{recovered}"
    );
    assert!(content(&server) == before, "nothing in the data directory was altered");

    let damaged = server.folder().join("damaged");
    fs::rename(server.data(), &damaged).unwrap();
    server.succeed(&["restore", "saved"]);
    fs::create_dir_all(server.data().join("tls")).unwrap();
    for file in ["cert.pem", "key.pem"] {
        fs::copy(damaged.join("tls").join(file), server.data().join("tls").join(file)).unwrap();
    }
    server.boot(&[]);
    let client = server.client();
    assert_eq!(client.get(&path).expect(200).body, shown, "the token counts as well");
    let team = client.get("/Groups?filter=displayName%20eq%20%22Team%22").expect(200).body;
    assert_eq!(team["Resources"][0]["members"][0]["value"], *ada);
    create(&client, "/Users", &user("alan"));
    server.succeed(&["verify"]);
    server.succeed(&["audit", "--verify"]);
}

#[test]
fn what_can_not_or_need_not_be_recovered_is_refused_and_makes_no_file() {
    let mut server = Server::start();
    create(&server.client(), "/Users", &user("ada"));
    let refused = |server: &Server, code, words: &str| {
        let said = server.fail(&["recover", "--from-database", "saved"], code);
        assert!(said.contains(words) && said.lines().count() == 1, "{said}");
        assert!(!server.folder().join("saved").exists());
    };
    refused(&server, 1, "in use by process");
    server.stop();
    refused(&server, 1, "nothing to recover: the journal");
    assert_eq!(server.run(&["recover", "saved"]).status.code(), Some(2));
    damage(&server);
    fs::write(server.folder().join("there"), "mine").unwrap();
    server.fail(&["recover", "--from-database", "there"], 1);
    assert_eq!(fs::read_to_string(server.folder().join("there")).unwrap(), "mine");
    let state = server.data().join("state");
    let whole = content(&server);
    for (path, bytes) in whole.iter().filter(|(path, _)| path.starts_with(&state)) {
        fs::write(path, vec![0x5a; bytes.len()]).unwrap();
    }
    refused(&server, 1, "database");
    fs::remove_dir_all(&state).unwrap();
    refused(&server, 1, "restore the newest backup");
}

/// What is kept besides resources: the deactivation of an account, and the marker of memberships that are void.
#[test]
fn a_deactivation_that_is_damaged_in_the_database_still_holds() {
    let mut server = Server::start();
    let client = server.client();
    let (path, _) = create(&client, "/Users", &user("ada"));
    server.succeed(&["user", "deactivate", "ada", "--reason", "lostlaptop"]);
    server.stop();
    let mut hits = 0;
    for file in files(&server.data().join("state")) {
        let mut bytes = fs::read(&file).unwrap();
        let found: Vec<usize> =
            (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"lostlaptop")).collect();
        found.iter().for_each(|&at| bytes[at] ^= 1);
        hits += found.len();
        fs::write(&file, bytes).unwrap();
    }
    assert!(hits > 0, "the deactivation is somewhere");
    server.boot(&[]);
    let shown = server.succeed(&["user", "show", "ada"]);
    assert!(shown.contains("lostlaptop"), "its reason is the one that was given: {shown}");
    let wanted = json!([{"op": "replace", "path": "active", "value": true}]);
    server.client().patch(&path, &wanted).expect(200);
    assert_eq!(server.client().get(&path).expect(200).body["active"], false);
    server.succeed(&["verify"]);
}
