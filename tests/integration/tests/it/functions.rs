//! Compiled functions that the next component reuses: written by trusted compilations alone.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use skep_harness::{TestDir, test_dir};
use skep_protocol::Limits;
use skep_sandbox::{
    ChildCompiler, CompileError, CompileJob, CompileOutcome, Compiler, Incremental, Outbound,
    Profile, Sandbox, SandboxParts, Wasi03,
};

fn private() -> TestDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = test_dir();
    std::fs::set_permissions(&*dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn open(dir: &Path) -> Dir {
    Dir::open_ambient_dir(dir, ambient_authority()).unwrap()
}

/// Compiles in a child of the built `skep`, and remembers what the child got.
struct Watched {
    child: ChildCompiler,
    functions: Arc<Mutex<Vec<Option<bool>>>>,
}

impl Compiler for Watched {
    fn compile(&self, job: CompileJob<'_>) -> Result<(), CompileError> {
        let writable = job.functions.as_ref().map(|functions| functions.is_writable());
        self.functions.lock().unwrap().push(writable);
        self.child.compile(job)
    }
}

/// Compiles a guest with these functions. Returns the machine code, and whether the compiler got
/// functions and could add to them.
fn compile(guest: &str, incremental: Incremental) -> (Vec<u8>, Option<bool>) {
    let cache = test_dir();
    let functions = Arc::default();
    let program = skep_harness::skep().to_owned();
    let child = ChildCompiler::new(program, vec!["__compile".into()], 2);
    let sandbox = Sandbox::start(SandboxParts {
        cores: 1,
        workers: 1,
        compiler: Arc::new(Watched { child, functions: Arc::clone(&functions) }),
        cache: Some(open(&cache)),
        incremental,
        limits: Limits::default(),
        outbound: Outbound::default(),
        wasi_0_3: Wasi03::Off,
    });
    let wasm = std::fs::read(skep_harness::guest(guest)).unwrap();
    let (loaded, outcome) = sandbox.unwrap().load(&wasm, Profile::Default).unwrap();
    assert!(matches!(outcome, CompileOutcome::Miss { kept: Ok(()), .. }), "{outcome:?}");
    let engine = std::fs::read_dir(&*cache).unwrap().next().unwrap().unwrap();
    let file = std::fs::read_dir(engine.path()).unwrap().next().unwrap().unwrap();
    let mut code = std::fs::read(file.path()).unwrap();
    code.truncate(usize::try_from(loaded.compiled.bytes).unwrap());
    let functions = functions.lock().unwrap().pop().unwrap();
    (code, functions)
}

/// Returns all files below a directory with their content.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false => found.push((path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

/// Returns the file of functions below a directory.
fn file(dir: &Path) -> std::path::PathBuf {
    let found = contents(dir).into_iter().find(|(path, _)| path.ends_with("/functions"));
    found.unwrap().0.into()
}

#[test]
fn reused_functions_make_the_same_machine_code() {
    let functions = private();
    let (whole, none) = compile("probe", Incremental::Off);
    assert_eq!(none, None);
    let (first, given) = compile("probe", Incremental::ReadWrite(open(&functions)));
    assert_eq!((first == whole, given), (true, Some(true)));
    let size = std::fs::metadata(file(&functions)).unwrap().len();
    assert!(size > 10_000, "{size}");
    let (second, given) = compile("probe", Incremental::Read(open(&functions)));
    assert_eq!((second == whole, given), (true, Some(false)));
}

#[test]
fn nothing_made_from_untrusted_bytes_reaches_the_functions() {
    let functions = private();
    // There is nothing to reuse yet, and nothing is created.
    let (_, given) = compile("hello", Incremental::Read(open(&functions)));
    assert_eq!((given, contents(&functions)), (None, vec![]));
    compile("hello", Incremental::ReadWrite(open(&functions)));
    let before = contents(&functions);
    let (code, given) = compile("probe", Incremental::Read(open(&functions)));
    assert_eq!(given, Some(false));
    assert!(contents(&functions) == before, "an untrusted compilation changed the functions");
    assert!(code == compile("probe", Incremental::Off).0);
}

#[test]
fn poisoned_and_truncated_functions_are_not_loaded() {
    let functions = private();
    let (whole, _) = compile("hello", Incremental::ReadWrite(open(&functions)));
    let path = file(&functions);
    let good = std::fs::read(&path).unwrap();
    let mut poisoned = good.clone();
    // Every record, behind its key and length.
    for byte in poisoned.iter_mut().skip(48).step_by(13) {
        *byte ^= 0x55;
    }
    let mut rewritten = good.clone();
    let length = rewritten.len();
    rewritten[length / 2..].fill(0x90);
    for bad in [poisoned, rewritten, good[..length / 2].to_vec(), good[..40].to_vec(), vec![]] {
        std::fs::write(&path, bad).unwrap();
        let (code, given) = compile("hello", Incremental::Read(open(&functions)));
        assert_eq!((code == whole, given), (true, Some(false)));
    }
    // A trusted compilation repairs the file.
    let (code, _) = compile("hello", Incremental::ReadWrite(open(&functions)));
    assert!(code == whole);
    // The compiler does not identify each function in the same way each time, so the size differs.
    let repaired = std::fs::metadata(&path).unwrap().len();
    assert!(repaired > good.len() as u64 / 2, "{repaired}");
    let (code, given) = compile("hello", Incremental::Read(open(&functions)));
    assert_eq!((code == whole, given), (true, Some(false)));
}

#[test]
fn functions_that_others_could_have_written_are_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let functions = private();
    compile("hello", Incremental::ReadWrite(open(&functions)));
    std::fs::set_permissions(&*functions, std::fs::Permissions::from_mode(0o770)).unwrap();
    for incremental in
        [Incremental::Read(open(&functions)), Incremental::ReadWrite(open(&functions))]
    {
        assert_eq!(compile("hello", incremental).1, None);
    }
}
