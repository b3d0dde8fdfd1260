//! The child process: receives a job, raises the wall, runs one guest, and exits.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use cap_std::fs::Dir;
use rustix::process::{Resource, Signal};
use skep_protocol::{ComponentKind, Rights};
use skep_scope::{Disk, Quota, Scope};

use super::job::{MountJob, ProcessJob};
use super::wire::{self, Printer, StdinFrames, Stream};
use crate::code::engine::Engine;
use crate::code::loaded::{Code, link};
use crate::egress::Outbound;
use crate::guest::calls::{FileCalls, FileThread};
use crate::guest::stdio::{GuestInput, GuestOutput};
use crate::guest::turn::NoTurn;
use crate::instance::{Done, Instance};
use crate::limits::kill::KillSwitch;
use crate::limits::slots::CpuSlots;
use crate::outcome::Ended;
use crate::wall::{self, Allowed, Calls};
use crate::wasi::spec::GuestSpec;
use crate::wasi::spec::Mount;

/// Maximum memory of the process besides the guest's memory: its own, the guest's tables, and data
/// in transit.
const BESIDE: u64 = 512 << 20;

/// Maximum descriptors of the process besides the guest's.
const DESCRIPTORS: u64 = 64;

/// The niceness relative to the host's own threads.
const NICE: i32 = 10;

/// Runs the job that the host sends through standard input. Returns the exit code.
pub fn run_main(_arguments: &[String]) -> i32 {
    // The host sees that the child exits without a report. There is no other recipient.
    match serve() {
        Ok(()) => 0,
        Err(_) => 1,
    }
}

fn serve() -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    wall::close_from(3)?;
    wall::set_limit(Resource::Core, 0)?;
    // It takes the host a moment to notice that this process computes. The lower priority protects
    // others until then.
    rustix::process::nice(NICE)?;
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut socket = UnixStream::from(socket);
    let (job, descriptors) = wire::receive_job(&mut socket)?;
    // Use the socket as a plain file from here on: socket calls are not allowed behind the wall.
    let mut socket = File::from(OwnedFd::from(socket));
    let done = match prepare(&job, descriptors) {
        Ok(prepared) => run(job, prepared, &socket)?,
        Err(error) => Ended::HostFault(error.to_string()).into(),
    };
    wire::send_done(&mut socket, &done)
}

/// The parts of a run that are opened and loaded before the wall is raised.
struct ChildRun {
    engine: Arc<Engine>,
    code: Code,
    mounts: Vec<Mount>,
}

/// Loads the code and raises the wall. No thread may start earlier, because the wall would not
/// apply to it.
fn prepare(job: &ProcessJob, descriptors: Vec<OwnedFd>) -> io::Result<ChildRun> {
    let mut descriptors = descriptors.into_iter();
    let native = File::from(descriptors.next().ok_or(io::ErrorKind::NotFound)?);
    let engine = Engine::without_clock(job.profile)
        .map_err(|error| io::Error::other(format!("{error:#}")))?;
    let code = link(&engine, job.abi, ComponentKind::Command, &native).map_err(io::Error::other)?;
    let directories: Vec<_> = descriptors.collect();
    let allowed: Vec<_> =
        directories.iter().map(AsFd::as_fd).zip(job.mounts.iter().map(|it| it.rights)).collect();
    let limits = &job.limits;
    wall::set_limit(Resource::Data, limits.memory_bytes.saturating_add(BESIDE))?;
    wall::set_limit(Resource::Nofile, limits.open_descriptors.saturating_add(DESCRIPTORS))?;
    // File times in a read-only directory must not change either.
    let times =
        job.mounts.iter().all(|mount| mount.is_scratch || mount.rights == Rights::ReadWrite);
    wall::raise(&Allowed { directories: &allowed, calls: Calls::Files { times } })?;
    let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
    let added = Disk::new(quota);
    let mount = |(directory, mount): (OwnedFd, &MountJob)| {
        let disk = match mount.used {
            Some(used) => Disk::counted_before(quota, used),
            None => added.clone(),
        };
        let dir = Dir::from_std_file(File::from(directory));
        Mount { guest: mount.guest.clone(), scope: Scope::new(dir, mount.rights, disk) }
    };
    let mounts = directories.into_iter().zip(&job.mounts).map(mount).collect();
    Ok(ChildRun { engine: Arc::new(engine), code, mounts })
}

fn run(job: ProcessJob, prepared: ChildRun, socket: &File) -> io::Result<Done> {
    let ChildRun { engine, code, mounts } = prepared;
    engine.start_clock()?;
    let frames = socket.try_clone()?;
    let socket = Arc::new(Mutex::new(socket.try_clone()?));
    let output = |stream| GuestOutput::to_writer(Printer { socket: socket.clone(), stream }, false);
    let (stdout, stdout_writer) = output(Stream::Stdout)?;
    let (stderr, stderr_writer) = output(Stream::Stderr)?;
    let stdin = match job.more_stdin {
        true => GuestInput::from_reader(StdinFrames::after(job.stdin, frames), false)?,
        false => GuestInput::from_bytes(&job.stdin),
    };
    wall::no_more_threads()?;
    let spec = GuestSpec {
        args: job.args,
        env: job.env,
        initial_cwd: job.initial_cwd,
        stdin,
        stdout,
        stderr,
        mounts,
        // No other guest shares this process.
        files: FileCalls::new(FileThread::Inline),
        limits: job.limits,
        seed: job.seed,
        ..GuestSpec::default()
    };
    let turn = Box::new(NoTurn::new(job.identity, Arc::new(job.config)));
    let threads = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (slots, kill) = (CpuSlots::new(1), Arc::<KillSwitch>::default());
    // Nothing is sent without a grant, so the outbound threads never start.
    let outbound = Outbound::default();
    let done = threads.block_on(async {
        let code = (job.profile, &code);
        match Instance::connect(engine, slots, outbound, code, spec, turn, kill).await {
            Err(done) => done,
            Ok(mut instance) => {
                let (ended, cost) = instance.run().await;
                Done { ended, cost, denials: instance.take_denials() }
            }
        }
    });
    // Waits without a timeout: the host reads for as long as it wants, and otherwise kills this
    // process.
    stdout_writer.drain(None)?;
    stderr_writer.drain(None)?;
    Ok(done)
}
