//! Bytes that a program makes, one file each, and what those programs share.

pub(crate) mod absurd_code_lengths;
pub(crate) mod component_billion_laughs;
pub(crate) mod crashes_with_long_names;
pub(crate) mod deep_alias_chain;
pub(crate) mod eight_thousand_functions_of_locals;
pub(crate) mod empty_file;
pub(crate) mod endless_number;
pub(crate) mod huge_br_table;
pub(crate) mod huge_data_segments;
pub(crate) mod huge_function_body;
pub(crate) mod hundred_mib_custom_section;
pub(crate) mod hundred_thousand_exports;
pub(crate) mod hundred_thousand_imports;
pub(crate) mod import_with_a_long_name;
pub(crate) mod instance_flood;
pub(crate) mod larger_than_allowed;
pub(crate) mod memory_flood;
pub(crate) mod module_of_the_future;
pub(crate) mod native_code;
pub(crate) mod native_program;
pub(crate) mod nested_blocks;
pub(crate) mod nested_components;
pub(crate) mod nested_types;
pub(crate) mod section_longer_than_its_file;
pub(crate) mod slow_to_compile;
pub(crate) mod slower_to_compile;
pub(crate) mod table_flood;
pub(crate) mod two_hundred_thousand_functions;
pub(crate) mod type_billion_laughs;
pub(crate) mod wat_text;
pub(crate) mod wrong_magic;

/// A module's first eight bytes.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component's.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// A number as the format writes it.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A section with its length.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], &*leb(content.len()), content].concat()
}

/// A preview1 command of these function bodies, all of type `[] -> []`, the first its start.
fn command(bodies: &[Vec<u8>]) -> Vec<u8> {
    let count = leb(bodies.len());
    let functions = [count.clone(), vec![0; bodies.len()]].concat();
    let mut code = count;
    for body in bodies {
        code.extend(leb(body.len()));
        code.extend(body);
    }
    [
        MODULE.to_vec(),
        section(1, b"\x01\x60\0\0"),
        section(3, &functions),
        section(7, b"\x01\x06_start\0\0"),
        section(10, &code),
    ]
    .concat()
}

/// A command component that does nothing, to which sections may be added.
fn runs() -> Vec<u8> {
    component(
        r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))"#,
    )
}

/// A command component around a core instance `$i` with `run`, in text.
fn component(core: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {core}
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $run (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $run)))"#
    );
    wat::parse_str(text).unwrap()
}
