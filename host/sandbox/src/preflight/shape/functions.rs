//! The function types that decide whether a module fits: those of its imports and of `_start`.
//! Types of components need a validator and are checked in `fit`.

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Payload, TypeRef, ValType};

use crate::preflight::interfaces::{self, PREVIEW1};

/// The entry function of a command.
pub(super) const START: &str = "_start";

/// Collects function types while a parser walks the outermost module.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// The module's types. `None` for types of other kinds.
    types: Vec<Option<FuncType>>,
    /// The type index of each function, imported functions first.
    functions: Vec<u32>,
    /// The export named [`START`]: a function index, or `Some(None)` for another kind of export.
    start: Option<Option<u32>>,
    /// The first import with a wrong type.
    misfit: Option<String>,
}

impl Functions {
    /// Visits one payload.
    pub(super) fn visit(&mut self, payload: &Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section.clone() {
                    let types = group?;
                    self.types.extend(types.types().map(|ty| match &ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty.clone()),
                        _ => None,
                    }));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    let import = import?;
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty {
                        self.functions.push(ty);
                    }
                    if import.module == PREVIEW1 && !self.fits(import.name, import.ty) {
                        self.misfit.get_or_insert_with(|| import.name.to_owned());
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section.clone() {
                    self.functions.push(ty?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export?;
                    if export.name == START {
                        let is_function =
                            matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact);
                        self.start = Some(is_function.then_some(export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns true if an import has the type of the offered function. An unknown function is
    /// refused elsewhere.
    fn fits(&self, name: &str, ty: TypeRef) -> bool {
        let Some(offered) = interfaces::preview1(name) else { return true };
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => match self.types.get(ty as usize) {
                Some(Some(ty)) => signature(ty) == offered,
                // The validator reports an index that is out of bounds.
                Some(None) | None => true,
            },
            _ => false,
        }
    }

    /// Returns the first import with a wrong type.
    pub(super) fn misfit(&mut self) -> Option<String> {
        self.misfit.take()
    }

    /// Returns true if `_start` exists and has parameters or results.
    pub(super) fn start_has_types(&self) -> bool {
        match self.start {
            None => false,
            Some(None) => true,
            Some(Some(function)) => {
                let ty = self.functions.get(function as usize);
                let ty = ty.and_then(|&ty| self.types.get(ty as usize)?.as_ref());
                ty.is_some_and(|ty| signature(ty) != ":")
            }
        }
    }
}

/// Formats a type like [`interfaces::preview1`]: a letter for each parameter, a colon, and a letter
/// for each result.
fn signature(ty: &FuncType) -> String {
    let letters = |types: &[ValType]| types.iter().map(letter).collect::<String>();
    format!("{}:{}", letters(ty.params()), letters(ty.results()))
}

fn letter(ty: &ValType) -> char {
    match ty {
        ValType::I32 => 'i',
        ValType::I64 => 'I',
        _ => '?',
    }
}
