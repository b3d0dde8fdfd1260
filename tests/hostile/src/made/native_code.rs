//! A good guest's `.cwasm`: wasmtime's own native code, which it would load as it is.

use std::fs::File;
use std::io::{Read, Seek};

use skep_protocol::Limits;
use skep_sandbox::{Abi, CompileBounds, CompileJob, Compiler, InProcessCompiler, Profile};

pub(crate) fn bytes() -> Vec<u8> {
    let folder = skep_harness::test_dir();
    let mut native = File::options()
        .create_new(true)
        .read(true)
        .write(true)
        .open(folder.join("native"))
        .unwrap();
    InProcessCompiler
        .compile(CompileJob {
            wasm: &super::command(&[b"\0\x0b".to_vec()]),
            abi: Abi::Preview1,
            profile: Profile::Default,
            bounds: CompileBounds::of(&Limits::default(), 0),
            out: Some(native.try_clone().unwrap()),
            functions: None,
        })
        .unwrap();
    let mut bytes = Vec::new();
    native.rewind().unwrap();
    native.read_to_end(&mut bytes).unwrap();
    assert!(bytes.starts_with(b"\x7fELF"));
    bytes
}
