//! The whole command line in hostile environments: streams that are closed, full or stuck, missing
//! or unusable directories, and processes with minimal rights.
//!
//! In each case a command ends in time with a documented exit code and without a panic. Full or
//! read-only disks are mounts in the command's own namespace, which end with it.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use skep_harness::{TestDir, guest, skep, test_dir};

use crate::hosting::Hosted;

/// The bound on a command, with room for a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The exit codes of the README, and 1, which `doctor` and a failed service return.
const DOCUMENTED: &[i32] = &[0, 1, 124, 125, 126, 130, 134, 137, 143];

/// The result of a command.
struct Ended {
    code: i32,
    err: String,
}

/// Waits for a command, and sends it a signal repeatedly if one is given.
fn ended(mut child: Child, what: &str, signal: Option<Signal>) -> Ended {
    let err = child.stderr.take().map(|mut err| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut err, &mut text).map(|_| text)
        })
    });
    let until = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
            child.wait().unwrap();
            panic!("{what}: the command does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
        if let Some(signal) = signal {
            // It may have ended already.
            let _ = kill_process(Pid::from_child(&child), signal);
        }
    };
    let err = err.map_or_else(Vec::new, |err| err.join().unwrap().unwrap());
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
    Ended { code, err: String::from_utf8_lossy(&err).into_owned() }
}

impl Ended {
    #[track_caller]
    fn is_documented(&self, what: &str) {
        let Self { code, err } = self;
        assert!(DOCUMENTED.contains(code), "{what}: exit code {code}: {err}");
        for word in ["panicked", "worth a bug report", "RUST_BACKTRACE"] {
            assert!(!err.contains(word), "{what}: exit code {code}: {err}");
        }
    }
}

/// The kinds of broken streams.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Closed,
    Full,
    Directory,
    /// A full pipe whose other end does nothing.
    Stuck,
}

const BAD: [Bad; 4] = [Bad::Closed, Bad::Full, Bad::Directory, Bad::Stuck];

/// The pipe that keeps a stream in its state while the command runs.
struct Held(#[expect(dead_code, reason = "only held open")] Option<(PipeReader, PipeWriter)>);

/// Makes a stream of this kind, for reading or for writing.
fn stream(bad: Bad, reads: bool) -> (Stdio, Held) {
    match bad {
        // The shell closes it.
        Bad::Closed => (Stdio::null(), Held(None)),
        Bad::Full => {
            let full = File::options().read(reads).write(!reads).open("/dev/full").unwrap();
            (full.into(), Held(None))
        }
        Bad::Directory => (File::open("/tmp").unwrap().into(), Held(None)),
        Bad::Stuck => {
            let (reader, writer) = std::io::pipe().unwrap();
            if reads {
                return (reader.try_clone().unwrap().into(), Held(Some((reader, writer))));
            }
            // Fills it to the last byte.
            let size = rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
            (&writer).write_all(&vec![b'.'; size]).unwrap();
            (writer.try_clone().unwrap().into(), Held(Some((reader, writer))))
        }
    }
}

/// The inputs of the commands.
struct Bed {
    hosted: Hosted,
    hello: String,
    scribe: String,
    /// A file with a command for a scribe.
    order: String,
}

impl Bed {
    fn make() -> Self {
        let hosted = Hosted::start();
        let path = |name: &str| guest(name).to_str().unwrap().to_owned();
        let (hello, scribe) = (path("hello"), path("scribe"));
        hosted.good(&["worker", "create", &scribe, "--name", "tally"]);
        hosted.good(&["worker", "send", "tally", "echo", "x"]);
        let file = hosted.dir.file("file", "content");
        hosted.good(&["worker", "files", "put", "tally", "file", file.to_str().unwrap()]);
        // Compiled before it is run where that is impossible.
        hosted.good(&["run", &hello]);
        let order = hosted.dir.file("order", "echo x").to_str().unwrap().to_owned();
        hosted.good(&["run", "--input", &order, &scribe]);
        Self { hosted, hello, scribe, order }
    }

    /// Lists every command, or, if `reads` is set, those that read standard input when asked to.
    fn lines(&self, reads: bool) -> Vec<Vec<String>> {
        let Self { hello, scribe, order, .. } = self;
        let lines: &[&[&str]] = match reads {
            true => &[
                &["run", "--timeout", "2s", hello],
                &["run", "--timeout", "2s", "--input", "-", scribe],
                &["run", "--timeout", "2s", "-"],
                &["inspect", "-"],
                &["worker", "create", "-"],
                &["component", "push", "-"],
                &["worker", "send", "--input", "-", "tally"],
                &["worker", "files", "put", "tally", "new", "-"],
                &["worker", "files", "import", "tally", "-"],
            ],
            false => &[
                &["run", "--timeout", "2s", hello],
                &["run", "--timeout", "2s", "--output", "json", hello],
                &["run", "--timeout", "2s", "--input", order, scribe],
                &["inspect", hello],
                &["worker", "list"],
                &["worker", "show", "tally"],
                &["worker", "usage", "tally"],
                &["worker", "diagnostics", "tally"],
                &["worker", "state", "tally"],
                &["worker", "inputs", "tally"],
                &["worker", "fork", "tally"],
                &["worker", "label", "tally", "--set", "a=b"],
                &["worker", "create", scribe],
                &["worker", "send", "tally", "echo", "x"],
                &["worker", "events", "tally"],
                &["worker", "logs", "tally"],
                &["worker", "events", "-f", "tally"],
                &["worker", "files", "list", "tally"],
                &["worker", "files", "get", "tally", "file"],
                &["worker", "files", "export", "tally"],
                &["worker", "stop", "tally"],
                &["worker", "start", "tally"],
                &["component", "list"],
                &["runtimes"],
                &["token", "list"],
                &["session", "list"],
                &["audit"],
                &["limits"],
                &["whoami"],
                &["token", "create", "--role", "viewer"],
                &["remote", "list"],
                &["doctor"],
                &["completions", "bash"],
                &["up", "--store", "another", "--listen", "127.0.0.1:0"],
                &["runtime", "--store", "third", "--listen", "127.0.0.1:0"],
                &["--help"],
                &["--version"],
                &["nonsense"],
            ],
        };
        lines.iter().map(|line| line.iter().map(ToString::to_string).collect()).collect()
    }

    /// Makes a command behind a shell script that sets up its environment. `$0` and `$@` are the
    /// command's own.
    fn command(&self, script: &str, line: &[String]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(skep()).args(line);
        let dir: &Path = &self.hosted.dir;
        command.env("SKEP_STORE", dir.join("store")).env("XDG_CACHE_HOME", dir.join("cache"));
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

/// Returns true if a command runs until it is stopped.
fn goes_on(line: &[String]) -> bool {
    ["up", "runtime"].contains(&line[0].as_str()) || line.contains(&"-f".into())
}

#[test]
fn every_command_ends_whatever_its_outputs_are() {
    let bed = Bed::make();
    for line in bed.lines(false) {
        for bad in BAD {
            for (number, is_out) in [(1, true), (2, false)] {
                let what = format!("{line:?} with stream {number} {bad:?}");
                let script = match bad {
                    Bad::Closed => format!(r#"exec "$0" "$@" {number}>&-"#),
                    _ => r#"exec "$0" "$@""#.to_owned(),
                };
                let mut command = bed.command(&script, &line);
                let (end, held) = stream(bad, false);
                match is_out {
                    true => command.stdout(end),
                    false => command.stderr(end),
                };
                let stuck = matches!(bad, Bad::Stuck) && line[0] != "run";
                let signal = (stuck || goes_on(&line)).then_some(Signal::TERM);
                ended(command.spawn().unwrap(), &what, signal).is_documented(&what);
                drop(held);
            }
        }
    }
}

#[test]
fn every_command_ends_whatever_its_input_is() {
    let bed = Bed::make();
    for line in bed.lines(true) {
        for bad in BAD {
            let what = format!("{line:?} with standard input {bad:?}");
            let script = match bad {
                Bad::Closed => r#"exec "$0" "$@" <&-"#,
                _ => r#"exec "$0" "$@""#,
            };
            let mut command = bed.command(script, &line);
            let (end, held) = stream(bad, true);
            command.stdin(end);
            // Only `run` has a timeout of its own.
            let signal = (matches!(bad, Bad::Stuck) && line[0] != "run").then_some(Signal::TERM);
            // An endless stream of zeroes is read up to the limit.
            ended(command.spawn().unwrap(), &what, signal).is_documented(&what);
            drop(held);
        }
    }
}

#[test]
fn a_run_that_waits_is_stopped_by_each_signal() {
    let bed = Bed::make();
    let Bed { hello, scribe, .. } = &bed;
    let waits: [&[&str]; 3] = [&["run", "-"], &["run", "--input", "-", scribe], &["run", hello]];
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        for line in waits {
            let what = format!("{line:?} at {signal:?}");
            let line: Vec<_> = line.iter().map(ToString::to_string).collect();
            let mut command = bed.command(r#"exec "$0" "$@""#, &line);
            let (end, held) = match line[1] == *hello {
                true => stream(Bad::Stuck, false),
                false => stream(Bad::Stuck, true),
            };
            match line[1] == *hello {
                true => command.stdout(end),
                false => command.stdin(end),
            };
            let ended = ended(command.spawn().unwrap(), &what, Some(signal));
            assert_eq!(ended.code, code, "{what}: {}", ended.err);
            drop(held);
        }
    }
}

/// A directory that a command needs, and the variable that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    Home,
    Cache,
    Temporary,
    Store,
}

impl Needed {
    const ALL: [Self; 4] = [Self::Home, Self::Cache, Self::Temporary, Self::Store];

    const fn variable(self) -> &'static str {
        match self {
            Self::Home => "HOME",
            Self::Cache => "XDG_CACHE_HOME",
            Self::Temporary => "TMPDIR",
            Self::Store => "SKEP_STORE",
        }
    }
}

/// The states of that directory.
#[derive(Clone, Copy, Debug)]
enum State {
    Unset,
    Empty,
    Missing,
    ReadOnly,
    FullDisk,
}

/// Makes a command with directories of its own, one of them in this state.
fn lacking(dir: &TestDir, needed: Needed, state: State, line: &[&str]) -> Command {
    let place = dir.join("place");
    std::fs::create_dir_all(&place).unwrap();
    let mount = |options: &str| {
        format!(
            "mount -t tmpfs -o {options} none {place} && {{ [ {full} = 0 ] || \
             head -c 64k /dev/zero >{place}/fill 2>/dev/null; exec \"$0\" \"$@\"; }}",
            place = place.display(),
            full = u8::from(options.starts_with("size=64k")),
        )
    };
    let (script, value): (String, Option<PathBuf>) = match state {
        State::Unset => (r#"exec "$0" "$@""#.into(), None),
        State::Empty => (r#"exec "$0" "$@""#.into(), Some(PathBuf::new())),
        State::Missing => (r#"exec "$0" "$@""#.into(), Some(dir.join("missing"))),
        State::ReadOnly => (mount("ro"), Some(place.clone())),
        State::FullDisk => (mount("size=64k"), Some(place.clone())),
    };
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]).arg(script);
    command.arg(skep()).args(line).current_dir(&**dir);
    for other in Needed::ALL {
        let own = dir.join(other.variable());
        std::fs::create_dir_all(&own).unwrap();
        command.env(other.variable(), own);
    }
    if needed == Needed::Home {
        command.env_remove("XDG_CACHE_HOME").env_remove("SKEP_STORE");
    }
    match value {
        Some(value) => command.env(needed.variable(), value),
        None => command.env_remove(needed.variable()),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_run_needs_no_home_and_no_cache() {
    let hello = guest("hello");
    let hello = hello.to_str().unwrap();
    for needed in [Needed::Home, Needed::Cache] {
        for state in [State::Unset, State::Empty, State::Missing, State::ReadOnly, State::FullDisk]
        {
            let dir = test_dir();
            let what = format!("{needed:?} {state:?}");
            let ended =
                ended(lacking(&dir, needed, state, &["run", hello]).spawn().unwrap(), &what, None);
            ended.is_documented(&what);
            assert_eq!(ended.code, 0, "{what}: {}", ended.err);
        }
    }
}

#[test]
fn a_host_with_a_store_needs_no_home() {
    for state in [State::Unset, State::Empty, State::Missing, State::ReadOnly, State::FullDisk] {
        let dir = test_dir();
        let what = format!("up with HOME {state:?}");
        let line = ["up", "--store", "own", "--listen", "127.0.0.1:0"];
        let mut command = lacking(&dir, Needed::Home, state, &line);
        command.stderr(File::create(dir.join("err")).unwrap());
        let child = command.spawn().unwrap();
        let said = || String::from_utf8_lossy(&dir.read("err")).into_owned();
        let until = Instant::now() + PATIENCE;
        while !said().contains("ready:") {
            assert!(Instant::now() < until, "{what}: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        let ended = ended(child, &what, Some(Signal::TERM));
        assert!([0, 143].contains(&ended.code), "{what}: {} {}", ended.code, said());
    }
}

#[test]
fn missing_directories_are_named() {
    let hello = guest("hello");
    let hello = hello.to_str().unwrap();
    for (needed, line) in [
        (Needed::Temporary, &["run", hello][..]),
        (Needed::Store, &["token", "create", "--role", "admin"]),
        (Needed::Store, &["up", "--listen", "127.0.0.1:0"]),
    ] {
        for state in [State::ReadOnly, State::FullDisk] {
            let dir = test_dir();
            let what = format!("{line:?} with {needed:?} {state:?}");
            let command = lacking(&dir, needed, state, line).spawn().unwrap();
            let ended = ended(command, &what, None);
            ended.is_documented(&what);
            if ended.code != 0 {
                assert_eq!(ended.code, 125, "{what}: {}", ended.err);
                let place = dir.join("place");
                let named = ended.err.contains(place.to_str().unwrap());
                assert!(named || ended.err.contains("storage"), "{what}: {}", ended.err);
            }
        }
    }
}

#[test]
fn every_command_ends_under_tight_limits() {
    let bed = Bed::make();
    for script in [
        r#"ulimit -n 16; exec "$0" "$@""#,
        r#"ulimit -n 64; exec "$0" "$@""#,
        r#"ulimit -v 4000000; exec "$0" "$@""#,
        r#"ulimit -f 1; exec "$0" "$@""#,
        r#"umask 777; exec "$0" "$@""#,
        r#"LC_ALL=C; export LC_ALL; exec "$0" "$@""#,
    ] {
        for line in bed.lines(false) {
            let what = format!("{line:?} after {script}");
            let signal = goes_on(&line).then_some(Signal::TERM);
            let child = bed.command(script, &line).spawn().unwrap();
            ended(child, &what, signal).is_documented(&what);
        }
    }
}

#[test]
fn every_command_ends_without_proc() {
    let bed = Bed::make();
    for line in bed.lines(false) {
        let what = format!("{line:?} without /proc");
        let mut command = Command::new("unshare");
        let script = r#"mount -t tmpfs none /proc && exec "$0" "$@""#;
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        command.arg(skep()).args(&line);
        let dir: &Path = &bed.hosted.dir;
        command.env("SKEP_STORE", dir.join("store")).env("XDG_CACHE_HOME", dir.join("cache"));
        command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::piped()).spawn().unwrap();
        let signal = goes_on(&line).then_some(Signal::TERM);
        ended(child, &what, signal).is_documented(&what);
    }
}

/// Runs as a user without any files, if this test may change users.
#[test]
fn a_run_of_a_user_who_owns_nothing_works() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let dir = test_dir();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&*dir, open).unwrap();
    // The checkout may be closed to that user.
    let (program, hello) = (dir.join("skep"), dir.join("hello.wasm"));
    std::fs::copy(skep(), &program).unwrap();
    std::fs::copy(guest("hello"), &hello).unwrap();
    let mut command = Command::new(&program);
    command.arg("run").arg(&hello).current_dir("/").env("HOME", "/nonexistent");
    command.env_remove("XDG_CACHE_HOME").stdin(Stdio::null()).stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let ended = ended(command.stdout(Stdio::null()).spawn().unwrap(), "nobody's run", None);
    ended.is_documented("nobody's run");
    assert_eq!(ended.code, 0, "{}", ended.err);
}
