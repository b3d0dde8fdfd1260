//! The attacks: small programs of preview1 as text, and bytes that are cheap to make.

use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, MemorySection, MemoryType,
    Module, TypeSection, ValType,
};

/// Instantiates 33 million components, in 1.4 KB: each its child twice.
pub(super) fn component_bomb() -> String {
    let mut nested = "(component $c0)".to_owned();
    for depth in 1..=25 {
        let below = depth - 1;
        nested = format!(
            "(component $c{depth} {nested} (instance (instantiate $c{below})) \
             (instance (instantiate $c{below})))"
        );
    }
    let run = r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run))"#;
    format!("(component {nested} (instance (instantiate $c25)) {run})")
}

/// 64 KB that declare 400 million locals.
pub(super) fn locals() -> Vec<u8> {
    functions(8_000, &Function::new([(50_000, ValType::I64)]))
}

/// 200,000 functions with nothing in them.
pub(super) fn empty_functions() -> Vec<u8> {
    functions(200_000, &Function::new([]))
}

fn functions(count: u32, function: &Function) -> Vec<u8> {
    let mut function = function.clone();
    function.instructions().end();
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    for _ in 0..count {
        functions.function(0);
        code.function(&function);
    }
    let mut memories = MemorySection::new();
    let (minimum, maximum) = (1, None);
    let one = MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
    memories.memory(one);
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("_start", ExportKind::Func, 0);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories).section(&exports);
    module.section(&code);
    module.finish()
}

/// Grows its memory and fills it, until it gets no more.
pub(super) const MEMORY: &str = r#"(module (memory (export "memory") 1)
    (func (export "_start")
        (loop $more
            (if (i32.ne (memory.grow (i32.const 64)) (i32.const -1)) (then
                (memory.fill
                    (i32.mul (i32.sub (memory.size) (i32.const 64)) (i32.const 65536))
                    (i32.const 1) (i32.const 4194304))
                (br $more))))
        unreachable))"#;

/// Grows a table until it gets no more.
pub(super) const TABLE: &str = r#"(module (memory (export "memory") 1) (table $t 0 funcref)
    (func (export "_start")
        (loop $more
            (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 100000)) (i32.const -1))))
        unreachable))"#;

/// Sleeps for an hour.
pub(super) const SLEEP: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#;

/// Prints 64 KiB after 64 KiB.
pub(super) const FLOOD: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 65536))
        (loop $more
            (br_if $more (i32.eqz
                (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))))"#;

/// Leaves a link to what lies beside each of its directories.
pub(super) const LINK: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_symlink"
        (func $link (param i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "../secret")
    (data (i32.const 16) "link")
    (func (export "_start") (local $dir i32)
        (local.set $dir (i32.const 3))
        (loop $next
            (drop (call $link (i32.const 0) (i32.const 9) (local.get $dir)
                (i32.const 16) (i32.const 4)))
            (local.set $dir (i32.add (local.get $dir) (i32.const 1)))
            (br_if $next (i32.lt_u (local.get $dir) (i32.const 8))))))"#;

/// Opens `fifo` in its directory, which nobody writes to.
pub(super) const FIFO: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "fifo")
    (func (export "_start")
        (if (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 0)
                (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64))
            (then unreachable))))"#;

/// Makes `file` in its directory a tebibyte long.
pub(super) const SPARSE: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_size"
        (func $resize (param i32 i64) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "file")
    (func (export "_start")
        (if (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 4) (i32.const 1)
                (i64.const 0x3fffffff) (i64.const 0) (i32.const 0) (i32.const 64))
            (then unreachable))
        (if (call $resize (i32.load (i32.const 64)) (i64.const 0x10000000000))
            (then unreachable))))"#;

/// Opens `file` again and again, and then waits with all of them.
pub(super) const DESCRIPTORS: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "poll_oneoff"
        (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "file")
    (func (export "_start") (local $n i32)
        (loop $more
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.and (i32.lt_u (local.get $n) (i32.const 100000))
                (i32.eqz (call $open (i32.const 3) (i32.const 1) (i32.const 0) (i32.const 4)
                    (i32.const 1) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64))))))
        (i32.store (i32.const 144) (i32.const 1))
        (i64.store (i32.const 152) (i64.const 1000000000))
        (drop (call $poll (i32.const 128) (i32.const 256) (i32.const 1) (i32.const 512)))))"#;
