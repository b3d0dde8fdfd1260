//! The types of a module's functions, as far as they decide whether it fits: those that it imports, and
//! its `_start`. A component's are looked at elsewhere, since they take a validator.

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Payload, TypeRef, ValType};

use crate::preflight::interfaces::{self, PREVIEW1};

/// What the function of a command is called.
pub(super) const START: &str = "_start";

/// Takes note while a parser walks the outermost module.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// Its types, those of functions.
    types: Vec<Option<FuncType>>,
    /// For each of its functions, imported ones first, the number of its type.
    functions: Vec<u32>,
    /// What is exported as [`START`]: the number of a function, or something else.
    start: Option<Option<u32>>,
    /// The first import that we offer with another type.
    misfit: Option<String>,
}

impl Functions {
    /// Takes note of one payload.
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

    /// Whether an import has the type of the function by that name. One that we do not have is
    /// refused for that.
    fn fits(&self, name: &str, ty: TypeRef) -> bool {
        let Some(offered) = interfaces::preview1(name) else { return true };
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => match self.types.get(ty as usize) {
                Some(Some(ty)) => signature(ty) == offered,
                // A number that names nothing is the validator's to report.
                Some(None) | None => true,
            },
            _ => false,
        }
    }

    /// The first import that we offer with another type.
    pub(super) fn misfit(&mut self) -> Option<String> {
        self.misfit.take()
    }

    /// Whether there is a `_start` that cannot be called as a command's is.
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

/// A type as [`interfaces::preview1`] has it: a letter for each parameter, a colon, and one for each result.
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
