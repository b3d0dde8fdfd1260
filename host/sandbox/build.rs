//! Writes the types of every function in `wit/` as Rust statics, for the check of guests' types.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// The folder of the WIT files, relative to this crate.
const WIT: &str = "../../wit";

fn main() {
    println!("cargo::rerun-if-changed={WIT}");
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(WIT)).expect("the WIT files are valid");
    let text = Statics { resolve: &resolve, types: BTreeMap::new() }.write();
    let out = std::env::var_os("OUT_DIR").expect("cargo sets it");
    std::fs::write(Path::new(&out).join("offered.rs"), text).expect("the folder is writable");
}

/// Writes types as Rust expressions, each named type once.
struct Statics<'a> {
    resolve: &'a Resolve,
    types: BTreeMap<usize, String>,
}

impl Statics<'_> {
    fn write(mut self) -> String {
        let mut functions = String::new();
        for (id, interface) in &self.resolve.interfaces {
            // An interface inside a world has no name, and nothing here has one.
            let Some(name) = self.resolve.id_of(id) else { continue };
            let (name, version) = name.split_once('@').expect("each package has a version");
            for function in interface.functions.values() {
                let function = self.function(function);
                let _ = writeln!(
                    functions,
                    "OfferedFunction {{ interface: {name:?}, version: {version:?}, {function} }},"
                );
            }
        }
        let statics: String = self.types.values().map(String::as_str).collect();
        format!("{statics}static FUNCTIONS: &[OfferedFunction] = &[\n{functions}];\n")
    }

    fn function(&mut self, function: &Function) -> String {
        let mut params = String::new();
        for param in &function.params {
            let _ = write!(params, "({:?}, &{}), ", param.name, self.ty(&param.ty));
        }
        let result = self.optional(function.result.as_ref());
        let name = &function.name;
        format!("name: {name:?}, is_async: false, params: &[{params}], result: {result}")
    }

    fn optional(&mut self, ty: Option<&Type>) -> String {
        ty.map_or_else(|| "None".to_owned(), |ty| format!("Some(&{})", self.ty(ty)))
    }

    /// Returns an expression for a type.
    fn ty(&mut self, ty: &Type) -> String {
        match ty {
            Type::Id(id) => self.defined(*id),
            primitive => format!("WitType::Primitive(PrimitiveValType::{primitive:?})"),
        }
    }

    /// Returns the name of a static that holds the type.
    fn defined(&mut self, id: TypeId) -> String {
        let name = format!("TYPE_{}", id.index());
        if !self.types.contains_key(&id.index()) {
            let value = self.kind(&self.resolve.types[id].kind.clone());
            self.types.insert(id.index(), format!("static {name}: WitType = {value};\n"));
        }
        name
    }

    fn kind(&mut self, kind: &TypeDefKind) -> String {
        match kind {
            TypeDefKind::Type(ty) => match ty {
                Type::Id(id) => self.kind(&self.resolve.types[*id].kind.clone()),
                primitive => self.ty(primitive),
            },
            TypeDefKind::Record(record) => {
                let mut fields = String::new();
                for field in &record.fields {
                    let _ = write!(fields, "({:?}, &{}), ", field.name, self.ty(&field.ty));
                }
                format!("WitType::Record(&[{fields}])")
            }
            TypeDefKind::Variant(variant) => {
                let mut cases = String::new();
                for case in &variant.cases {
                    let _ =
                        write!(cases, "({:?}, {}), ", case.name, self.optional(case.ty.as_ref()));
                }
                format!("WitType::Variant(&[{cases}])")
            }
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<_> =
                    tuple.types.iter().map(|ty| format!("&{}", self.ty(ty))).collect();
                format!("WitType::Tuple(&[{}])", types.join(", "))
            }
            TypeDefKind::Enum(all) => {
                let names: Vec<_> = all.cases.iter().map(|case| &case.name).collect();
                format!("WitType::Enum(&{names:?})")
            }
            TypeDefKind::Flags(all) => {
                let names: Vec<_> = all.flags.iter().map(|flag| &flag.name).collect();
                format!("WitType::Flags(&{names:?})")
            }
            TypeDefKind::Option(ty) => format!("WitType::Option(&{})", self.ty(ty)),
            TypeDefKind::List(ty) => format!("WitType::List(&{})", self.ty(ty)),
            TypeDefKind::Result(result) => {
                let ok = self.optional(result.ok.as_ref());
                format!("WitType::Result({ok}, {})", self.optional(result.err.as_ref()))
            }
            TypeDefKind::Handle(Handle::Own(id)) => format!("WitType::Own({:?})", self.name(*id)),
            TypeDefKind::Handle(Handle::Borrow(id)) => {
                format!("WitType::Borrow({:?})", self.name(*id))
            }
            other => panic!("no interface of ours has a {}", other.as_str()),
        }
    }

    fn name(&self, id: TypeId) -> &str {
        self.resolve.types[id].name.as_deref().expect("a resource has a name")
    }
}
