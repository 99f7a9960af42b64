//! `conf.d`: files beside the configuration file, merged as if they were one.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::harness::{Server, create, scimd, user};

const MAIN: &str = "data_dir = \"data\"\n[connections.okta]\nmethod = \"okta\"\n[listen]\naddress = \"127.0.0.1:8443\"\n";
const ENTRA: &str = "[connections.entra]\nmethod = \"entra\"\n";

/// A folder with a configuration file and files in `conf.d`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.toml"), MAIN).unwrap();
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("conf.d").join(name), text).unwrap();
    }
    folder
}

/// Checks the configuration of a folder; the exit code, and what it says on both streams.
fn check(folder: &Path) -> (i32, String) {
    let output = scimd(&["config", "check"]).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

/// Insists that the configuration is refused with exactly this.
#[track_caller]
fn refused(folder: &Path, lines: &[&str]) {
    let (code, said) = check(folder);
    assert_eq!(code, 2, "{said}");
    assert_eq!(said.lines().count(), lines.len(), "{said}");
    for line in lines {
        assert!(said.contains(line), "{line:?} is missing in\n{said}");
    }
}

#[test]
fn files_are_merged_in_the_order_of_their_names() {
    let folder = folder(&[
        ("10-entra.toml", ENTRA),
        ("20-brake.toml", "[connections.okta.brake]\naction = \"hold\"\n"),
        ("b.toml", "[[workspaces]]\nname = \"Second\"\n"),
        ("a.toml", "[[workspaces]]\nname = \"First\"\n"),
        (".hidden.toml", "nonsense"),
        ("notes.txt", "nonsense"),
        ("empty.toml", ""),
    ]);
    let (code, said) = check(folder.path());
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("connections: entra, okta"), "{said}");
    // The first workspace is that of connections that name none.
    let setup =
        scimd(&["setup", "--connection", "entra"]).current_dir(folder.path()).output().unwrap();
    let printed = String::from_utf8(setup.stdout).unwrap();
    assert!(printed.contains("First"), "{printed}");
}

#[test]
fn what_is_defined_twice_is_refused_with_both_places() {
    let folder = folder(&[
        ("a.toml", "\n  [connections.okta]\nmethod = \"entra\"\n"),
        ("b.toml", "[listen]\n"),
        ("c.toml", "data_dir = \"other\"\nworkspaces = [{ name = \"A\" }]\n"),
        ("d.toml", "[[workspaces]]\nname = \"B\"\n"),
    ]);
    refused(
        folder.path(),
        &[
            "conf.d/a.toml:2:16: \"connections.okta\" is defined twice: here and at config.toml:2:14",
            "conf.d/b.toml:1:2: \"listen\" is defined twice: here and at config.toml:4:2",
            "conf.d/c.toml:1:1: \"data_dir\" is defined twice: here and at config.toml:1:1",
            "conf.d/d.toml:1:3: \"workspaces\" is defined twice: here and at conf.d/c.toml:2:1",
        ],
    );
}

#[test]
fn problems_name_their_file_line_and_column() {
    let folder = folder(&[
        ("a.toml", "[connections.a]\n method = \"octa\"\n"),
        ("b.toml", "[connections.b]\nmethod = = 1\n"),
        ("c.toml", "[limits]\ncolour = 1\n"),
    ]);
    fs::write(folder.path().join("conf.d/d.toml"), b"# \xc3\xa4 \xff").unwrap();
    refused(folder.path(), &["conf.d/d.toml:1:5: not UTF-8"]);
    fs::remove_file(folder.path().join("conf.d/d.toml")).unwrap();
    refused(
        folder.path(),
        &[
            "conf.d/a.toml:2:2: connections.a.method: unknown method \"octa\"",
            "conf.d/b.toml:2:10: not TOML: ",
            "conf.d/c.toml:2:1: unknown key \"limits.colour\"",
        ],
    );
}

#[test]
fn what_others_may_write_or_have_placed_is_refused() {
    let folder = folder(&[("a.toml", ENTRA)]);
    let conf_d = folder.path().join("conf.d");
    let set =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&conf_d, 0o770);
    refused(folder.path(), &["other users may write conf.d (mode 770)"]);
    set(&conf_d, 0o750);
    set(&conf_d.join("a.toml"), 0o660);
    refused(folder.path(), &["other users may write conf.d/a.toml (mode 660)"]);
    fs::remove_file(conf_d.join("a.toml")).unwrap();
    symlink("/etc/hostname", conf_d.join("a.toml")).unwrap();
    refused(folder.path(), &["conf.d/a.toml is a symbolic link"]);
    fs::remove_file(conf_d.join("a.toml")).unwrap();
    fs::create_dir(conf_d.join("a.toml")).unwrap();
    refused(folder.path(), &["conf.d/a.toml: cannot be read: it is not a regular file"]);
    fs::remove_dir_all(&conf_d).unwrap();
    fs::write(&conf_d, "").unwrap();
    refused(folder.path(), &["conf.d: cannot be read: not a directory"]);
}

#[test]
#[ignore = "needs root; .ci/run has it and runs this"]
fn a_file_that_root_does_not_own_may_only_contain_connections() {
    let folder = folder(&[("a.toml", ENTRA)]);
    let conf_d = folder.path().join("conf.d");
    let give = |path: &Path, owner| chown(path, Some(owner), Some(owner)).unwrap();
    give(&conf_d, 4242);
    give(&conf_d.join("a.toml"), 4242);
    let (code, said) = check(folder.path());
    assert_eq!(code, 0, "{said}");
    for (text, expected) in [
        (
            "[limits]\nmax_count = 2000\n",
            "conf.d/a.toml:1:2: \"limits\" is not allowed in this file",
        ),
        ("data_dir = \"x\"\n", "conf.d/a.toml:1:1: \"data_dir\" is not allowed in this file"),
        ("[connections.okta.brake]\naction = \"off\"\n", "\"connections.okta\" is defined twice"),
        (
            "[[grants]]\ngroup = \"Admins\"\n",
            "conf.d/a.toml:1:3: \"grants\" is not allowed in this file",
        ),
    ] {
        fs::write(conf_d.join("a.toml"), text).unwrap();
        refused(folder.path(), &[expected]);
    }
    // With root's file beside it, and of a third user.
    fs::write(conf_d.join("a.toml"), ENTRA).unwrap();
    fs::write(conf_d.join("b.toml"), "[limits]\nmax_count = 2000\n").unwrap();
    let (code, said) = check(folder.path());
    assert_eq!(code, 0, "{said}");
    give(&conf_d.join("b.toml"), 4343);
    refused(folder.path(), &["conf.d/b.toml belongs to user 4343"]);
}

#[test]
fn a_reload_reads_the_folder() {
    let mut server = Server::start();
    let conf_d = server.folder().join("conf.d");
    fs::create_dir_all(&conf_d).unwrap();
    let file = conf_d.join("entra.toml");
    fs::write(&file, ENTRA).unwrap();
    server.reconfigure(|text| text);
    let token = server.succeed(&["token", "generate", "--connection", "entra"]);
    let client = server.client_with(token.trim());
    create(&client, "/Users", &user("ada"));
    fs::write(&file, "[connections.entra]\nmethod = \"entra\"\nscope = \"none\"\n").unwrap();
    let log = server.reload();
    assert!(log.contains("conf.d/entra.toml:3:1: connections.entra.scope"), "{log}");
    client.get("/Users").expect(200);
    fs::write(&file, "").unwrap();
    let log = server.reload();
    assert!(log.contains("the file is empty"), "{log}");
    fs::remove_file(&file).unwrap();
    server.reconfigure(|text| text);
    client.get("/Users").error(401, None);
    server.client().get("/Users").expect(200);
}

#[test]
fn the_settings_in_force_name_the_file_and_line_of_each() {
    let folder = folder(&[("a.toml", "# first\n[connections.entra]\nmethod = \"entra\"\n")]);
    let output =
        scimd(&["config", "show", "--origin"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = String::from_utf8(output.stdout).unwrap();
    let origin = |key: &str| {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key} in {shown}")).rsplit("  ").next().unwrap().to_owned()
    };
    assert!(origin("connections.entra.method").ends_with("/conf.d/a.toml:3"));
    assert!(origin("listen.address").ends_with("/config.toml:5"));
    assert_eq!(origin("limits.max_scan"), "default");
    let json = scimd(&["config", "show", "--json"]).current_dir(folder.path()).output().unwrap();
    let settings: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    let all = settings.as_array().unwrap();
    let of = |key: &str| all.iter().find(|one| one["key"] == key).unwrap();
    assert_eq!(
        (&of("limits.max_scan")["value"], &of("limits.max_scan")["file"]),
        (&2_000_000.into(), &().into())
    );
    assert_eq!(of("connections.okta.method")["line"], 3);
    assert!(!folder.path().join("data").exists(), "showing creates nothing");

    fs::write(folder.path().join("config.toml"), "colour = 1\n").unwrap();
    let output = scimd(&["config", "show"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
