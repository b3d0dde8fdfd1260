//! Rejects cycles between the files of a crate of `host/`.
//!
//! An edge is a path outside of tests that leads from one file to another: in a `use`, in code, or
//! in the arguments of a macro. A `mod` declaration is no edge, and neither is a `pub use`: a path
//! through one leads to the file that defines the item.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use xtask::tree;

/// A module's path from the root of its crate.
type Module = Vec<String>;

/// A crate's files by module, and for each the modules it names with the path it names them by.
#[derive(Default)]
struct Graph {
    files: BTreeMap<Module, PathBuf>,
    /// Inline modules, and the module whose file contains them.
    inline: BTreeMap<Module, Module>,
    edges: BTreeMap<Module, BTreeMap<Module, String>>,
    /// Re-exports of a module: the path of each, by its name there.
    reexports: BTreeMap<(Module, String), Vec<String>>,
}

/// Collects the paths that one file names.
struct Paths<'g> {
    graph: &'g Graph,
    /// The module that is being read. It may be an inline one.
    here: Module,
    found: Vec<Vec<String>>,
    reexports: BTreeMap<(Module, String), Vec<String>>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let test = |meta: syn::Meta| meta.path().is_ident("test");
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg") && attribute.parse_args().is_ok_and(test)
    })
}

/// Returns the paths of a `use`, each with its local name. A glob has none.
fn leaves(before: &[String], tree: &syn::UseTree) -> Vec<(Vec<String>, Option<String>)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&with(&path.ident), &path.tree),
        syn::UseTree::Name(name) if name.ident == "self" => {
            vec![(before.to_vec(), before.last().cloned())]
        }
        syn::UseTree::Name(name) => vec![(with(&name.ident), Some(name.ident.to_string()))],
        syn::UseTree::Rename(name) => vec![(with(&name.ident), Some(name.rename.to_string()))],
        syn::UseTree::Glob(_) => vec![(before.to_vec(), None)],
        syn::UseTree::Group(group) => {
            group.items.iter().flat_map(|tree| leaves(before, tree)).collect()
        }
    }
}

impl Paths<'_> {
    /// Keeps a path that leads into this crate.
    fn keep(&mut self, path: &[String]) {
        // A bare `crate` or `super` is a visibility.
        if path.len() > 1 {
            self.found.extend(self.rooted(path));
        }
    }

    /// Returns a path of this crate as one from its root.
    fn rooted(&self, path: &[String]) -> Option<Vec<String>> {
        let supers = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first().map(String::as_str) {
            Some("crate") => (&[][..], &path[1..]),
            Some("self") => (&self.here[..], &path[1..]),
            Some("super") => {
                (&self.here[..self.here.len().saturating_sub(supers)], &path[supers..])
            }
            Some(first) => {
                let child = [&self.here[..], &[first.to_owned()]].concat();
                let known = path.len() > 1 && self.graph.is_module(&child)
                    || self.graph.reexports.contains_key(&(self.here.clone(), first.to_owned()));
                known.then_some(())?;
                (&self.here[..], path)
            }
            None => return None,
        };
        Some([base, rest].concat())
    }

    /// Keeps the paths among the tokens of a macro.
    fn keep_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1
                }
                TokenTree::Ident(ident) if colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                other => {
                    self.keep(&std::mem::take(&mut path));
                    colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path = vec![ident.to_string()],
                        TokenTree::Group(group) => self.keep_tokens(group.stream()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.keep(&path);
    }
}

impl<'a> Visit<'a> for Paths<'_> {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        for (path, name) in leaves(&[], &item.tree) {
            match (&item.vis, name, self.rooted(&path)) {
                (syn::Visibility::Inherited, _, found) | (_, None, found) => {
                    self.found.extend(found)
                }
                (_, Some(name), Some(path)) => {
                    self.reexports.insert((self.here.clone(), name), path);
                }
                (_, Some(_), None) => {}
            }
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.keep(&parts);
        syn::visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'a syn::VisRestricted) {}

    fn visit_macro(&mut self, item: &'a syn::Macro) {
        self.keep_tokens(item.tokens.clone());
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        if let Some((_, items)) = &item.content {
            self.here.push(item.ident.to_string());
            items.iter().for_each(|item| self.visit_item(item));
            self.here.pop();
        }
    }
}

impl Graph {
    fn of(root: &Path) -> Self {
        let mut graph = Self::default();
        let mut parsed = BTreeMap::new();
        graph.read(Vec::new(), root, &mut parsed);
        let paths = |graph: &Self, module: &Module, file: &syn::File| {
            let (here, found) = (module.clone(), Vec::new());
            let mut paths = Paths { graph, here, found, reexports: BTreeMap::new() };
            paths.visit_file(file);
            (paths.found, paths.reexports)
        };
        for (module, file) in &parsed {
            let (_, reexports) = paths(&graph, module, file);
            graph.reexports.extend(reexports);
        }
        for (module, file) in &parsed {
            let (found, _) = paths(&graph, module, file);
            let mut edges = BTreeMap::new();
            for path in found {
                let home = graph.home(&path);
                if home != *module {
                    edges.entry(home).or_insert_with(|| path.join("::"));
                }
            }
            graph.edges.insert(module.clone(), edges);
        }
        graph
    }

    fn read(&mut self, module: Module, path: &Path, parsed: &mut BTreeMap<Module, syn::File>) {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = syn::parse_file(&text).unwrap();
        let stem = path.file_stem().unwrap();
        let is_root = module.is_empty();
        let folder = path.parent().unwrap();
        let folder = if is_root { folder.to_owned() } else { folder.join(stem) };
        self.files.insert(module.clone(), path.to_owned());
        self.modules(&module, &module, &folder, &file.items, parsed);
        parsed.insert(module, file);
    }

    fn modules(
        &mut self,
        owner: &Module,
        module: &Module,
        folder: &Path,
        items: &[syn::Item],
        parsed: &mut BTreeMap<Module, syn::File>,
    ) {
        for item in items {
            let syn::Item::Mod(item) = item else { continue };
            if is_test(&item.attrs) {
                continue;
            }
            let name = item.ident.to_string();
            let child = [&module[..], std::slice::from_ref(&name)].concat();
            match &item.content {
                Some((_, items)) => {
                    self.inline.insert(child.clone(), owner.clone());
                    self.modules(owner, &child, &folder.join(name), items, parsed);
                }
                None => self.read(child, &folder.join(format!("{name}.rs")), parsed),
            }
        }
    }

    fn is_module(&self, module: &Module) -> bool {
        self.files.contains_key(module) || self.inline.contains_key(module)
    }

    /// Returns the module whose file defines the item of a path.
    fn home(&self, path: &[String]) -> Module {
        let len = (0..=path.len()).rev().find(|len| self.is_module(&path[..*len].to_vec()));
        let (module, rest) = path.split_at(len.unwrap_or(0));
        let next = rest.first().map(|name| (module.to_vec(), name.clone()));
        match next.and_then(|next| self.reexports.get(&next)) {
            Some(to) => self.home(&[to, &rest[1..]].concat()),
            None => self.inline.get(module).cloned().unwrap_or_else(|| module.to_vec()),
        }
    }

    /// Returns the modules that can be reached from one.
    fn reached(&self, from: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<_> = self.edges[from].keys().collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.edges[module].keys());
            }
        }
        reached
    }

    /// Returns the sets of files that reach each other.
    fn cycles(&self) -> Vec<BTreeSet<&Module>> {
        let reached: BTreeMap<_, _> = self.files.keys().map(|m| (m, self.reached(m))).collect();
        let mut cycles = BTreeSet::new();
        for module in self.files.keys().filter(|module| reached[module].contains(module)) {
            let both = |other: &&&Module| reached[**other].contains(module);
            cycles.insert(reached[module].iter().filter(both).copied().collect());
        }
        cycles.into_iter().collect()
    }

    fn name(&self, module: &Module) -> String {
        self.files[module].strip_prefix(tree::root()).unwrap().display().to_string()
    }

    /// Formats a cycle as its edges.
    fn edges_of(&self, cycle: &BTreeSet<&Module>) -> String {
        let mut text = String::new();
        for from in cycle {
            for (to, path) in self.edges[*from].iter().filter(|(to, _)| cycle.contains(to)) {
                text += &format!("  {} -> {} ({path})\n", self.name(from), self.name(to));
            }
        }
        text
    }
}

#[test]
fn files_of_a_crate_form_no_cycle() {
    let mut found = Vec::new();
    let mut crates = 0;
    for folder in fs::read_dir(tree::root().join("host")).unwrap() {
        let source = folder.unwrap().path().join("src");
        let roots = ["lib.rs", "main.rs"].map(|name| source.join(name));
        for root in roots.iter().filter(|root| root.is_file()) {
            crates += 1;
            let graph = Graph::of(root);
            found.extend(graph.cycles().iter().map(|cycle| graph.edges_of(cycle)));
        }
    }
    assert!(crates >= 7, "the crates are not where they were");
    let count = found.len();
    assert!(found.is_empty(), "{count} cycles of files:\n{}", found.join("\n"));
}
