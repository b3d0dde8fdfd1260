//! The forms of generated guests: a whole component, or a generated module inside a runnable one.

use wasm_encoder::Encode;
use wasm_smith::{Component, Config, Module};

/// A form of guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// Any component. Hardly any can be a worker.
    Component,
    /// A preview1 module, which is a command.
    Module,
    /// A component that exports `wasi:cli/run`, around a generated module.
    Command,
    /// A component that exports `skep:worker/handler`, around a generated module that also provides
    /// the ABI's functions.
    Service,
}

impl Form {
    /// All forms.
    pub(crate) const ALL: [Self; 4] = [Self::Component, Self::Module, Self::Command, Self::Service];

    /// Generates the guest for these bytes, if there is one.
    pub(crate) fn guest(self, dna: &[u8]) -> Option<Vec<u8>> {
        let mut dna = arbitrary::Unstructured::new(dna);
        let mut module = |imports: &str, exports: &str| {
            let config = Config {
                available_imports: Some(wat::parse_str(imports).unwrap()),
                exports: Some(wat::parse_str(exports).unwrap()),
                gc_enabled: dna.arbitrary().ok()?,
                max_imports: 20,
                max_memory32_bytes: 64 << 20,
                threads_enabled: false,
                ..Config::default()
            };
            Some(Module::new(config, &mut dna).ok()?.to_bytes())
        };
        let host = include_str!("host.wat");
        match self {
            Self::Component => Some(Component::new(Config::default(), &mut dna).ok()?.to_bytes()),
            Self::Module => {
                module(include_str!("preview1.wat"), &exports(r#"(func (export "_start"))"#))
            }
            Self::Command => {
                let run = r#"(func (export "run") (result i32) unreachable)"#;
                Some(around(&module(host, &exports(run))?, run, include_str!("command.wat")))
            }
            Self::Service => {
                let all = r#"
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable)
                    (func (export "handle") (param i32 i32 i32 i32) (result i32) unreachable)
                    (func (export "after") (param i32))"#;
                Some(around(&module(host, &exports(all))?, all, include_str!("service.wat")))
            }
        }
    }
}

/// Writes a module with a memory and these functions.
fn exports(functions: &str) -> String {
    format!(r#"(module (memory (export "memory") 1) {functions})"#)
}

/// Encodes a component in which the module replaces one with the same exports.
fn around(module: &[u8], functions: &str, rest: &str) -> Vec<u8> {
    let stand_in = exports(functions).replacen("(module", "(core module $module", 1);
    let text = format!("(component {stand_in} {} {rest})", include_str!("imports.wat"));
    let component = wat::parse_str(text).unwrap();
    let (header, sections) = component.split_at(8);
    let mut bytes = [header, &[CORE_MODULE]].concat();
    module.encode(&mut bytes);
    bytes.extend(after_the_first(sections));
    bytes
}

/// The id of a core module section.
const CORE_MODULE: u8 = 1;

/// Skips the first section: its id, its LEB128 length, its content.
fn after_the_first(sections: &[u8]) -> &[u8] {
    assert_eq!(sections[0], CORE_MODULE);
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = usize::from(sections[at]);
        length |= (byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            return &sections[at + length..];
        }
    }
}
