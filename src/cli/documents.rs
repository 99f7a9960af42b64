//! The commands that the documents name, held against the command line.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::command_line;

/// What begins like a command and is none: a placeholder, and the text that a key signs.
const NO_COMMANDS: [&str; 2] = ["scimd COMMAND --help", "scimd head 1"];

/// A command line in a document.
struct Named {
    place: String,
    line: String,
    /// Whether it stands in a sentence, where arguments may be left out.
    is_mention: bool,
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|one| one == "md")).collect();
    pages.extend(["README.md", "SECURITY.md"].map(|name| root.join(name)));
    pages
}

/// The command lines of a page: those in blocks for a shell, and those in code within sentences.
fn named(path: &Path) -> Vec<Named> {
    let text = fs::read_to_string(path).unwrap();
    let mut found = Vec::new();
    let (mut is_block, mut is_shell) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", path.file_name().unwrap().display(), number + 1);
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            is_block = !is_block;
            is_shell = is_block && kind == "sh";
        } else if is_shell {
            found.extend(commands(line).into_iter().map(|line| Named {
                place: place.clone(),
                line,
                is_mention: false,
            }));
        } else if !is_block {
            let code = line.split('`').skip(1).step_by(2).filter(|code| code.starts_with("scimd "));
            found.extend(code.map(|code| Named {
                place: place.clone(),
                line: code.to_owned(),
                is_mention: true,
            }));
        }
    }
    found
}

/// The commands of scimd in a line of a shell: at its start, and behind what another command begins with.
fn commands(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or(line);
    let parts = line.split(['|', ';']).flat_map(|part| part.split("&&"));
    let of_scimd = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        let begins = |at: &usize| {
            let before = at.checked_sub(1).and_then(|before| words.get(before));
            let is_in_container = words.first() == Some(&"podman") && before == Some(&"scimd");
            let is_program =
                is_in_container || before.is_none_or(|word| ["--", "sudo", "root"].contains(word));
            is_program && words.get(*at) == Some(&"scimd")
        };
        let at = (0..words.len()).find(begins)?;
        Some(words.get(at..)?.join(" "))
    };
    parts.filter_map(of_scimd).collect()
}

/// The words of a command line, up to where its output is sent; quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.trim().chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            // The output of another command is one word.
            (None, '(') => quote = Some(')'),
            (None, ' ') => words.extend(word.take()),
            (None, '>') => break,
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// What is wrong with a command line; `None` for one that is understood.
fn problem(Named { place, line, is_mention }: &Named) -> Option<String> {
    // Stands for any value.
    if line.contains('…') || line.contains("...") || NO_COMMANDS.contains(&line.as_str()) {
        return None;
    }
    let error = command_line().try_get_matches_from(words(line)).err()?;
    let is_partial = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::InvalidValue
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let is_right = is_help || (*is_mention && is_partial);
    (!is_right).then(|| format!("{place}: {line}: {error}"))
}

#[test]
fn every_command_of_the_documents_is_understood() {
    let all: Vec<Named> = pages().iter().flat_map(|page| named(page)).collect();
    let (mentions, blocks): (Vec<&Named>, Vec<&Named>) = all.iter().partition(|one| one.is_mention);
    assert!(blocks.len() > 80 && mentions.len() > 80, "{} {}", blocks.len(), mentions.len());
    let problems: Vec<String> = all.iter().filter_map(problem).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_wrong_command_in_a_document_would_be_found() {
    let of = |line: &str, is_mention| {
        problem(&Named { place: String::new(), line: line.to_owned(), is_mention })
    };
    for line in ["scimd usr list", "scimd user list --colour", "scimd undo --since soon"] {
        assert!(of(line, false).is_some(), "{line}");
    }
    assert!(of("scimd user lst", true).is_some());
    assert!(of("scimd restore", false).is_some() && of("scimd restore", true).is_none());
    assert_eq!(
        commands("systemctl stop scimd && runuser -u scimd -- scimd restore a"),
        ["scimd restore a"]
    );
    assert_eq!(commands("scimd export | ssh other scimd import -"), ["scimd export"]);
    assert_eq!(commands("podman exec scimd scimd status"), ["scimd status"]);
    assert_eq!(words("scimd user show 'a b' >x"), ["scimd", "user", "show", "a b"]);
    assert_eq!(words("scimd backup a-$(date +%F) -q").len(), 4);
}
