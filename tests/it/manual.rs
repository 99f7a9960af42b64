//! Manual pages and completions: written from the same definitions as the help.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Server, create, scimd, user};

/// Every command with those above it, as `--help` lists them.
fn commands(above: &[&str]) -> BTreeSet<String> {
    let help = scimd(&[above, &["--help"]].concat()).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut found = BTreeSet::from([[&["scimd"], above].concat().join("-")]);
    let Some((_, listed)) = help.split_once("Commands:\n") else { return found };
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        // A help that is longer than its line goes on below, further in.
        let name = line.strip_prefix("  ").and_then(|line| line.split(' ').next()).unwrap();
        if !name.is_empty() && name != "help" {
            found.extend(commands(&[above, &[name]].concat()));
        }
    }
    found
}

#[test]
fn every_command_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("a/man");
    let written = scimd(&["manual", pages.to_str().unwrap()]).output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    let names: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| Some(name.strip_suffix(".1")?.to_owned()))
        .collect();
    assert_eq!(names, commands(&[]));
    assert!(names.contains("scimd-token-reset"));
    let configuration = fs::read_to_string(pages.join("scimd.toml.5")).unwrap();
    assert!(configuration.contains("\\fBmax_body_bytes\\fR"), "{configuration}");
}

#[test]
fn a_page_says_what_the_help_says_and_the_first_one_more() {
    let folder = tempfile::tempdir().unwrap();
    assert!(scimd(&["manual", "."]).current_dir(&folder).status().unwrap().success());
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let reset = page("scimd-token-reset.1");
    let title = concat!(
        ".TH \"SCIMD-TOKEN-RESET\" \"1\" \"\" \"scimd ",
        env!("CARGO_PKG_VERSION"),
        "\" \"scimd manual\"\n"
    );
    assert!(reset.contains(title), "{reset}");
    for said in
        ["Keep existing tokens valid for this long", "\\-\\-connection\\fR \\fI<CONNECTION>"]
    {
        assert!(reset.contains(said), "{said} in {reset}");
    }
    let scimd = page("scimd.1");
    for said in ["scimd\\-token(1)", ".SH FILES", "/etc/scimd/config.toml", ".SH \"EXIT STATUS\""] {
        assert!(scimd.contains(said), "{said} in {scimd}");
    }
}

#[test]
fn there_are_completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = scimd(&["completions", shell]).output().unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty());
        assert!(String::from_utf8(printed.stdout).unwrap().contains("SCIMD_COMPLETE"), "{shell}");
    }
    assert_eq!(scimd(&["completions", "cmd"]).output().unwrap().status.code(), Some(2));
}

/// What bash offers after the words of a command line, of which the last is not complete.
fn completed_by_bash(words: &[&str]) -> String {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_scimd"));
    let path = format!("{}:/usr/bin:/bin", binary.parent().unwrap().display());
    // Bash calls the function with the command, the word, and the one before it.
    let script = "source <(scimd completions bash); COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; \
                  _clap_complete_scimd scimd \"${COMP_WORDS[COMP_CWORD]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let output = Command::new("bash")
        .args(["-c", script, "bash", "scimd"])
        .args(words)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_options_and_names() {
    assert_eq!(completed_by_bash(&["token", "re"]), "reset\nrevoke\n");
    assert_eq!(completed_by_bash(&["serve", "--first"]), "--first-boot\n");
    assert_eq!(completed_by_bash(&["init", "--method", "okta"]), "okta\nokta-custom\n");
    let server = Server::start();
    let client = server.client();
    for name in ["ada", "adele", "bob"] {
        create(&client, "/Users", &user(name));
    }
    let config = server.folder().join("config.toml").display().to_string();
    let complete = |words: &[&str]| completed_by_bash(&[&["--config", &config], words].concat());
    assert_eq!(complete(&["token", "generate", "--connection", "d"]), "default\n");
    assert_eq!(complete(&["connection", "show", "de"]), "default\n");
    assert_eq!(complete(&["user", "show", "ad"]), "ada\nadele\n");
    assert_eq!(complete(&["user", "show", "a\"'$(x)"]), "\n");
    let listed: Value =
        serde_json::from_str(&server.succeed(&["token", "list", "--json"])).unwrap();
    let id = listed[0]["id"].as_str().unwrap();
    assert_eq!(complete(&["token", "revoke", &id[..2]]), format!("{id}\n"));
}
