//! Compilation: in a child process, within limits, once per component.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use skep_harness::{Ran, Run, TestDir, test_dir};
use skep_protocol::{LimitName, Limits};
use skep_sandbox::{
    Abi, ChildCompiler, CompileBounds, CompileError, CompileJob, Compiler, Profile,
};

const MIB: u64 = 1 << 20;

fn cached(cache: &TestDir, guest: &str) -> (serde_json::Value, Ran) {
    Run::with(&["--output", "json"]).env("XDG_CACHE_HOME", &**cache).guest(guest, &[]).report()
}

fn native(cache: &TestDir) -> std::path::PathBuf {
    let engine = std::fs::read_dir(cache.join("skep/compiled")).unwrap().next().unwrap().unwrap();
    let mut files = std::fs::read_dir(engine.path()).unwrap().map(|file| file.unwrap().path());
    let is_native = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "cwasm");
    files.find(is_native).unwrap()
}

/// A command that computes for about a second, as often as its loop says.
fn computes(rounds: u64) -> String {
    format!(
        r#"(module (func (export "_start") (local i64)
            (loop (br_if 0 (i64.lt_u
                (local.tee 0 (i64.add (local.get 0) (i64.const 1))) (i64.const {rounds}))))))"#
    )
}

/// Runs a component and returns the CPU time of its process, which the shell tells, and the report.
fn timed(path: &Path, flag: &str) -> (f64, serde_json::Value) {
    let dir = test_dir();
    let report = dir.join("report.json");
    // The shell's `times` prints its own times, and then those of its children.
    let script = format!(
        "'{}' run --report '{}' {flag} '{}' && times",
        skep_harness::skep().display(),
        report.display(),
        path.display()
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &script]).env("XDG_CACHE_HOME", skep_harness::shared_cache());
    let out = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let millis = |time: &str| -> f64 {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 6e4 + seconds.parse::<f64>().unwrap() * 1e3
    };
    let children = out.lines().nth(1).unwrap();
    let own = children.split_whitespace().map(millis).sum();
    (own, serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap())
}

#[test]
fn cpu_time_is_that_of_the_process_on_a_busy_machine() {
    let dir = test_dir();
    let nothing = dir.wat("nothing.wasm", &computes(1));
    let path = dir.wat("computes.wasm", &computes(4_000_000_000));
    let compile = |path: &Path| Run::with(&["--timeout", "1ms"]).component(path, &[]).go();
    compile(&nothing);
    compile(&path);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let _stop = StopOnDrop(&stop);
        let (start, _) = timed(&nothing, "--isolate=never");
        let (all, report) = timed(&path, "--isolate=never");
        let own = all - start;
        let cpu = report["cpu_ms"].as_f64().unwrap();
        let wall = report["wall_ms"].as_f64().unwrap();
        // The host's own threads wake up each millisecond of the longer time on the clock.
        assert!(cpu > 0.75 * own && cpu < 1.05 * own, "{cpu} of {all} - {start} ms");
        assert!(wall > 1.5 * cpu, "the machine is not busy: {wall} for {cpu} ms");
        // The host's own work on a child is not the guest's.
        let (all, report) = timed(&path, "--isolate");
        let isolated = report["cpu_ms"].as_f64().unwrap();
        assert!(isolated < all && isolated > 0.7 * cpu, "{isolated} of {all} ms, {cpu} before");
    });
}

/// Stops the threads that keep the machine busy, also if an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn the_second_run_is_a_hit() {
    let cache = test_dir();
    let (first, _) = cached(&cache, "hello");
    assert_eq!(first["compile"]["cache"], "miss");
    let (second, _) = cached(&cache, "hello");
    assert_eq!(second["compile"]["cache"], "hit");
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.join("skep/compiled")), 0o700);
    assert_eq!(mode(&native(&cache)), 0o400);
}

#[test]
fn a_damaged_file_in_the_cache_is_compiled_again() {
    let cache = test_dir();
    cached(&cache, "hello");
    let path = native(&cache);
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 0x40;
    for bad in [flipped, good[..good.len() / 2].to_vec(), Vec::new()] {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bad).unwrap();
        let (report, ran) = cached(&cache, "hello");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(report["compile"]["cache"], "miss");
        assert_eq!(std::fs::read(&path).unwrap().len(), good.len());
    }
}

#[test]
fn runs_at_the_same_time_compile_once() {
    let (cache, dir) = (test_dir(), test_dir());
    let report = |n: usize| dir.join(n.to_string());
    let start = |n| {
        let run = Run::with(&["--report"]).args([report(n)]).env("XDG_CACHE_HOME", &*cache);
        run.guest("probe", &["args"]).start()
    };
    let running: Vec<_> = (0..8).map(start).collect();
    running.into_iter().for_each(|run| drop(run.finish().expect(0)));
    let found: Vec<String> = (0..8)
        .map(|n| {
            let report: serde_json::Value =
                serde_json::from_slice(&std::fs::read(report(n)).unwrap()).unwrap();
            report["compile"]["cache"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(found.iter().filter(|found| *found == "miss").count(), 1, "{found:?}");
    let left = std::fs::read_dir(native(&cache).parent().unwrap()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    let is_lock = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "lock");
    assert!(!left.iter().any(is_lock), "a lock is left: {left:?}");
}

#[test]
fn a_killed_compiler_blocks_no_other_run() {
    let cache = test_dir();
    let start = || Run::with(&[]).env("XDG_CACHE_HOME", &*cache).guest("probe", &["args"]).start();
    let first = start();
    let lock = || {
        let engine = std::fs::read_dir(cache.join("skep/compiled")).ok()?.next()?.ok()?;
        let mut files = std::fs::read_dir(engine.path()).ok()?.flatten();
        files.find(|file| file.path().extension().is_some_and(|end| end == "lock"))
    };
    while lock().is_none() {
        std::thread::yield_now();
    }
    first.signal(rustix::process::Signal::KILL);
    first.finish().expect(137);
    assert!(lock().is_some(), "the run ended before it was killed");
    start().finish().expect(0);
}

#[test]
fn code_that_is_not_offered_is_refused_before_it_is_compiled() {
    // Compiling these functions would take minutes. The last one needs legacy exceptions.
    let body = [b"\x01\x01\x7f".to_vec(), b"\x20\0\x41\x01\x6a\x21\0".repeat(2_000), vec![0x0b]];
    let mut bodies = vec![body.concat(); 1_000];
    bodies.push(b"\0\x06\x40\x19\x0b\x0b".to_vec());
    let dir = test_dir();
    let path = dir.file("legacy.wasm", module(&bodies));
    assert!(std::fs::metadata(&path).unwrap().len() > 10_000_000);
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126);
    let ran = ran.says("it needs legacy exception handling (which is superseded)");
    assert!(ran.took.as_secs() < 10, "{:?}", ran.took);
}

/// A component of 1.4 KB that would instantiate 33 million.
fn component_bomb() -> String {
    let mut wat = "(component $c0)".to_string();
    for depth in 1..=25 {
        let below = depth - 1;
        wat = format!(
            "(component $c{depth} {wat} (instance (instantiate $c{below})) (instance (instantiate $c{below})))"
        );
    }
    let run = r#"(core module $m (func (export "run") (result i32) i32.const 0))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $run (export "run" (func $run)))
        (export "wasi:cli/run@0.2.3" (instance $run))"#;
    format!("(component {wat} (instance (instantiate $c25)) {run})")
}

#[test]
fn the_component_bomb_is_refused_before_it_is_compiled() {
    let dir = test_dir();
    let path = dir.wat("bomb.wasm", &component_bomb());
    assert!(std::fs::metadata(&path).unwrap().len() < 2_000);
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says("limit core_instances");
    assert!(ran.took.as_secs() < 5, "{:?}", ran.took);
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
    Run::inspect().args([&path]).go().expect(126).prints("limit core_instances");
}

/// Encodes a module with these function bodies, all of type `[] -> []`. The first is `_start`.
fn module(bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
    let count = leb(bodies.len() as u32);
    section(&mut module, 3, &[count.clone(), vec![0; bodies.len()]].concat());
    section(&mut module, 7, b"\x01\x06_start\0\0");
    let bodies: Vec<u8> =
        bodies.iter().flat_map(|body| [leb(body.len() as u32), body.clone()].concat()).collect();
    section(&mut module, 10, &[count, bodies].concat());
    module
}

#[test]
fn a_huge_function_body_is_refused_by_the_compilers_memory_limit() {
    let dir = test_dir();
    // One local; a million times `local.get 0, i32.const 1, i32.add, local.set 0`.
    let step = b"\x20\0\x41\x01\x6a\x21\0".repeat(1_000_000);
    let body = [b"\x01\x01\x7f".to_vec(), step, vec![0x0b]].concat();
    let path = dir.file("body.wasm", module(&[body]));
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says("compile_memory_bytes");
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
    Run::with(&[]).guest("hello", &[]).go().expect(0);
}

#[test]
fn two_hundred_thousand_functions_are_refused_by_the_compilers_memory_limit() {
    let dir = test_dir();
    let path = dir.file("functions.wasm", module(&vec![b"\0\x0b".to_vec(); 200_000]));
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says("compile_memory_bytes");
    assert!(ran.peak_bytes < 300 * MIB, "{} bytes", ran.peak_bytes);
}

#[test]
fn eight_thousand_functions_of_fifty_thousand_locals_are_refused_at_once() {
    let dir = test_dir();
    // A declaration of 50,000 locals of type i64 takes six bytes.
    let path = dir.file("locals.wasm", module(&vec![b"\x01\xd0\x86\x03\x7e\x0b".to_vec(); 8_000]));
    assert!(std::fs::metadata(&path).unwrap().len() < 66_000);
    let ran = Run::with(&[]).component(&path, &[]).go().expect(126).says("limit declared_locals");
    assert!(ran.took.as_secs() < 5, "{:?}", ran.took);
}

/// Compiles a guest within these bounds in a child of the built `skep`.
fn within(guest: &str, bounds: CompileBounds) -> Result<(), CompileError> {
    let dir = test_dir();
    let program = skep_harness::skep().to_owned();
    let compiler = ChildCompiler::new(program, vec!["__compile".into()], 2);
    compiler.compile(CompileJob {
        wasm: &std::fs::read(skep_harness::guest(guest)).unwrap(),
        abi: Abi::Component,
        profile: Profile::Default,
        bounds,
        out: Some(std::fs::File::create(dir.join("out")).unwrap()),
        functions: None,
    })
}

#[test]
fn a_compiler_that_takes_too_long_is_stopped() {
    let bounds = CompileBounds::of(&Limits::default(), 0);
    let stopped = within("probe", CompileBounds { wall_ms: 1, ..bounds });
    let Err(CompileError::Limit { name: LimitName::compile_wall_ms, limit: 1 }) = stopped else {
        panic!("{stopped:?}");
    };
    within("probe", bounds).unwrap();
}

/// Two thousand functions of two thousand steps: seconds of compilation.
fn slow_to_compile() -> Vec<u8> {
    let step = b"\x20\0\x41\x01\x6a\x21\0".repeat(2_000);
    module(&vec![[b"\x01\x01\x7f".to_vec(), step, vec![0x0b]].concat(); 2_000])
}

#[test]
fn a_compiler_that_computes_too_long_is_stopped_and_its_time_can_be_raised() {
    let (dir, cache) = (test_dir(), test_dir());
    let path = dir.file("slow.wasm", slow_to_compile());
    let within = |time, more: &[&str]| {
        let run = Run::with(&[&["--compile-timeout", time], more].concat());
        run.env("XDG_CACHE_HOME", &*cache).component(&path, &[])
    };
    let ran = within("1s", &[]).go().expect(126);
    ran.says("more than compile_cpu_ms allows (1 s)").says("--compile-timeout");
    let (report, _) = within("1s", &["--output", "json"]).report();
    assert_eq!(report["error"]["code"], "limit_exceeded");
    assert_eq!(report["limit"], "compile_cpu_ms");
    // Only the time was too short: with more time the same file compiles.
    within("10m", &[]).go().expect(0);
}

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(leb(content.len() as u32));
    module.extend_from_slice(content);
}

fn leb(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

#[test]
fn a_run_without_address_space_for_the_pool_succeeds_with_a_warning() {
    let script = format!(
        "ulimit -v 25000000; exec '{}' run '{}' -- fallback",
        skep_harness::skep().display(),
        skep_harness::guest("hello").display()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("XDG_CACHE_HOME", skep_harness::shared_cache())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("hello, fallback"));
    assert!(stderr.contains("no address space for the instance pool"), "{stderr}");
}

/// Returns each attempt of a process behind the second wall with its result. Fails if any
/// succeeded.
fn tried(arguments: &[&str]) -> Vec<(String, String)> {
    let mut skep = std::process::Command::new(skep_harness::skep());
    let output = skep.arg("__wall").args(arguments).output().unwrap();
    let tried = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{tried}");
    let tried = tried.lines().filter_map(|line| line.split_once(": "));
    let tried: Vec<_> = tried.map(|(what, found)| (what.to_owned(), found.to_owned())).collect();
    assert!(tried.len() > 15, "{tried:?}");
    assert!(tried.iter().all(|(_, found)| found.starts_with("refused")), "{tried:?}");
    tried
}

#[test]
fn the_second_wall_refuses_open_exec_trace_and_executable_memory() {
    for arguments in [&[] as &[_], &["files"]] {
        let tried = tried(arguments);
        // What is refused without a wall as well proves nothing, so there must be enough besides.
        for what in ["read a file", "create a file", "start a program", "trace a process"] {
            let proved = |(tried, found): &(String, String)| tried == what && found == "refused";
            assert!(tried.iter().any(proved), "{arguments:?}, {what}: {tried:?}");
        }
    }
}

/// Runs `skep run` of a guest after these shell commands, with a cache of its own.
fn after(words: &str, guest: &str) -> std::process::Output {
    let cache = test_dir();
    let skep = skep_harness::skep().display();
    let guest = skep_harness::guest(guest);
    std::process::Command::new("sh")
        .args(["-c", &format!("{words}; exec '{skep}' run '{}' -- there", guest.display())])
        .env("XDG_CACHE_HOME", &*cache)
        .output()
        .unwrap()
}

#[test]
fn missing_host_resources_are_named_and_not_blamed_on_the_component() {
    for (words, lacks) in [
        ("ulimit -n 16", "open files"),
        ("ulimit -n 64", "open files"),
        ("ulimit -v 1000000", "address space"),
        ("ulimit -v 2000000", "address space"),
        ("ulimit -v 4000000", "address space"),
        ("ulimit -v 8000000", "address space"),
    ] {
        let output = after(words, "hello");
        let stderr = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("hello, there"));
            }
            Some(125) => assert!(stderr.contains(lacks), "{words}: {stderr}"),
            other => panic!("{words}: {other:?}: {stderr}"),
        }
        for blame in ["bug report", "do not match", "trapped", "panicked", "not valid"] {
            assert!(!stderr.contains(blame), "{words}: {stderr}");
        }
    }
}

#[test]
fn a_run_without_a_usable_cache_succeeds() {
    let dir = test_dir();
    let file = dir.file("file", Vec::new());
    let cases = [Run::with(&[]).env("XDG_CACHE_HOME", file), Run::with(&[]).env_clear()];
    for run in cases {
        let ran = run.guest("hello", &[]).go().expect(0);
        ran.says("note: the compiled code is not cached");
    }
}

#[test]
fn uncached_code_of_each_kind_runs_from_memory() {
    for guest in ["hello", "preview1/hello", "counter"] {
        let ran = Run::with(&[]).env_clear().guest(guest, &[]).go().expect(0);
        ran.says("not cached");
    }
}
