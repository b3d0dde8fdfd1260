//! The host's resources taken by attacks, compared with the stock engine: `wasmtime` from PyPI with
//! its defaults and an epoch deadline. Either side is ended after 12 seconds or at 3 GiB.

mod guests;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use xtask::python;

use crate::Failure;
use crate::table::{Amount, Beside, Row};
use crate::tools::{folder, skep};

/// The engine whose defaults the project's attacks were first measured with.
const STOCK: &str = "wasmtime==50.0.1\n";
const PEER: &str = "wasmtime 50.0.1, stock";

/// The bounds of either side.
const LONGEST: Duration = Duration::from_secs(12);
const MOST_BYTES: u64 = 3 << 30;
const MOST_DESCRIPTORS: u64 = 1_024;

/// The deadline for a guest, set by its own host.
const DEADLINE_SECONDS: &str = "1";

/// The resource measured.
#[derive(Clone, Copy)]
enum Measure {
    Memory,
    Time,
    Descriptors,
    /// The length of the file `file`.
    Length,
    /// The host's secrets that a reader of the results sees through a link left by the guest.
    Secrets,
}

struct Attack {
    name: &'static str,
    wasm: Vec<u8>,
    measure: Measure,
    /// The bound on our side.
    target: Amount,
}

/// The resources taken by a run.
#[derive(Debug, Default)]
struct Taken {
    time: Duration,
    memory_bytes: u64,
    descriptors: u64,
    length: u64,
    secrets: u64,
}

pub(crate) fn measure() -> Result<Vec<Row>, Failure> {
    let python = python::interpreter("wasmtime", STOCK, "to attack the engine as it comes")?;
    let (skep, folder) = (skep()?, folder()?);
    let mut rows = Vec::new();
    for attack in attacks()? {
        // Up to twelve seconds on either side.
        eprintln!("attacking: {} ...", attack.name);
        let file = folder.path().join("attack");
        fs::write(&file, &attack.wasm)?;
        let theirs = take(folder.path(), "data", |data| {
            let mut command = Command::new(&python);
            command.arg("-c").arg(include_str!("attacks/stock.py")).arg(&file);
            command.arg(data).arg(DEADLINE_SECONDS);
            command
        })?;
        let ours = take(folder.path(), "out", |data| {
            let mut command = Command::new(&skep);
            let mut mount = data.as_os_str().to_owned();
            mount.push("::/data:rw");
            command.args(["run", "--timeout", "1s", "--out"]).arg(data.with_file_name("out"));
            command.arg("--dir").arg(mount).arg(&file);
            command.env("XDG_CACHE_HOME", data.with_file_name("cache"));
            command
        })?;
        rows.push(row(&attack, &ours, &theirs));
    }
    Ok(rows)
}

fn attacks() -> Result<Vec<Attack>, Failure> {
    let attack = |name, wasm: &[u8], measure, target| {
        let wasm = wasm.to_owned();
        Attack { name, wasm, measure, target }
    };
    let mib = |mib: u64| Amount::Bytes(mib << 20);
    let seconds = |seconds| Amount::Time(Duration::from_secs(seconds));
    let (bomb, locals) = (wat::parse_str(guests::component_bomb())?, guests::locals());
    let functions = guests::empty_functions();
    let text = |text| wat::parse_str(text);
    Ok(vec![
        attack("component bomb, peak memory", &bomb, Measure::Memory, mib(100)),
        attack("component bomb, time", &bomb, Measure::Time, seconds(1)),
        attack("400 million locals, time", &locals, Measure::Time, seconds(1)),
        // The compiling child may use 512 MiB and 32 times the size of the code.
        attack("200,000 functions, peak memory", &functions, Measure::Memory, mib(600)),
        attack("memory filled, peak memory", &text(guests::MEMORY)?, Measure::Memory, mib(350)),
        attack("table grown, peak memory", &text(guests::TABLE)?, Measure::Memory, mib(100)),
        attack("sleep past 1 s, time", &text(guests::SLEEP)?, Measure::Time, seconds(2)),
        attack("unread output past 1 s, time", &text(guests::FLOOD)?, Measure::Time, seconds(2)),
        attack("FIFO opened past 1 s, time", &text(guests::FIFO)?, Measure::Time, seconds(2)),
        attack("1 TiB file, its length", &text(guests::SPARSE)?, Measure::Length, mib(1_024)),
        attack(
            "secrets read through a link left",
            &text(guests::LINK)?,
            Measure::Secrets,
            Amount::Count(0),
        ),
        attack(
            "descriptors of 1,024 taken",
            &text(guests::DESCRIPTORS)?,
            Measure::Descriptors,
            Amount::Count(MOST_DESCRIPTORS * 3 / 4),
        ),
    ])
}

fn row(attack: &Attack, ours: &Taken, theirs: &Taken) -> Row {
    let amount = |taken: &Taken| match attack.measure {
        Measure::Memory => Amount::Bytes(taken.memory_bytes),
        Measure::Time => Amount::Time(taken.time),
        Measure::Descriptors => Amount::Count(taken.descriptors),
        Measure::Length => Amount::Bytes(taken.length),
        Measure::Secrets => Amount::Count(taken.secrets),
    };
    let number = |amount: Amount| match amount {
        Amount::Time(time) => time.as_secs_f64(),
        Amount::Bytes(number) | Amount::Count(number) => number as f64,
    };
    let (ours, theirs) = (amount(ours), amount(theirs));
    let ratio = number(ours) / number(theirs).max(f64::MIN_POSITIVE);
    let beside =
        Beside { name: PEER, theirs, ratio, middle_half: [ratio; 2], target_ratio: f64::INFINITY };
    Row { name: attack.name, samples: 1, ours, beside: Some(beside), target: Some(attack.target) }
}

/// Runs an attack in a directory of its own and samples its processes. Nothing reads their output;
/// the files that they leave are then read in `result`.
fn take(
    folder: &Path,
    result: &str,
    command: impl FnOnce(&Path) -> Command,
) -> Result<Taken, Failure> {
    for name in ["data", "out"] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
    let data = folder.join("data");
    fs::create_dir(&data)?;
    fs::write(folder.join("secret"), "the host's own")?;
    let fifo = std::ffi::CString::new("fifo")?;
    let dir = fs::File::open(&data)?;
    rustix::fs::mknodat(&dir, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0)?;
    let mut command = limited(&command(&data));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let began = Instant::now();
    let mut attacked = Attacked { child: command.spawn()?, taken: Taken::default() };
    while attacked.child.try_wait()?.is_none() {
        attacked.look();
        attacked.taken.time = began.elapsed();
        if attacked.taken.time > LONGEST || attacked.taken.memory_bytes > MOST_BYTES {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut taken = std::mem::take(&mut attacked.taken);
    taken.time = began.elapsed();
    drop(attacked);
    taken.length = fs::metadata(data.join("file")).map_or(0, |file| file.len());
    taken.secrets = fs::read(folder.join(result).join("link")).is_ok().into();
    Ok(taken)
}

/// Wraps a command in a hard limit on descriptors.
fn limited(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -n {MOST_DESCRIPTORS}; exec \"$0\" \"$@\""));
    limited.arg(command.get_program()).args(command.get_args());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

/// A process group, which is killed on drop.
struct Attacked {
    child: Child,
    taken: Taken,
}

impl Attacked {
    /// Samples the current totals.
    fn look(&mut self) {
        let (mut memory, mut descriptors) = (0, 0);
        let mut family = vec![self.child.id()];
        while let Some(process) = family.pop() {
            let folder = PathBuf::from(format!("/proc/{process}"));
            memory += resident(&folder).unwrap_or(0);
            descriptors =
                descriptors.max(fs::read_dir(folder.join("fd")).map_or(0, Iterator::count));
            let threads = fs::read_dir(folder.join("task")).into_iter().flatten().flatten();
            for thread in threads {
                let children = fs::read_to_string(thread.path().join("children"));
                let children = children.unwrap_or_default();
                family.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
            }
        }
        self.taken.memory_bytes = self.taken.memory_bytes.max(memory);
        self.taken.descriptors = self.taken.descriptors.max(descriptors as u64);
    }
}

fn resident(process: &Path) -> Option<u64> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

impl Drop for Attacked {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
