//! Manual pages and completions: written from the same definitions as the help.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::harness::scimd;

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
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish"] {
        let printed = scimd(&["completions", shell]).output().unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty());
        let script = String::from_utf8(printed.stdout).unwrap();
        for word in ["first-boot", "overlap", "generate"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
    }
    assert_eq!(scimd(&["completions", "cmd"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn bash_completes_with_them() {
    let binary = env!("CARGO_BIN_EXE_scimd");
    let line = format!(
        "source <('{binary}' completions bash); COMP_WORDS=(scimd token re); COMP_CWORD=2; \
         _scimd scimd re token; echo ${{COMPREPLY[@]}}"
    );
    let output = Command::new("bash").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "reset revoke\n");
}
