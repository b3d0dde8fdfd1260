//! The directories that the guest of a run sees, and the copies of its /out afterwards.

use std::io;
use std::time::Instant;

use cap_std::fs::Dir;
use skep_protocol::{Limits, Rights};
use skep_sandbox::Mount;
use skep_scope::tree::make_mount_points;
use skep_scope::{Disk, Quota, Scope};

use super::archive;
use super::conclude::Conclusion;
use super::file_arg::FileArg;
use super::guest_args::GuestArgs;
use super::millis::millis;
use super::mount::{DATA, MountArg};
use super::out::OutDirs;
use super::out_arg::OutArg;
use super::watch::{Interrupted, Watch};
use crate::temporary::TemporaryDir;
use crate::{ambient, exit};

/// The guest path of the directory for temporary files.
const TMP: &str = "/tmp";

/// The guest path of the results.
const OUT: &str = "/out";

/// The destinations of a guest's results.
#[derive(Clone, Copy, Default)]
pub(crate) struct OutPlan<'a> {
    /// Where they are copied to. Without any, there is no /out.
    pub(crate) to: &'a [OutArg],
    /// True if what earlier runs left there stays.
    pub(crate) keep: bool,
}

/// The directories of one run.
pub(crate) struct RunDirs {
    pub(crate) mounts: Vec<Mount>,
    /// Holds the guest's own directories, if it has any.
    temporary: Option<TemporaryDir>,
    /// The guest's /out, and the directories that its files are copied to.
    out: Option<(Dir, OutDirs)>,
    /// True if the last mount is a `/` that exists for this run only.
    pub(super) has_own_root: bool,
    disk: Disk,
}

impl RunDirs {
    /// Opens the directories of `--dir`, and creates the guest's own. All of them share one disk quota.
    pub(crate) fn open(
        arguments: &GuestArgs,
        plan: OutPlan<'_>,
        limits: &Limits,
    ) -> Result<Self, String> {
        let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
        let disk = Disk::new(quota);
        let (mounts, temporary, out) = Default::default();
        let mut dirs = Self { mounts, temporary, out, has_own_root: false, disk };
        for mapping in &arguments.dir {
            let MountArg { host, guest, rights } = mapping;
            dirs.is_free(guest)?;
            let dir = ambient::open_dir(host).map_err(|error| mapping.cannot_open(&error))?;
            dirs.mount(guest, dir, *rights);
        }
        for (number, FileArg { host, guest }) in arguments.archive.iter().enumerate() {
            dirs.is_free(guest)?;
            let dir = dirs.temporary(&format!("archive-{number}"))?;
            let aside = dirs.temporary(&format!("aside-{number}"))?;
            archive::unpack(host, &dir, aside)?;
            dirs.mount(guest, dir, Rights::ReadOnly);
        }
        if !arguments.no_data && !dirs.is_mapped(DATA) {
            let dir = dirs.temporary("data")?;
            dirs.mount(DATA, dir, Rights::ReadWrite);
        }
        if !plan.to.is_empty() {
            if dirs.is_mapped(OUT) {
                return Err(
                    "--out creates an /out for the guest; map your directory elsewhere".into()
                );
            }
            let from = dirs.temporary("out")?;
            dirs.out = Some((from, OutDirs::open(plan.to, plan.keep)?));
            let dir = dirs.temporary("out")?;
            dirs.mount(OUT, dir, Rights::ReadWrite);
        }
        if (!arguments.no_data || arguments.own_tmp) && !dirs.is_mapped(TMP) {
            let dir = dirs.temporary("tmp")?;
            dirs.mount(TMP, dir, Rights::ReadWrite);
        }
        dirs.add_root(&arguments.file)?;
        Ok(dirs)
    }

    /// Creates a `/` that has the files of `--file` and lists the other mounts, unless a directory is
    /// mapped there. A libc looks a path up in the longest mount that contains it, so `/` comes last,
    /// and gets only what no other contains.
    fn add_root(&mut self, files: &[FileArg]) -> Result<(), String> {
        let above = |guest: &str| {
            let is_above = |mount: &&Mount| {
                guest
                    .strip_prefix(mount.guest.trim_end_matches('/'))
                    .is_some_and(|rest| rest.starts_with('/') || rest.is_empty())
            };
            self.mounts.iter().find(is_above).map(|mount| mount.guest.clone())
        };
        for FileArg { guest, .. } in files {
            if let Some(above) = above(guest) {
                return Err(format!(
                    "--file cannot add {guest} to a directory that is mapped to {above}; give it a \
                     path outside"
                ));
            }
        }
        if self.is_mapped("/") {
            return Ok(());
        }
        let root = self.temporary("root")?;
        for FileArg { host, guest } in files {
            archive::copy_file(host, &root, guest.trim_start_matches('/'))?;
        }
        make_mount_points(&root, self.mounts.iter().map(|mount| mount.guest.as_str()));
        self.mount("/", root, Rights::ReadOnly);
        self.has_own_root = true;
        Ok(())
    }

    fn is_mapped(&self, guest: &str) -> bool {
        self.mounts.iter().any(|mount| mount.guest == guest)
    }

    fn is_free(&self, guest: &str) -> Result<(), String> {
        match self.is_mapped(guest) {
            true => Err(format!("two directories are mapped to {guest}; map each to its own path")),
            false => Ok(()),
        }
    }

    fn mount(&mut self, guest: &str, dir: Dir, rights: Rights) {
        let scope = Scope::new(dir, rights, self.disk.clone());
        self.mounts.push(Mount { guest: guest.into(), scope });
    }

    /// Opens one of the temporary directories of this run, creating it if it is missing.
    fn temporary(&mut self, name: &str) -> Result<Dir, String> {
        let mut create = || -> io::Result<_> {
            let temporary = match &self.temporary {
                Some(temporary) => temporary,
                None => self.temporary.insert(TemporaryDir::create()?),
            };
            temporary.subdirectory(name)
        };
        create().map_err(|error| {
            let parent = ambient::temporary_files();
            format!("cannot create a temporary directory in {}: {error}", parent.display())
        })
    }

    /// Copies the files in /out, however the run ended, and removes the temporary directories. If
    /// a file cannot be copied, /out is kept.
    pub(super) async fn collect_out(
        mut self,
        mut conclusion: Conclusion,
        watch: &mut Watch,
    ) -> Conclusion {
        let Some((from, out)) = self.out.take() else { return conclusion };
        let began = Instant::now();
        let copied = watch.over_blocking(None, move || out.copy(&from)).await;
        conclusion.report.timing.collect_ms = millis(began.elapsed());
        let trouble = match copied {
            Ok((report, trouble)) => {
                conclusion.report.out = Some(report);
                trouble.map(|message| (exit::SKEP_FAILED, message))
            }
            Err(Interrupted::Stopped(request)) => {
                Some((request.exit_code(), "stopped while copying the files in /out".to_owned()))
            }
            Err(Interrupted::Late) => unreachable!("copying has no deadline"),
        };
        let Some((code, message)) = trouble else { return conclusion };
        let kept = self.temporary.as_ref().map(|temporary| temporary.keep("out"));
        let message = match kept {
            Some(Ok(path)) => {
                let message = format!("{message}; all of /out is kept in {}", path.display());
                conclusion.report.out.get_or_insert_default().kept_in = Some(path);
                message
            }
            Some(Err(error)) => format!("{message}; cannot keep /out: {error}"),
            None => message,
        };
        conclusion.explained = conclusion.explained.without_results(code, &message);
        conclusion
    }
}
