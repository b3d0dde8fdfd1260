//! `cargo xtask demo`: runs a worker of ours and a third-party program in the sandbox, with real
//! commands and checked exit codes.

use std::fs;
use std::time::Instant;

use crate::packages::{self, PYTHON};
use crate::session::Session;
use crate::{Error, authors, console, tree};

/// CPU time of the first build, in seconds, measured on two cores of a server.
const BUILD_SECONDS: usize = 700;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// A command, its exit code, and a note for the reader.
struct Step {
    command: &'static str,
    exit: i32,
    notice: &'static str,
}

const fn step(command: &'static str, exit: i32, notice: &'static str) -> Step {
    Step { command, exit, notice }
}

const PROGRAM: &[Step] = &[
    step(
        "skep run hello.wasm -- a b",
        0,
        "it got its two words and nothing else: none of your variables, files or connections",
    ),
    step(
        "skep run --dir notes --env LANG=en hello.wasm",
        0,
        "it sees what you pass: notes, read-only, as /data, and one variable",
    ),
    step("skep run hello.wasm --exit 3", 3, "its own exit code is the exit code of skep"),
];

const SERVICE: &[Step] = &[
    step(
        "printf save | skep run --dir kept::/data:rw --input - counter.wasm",
        0,
        "one input, one turn: it emitted the event `counted` and answered 1",
    ),
    step("cat kept/count.txt", 0, "and wrote this file, since kept was mapped with :rw"),
    step(
        "skep inspect counter.wasm",
        0,
        "inspected without running it: its imports and every limit",
    ),
];

const MISBEHAVIOUR: &[Step] = &[
    step("skep run --timeout 1s probe.wasm spin", 124, "an endless loop ended at its deadline"),
    step(
        "skep run --memory 64MiB probe.wasm grow",
        137,
        "a guest that exhausts its memory ends with a separate exit code",
    ),
    step(
        "skep run probe.wasm panic",
        134,
        "a crash shows the guest's own backtrace, and affects nothing else",
    ),
    step(
        "skep run --dir notes probe.wasm write /data/new 10",
        1,
        "a write to a read-only directory is an ordinary error to the guest",
    ),
    step(
        "skep run --dir kept::/data:rw --disk 1MiB probe.wasm write /data/big 9000000",
        1,
        "its disk was full after 1 MiB",
    ),
    step("skep run probe.wasm connect 192.0.2.1:80", 1, "the network was denied, and says so"),
];

const STRANGER: &[Step] = &[
    step(
        "skep run python.wasm -c 'import sys; print(sys.version); print(6 * 7)'",
        0,
        "an unmodified CPython, compiled at its first run and cached for the next",
    ),
    step("skep run python.wasm -c 'open(\"/etc/passwd\")'", 1, "there is no such file for it"),
    step(
        "skep run --timeout 1s python.wasm -c 'while True: pass'",
        124,
        "the same deadline applies to a program of 26 MB",
    ),
];

/// The languages of guest authors beside Rust.
const LANGUAGES: &[(&str, &[Step])] =
    &[("JavaScript", JAVASCRIPT), ("Python", PYTHON_GUEST), ("C, by a compiler from PyPI", C)];

const JAVASCRIPT: &[Step] = &[
    step("skep new counter-js --lang js", 0, "a project from the example, without a network"),
    step(
        "skep build --project counter-js",
        0,
        "the first build on a machine installs esbuild and QuickJS, pinned by a lock file",
    ),
    step(
        "echo hello | skep run --input - counter-js/build/counter-js.wasm",
        0,
        "the same service as in Rust; `skep dev` would follow each edit",
    ),
];

const PYTHON_GUEST: &[Step] = &[
    step("skep new counter-python --lang python", 0, "its source is src/worker.py"),
    step("skep build --project counter-python", 0, "CPython and the source, in one component"),
    step(
        "echo hello | skep run --input - counter-python/build/counter-python.wasm",
        0,
        "compiled once; the next run takes a fraction of a second",
    ),
];

const C: &[Step] = &[
    step("skep new counter-c --lang c", 0, "its source is src/worker.c"),
    step("skep build --project counter-c", 0, "the C library is compiled once for all projects"),
    step(
        "echo hello | skep run --input - counter-c/build/counter-c.wasm",
        0,
        "80 KB, with the lines of its source for backtraces",
    ),
];

/// Builds missing parts and runs all steps. Prints to standard output.
///
/// # Errors
/// The errors of building, and [`Error::OtherEnd`]. Without npm's registry a part is left out.
#[expect(clippy::print_stdout, reason = "a demo prints its commands")]
pub fn demo() -> Result<(), Error> {
    let began = Instant::now();
    let folder = tree::root().join("target/demo");
    // Removes an earlier demo.
    let _ = fs::remove_dir_all(&folder);
    for part in ["notes", "kept"] {
        fs::create_dir_all(folder.join(part)).map_err(Error::file("creating", &folder))?;
    }
    let note = folder.join("notes/today.txt");
    fs::write(&note, "water the plants\n").map_err(Error::file("writing", note))?;

    let minutes = BUILD_SECONDS.div_ceil(60 * cores());
    eprintln!("building skep and its guests; the first time takes about {minutes} min here ...");
    if let Err(error) = console::ensure() {
        eprintln!("the console is left out, and `skep up` serves a login page only: {error}");
    }
    let session = Session::start(folder)?;
    session.bring(&["hello", "counter", "probe"])?;

    println!("\nThese commands run in target/demo, with target/debug first on the PATH.");
    act(&session, "A program of ours: examples/hello", PROGRAM)?;
    act(&session, "A worker of ours: examples/counter, which handles inputs", SERVICE)?;
    act(&session, "A program that misbehaves: tests/guests/probe", MISBEHAVIOUR)?;
    match authors::prepare() {
        Ok(()) => {
            for (language, steps) in LANGUAGES {
                act(&session, &format!("A worker in {language}"), steps)?;
            }
        }
        Err(error) => eprintln!("\nOther languages than Rust are left out: {error}"),
    }
    match packages::ensure(PYTHON).and_then(|python| session.copy(&python)) {
        Ok(()) => act(&session, "A program of somebody else: CPython, from npm", STRANGER)?,
        Err(error) => {
            eprintln!("\nCPython is left out, since npm cannot fetch {}:", PYTHON.spec());
            eprintln!("{error}");
        }
    }
    println!(
        "\nFinished in {:.0} s. Next: README.md, and examples/ to copy from.",
        began.elapsed().as_secs_f32()
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a demo prints its commands")]
fn act(session: &Session, title: &str, steps: &[Step]) -> Result<(), Error> {
    println!("\n== {title}");
    for Step { command, exit, notice } in steps {
        println!("\n$ {command}");
        let found = session.show(command)?;
        if found.code() != Some(*exit) {
            return Err(Error::OtherEnd { command: (*command).into(), expected: *exit, found });
        }
        println!("-> exit code {exit}: {notice}");
    }
    Ok(())
}
