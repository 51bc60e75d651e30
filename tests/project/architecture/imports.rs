//! The import graph of the library: which file uses items that another file defines.
//!
//! An edge is a `use` or a written path (`crate::net::Stream`, `tree::node::Node`), followed
//! through re-exports to the file that defines the item. A `mod` or `pub use` line is no edge, and
//! neither is anything in a test module. A name that a file re-exports and also uses is an edge.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::source::{Source, inline_modules, is_word};

/// The files that each file uses, with the names of the used items.
pub type Edges = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// An import: the name in its file, and the path that the name stands for.
struct Binding {
    name: String,
    path: Vec<String>,
    /// How many inline modules enclose the import.
    nesting: usize,
    is_public: bool,
}

/// A path in the code, outside of `use` lines.
struct CodePath {
    path: Vec<String>,
    nesting: usize,
}

/// The names of one file.
struct Module {
    file: String,
    /// The module path from the crate's root.
    path: Vec<String>,
    items: HashSet<String>,
    bindings: Vec<Binding>,
    paths: Vec<CodePath>,
    /// The single names in the code, outside of `use` lines.
    words: HashSet<String>,
}

/// The meaning of a path.
#[derive(Clone)]
enum Target {
    /// A module, by its index.
    Module(usize),
    /// An item and the index of the module that defines it.
    Item(usize, String),
}

/// Returns the module path of a file of the library, or none for other files.
pub fn module_path(file: &str) -> Option<Vec<&str>> {
    let inside = file.strip_prefix("src/").or(file.starts_with("actors/").then_some(file))?;
    let names = inside.strip_suffix(".rs")?.split('/');
    Some(names.filter(|name| !["mod", "lib", "main"].contains(name)).collect())
}

/// Builds the import graph of the library's files among `sources`.
pub fn edges(sources: &[Source]) -> Edges {
    let modules: Vec<_> = sources.iter().filter_map(Module::new).collect();
    let graph = Graph::new(&modules);
    let mut edges = Edges::new();
    for (index, module) in modules.iter().enumerate() {
        let mut add = |target: Option<Target>, glob: bool| {
            let (used, item) = match target {
                Some(Target::Item(used, item)) => (used, item),
                Some(Target::Module(used)) if glob => (used, "*".to_owned()),
                _ => return,
            };
            if used != index {
                let uses = edges.entry(module.file.clone()).or_default();
                uses.entry(modules[used].file.clone()).or_default().insert(item);
            }
        };
        for binding in &module.bindings {
            let is_glob = binding.name == "*";
            let is_used = module.words.contains(&binding.name) && !is_glob;
            if !binding.is_public || is_used {
                add(graph.resolve(index, &binding.path, binding.nesting), is_glob);
            }
        }
        for path in &module.paths {
            add(graph.resolve(index, &path.path, path.nesting), false);
        }
    }
    edges
}

/// Returns the type names that a file defines at its top level, each with its offset.
pub fn types(source: &Source) -> Vec<(String, usize)> {
    let tokens = tokens(&source.code);
    let defined = top_level(&tokens).filter_map(|at| match tokens[at].1 {
        "struct" | "enum" | "trait" | "type" => tokens.get(at + 1),
        _ => None,
    });
    defined.map(|(offset, name)| ((*name).to_owned(), *offset)).collect()
}

impl Module {
    fn new(source: &Source) -> Option<Module> {
        let mut path: Vec<_> = module_path(&source.path)?.into_iter().map(str::to_owned).collect();
        if source.path == "src/main.rs" {
            // The program is a crate of its own.
            path = vec!["(main)".to_owned()];
        }
        let tokens = tokens(&source.code);
        let mut module = Module {
            file: source.path.clone(),
            path,
            items: items(&tokens),
            bindings: Vec::new(),
            paths: Vec::new(),
            words: HashSet::new(),
        };
        let mut at = 0;
        while at < tokens.len() {
            let (offset, token) = tokens[at];
            let next = tokens.get(at + 1).map_or("", |(_, token)| token);
            let is_name = token.bytes().all(is_word);
            let follows_path = at > 0 && tokens[at - 1].1 == "::";
            if token == "use" && next != "<" {
                let is_public = is_public(&tokens[..at]);
                let nesting = nesting(source, next, offset);
                let mut leaves = Vec::new();
                at = use_tree(&tokens, at + 1, &[], &mut leaves);
                module.bindings.extend(leaves.into_iter().map(|(name, path)| Binding {
                    name,
                    path,
                    nesting,
                    is_public,
                }));
            } else if is_name && next == "::" && !follows_path {
                let mut path = vec![token.to_owned()];
                while let [(_, "::"), (_, name), ..] = tokens[at + 1..] {
                    if !name.bytes().all(is_word) {
                        break;
                    }
                    path.push(name.to_owned());
                    at += 2;
                }
                at += 1;
                module.words.insert(path[0].clone());
                let nesting = nesting(source, token, offset);
                module.paths.push(CodePath { path, nesting });
            } else {
                let is_field = at > 0 && tokens[at - 1].1 == ".";
                if is_name && !follows_path && !is_field {
                    module.words.insert(token.to_owned());
                }
                at += 1;
            }
        }
        Some(module)
    }
}

/// The modules by their paths.
struct Graph<'a> {
    modules: &'a [Module],
    by_path: HashMap<&'a [String], usize>,
}

impl<'a> Graph<'a> {
    fn new(modules: &'a [Module]) -> Graph<'a> {
        let by_path =
            modules.iter().enumerate().map(|(index, module)| (&module.path[..], index)).collect();
        Graph { modules, by_path }
    }

    /// Resolves a path that stands in a module, or returns none for a path out of the crate.
    fn resolve(&self, module: usize, path: &[String], nesting: usize) -> Option<Target> {
        self.resolve_from(module, path, nesting, &mut HashSet::new())
    }

    fn resolve_from(
        &self,
        module: usize,
        path: &[String],
        nesting: usize,
        visited: &mut HashSet<(usize, String)>,
    ) -> Option<Target> {
        let root = *self.by_path.get(&[][..])?;
        let (first, mut rest) = path.split_first()?;
        let mut target = match first.as_str() {
            "crate" | "sockactors" => Target::Module(root),
            "self" => Target::Module(module),
            "super" => {
                // Inside of an inline module the first `super` are its own parents.
                let mut up = 1;
                while rest.first().is_some_and(|name| name == "super") {
                    (rest, up) = (&rest[1..], up + 1);
                }
                let own = &self.modules[module].path;
                let depth = own.len().checked_sub(up - nesting.min(up))?;
                Target::Module(*self.by_path.get(&own[..depth])?)
            }
            name => self.lookup(module, name, rest.is_empty(), visited)?,
        };
        while let Some((name, left)) = rest.split_first() {
            match target {
                // What follows an item is a variant or an associated item.
                Target::Item(..) => break,
                Target::Module(inside) if name == "*" || name == "self" => {
                    return Some(Target::Module(inside));
                }
                Target::Module(inside) => {
                    target = self.lookup(inside, name, left.is_empty(), visited)?;
                }
            }
            rest = left;
        }
        Some(target)
    }

    /// Finds a name in a module. As the last of a path it is an item rather than a module.
    fn lookup(
        &self,
        module: usize,
        name: &str,
        is_last: bool,
        visited: &mut HashSet<(usize, String)>,
    ) -> Option<Target> {
        let inside = &self.modules[module];
        let item = || Target::Item(module, name.to_owned());
        if is_last && inside.items.contains(name) {
            return Some(item());
        }
        let child = [&inside.path[..], &[name.to_owned()]].concat();
        if let Some(child) = self.by_path.get(&child[..]) {
            return Some(Target::Module(*child));
        }
        if inside.items.contains(name) {
            return Some(item());
        }
        if !visited.insert((module, name.to_owned())) {
            return None;
        }
        let named = inside.bindings.iter().filter(|binding| binding.name == name);
        for binding in named {
            let found = self.resolve_from(module, &binding.path, binding.nesting, visited);
            if found.is_some() {
                return found;
            }
        }
        let globs = inside.bindings.iter().filter(|binding| binding.name == "*");
        globs.into_iter().find_map(|binding| {
            match self.resolve_from(module, &binding.path, binding.nesting, visited)? {
                Target::Module(other) if other != module => {
                    self.lookup(other, name, is_last, visited)
                }
                _ => None,
            }
        })
    }
}

/// Counts the inline modules around a path that begins with `first`, if that matters to it.
fn nesting(source: &Source, first: &str, offset: usize) -> usize {
    match first {
        // A group may begin with `super` too.
        "super" | "{" => inline_modules(&source.code, offset),
        _ => 0,
    }
}

/// Splits code into names, `::` and single characters, each with its offset.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let len = match bytes[at] {
            byte if is_word(byte) => bytes[at..].iter().take_while(|byte| is_word(**byte)).count(),
            b':' if bytes.get(at + 1) == Some(&b':') => 2,
            byte if byte.is_ascii() => 1,
            // Outside of literals only names may hold other characters, and none does.
            _ => code[at..].chars().next().unwrap().len_utf8(),
        };
        let token = &code[at..at + len];
        if !token.trim().is_empty() {
            tokens.push((at, token));
        }
        at += len;
    }
    tokens
}

/// Returns the indices of the tokens outside of all brackets.
fn top_level<'a>(tokens: &'a [(usize, &'a str)]) -> impl Iterator<Item = usize> + 'a {
    let mut depth = 0;
    tokens.iter().enumerate().filter_map(move |(at, (_, token))| {
        match *token {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Returns the names of the items at the top level, without modules.
fn items(tokens: &[(usize, &str)]) -> HashSet<String> {
    let kinds = ["struct", "enum", "trait", "type", "const", "static", "fn", "union"];
    let mut items = HashSet::new();
    for at in top_level(tokens) {
        let rest: Vec<_> = tokens[at..].iter().take(4).map(|(_, token)| *token).collect();
        match rest[..] {
            ["macro_rules", "!", name, ..] => _ = items.insert(name.to_owned()),
            ["const", "fn" | "unsafe" | "async", ..] => {}
            [kind, name, ..] if kinds.contains(&kind) && name.bytes().all(is_word) => {
                items.insert(name.to_owned());
            }
            _ => {}
        }
    }
    items
}

/// Reports whether the tokens before a `use` make it public.
fn is_public(before: &[(usize, &str)]) -> bool {
    match before {
        [.., (_, "pub")] => true,
        [.., (_, "pub"), (_, "("), _, (_, ")")] => true,
        [.., (_, ")")] => {
            let open = before.iter().rposition(|(_, token)| *token == "(").unwrap_or(0);
            open > 0 && before[open - 1].1 == "pub"
        }
        _ => false,
    }
}

/// Reads the tree of a `use` from `at`, adds its names and paths, and returns where it ends.
fn use_tree(
    tokens: &[(usize, &str)],
    mut at: usize,
    prefix: &[String],
    leaves: &mut Vec<(String, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    while at < tokens.len() {
        match tokens[at].1 {
            "::" => at += 1,
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at].1 != "}" {
                    at = use_tree(tokens, at, &path, leaves);
                    at += usize::from(tokens.get(at).is_some_and(|(_, token)| *token == ","));
                }
                return at + 1;
            }
            name if name == "*" || name.bytes().all(is_word) => {
                path.push(name.to_owned());
                at += 1;
                if let [(_, "as"), (_, alias), ..] = tokens[at..] {
                    leaves.push((alias.to_owned(), path));
                    return at + 2;
                }
                if tokens.get(at).is_none_or(|(_, token)| *token != "::") {
                    if path.len() > 1 && path.ends_with(&["self".to_owned()]) {
                        path.pop();
                    }
                    let name = path.last().cloned().unwrap_or_default();
                    leaves.push((name, path));
                    return at;
                }
            }
            _ => return at + 1,
        }
    }
    at
}

/// Returns the groups of files that use each other, each sorted, largest first.
pub fn knots(edges: &Edges) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        edges.keys().map(|file| (file, reachable(edges, file))).collect();
    let mut knots = BTreeSet::new();
    for (file, reached) in &reach {
        if reached.contains(file) {
            let returns =
                |other: &&&String| reach.get(**other).is_some_and(|back| back.contains(file));
            knots.insert(reached.iter().filter(returns).map(|other| (*other).clone()).collect());
        }
    }
    let mut knots: Vec<BTreeSet<String>> = knots.into_iter().collect();
    knots.sort_by_key(|knot| std::cmp::Reverse(knot.len()));
    knots
}

fn reachable<'a>(edges: &'a Edges, start: &'a String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut pending = vec![start];
    while let Some(file) = pending.pop() {
        for used in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(used) {
                pending.push(used);
            }
        }
    }
    reached
}

/// Describes a shortest cycle through each edge of a knot, shortest first.
pub fn describe(edges: &Edges, knot: &BTreeSet<String>) -> Vec<String> {
    let mut cycles = BTreeSet::new();
    for from in knot {
        for to in edges[from].keys().filter(|to| knot.contains(*to)) {
            let mut cycle = vec![from];
            cycle.extend(shortest_path(edges, knot, to, from));
            cycle.pop();
            let first = (0..cycle.len()).min_by_key(|at| cycle[*at]).unwrap_or(0);
            cycle.rotate_left(first);
            cycles.insert((cycle.len(), cycle));
        }
    }
    let describe = |cycle: Vec<&String>| {
        let mut text = cycle[0].clone();
        for (at, from) in cycle.iter().enumerate() {
            let to = cycle[(at + 1) % cycle.len()];
            let items: Vec<_> = edges[*from][to].iter().map(String::as_str).collect();
            text += &format!(" -> {to} ({})", items.join(", "));
        }
        text
    };
    cycles.into_iter().map(|(_, cycle)| describe(cycle)).collect()
}

/// Returns the files of a shortest path inside of a knot, with both ends.
fn shortest_path<'a>(
    edges: &'a Edges,
    knot: &BTreeSet<String>,
    from: &'a String,
    to: &String,
) -> Vec<&'a String> {
    let mut before: HashMap<&String, &String> = HashMap::new();
    let mut pending = VecDeque::from([from]);
    while let Some(file) = pending.pop_front() {
        if file == to {
            let mut path = vec![file];
            while let Some(last) = path.last().filter(|last| **last != from) {
                path.push(before[*last]);
            }
            path.reverse();
            return path;
        }
        for used in edges.get(file).into_iter().flat_map(BTreeMap::keys) {
            if knot.contains(used) && used != from && !before.contains_key(used) {
                before.insert(used, file);
                pending.push_back(used);
            }
        }
    }
    Vec::new()
}
