//! The shape of the code: floors, who may say what, and maps that are true.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("authorities", 0),
    ("clock", 0),
    ("file", 0),
    ("logging", 0),
    ("metrics", 0),
    ("secret", 0),
    ("text", 0),
    ("access", 1),
    ("connection", 1),
    ("credential", 1),
    ("event", 1),
    ("scim", 1),
    ("settings", 1),
    ("config", 2),
    ("log", 2),
    ("request_log", 2),
    ("store", 2),
    ("directory", 3),
    ("feed", 3),
    ("operator", 3),
    ("admin", 4),
    ("console", 4),
    ("fetch", 4),
    ("http", 4),
    ("notify", 4),
    ("transport", 4),
    ("webhook", 4),
    ("app", 5),
    ("cli", 5),
];

/// The modules on the floor of the doors that are no door themselves: doors share them.
const SHARED: &[&str] = &["fetch", "transport"];

/// Every edge between top-level modules: a module, and those that it imports from.
const EDGES: &[(&str, &str)] = &[
    ("access", "scim text"),
    ("admin", "operator"),
    (
        "app",
        "access admin authorities clock config connection console credential directory event feed fetch file http log logging metrics notify operator request_log scim settings store text transport webhook",
    ),
    (
        "cli",
        "access admin app clock config connection credential directory event feed file log logging operator request_log scim store text",
    ),
    ("authorities", ""),
    ("clock", ""),
    ("config", "access connection credential file logging scim settings text"),
    ("connection", "access scim secret text"),
    (
        "console",
        "access clock config connection credential directory event fetch file log operator request_log scim secret store text transport",
    ),
    ("credential", "connection text"),
    ("directory", "access clock connection credential event log metrics scim settings store text"),
    ("event", ""),
    ("feed", "access clock directory event log scim store text"),
    ("fetch", "authorities text"),
    ("file", ""),
    (
        "http",
        "access clock config connection directory event feed fetch file logging metrics operator request_log scim secret text transport",
    ),
    ("log", "authorities clock event metrics text"),
    ("logging", "clock metrics text"),
    ("metrics", ""),
    ("notify", "clock config file text"),
    (
        "operator",
        "access clock connection credential directory event feed log request_log scim store text",
    ),
    ("request_log", "clock metrics text"),
    ("scim", "text"),
    ("secret", ""),
    ("settings", "access connection scim"),
    ("store", "clock file log metrics scim text"),
    ("text", ""),
    ("transport", "authorities clock connection event file logging metrics"),
    ("webhook", "config directory event feed fetch log operator text"),
];

/// The same between the files and folders of `directory/`. Its `mod.rs` is the facade above all.
const DIRECTORY_EDGES: &[(&str, &str)] = &[
    ("access", "error membership settings stored transaction"),
    ("adoption", "access audit error settings stored transaction"),
    ("audit", ""),
    ("brake", "error membership settings stored transaction"),
    ("capture", "error transaction"),
    ("clock", "error transaction trusted_time"),
    ("connection_record", "error transaction"),
    ("core", "audit brake counters latest operator query token trusted_time"),
    ("counters", ""),
    ("deactivation", "transaction"),
    ("error", ""),
    ("follower", "connection_record core error mod settings"),
    ("grant_check", "error mod query stored"),
    ("latest", "error"),
    ("lookup", "access brake deactivation error membership mod query stored"),
    ("maintenance", "error mod transaction"),
    ("may_grant", "error transaction"),
    ("membership", "error may_grant rules stored transaction"),
    ("migration", "access error mod settings writer"),
    ("operator", "error transaction"),
    ("operator_sign_in", "mod operator"),
    ("query", "error membership settings shown stored"),
    ("resource", "deactivation error membership rules stored transaction"),
    ("rules", "error stored transaction"),
    ("settings", "error"),
    ("shown", "access error membership settings stored"),
    ("sign_in", "error mod token"),
    ("stats", "mod stored trusted_time"),
    ("stored", "error may_grant transaction"),
    ("token", "error transaction"),
    ("transaction", "audit error settings"),
    ("trusted_time", ""),
    ("undo", "access audit error membership mod stored transaction"),
    ("verify", "membership mod settings stored"),
    ("webhook_state", "error mod transaction"),
    (
        "writer",
        "access adoption audit brake clock connection_record core error membership settings stored token transaction trusted_time",
    ),
];

struct Source {
    /// Its path below `src`.
    path: PathBuf,
    /// Its lines without comments, with tests.
    code: Vec<String>,
}

impl Source {
    fn module(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_str().unwrap();
        first.trim_end_matches(".rs").to_owned()
    }

    fn is(&self, path: &str) -> bool {
        self.path == Path::new(path)
    }

    fn says(&self, word: &str) -> bool {
        self.code.iter().any(|line| line.contains(word))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut paths = Vec::new();
    files(&src, &mut paths);
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .map(ToOwned::to_owned)
                .collect();
            Source { path: path.strip_prefix(&src).unwrap().to_owned(), code }
        })
        .collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn a_file_imports_from_its_own_floor_and_below() {
    for source in sources() {
        let module = source.module();
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let own = floor(&module).unwrap_or_else(|| panic!("{module} stands on no floor"));
        for line in &source.code {
            for (_, after) in
                line.match_indices("crate::").map(|(at, word)| (at, &line[at + word.len()..]))
            {
                let named: String =
                    after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let below = floor(&named)
                    .unwrap_or_else(|| panic!("crate::{named} in {}", source.path.display()));
                assert!(
                    below <= own,
                    "{} (floor {own}) imports {named} (floor {below})",
                    source.path.display()
                );
                let reads_config = (named == "config") != (module == "config");
                assert!(
                    !reads_config || own != 3 && (own, below) != (2, 2),
                    "{}: the configuration is parsed into the vocabulary; import that",
                    source.path.display()
                );
                let doors =
                    own == 4 && below == 4 && named != module && !SHARED.contains(&named.as_str());
                assert!(!doors, "{}: a door imports another door", source.path.display());
            }
        }
    }
}

#[test]
fn words_stand_only_where_they_belong() {
    let only = |word: &str, allowed: &dyn Fn(&Source) -> bool| {
        for source in sources().iter().filter(|source| !allowed(source)) {
            assert!(!source.says(word), "{} says {word:?}", source.path.display());
        }
    };
    only("sled::", &|source| source.is("store/engine.rs"));
    only("StatusCode", &|source| ["http", "console"].contains(&source.module().as_str()));
    only("Timestamp::now", &|source| source.is("clock.rs"));
    only("SystemTime", &|source| source.is("clock.rs") || source.is("transport/tls.rs"));
    only("async fn", &|source| floor(&source.module()).is_none_or(|floor| floor >= 4));
    only(".from_canonical(", &|source| source.path.starts_with("scim"));
    only("unsafe ", &|_| false);
}

#[test]
fn secrets_have_no_trait_that_shows_them() {
    for (path, name) in [("secret.rs", "Secret"), ("connection/token.rs", "TokenSecret")] {
        let sources = sources();
        let source = sources.iter().find(|source| source.is(path)).unwrap();
        let at =
            source.code.iter().position(|line| line.contains(&format!("struct {name}("))).unwrap();
        assert!(!source.code[at - 1].contains("derive"), "{name} derives something");
        for shown in ["Debug", "Display", "Serialize"] {
            assert!(!source.says(&format!("{shown} for {name}")), "{name} is {shown}");
        }
    }
}

#[test]
fn handlers_name_no_attribute() {
    let names = ["userName", "displayName", "emails", "externalId", "active", "members"];
    for source in sources().iter().filter(|source| source.path.starts_with("http/scim")) {
        for name in names {
            assert!(!source.says(&format!("\"{name}\"")), "{} names {name}", source.path.display());
        }
    }
}

#[test]
fn the_map_in_lib_lists_every_module_once() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let floors: BTreeSet<&str> = FLOORS.iter().map(|(name, _)| *name).collect();
    assert_eq!(declared, floors);
    for name in declared {
        assert_eq!(lib.matches(&format!("[`{name}`]")).count(), 1, "{name} in the map");
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let is_path =
                ["src/", "tests/", "docs/", ".ci/"].iter().any(|top| word.starts_with(top));
            if is_path && !word.contains([' ', '*', '{', '<']) {
                assert!(root().join(word).exists(), "{document} names {word}");
            }
        }
    }
}

/// The anchor that a heading gets on the page: lower case, with dashes, without punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|kept| kept.is_alphanumeric() || " -_".contains(*kept));
    kept.map(|kept| if kept == ' ' { '-' } else { kept }).collect()
}

/// The text of a document outside of its blocks of code.
fn prose(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split("```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let documents = docs.chain(top).filter(|path| path.extension().is_some_and(|end| end == "md"));
    for document in documents {
        for link in prose(&document).split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.starts_with("http") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            assert!(target.exists(), "{} links to {link}", document.display());
            let found = heading.is_empty()
                || prose(&target)
                    .lines()
                    .any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(found, "{}: {} has no heading {heading}", document.display(), target.display());
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let Some((file, test)) = word.split_once("::") else { continue };
        let places = [format!("tests/it/{file}.rs"), format!("tests/it/{file}/mod.rs")];
        let source = places.iter().find_map(|place| fs::read_to_string(root().join(place)).ok());
        let source = source.unwrap_or_else(|| panic!("{word}: no file has that test"));
        assert!(source.contains(&format!("fn {test}()")), "there is no test {word}");
        named += 1;
    }
    assert!(named > 30, "the threat model names {named} tests");
}

#[test]
fn no_file_is_too_long_to_read() {
    for source in sources() {
        let lines =
            fs::read_to_string(root().join("src").join(&source.path)).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", source.path.display());
    }
}

#[test]
fn folders_import_what_the_lists_of_edges_say_and_no_more() {
    let graph = imports::graph(&root().join("src"));
    for (folder, listed) in [("", EDGES), ("directory", DIRECTORY_EDGES)] {
        let found: BTreeMap<String, BTreeSet<String>> = imports::siblings(&graph, folder)
            .into_iter()
            .filter(|(node, _)| !matches!(node.as_str(), "lib" | "main" | "mod"))
            .collect();
        let listed = listed.iter().map(|(node, below)| {
            (node.to_string(), below.split_whitespace().map(ToOwned::to_owned).collect())
        });
        assert_eq!(found, listed.collect::<BTreeMap<_, BTreeSet<String>>>(), "in src/{folder}");
    }
}

#[test]
fn no_file_imports_from_a_file_that_imports_from_it() {
    let graph = imports::graph(&root().join("src"));
    let mut folders: BTreeSet<&str> =
        graph.keys().filter_map(|file| Some(file.rsplit_once('/')?.0)).collect();
    folders.insert("");
    let between = folders.iter().map(|folder| (*folder, imports::siblings(&graph, folder)));
    for (place, graph) in between.chain([("all files", graph.clone())]) {
        if let Some(cycle) = imports::cycles(&graph).first() {
            let edges = cycle.iter().flat_map(|from| {
                let to = graph[from].iter().filter(|to| cycle.contains(to));
                to.map(move |to| format!("\n  {from} -> {to}"))
            });
            let edges: String = edges.collect();
            panic!("a cycle in {place:?}:{edges}");
        }
    }
}

#[test]
fn a_type_name_means_one_thing() {
    let mut places: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for source in sources() {
        let end = source.code.iter().position(|line| line.trim() == "#[cfg(test)]");
        for line in &source.code[..end.unwrap_or(source.code.len())] {
            let line = line.trim_start();
            let Some(rest) = line.strip_prefix("pub") else { continue };
            let rest = match rest.strip_prefix('(') {
                Some(scope) => scope.split_once(") ").map_or("", |(_, rest)| rest),
                None => rest.trim_start(),
            };
            let mut words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if let (Some("struct" | "enum" | "trait" | "type" | "union"), Some(name)) =
                (words.next(), words.next())
            {
                places.entry(name.to_owned()).or_default().insert(source.path.clone());
            }
        }
    }
    for (name, places) in places {
        assert!(places.len() == 1, "{name} is declared in {places:?}");
    }
}
