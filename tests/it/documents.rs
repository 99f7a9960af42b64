//! The documents against the real binary: what they show is what it prints.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Server, files, free_port, scimd};

fn document(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A block of shell lines in a document, with the output that the document shows below it.
struct Block {
    script: String,
    shown: Option<String>,
}

/// The shell blocks below a heading of the second level.
fn blocks(document: &str, heading: &str) -> Vec<Block> {
    let (_, section) = document.split_once(&format!("\n## {heading}\n")).expect(heading);
    let section = section.split("\n## ").next().unwrap();
    let mut found: Vec<Block> = Vec::new();
    let mut is_code = false;
    for part in section.split("```") {
        match part.split_once('\n') {
            Some(("sh", script)) if is_code => {
                found.push(Block { script: script.to_owned(), shown: None });
            }
            Some((_, shown)) if is_code => {
                found.last_mut().expect("a block before it").shown = Some(shown.to_owned());
            }
            _ => {}
        }
        is_code = !is_code;
    }
    found
}

/// Whether a line is the shown one, in which `…` stands for any text.
fn fits(shown: &str, line: &str) -> bool {
    let mut rest = line;
    let mut parts = shown.split('…');
    let Some(first) = parts.next() else { return false };
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    let parts: Vec<&str> = parts.collect();
    for (number, part) in parts.iter().enumerate() {
        let is_last = number + 1 == parts.len();
        let at = if is_last { rest.rfind(part) } else { rest.find(part) };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty()
}

#[track_caller]
fn assert_shown(shown: &str, printed: &str) {
    let fit = shown.lines().count() == printed.lines().count()
        && shown.lines().zip(printed.lines()).all(|(shown, line)| fits(shown, line));
    assert!(fit, "the document shows\n{shown}\nbut this is printed:\n{printed}");
}

/// Runs blocks in one shell in a new directory, after the first one, which serves. The outputs.
fn run(blocks: &[&Block]) -> Vec<String> {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let console = free_port();
    let config = format!(
        "public_url = \"https://127.0.0.1:{port}\"\n[listen]\naddress = \"127.0.0.1:{port}\"\n\
         [console]\naddress = \"127.0.0.1:{console}\"\n\
         [connections.default]\nmethod = \"custom\"\nservice_origin = \"localhost\"\n\
         ip_allowlist = \"127.0.0.0/8, ::1\"\n"
    );
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let (serve, others) = blocks.split_first().unwrap();
    let mut script = format!(
        "exec 2>&1; set -e\n{} >serve.log 2>&1 &\nserver=$!; trap 'kill $server; wait $server' EXIT\n\
         for _ in $(seq 300); do scimd status >/dev/null 2>&1 && break; sleep 0.1; done\n",
        serve.script.trim()
    );
    for block in others {
        script.push_str(&format!("echo '=== block'\n{}\n", block.script));
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_scimd")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script.replace("8443", &port.to_string())])
        .env("PATH", path)
        .current_dir(&folder)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().replace(&port.to_string(), "8443");
    assert!(output.status.success(), "{printed}");
    printed.split("=== block\n").skip(1).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn the_readme_runs_as_a_script_and_prints_what_it_shows() {
    let blocks = blocks(&document("README.md"), "Start");
    let printed = run(&blocks.iter().collect::<Vec<_>>());
    assert_eq!(printed.len(), blocks.len() - 1);
    for (block, printed) in blocks.iter().skip(1).zip(&printed) {
        if let Some(shown) = &block.shown {
            assert_shown(shown, printed);
        }
    }
}

#[test]
#[ignore = "needs curl; .ci/run installs it and runs this"]
fn the_examples_for_clients_run_as_a_script_and_print_what_they_show() {
    let start = blocks(&document("README.md"), "Start");
    let examples = blocks(&document("docs/scim.md"), "Examples");
    let all: Vec<&Block> = start.iter().take(2).chain(&examples).collect();
    let printed = run(&all);
    for (block, printed) in all.iter().skip(1).zip(&printed) {
        if let Some(shown) = &block.shown {
            assert_shown(shown, printed);
        }
    }
}

/// Words for which the trade has plainer ones: `audit log`, `data directory`, `forever`, or a sentence with a subject.
const AVOIDED: [&str; 8] = [
    "whoever",
    " anew",
    "for ever ",
    "all told",
    "audit trail",
    "data folder",
    "working folder",
    "of late",
];

#[test]
fn documents_and_help_use_plain_words() {
    let folder = tempfile::tempdir().unwrap();
    assert!(scimd(&["manual", "."]).current_dir(&folder).status().unwrap().success());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = files(&root.join("docs"))
        .into_iter()
        .filter(|path| path.extension() == Some("md".as_ref()));
    let top = ["README.md", "SECURITY.md", "config.example.toml"].map(|name| root.join(name));
    for path in docs.chain(top).chain(files(folder.path())) {
        let text = fs::read_to_string(&path).unwrap().to_lowercase();
        let found = AVOIDED.iter().find(|word| text.contains(*word));
        assert_eq!(found, None, "{}", path.display());
    }
}

#[test]
fn the_document_of_the_command_line_names_every_command() {
    let help = String::from_utf8(scimd(&["--help"]).output().unwrap().stdout).unwrap();
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let document = document("docs/command-line.md");
    for line in listed.lines().take_while(|line| !line.is_empty()) {
        let name = line.strip_prefix("  ").unwrap_or_default().split(' ').next().unwrap();
        let is_named = document.contains(&format!("`scimd {name}"));
        assert!(is_named || name.is_empty() || name == "help", "{name}");
    }
}

/// What a first boot prints, with the values of one run exchanged for fixed ones.
fn first_boot() -> String {
    let server = Server::start_with(
        "[connections.default]\nmethod = \"custom\"\nservice_origin = \"localhost\"\n\
         ip_allowlist = \"127.0.0.0/8, ::1\"\n[console]\n",
    );
    let data = server.data().canonicalize().unwrap().display().to_string();
    let printed = server.stdout().replace(server.token(), "scimd_RJ0polFfVB9SzTg6…WmC");
    let printed = printed.replace(&data, "/srv/scimd/scimd-data");
    let printed = printed.replace(&server.port().to_string(), "8443");
    let printed = printed.replace(&server.console_port().to_string(), "8444");
    let lines = printed.lines().map(|line| {
        match (line.split_once("SHA-256 "), line.split_once("/link/")) {
            (Some((before, _)), _) => {
                format!("{before}SHA-256 38:55:40:46:40:5C:AE:A4:…:7E:EC:E2:73\n")
            }
            (_, Some((before, _))) => format!("{before}/link/yQ3mZ0…kV8\n"),
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// A terminal with these lines as a picture. Long lines are broken as a terminal of 100 columns does.
fn picture(lines: &[String]) -> String {
    let rows: Vec<String> = lines
        .iter()
        .flat_map(|line| {
            let characters: Vec<char> = line.chars().collect();
            let rows = characters.chunks(100).map(|row| row.iter().collect::<String>());
            if line.is_empty() { vec![String::new()] } else { rows.collect() }
        })
        .collect();
    let height = rows.len() * 19 + 62;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 {height}\" width=\"860\" height=\"{height}\" \
         role=\"img\" aria-label=\"A first boot in a terminal\">\n<style>text{{font:13.4px ui-monospace,SFMono-Regular,\
         Menlo,Consolas,&quot;DejaVu Sans Mono&quot;,monospace;fill:#e6e6e6}}</style>\n<rect width=\"860\" \
         height=\"{height}\" rx=\"8\" fill=\"#1b1f24\"/>\n"
    );
    for (at, colour) in [(22, "#ff5f57"), (42, "#febc2e"), (62, "#28c840")] {
        svg.push_str(&format!("<circle cx=\"{at}\" cy=\"20\" r=\"6\" fill=\"{colour}\"/>\n"));
    }
    for (number, row) in rows.iter().enumerate() {
        let row = row.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let y = 58 + number * 19;
        svg.push_str(&format!("<text x=\"20\" y=\"{y}\" xml:space=\"preserve\">{row}</text>\n"));
    }
    svg + "</svg>\n"
}

/// `UPDATE_DOCUMENTS=1 cargo test --test it documents` draws it again.
#[test]
fn the_picture_of_the_first_boot_shows_what_is_printed() {
    let printed = first_boot();
    let lines = std::iter::once("$ scimd serve --first-boot").chain(printed.trim_end().lines());
    let drawn = picture(&lines.map(str::to_owned).collect::<Vec<_>>());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/first-boot.svg");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &drawn).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), drawn, "UPDATE_DOCUMENTS=1 draws it again");
}
