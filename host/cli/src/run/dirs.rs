//! The directories that the guest of a run sees, and the copy of its /out afterwards.

use std::io;

use cap_std::fs::Dir;
use skep_protocol::{Limits, Rights};
use skep_sandbox::Mount;
use skep_scope::{Disk, Quota, Scope};

use super::args::RunArgs;
use super::conclude::Conclusion;
use super::mount::{DATA, MountArg};
use super::out::OutDir;
use super::watch::{Interrupted, Watch};
use crate::temporary::TemporaryDir;
use crate::{ambient, exit};

/// The directories of one run.
pub(super) struct RunDirs {
    pub(super) mounts: Vec<Mount>,
    /// Holds the guest's own /data and /out, if it has any.
    temporary: Option<TemporaryDir>,
    /// The guest's /out, and the directory that its files are copied to.
    out: Option<(Dir, OutDir)>,
}

impl RunDirs {
    /// Opens the directories of `--dir`, and creates the guest's own /data and /out. All of them
    /// share one disk quota.
    pub(super) fn open(arguments: &RunArgs, limits: &Limits) -> Result<Self, String> {
        let quota = Quota { bytes: limits.disk_bytes, entries: limits.disk_entries };
        let disk = Disk::new(quota);
        let mut dirs = Self { mounts: Vec::new(), temporary: None, out: None };
        for mapping in &arguments.dir {
            let MountArg { host, guest, rights } = mapping;
            if dirs.is_mapped(guest) {
                return Err(format!(
                    "two directories are mapped to {guest}; map each to its own path"
                ));
            }
            let dir = ambient::open_dir(host).map_err(|error| mapping.cannot_open(&error))?;
            let scope = Scope::new(dir, *rights, disk.clone());
            dirs.mounts.push(Mount { guest: guest.clone(), scope });
        }
        if !dirs.is_mapped(DATA) && !arguments.no_data {
            dirs.add_temporary("data", DATA, &disk)?;
        }
        if let Some(path) = arguments.out.clone() {
            if dirs.is_mapped("/out") {
                return Err(
                    "--out creates an /out for the guest; map your directory elsewhere".into()
                );
            }
            dirs.out = Some((dirs.add_temporary("out", "/out", &disk)?, OutDir::open(path)?));
        }
        Ok(dirs)
    }

    fn is_mapped(&self, guest: &str) -> bool {
        self.mounts.iter().any(|mount| mount.guest == guest)
    }

    /// Creates a temporary directory and maps it to `guest`.
    fn add_temporary(&mut self, name: &str, guest: &str, disk: &Disk) -> Result<Dir, String> {
        let mut create = || -> io::Result<_> {
            let temporary = match &self.temporary {
                Some(temporary) => temporary,
                None => self.temporary.insert(TemporaryDir::create()?),
            };
            let dir = temporary.subdirectory(name)?;
            let handle = dir.try_clone()?;
            let scope = Scope::new(dir, Rights::ReadWrite, disk.clone());
            self.mounts.push(Mount { guest: guest.into(), scope });
            Ok(handle)
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
        let copied = watch.over_blocking(None, move || out.copy(&from)).await;
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
