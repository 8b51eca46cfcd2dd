//! What of the sources can be named from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{Item, cleaned, imports, items, parts, spaced};

/// Roots of paths that are no foreign crates.
const OURS: [&str; 7] = ["std", "core", "alloc", "crate", "super", "self", "Self"];
const CRATE: &str = "acs_identity";

/// Something public, under the path of the item that it belongs to.
pub struct Line {
    pub owner: String,
    pub text: String,
    /// The full paths of types and traits of other crates in it.
    pub foreign: Vec<String>,
}

#[derive(Default)]
pub struct Surface {
    pub lines: Vec<Line>,
    /// The public paths of all types, traits and functions that are exported.
    pub exported: BTreeSet<String>,
}

/// A file; its name is the module's path below the crate, such as `emulator::fault`.
struct Module {
    name: String,
    items: Vec<Item>,
    imports: BTreeMap<String, String>,
}

/// All files by their names.
struct Sources(BTreeMap<String, Module>);

/// The module and the name of a definition → its public path.
type Exports = BTreeMap<(String, String), String>;

impl Surface {
    pub fn read(src: &Path) -> Self {
        let sources = Sources(modules(src, ""));
        let lib = &sources.0[""];
        let is_public = |module: &&Module| {
            module.name.is_empty()
                || lib.items.iter().any(|item| item.head == format!("pub mod {}", module.name))
        };
        let mut exports = Exports::new();
        for module in sources.0.values().filter(is_public) {
            sources.export(module, &mut exports);
        }
        let mut surface = Self { exported: exports.values().cloned().collect(), ..Self::default() };
        for module in sources.0.values() {
            for item in &module.items {
                if item.head.starts_with("impl") {
                    surface.list_impl(&sources, module, item, &exports);
                } else if let Some((kind, name)) = declared(&item.head) {
                    let owner = exports.get(&(module.name.clone(), name.to_owned()));
                    if let Some(owner) = owner {
                        surface.list_definition(module, item, kind, owner);
                    }
                }
            }
        }
        surface
    }

    fn list_definition(&mut self, module: &Module, item: &Item, kind: &str, owner: &str) {
        let shown = item
            .attributes
            .iter()
            .filter(|text| text.starts_with("#[derive") || *text == "#[non_exhaustive]");
        let head = match kind {
            // What a tuple struct holds is private.
            "struct" => item.head.split('(').next().unwrap(),
            "const" => item.head.split(" =").next().unwrap(),
            _ => &item.head,
        };
        let text: Vec<&str> = [head].into_iter().chain(shown.map(String::as_str)).collect();
        self.push(module, owner, &text.join(" "));
        let body = item.body.as_deref().unwrap_or_default();
        match kind {
            "struct" => {
                for field in without_attributes(parts(body)) {
                    if field.starts_with("pub ") {
                        self.push(module, owner, &field);
                    }
                }
            }
            "enum" => {
                for variant in without_attributes(parts(body)) {
                    self.push(module, owner, &variant);
                }
            }
            "trait" => {
                for method in items(body) {
                    self.push(module, owner, &method.head);
                }
            }
            _ => {}
        }
    }

    fn list_impl(&mut self, sources: &Sources, module: &Module, item: &Item, exports: &Exports) {
        let subject = item.head["impl".len()..].split(" where ").next().unwrap();
        let (implemented, of) = match subject.rsplit_once(" for ") {
            Some((implemented, of)) => (Some(implemented), of),
            None => (None, subject),
        };
        let definition = |text| sources.definition(&module.name, base_name(text));
        let owner_of = |text| exports.get(&definition(text)).cloned();
        let Some(owner) = owner_of(of).or_else(|| owner_of(implemented?)) else { return };
        if let Some(implemented) = implemented {
            // A trait of ours that is not exported is nobody else's business.
            let (place, name) = definition(implemented);
            let declares = |item: &Item| item.head.contains(&format!("trait {name}"));
            let is_ours =
                sources.0.get(&place).is_some_and(|place| place.items.iter().any(declares));
            if !is_ours || owner_of(implemented).is_some() {
                self.push(module, &owner, &item.head);
            }
            return;
        }
        for member in items(item.body.as_deref().unwrap_or_default()) {
            let is_for_tests = member
                .attributes
                .iter()
                .any(|text| text == "#[cfg(test)]" || text.starts_with("#[cfg(all(test"));
            if member.head.starts_with("pub ") && !is_for_tests {
                let is_const = member.head.starts_with("pub const ")
                    && !member.head.starts_with("pub const fn");
                let text = member.head.split(" =").next().filter(|_| is_const);
                self.push(module, &owner, text.unwrap_or(&member.head));
            }
        }
    }

    fn push(&mut self, module: &Module, owner: &str, text: &str) {
        // Whether a method changes the self that it took is its own affair.
        let text = spaced(text).trim_end_matches(',').replace("(mut self", "(self");
        let foreign = module.foreign_paths(&text);
        self.lines.push(Line { owner: owner.to_owned(), text, foreign });
    }
}

impl Module {
    fn foreign_paths(&self, text: &str) -> Vec<String> {
        let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let words = text.split(|c: char| !is_of_path(c)).map(|word| word.trim_matches(':'));
        let mut foreign = Vec::new();
        for word in words.filter(|word| !word.is_empty()) {
            let (root, rest) = word.split_once("::").unwrap_or((word, ""));
            let path = match self.imports.get(root) {
                Some(path) if rest.is_empty() => path.clone(),
                Some(path) => format!("{path}::{rest}"),
                None => word.to_owned(),
            };
            let root = path.split("::").next().unwrap();
            // A module of ours is a file.
            if path.contains("::") && !OURS.contains(&root) && !self.is_submodule(root) {
                foreign.push(path);
            }
        }
        foreign
    }

    fn is_submodule(&self, name: &str) -> bool {
        let declared = [format!("mod {name}"), format!("pub mod {name}")];
        self.items.iter().any(|item| declared.contains(&item.head))
    }
}

impl Sources {
    /// The module that defines what a path in this module names, and its name there.
    fn definition(&self, module: &str, path: &str) -> (String, String) {
        let joined =
            |parent: &str, rest: &str| [parent, rest].join("::").trim_matches(':').to_owned();
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let absolute = match first {
            "crate" => rest.to_owned(),
            "self" => joined(module, rest),
            "super" => joined(module.rsplit_once("::").map_or("", |(parent, _)| parent), rest),
            _ => match self.0[module].imports.get(first) {
                Some(import) => return self.definition(module, &joined(import, rest)),
                None if rest.is_empty() => return (module.to_owned(), first.to_owned()),
                None if self.0.contains_key(&joined(module, first)) => joined(module, path),
                // Another crate's.
                None => path.to_owned(),
            },
        };
        let (owner, name) = absolute.rsplit_once("::").unwrap_or(("", &absolute));
        match self.0.get(owner).and_then(|owner| owner.imports.get(name)) {
            Some(again) => self.definition(owner, again),
            None => (owner.to_owned(), name.to_owned()),
        }
    }

    /// Adds what a public module defines or re-exports.
    fn export(&self, module: &Module, exports: &mut Exports) {
        let public = [CRATE, &module.name].join("::");
        let public = public.trim_end_matches(':');
        for item in &module.items {
            if let Some(tree) = item.head.strip_prefix("pub use ") {
                for (name, _) in imports(tree) {
                    let definition = self.definition(&module.name, &name);
                    exports.insert(definition, format!("{public}::{name}"));
                }
            } else if let Some((_, name)) = declared(&item.head) {
                let definition = (module.name.clone(), name.to_owned());
                exports.insert(definition, format!("{public}::{name}"));
            }
        }
    }
}

/// What kind of public item this is, and its name; nothing for modules and uses.
fn declared(head: &str) -> Option<(&'static str, &str)> {
    const KINDS: [&str; 7] = ["struct", "enum", "trait", "type", "static", "fn", "const"];
    let mut words = head.strip_prefix("pub ")?.split([' ', '(', '<', ':']);
    let kind = words.find_map(|word| KINDS.into_iter().find(|kind| *kind == word))?;
    let name = words.find(|word| !word.is_empty() && *word != "fn")?;
    Some((kind, name))
}

fn modules(directory: &Path, parent: &str) -> BTreeMap<String, Module> {
    let root = directory.join(if parent.is_empty() { "lib.rs" } else { "mod.rs" });
    let mut modules = BTreeMap::new();
    // A folder without one belongs to the file of its name.
    if root.exists() {
        modules.insert(parent.to_owned(), module(&root, parent.to_owned()));
    }
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_source = |path: &PathBuf| {
        let is_rust = path.extension().is_some_and(|it| it == "rs");
        path.is_dir() || is_rust && !path.ends_with("tests.rs")
    };
    for path in paths.filter(|path| *path != root && is_source(path)) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let name = if parent.is_empty() { name.to_owned() } else { format!("{parent}::{name}") };
        if path.is_dir() {
            modules.extend(self::modules(&path, &name));
        } else {
            modules.insert(name.clone(), module(&path, name));
        }
    }
    modules
}

fn module(path: &Path, name: String) -> Module {
    let mut items = items(&cleaned(&fs::read_to_string(path).unwrap()));
    items.retain(|item| {
        !item
            .attributes
            .iter()
            .any(|text| text == "#[cfg(test)]" || text.starts_with("#[cfg(all(test"))
    });
    let uses = items.iter().filter_map(|item| {
        item.head.strip_prefix("use ").or_else(|| item.head.strip_prefix("pub use "))
    });
    let imports = uses.flat_map(imports).collect();
    Module { name, items, imports }
}

/// `<T: Into<X>> Y<'_>` → `Y`
fn base_name(text: &str) -> &str {
    let mut text = text.trim();
    if text.starts_with('<') {
        let mut depth = 0;
        let end = text.char_indices().find_map(|(index, c)| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            (depth == 0).then_some(index)
        });
        text = text[end.unwrap() + 1..].trim();
    }
    text.split('<').next().unwrap().trim()
}

fn without_attributes(parts: Vec<&str>) -> Vec<String> {
    let without = |item: Item| {
        let fields = item.body.map(|body| without_attributes(self::parts(&body)).join(", "));
        let fields = fields.map(|fields| format!(" {{ {fields} }}"));
        format!("{}{}", item.head, fields.unwrap_or_default())
    };
    parts.into_iter().flat_map(items).map(without).collect()
}
