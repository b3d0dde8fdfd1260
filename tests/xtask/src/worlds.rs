//! `cargo xtask worlds`: the page `wit/README.md`, which shows the worlds and interfaces of Skep's
//! WIT files with their documentation.
//!
//! It reads the files line by line, in the form that they have here: one item, field or case per
//! line, its documentation above it.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use crate::{Error, tree};

/// The folder of the WIT files, relative to the root of the tree. Those of WASI are below it and
/// are not on the page.
const FOLDER: &str = "wit";
/// The page, relative to the root of the tree.
pub const PAGE: &str = "wit/README.md";

/// Writes the page. Returns true if it changed.
///
/// # Errors
/// [`Error::File`], also for a line that is not understood.
pub fn update() -> Result<bool, Error> {
    let page = render(&read()?);
    if is_current(&page) {
        return Ok(false);
    }
    let path = tree::root().join(PAGE);
    fs::write(&path, page).map_err(Error::file("writing", &path))?;
    Ok(true)
}

fn is_current(page: &str) -> bool {
    fs::read_to_string(tree::root().join(PAGE)).is_ok_and(|found| found == page)
}

/// Reads all files of the folder, in the order of their names.
fn read() -> Result<Package, Error> {
    let folder = tree::root().join(FOLDER);
    let mut package = Package::default();
    for name in tree::sources(&folder)? {
        let is_ours = name.components().count() == 1;
        if is_ours && name.extension().is_some_and(|extension| extension == "wit") {
            read_file(&folder.join(name), &mut package)?;
        }
    }
    Ok(package)
}

fn read_file(path: &Path, package: &mut Package) -> Result<(), Error> {
    let text = fs::read_to_string(path).map_err(Error::file("reading", path))?;
    parse(&text, package).map_err(|fault| {
        Error::file("reading", path)(io::Error::new(io::ErrorKind::InvalidData, fault))
    })
}

// ---- What the files say ------------------------------------------------------------------------

/// The content of the files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Package {
    /// The name and version.
    name: String,
    docs: Docs,
    worlds: Vec<World>,
    interfaces: Vec<Interface>,
}

/// Lines of documentation, without the slashes.
type Docs = Vec<String>;

#[derive(Debug, PartialEq, Eq)]
struct World {
    name: String,
    docs: Docs,
    /// The statements, such as `import state;`.
    statements: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Interface {
    name: String,
    docs: Docs,
    types: Vec<Type>,
    functions: Vec<Function>,
}

/// A record, a variant, an enum or flags, or a name for another type.
#[derive(Debug, PartialEq, Eq)]
struct Type {
    kind: String,
    name: String,
    docs: Docs,
    members: Vec<Member>,
}

/// A field or a case.
#[derive(Debug, PartialEq, Eq)]
struct Member {
    /// Its name, with its type if it has one, as in the file.
    text: String,
    docs: Docs,
}

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    /// The parameters and the result.
    signature: String,
    docs: Docs,
}

// ---- Reading -----------------------------------------------------------------------------------

/// The block that a line is in.
enum Place {
    File,
    World,
    Interface,
    Type,
}

/// Adds a file's content. The error names the line and says what is wrong with it.
fn parse(text: &str, package: &mut Package) -> Result<(), String> {
    let mut place = Place::File;
    let mut docs = Docs::new();
    // A function may take several lines.
    let mut unfinished = String::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim().to_owned());
            continue;
        }
        if line.is_empty() || line.starts_with("//") {
            continue;
        }
        let whole = format!("{unfinished}{line}");
        unfinished.clear();
        if matches!(place, Place::Interface) && !whole.ends_with([';', '{', '}']) {
            unfinished = if whole.ends_with('(') { whole } else { whole + " " };
            continue;
        }
        let docs = std::mem::take(&mut docs);
        place = item(&whole, docs, &place, package)
            .ok_or_else(|| format!("line {}: `{whole}` is not understood", index + 1))?;
    }
    match place {
        Place::File => Ok(()),
        _ => Err("the file ends within a block".to_owned()),
    }
}

/// Adds one item. Returns the place after it, or `None` if the line is none.
fn item(line: &str, docs: Docs, place: &Place, package: &mut Package) -> Option<Place> {
    match place {
        Place::File => file_item(line, docs, package),
        Place::World if line == "}" => Some(Place::File),
        Place::World => {
            let statement = line.strip_suffix(';')?;
            package.worlds.last_mut()?.statements.push(format!("{statement};"));
            Some(Place::World)
        }
        Place::Interface if line == "}" => Some(Place::File),
        Place::Interface => interface_item(line, docs, package.interfaces.last_mut()?),
        Place::Type if line == "}" => Some(Place::Interface),
        Place::Type => {
            let text = line.strip_suffix(',').unwrap_or(line).to_owned();
            package.interfaces.last_mut()?.types.last_mut()?.members.push(Member { text, docs });
            Some(Place::Type)
        }
    }
}

fn file_item(line: &str, docs: Docs, package: &mut Package) -> Option<Place> {
    let name = |keyword: &str, end: &str| {
        line.strip_prefix(keyword)?.strip_suffix(end).map(|name| name.trim().to_owned())
    };
    if let Some(name) = name("package ", ";") {
        (package.name, package.docs) = (name, docs);
        return Some(Place::File);
    }
    if let Some(name) = name("world ", "{") {
        package.worlds.push(World { name, docs, statements: Vec::new() });
        return Some(Place::World);
    }
    let name = name("interface ", "{")?;
    package.interfaces.push(Interface { name, docs, types: Vec::new(), functions: Vec::new() });
    Some(Place::Interface)
}

fn interface_item(line: &str, docs: Docs, interface: &mut Interface) -> Option<Place> {
    if line.starts_with("use ") {
        return Some(Place::Interface);
    }
    if let Some(alias) = line.strip_prefix("type ") {
        let name = alias.strip_suffix(';')?.to_owned();
        interface.types.push(Type { kind: "type".to_owned(), name, docs, members: Vec::new() });
        return Some(Place::Interface);
    }
    if let Some(opened) = line.strip_suffix('{') {
        let (kind, name) = opened.trim().split_once(' ')?;
        if !matches!(kind, "record" | "variant" | "enum" | "flags") {
            return None;
        }
        let (kind, name) = (kind.to_owned(), name.to_owned());
        interface.types.push(Type { kind, name, docs, members: Vec::new() });
        return Some(Place::Type);
    }
    let (name, signature) = line.strip_suffix(';')?.split_once(": func")?;
    let name = name.trim_start_matches('%').to_owned();
    interface.functions.push(Function { name, signature: signature.to_owned(), docs });
    Some(Place::Interface)
}

// ---- Writing -----------------------------------------------------------------------------------

/// Returns the page.
fn render(package: &Package) -> String {
    let mut page = String::from("# The WIT worlds\n\n");
    page.push_str("<!-- Written by `cargo xtask worlds` from the files of this folder. -->\n\n");
    page.push_str(&paragraphs(&package.docs));
    let _ = writeln!(
        page,
        "The package is `{}`. A worker imports only the interfaces that its code uses.\n",
        package.name
    );
    for world in &package.worlds {
        let _ = writeln!(page, "## World `{}`\n", world.name);
        page.push_str(&paragraphs(&world.docs));
        let statements = world.statements.join("\n  ");
        let _ = writeln!(page, "```wit\nworld {} {{\n  {statements}\n}}\n```\n", world.name);
    }
    for interface in &package.interfaces {
        render_interface(interface, &mut page);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn render_interface(interface: &Interface, page: &mut String) {
    let _ = writeln!(page, "## Interface `{}`\n", interface.name);
    page.push_str(&paragraphs(&interface.docs));
    for function in &interface.functions {
        let _ = writeln!(page, "### `{}.{}`\n", interface.name, function.name);
        let signature = &function.signature;
        let _ = writeln!(page, "```wit\n{}: func{signature}\n```\n", function.name);
        page.push_str(&paragraphs(&function.docs));
    }
    for shape in &interface.types {
        let _ = writeln!(page, "### {} `{}.{}`\n", title(&shape.kind), interface.name, shape.name);
        page.push_str(&paragraphs(&shape.docs));
        render_members(shape, page);
    }
}

fn render_members(shape: &Type, page: &mut String) {
    if shape.members.is_empty() {
        return;
    }
    let member = if shape.kind == "record" { "field" } else { "case" };
    let _ = writeln!(page, "| {member} | meaning |\n| --- | --- |");
    for member in &shape.members {
        let docs = member.docs.join(" ").replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {docs} |", member.text);
    }
    page.push('\n');
}

fn title(kind: &str) -> &str {
    match kind {
        "record" => "Record",
        "variant" => "Variant",
        "enum" => "Enum",
        "flags" => "Flags",
        _ => "Type",
    }
}

/// Returns documentation as Markdown, with an empty line at its end.
fn paragraphs(docs: &Docs) -> String {
    if docs.is_empty() { String::new() } else { docs.join("\n") + "\n\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
/// About
/// the package.
package a:b@0.1.0;

/// One world.
world one {
  include two;

  // Not shown.
  import things;
}

/// Some things.
interface things {
  use other.{thing};

  /// One of them.
  record thing {
    /// A | B.
    field: option<string>,
    last: u8
  }

  /// Why not.
  variant error {
    /// Too large.
    too-large(u64),
  }

  /// Lists them.
  ///
  /// In order.
  %list: func(prefix: string) -> result<list<thing>, error>;

  /// Takes two lines.
  long: func(
    a: u8,
    b: u8) -> u8;
}
";

    fn parsed(text: &str) -> Result<Package, String> {
        let mut package = Package::default();
        parse(text, &mut package).map(|()| package)
    }

    #[test]
    fn the_page_is_current() {
        let page = render(&read().unwrap());
        assert!(is_current(&page), "run `cargo xtask worlds`: {PAGE} differs from the WIT files");
    }

    #[test]
    fn a_page_has_each_item_with_its_documentation() {
        let page = render(&parsed(TEXT).unwrap());
        for part in [
            "About\nthe package.\n\nThe package is `a:b@0.1.0`.",
            "## World `one`\n\nOne world.\n\n```wit\nworld one {\n  include two;\n  import things;\n}\n```\n",
            "## Interface `things`\n\nSome things.\n\n",
            "### `things.list`\n\n```wit\nlist: func(prefix: string) -> result<list<thing>, error>\n```\n\nLists them.\n\nIn order.\n",
            "```wit\nlong: func(a: u8, b: u8) -> u8\n```\n\nTakes two lines.\n",
            "### Record `things.thing`\n\nOne of them.\n\n| field | meaning |\n| --- | --- |\n| `field: option<string>` | A \\| B. |\n| `last: u8` |  |\n",
            "| case | meaning |\n| --- | --- |\n| `too-large(u64)` | Too large. |\n",
        ] {
            assert!(page.contains(part), "{part}\nis not in\n{page}");
        }
        assert!(!page.contains("Not shown") && page.ends_with("|\n"), "{page}");
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let fault = parsed("interface a {\n  resource b {\n").unwrap_err();
        assert_eq!(fault, "line 2: `resource b {` is not understood");
        assert!(parsed("interface a {\n").is_err());
    }
}
