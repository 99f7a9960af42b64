//! Which file uses items of which: read from the `use` declarations and paths of every file in `src`.
//!
//! A path counts as a use of the file that defines the item, also if a parent module re-exports it.
//! Re-exports and tests are not uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A file: its module path below the crate, and its code.
struct File {
    module: Vec<String>,
    code: String,
    /// Names that it declares or defines itself.
    own: BTreeSet<String>,
    /// Names that it imports or re-exports, with the absolute path of each.
    imported: BTreeMap<String, Vec<String>>,
    /// Absolute paths that it uses.
    uses: Vec<Vec<String>>,
}

/// For every file, by its path below `src` without the ending, the files whose items it uses.
pub(super) fn graph(src: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut paths = Vec::new();
    super::files(src, &mut paths);
    let (mut files, mut tests) = (BTreeMap::new(), BTreeSet::new());
    for path in paths {
        let relative = path.strip_prefix(src).unwrap();
        let name = relative.with_extension("").to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let file = File::read(&name, &text);
        for test in test_modules(&text) {
            tests.insert([file.module.as_slice(), &[test]].concat());
        }
        files.insert(name, file);
    }
    files.retain(|_, file| !tests.iter().any(|test| file.module.starts_with(test)));
    let modules: BTreeMap<Vec<String>, String> =
        files.iter().map(|(name, file)| (file.module.clone(), name.clone())).collect();
    let mut graph = BTreeMap::new();
    for (name, file) in &files {
        let mut used = BTreeSet::new();
        for path in &file.uses {
            used.extend(definer(&files, &modules, path, 0));
        }
        used.remove(name);
        graph.insert(name.clone(), used);
    }
    graph
}

/// The file that defines what a path names; `None` for a module itself and for what is not ours.
fn definer(
    files: &BTreeMap<String, File>,
    modules: &BTreeMap<Vec<String>, String>,
    path: &[String],
    depth: usize,
) -> Option<String> {
    let (length, name) = (1..=path.len())
        .rev()
        .find_map(|length| modules.get(&path[..length]).map(|name| (length, name)))?;
    let item = path.get(length)?;
    let file = &files[name];
    match file.imported.get(item) {
        Some(target) if !file.own.contains(item) && depth < 8 && target != path => {
            let target: Vec<String> = target.iter().chain(&path[length + 1..]).cloned().collect();
            definer(files, modules, &target, depth + 1)
        }
        _ => Some(name.clone()),
    }
}

impl File {
    fn read(name: &str, text: &str) -> Self {
        let mut module: Vec<String> = name.split('/').map(ToOwned::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        let code = without_tests(text);
        let mut file = Self {
            module,
            own: BTreeSet::new(),
            imported: BTreeMap::new(),
            uses: Vec::new(),
            code: String::new(),
        };
        let mut rest = String::new();
        let mut statements = code.as_str();
        while let Some((before, public, tree, after)) = next_use(statements) {
            rest.push_str(before);
            for (path, alias) in expand(tree) {
                let Some(path) = file.absolute(&path) else { continue };
                if !public {
                    file.uses.push(path.clone());
                }
                file.imported.insert(alias, path);
            }
            statements = after;
        }
        rest.push_str(statements);
        file.own = declared(&rest);
        file.code = rest;
        file.inline_paths();
        file
    }

    /// A path from the crate's root; `None` if it leads elsewhere.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let mut base = self.module.clone();
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => {}
            "super" => drop(base.pop()),
            // A child module, or another crate.
            _ => return Some(base.into_iter().chain(path.iter().cloned()).collect()),
        }
        let mut rest = &path[1..];
        while rest.first().is_some_and(|first| first == "super") {
            base.pop();
            rest = &rest[1..];
        }
        Some(base.into_iter().chain(rest.iter().cloned()).collect())
    }

    /// Notes paths within the code: those from `crate`, `super` or `self`, and those that begin with an
    /// imported module.
    fn inline_paths(&mut self) {
        let mut found = Vec::new();
        let code = std::mem::take(&mut self.code);
        for (at, _) in code.match_indices("::") {
            let before = &code[..at];
            let start = before
                .rfind(|c: char| !(c.is_alphanumeric() || c == '_'))
                .map_or(0, |at| at + before[at..].chars().next().unwrap().len_utf8());
            if before[..start].ends_with(':') || start == at {
                continue;
            }
            let whole: Vec<String> = code[start..]
                .split("::")
                .take(8)
                .scan(false, |ended, part| {
                    if *ended {
                        return None;
                    }
                    let word: String =
                        part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    *ended = word.len() != part.len();
                    (!word.is_empty()).then_some(word)
                })
                .collect();
            let Some(first) = whole.first() else { continue };
            if matches!(first.as_str(), "crate" | "super" | "self") {
                found.extend(self.absolute(&whole));
            } else if let Some(target) = self.imported.get(first) {
                found.push(target.iter().chain(&whole[1..]).cloned().collect());
            } else if !first.starts_with(char::is_uppercase) {
                found.extend(self.absolute(&whole));
            }
        }
        self.uses.extend(found);
    }
}

/// The code without comments, and without what is compiled for tests alone.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // The rest of the file, or one item that ends on a line of its own.
            let item: Vec<&str> = lines.by_ref().take(1).collect();
            if item.first().is_some_and(|item| item.contains("mod ") && item.ends_with('{')) {
                break;
            }
            continue;
        }
        let line = line.split("//").next().unwrap_or_default();
        code.push_str(line);
        code.push('\n');
    }
    code
}

/// The modules that are compiled for tests alone, by their names.
fn test_modules(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    pairs
        .filter_map(|pair| {
            let (_, name) = pair[1].split_once("mod ")?;
            Some(name.strip_suffix(';')?.to_owned())
        })
        .collect()
}

/// The next `use` statement: what stands before it, whether it re-exports, its tree, and what follows.
fn next_use(code: &str) -> Option<(&str, bool, &str, &str)> {
    let mut from = 0;
    loop {
        let at = from + code[from..].find("use ")?;
        let line = code[..at].rfind('\n').map_or(0, |at| at + 1);
        let lead = code[line..at].trim();
        let end = at + code[at..].find(';')?;
        if lead.is_empty() || (lead.starts_with("pub") && !lead.contains(' ')) {
            return Some((&code[..line], !lead.is_empty(), &code[at + 4..end], &code[end + 1..]));
        }
        from = at + 4;
    }
}

/// The paths of a `use` tree, each with the name that it gets.
fn expand(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    let Some(brace) = tree.find('{') else {
        let (path, alias) = match tree.split_once(" as ") {
            Some((path, alias)) => (path.trim(), Some(alias.trim())),
            None => (tree, None),
        };
        let mut parts: Vec<String> = path.split("::").map(|part| part.trim().to_owned()).collect();
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
            parts.pop();
        }
        let alias = alias.map_or_else(|| parts.last().cloned().unwrap_or_default(), Into::into);
        return vec![(parts, alias)];
    };
    let prefix = &tree[..brace];
    let inner = tree[brace + 1..].strip_suffix('}').unwrap_or_default();
    let (mut depth, mut begin, mut all) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = inner[begin..at].trim();
                if !part.is_empty() {
                    all.extend(expand(&format!("{prefix}{part}")));
                }
                begin = at + 1;
            }
            _ => {}
        }
    }
    all
}

/// The names of items that code defines at any depth.
fn declared(code: &str) -> BTreeSet<String> {
    let words =
        ["struct ", "enum ", "trait ", "type ", "fn ", "const ", "static ", "mod ", "union "];
    let mut names = BTreeSet::new();
    for line in code.lines() {
        for word in words {
            for (at, _) in line.match_indices(word) {
                let name: String = line[at + word.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                names.insert(name);
            }
        }
    }
    names
}

/// The groups of nodes that reach each other (Tarjan's strongly connected components with more than one
/// node), each sorted.
pub(super) fn cycles(graph: &BTreeMap<String, BTreeSet<String>>) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(node) = waiting.pop() {
            for next in graph.get(&node).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    waiting.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|node| (node, reach(node))).collect();
    let mut groups = BTreeSet::new();
    for (node, others) in &reached {
        let group: Vec<String> =
            others.iter().filter(|other| reached[other].contains(*node)).cloned().collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// The graph between the children of a folder: files and folders in it, a folder with all that is below.
/// The folder's own `mod.rs` is a node, too.
pub(super) fn siblings(
    graph: &BTreeMap<String, BTreeSet<String>>,
    folder: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let child = |file: &String| {
        let below = if folder.is_empty() {
            Some(file.as_str())
        } else {
            file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'))
        }?;
        below.split('/').next().map(ToOwned::to_owned)
    };
    let mut between: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, used) in graph {
        let Some(from) = child(file) else { continue };
        let to = used.iter().filter_map(child).filter(|to| *to != from);
        between.entry(from.clone()).or_default().extend(to.collect::<Vec<_>>());
    }
    between
}
