//! The shape of the code: floors, who may say what, and maps that are true.

mod imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every top-level module and its floor.
const FLOORS: &[(&str, u8)] = &[
    ("clock", 0),
    ("logging", 0),
    ("metrics", 0),
    ("secret", 0),
    ("text", 0),
    ("access", 1),
    ("connection", 1),
    ("event", 1),
    ("scim", 1),
    ("settings", 1),
    ("config", 2),
    ("log", 2),
    ("store", 2),
    ("directory", 3),
    ("operator", 3),
    ("admin", 4),
    ("http", 4),
    ("app", 5),
    ("cli", 5),
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
                let doors = own == 4 && below == 4 && named != module;
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
    only("StatusCode", &|source| source.path.starts_with("http"));
    only("Timestamp::now", &|source| source.is("clock.rs"));
    only("SystemTime", &|source| source.is("clock.rs") || source.is("http/server/tls.rs"));
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

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let mut named = 0;
    for word in text.split('`').skip(1).step_by(2) {
        let Some((file, test)) = word.split_once("::") else { continue };
        let source = fs::read_to_string(root().join(format!("tests/it/{file}.rs")));
        let source = source.unwrap_or_else(|error| panic!("{word}: {error}"));
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
        assert!(lines <= 600, "{} has {lines} lines", source.path.display());
    }
}

#[test]
fn zz_show() {
    let graph = imports::graph(&root().join("src"));
    for cycle in imports::cycles(&graph) {
        println!("FILES {cycle:?}");
        for a in &cycle {
            for b in &graph[a] {
                if cycle.contains(b) {
                    println!("   {a} -> {b}");
                }
            }
        }
    }
    let mut folders: BTreeSet<String> =
        graph.keys().filter_map(|f| f.rsplit_once('/').map(|(d, _)| d.to_owned())).collect();
    folders.insert(String::new());
    for folder in folders {
        let siblings = imports::siblings(&graph, &folder);
        for cycle in imports::cycles(&siblings) {
            println!("IN {folder:?}: {cycle:?}");
            for a in &cycle {
                for b in &siblings[a] {
                    if cycle.contains(b) {
                        println!("   {a} -> {b}");
                    }
                }
            }
        }
    }
    let top = imports::siblings(&graph, "");
    for (a, b) in top {
        println!("{a} -> {b:?}");
    }
}
