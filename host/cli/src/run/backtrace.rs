//! The frames of a crash that the text format shows.
//!
//! Often half of a stack is a standard library that panics or allocates. The short form omits those
//! frames. The guest's own frames stay and keep their depth.

use clap::ValueEnum;
use skep_sandbox::Frame;

/// The part of a call stack to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backtrace {
    /// Only the guest's own functions
    #[default]
    Short,
    /// All functions, including those of the standard library, libc and the compiler
    Full,
}

impl Backtrace {
    /// Returns the frames to show, each with its depth, and the number of hidden ones.
    pub(super) fn pick(self, frames: &[Frame]) -> (Vec<(usize, &Frame)>, usize) {
        let is_shown = |frame: &Frame| self == Self::Full || !is_of_a_library(frame);
        let shown: Vec<_> =
            frames.iter().enumerate().filter(|(_, frame)| is_shown(frame)).collect();
        let hidden = frames.len() - shown.len();
        (shown, hidden)
    }
}

/// Crates that every Rust program may be linked with.
const CRATES: &[&str] = &[
    "std",
    "core",
    "alloc",
    "panic_abort",
    "panic_unwind",
    "compiler_builtins",
    "dlmalloc",
    "hashbrown",
    "gimli",
    "addr2line",
    "miniz_oxide",
    "object",
    "rustc_demangle",
    "wasi",
    "wasip2",
    "wasi_snapshot_preview1",
    "__rustc",
];

/// Prefixes of functions that belong to the runtime of Rust, libc or the compiler.
const PREFIXES: &[&str] = &[
    "rust_",
    "__rust_",
    "__rdl_",
    "__rg_",
    "__rustc",
    "__wasi_",
    "__wasilibc_",
    "__wasm_",
    "__libc_",
    "__stdio_",
    "__cxa_",
    "__imported_wasi_",
    "_Unwind_",
    "std::__",
    "operator new",
    "operator delete",
];

/// The functions that a program's own `main` may become.
const ENTRIES: &[&str] = &["__original_main", "main"];

/// Full names of such functions.
const NAMES: &[&str] = &[
    "_start",
    "__main_void",
    "abort",
    "exit",
    "_exit",
    "_Exit",
    "proc_exit",
    "raise",
    "malloc",
    "calloc",
    "realloc",
    "free",
    "aligned_alloc",
    "posix_memalign",
    "sbrk",
    "dlmalloc",
    "dlfree",
    "dlcalloc",
    "dlrealloc",
    "memcpy",
    "memmove",
    "memset",
    "memcmp",
    "strlen",
    "write",
    "writev",
    "read",
    "fwrite",
    "fflush",
    "printf",
    "fprintf",
    "vfprintf",
    "printf_core",
    "puts",
    "fputs",
    "__assert_fail",
    "__stack_chk_fail",
    "__multi3",
    "__ashlti3",
    "__lshrti3",
    "__divti3",
    "__udivti3",
    "__modti3",
    "__umodti3",
    "cabi_realloc",
    "cabi_export_realloc",
    "cabi_import_realloc",
];

/// Parts of the source paths of libraries.
const SOURCES: &[&str] = &[
    "library/std/",
    "library/core/",
    "library/alloc/",
    "library/panic_abort/",
    "libc-top-half/",
    "libc-bottom-half/",
    "compiler-rt/",
    "compiler_builtins",
    "dlmalloc",
];

fn is_of_a_library(frame: &Frame) -> bool {
    let name = frame.function.as_str();
    let source = frame.source.as_deref().unwrap_or_default();
    if SOURCES.iter().any(|place| source.contains(place)) {
        return true;
    }
    // A compiler may have written these two, but not if they have a line.
    if ENTRIES.contains(&name) {
        return source.is_empty();
    }
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || is_of_a_crate(name)
}

/// Returns true if a function is defined in one of [`CRATES`], as are `std::rt::lang_start`,
/// `<alloc::vec::Vec<T> as …>::drop` and `<&T as core::fmt::Debug>::fmt`.
fn is_of_a_crate(name: &str) -> bool {
    let begins = |path: &str| {
        let first = path.split_once("::").map(|(first, _)| first);
        first.is_some_and(|first| CRATES.contains(&first))
    };
    let Some(inner) = name.strip_prefix('<') else { return begins(name) };
    let own = inner.trim_start_matches(['&', '*', '[', '(']);
    let own = ["mut ", "const ", "dyn "]
        .iter()
        .fold(own, |own, word| own.strip_prefix(word).unwrap_or(own));
    // A type without a path is built in or a type parameter, so the trait's crate decides.
    match own.split_once(" as ") {
        Some((ty, of)) if !ty.contains("::") => begins(of),
        _ => begins(own),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, source: Option<&str>) -> Frame {
        Frame {
            module: None,
            function: function.into(),
            source: source.map(str::to_owned),
            position: None,
        }
    }

    #[test]
    fn functions_of_the_guest_and_of_libraries_are_distinguished() {
        for (function, source, own) in [
            ("myapp::parse", None, true),
            ("mainly", None, true),
            ("function 12", None, true),
            ("stdlib_init", None, true),
            ("core_loop", None, true),
            ("<myapp::Config as core::fmt::Display>::fmt", None, true),
            ("<myapp::Config as core::ops::Drop>::drop", Some("src/main.rs:3"), true),
            ("stdx::go", None, true),
            ("work", Some("/home/me/alloc/work.c:3"), true),
            ("std::panicking::begin_panic_handler::{{closure}}", None, false),
            ("core::panicking::panic_fmt", None, false),
            ("alloc::raw_vec::handle_error", None, false),
            ("<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop", None, false),
            ("<&T as core::fmt::Debug>::fmt", None, false),
            ("<str as core::fmt::Display>::fmt", None, false),
            ("<&mut W as core::fmt::Write>::write_str", None, false),
            ("rust_begin_unwind", None, false),
            ("__rust_alloc_error_handler", None, false),
            ("__rustc::__rust_alloc", None, false),
            ("dlmalloc::dlmalloc::Dlmalloc<A>::malloc", None, false),
            ("_start", None, false),
            ("__main_void", None, false),
            ("main", None, false),
            ("main", Some("/home/me/work.c:3"), true),
            ("__original_main", Some("/home/me/work.c:3"), true),
            ("malloc", None, false),
            ("__wasilibc_populate_preopens", None, false),
            ("try_realloc_chunk", Some("dlmalloc/src/malloc.c:3912"), false),
            ("pad", Some("/b/wasi-libc/libc-top-half/musl/src/stdio/vfprintf.c:1"), false),
            ("call_once", Some("/rustc/0/library/core/src/ops/function.rs:250"), false),
        ] {
            let frame = frame(function, source);
            assert_eq!(!is_of_a_library(&frame), own, "{function} {source:?}");
        }
    }

    #[test]
    fn the_short_form_keeps_the_depth_and_counts_hidden_frames() {
        let frames =
            [frame("rust_panic", None), frame("myapp::go", None), frame("__main_void", None)];
        let (shown, hidden) = Backtrace::Short.pick(&frames);
        assert_eq!(shown, [(1, &frames[1])]);
        assert_eq!(hidden, 2);
        let (shown, hidden) = Backtrace::Full.pick(&frames);
        assert_eq!((shown.len(), hidden), (3, 0));
    }
}
