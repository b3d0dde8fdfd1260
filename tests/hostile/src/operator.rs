//! The operator's side: the contents of the granted directories and their surroundings, and the
//! changes made to them during a turn.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, linkat, makedev, mknodat};
use skep_protocol::WorkerId;

use crate::bed::Bed;
use crate::hook::Check;

/// A content that no guest may read.
pub(crate) const SECRET: &[u8] = b"SECRET";

/// The duration of the operator's changes.
pub(crate) const LONG: Duration = Duration::from_millis(1_500);

/// The bound on the time until a guest begins.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts a secret file beside the directories, and a directory with one.
pub(crate) fn has_secrets(bed: &Bed) {
    fs::write(bed.dir().join("secret"), SECRET).unwrap();
    fs::create_dir(bed.dir().join("outside")).unwrap();
    fs::write(bed.dir().join("outside/file"), SECRET).unwrap();
}

/// Makes readable files, and secrets around them.
pub(crate) fn has_files(bed: &Bed) {
    has_secrets(bed);
    let read = bed.dir().join("read");
    for name in ["dir", "empty"] {
        fs::create_dir(read.join(name)).unwrap();
    }
    for name in ["file", "dir/file"] {
        fs::write(read.join(name), "good").unwrap();
    }
}

/// Makes pipes, sockets and devices, and links to them.
pub(crate) fn has_pipes_and_devices(bed: &Bed) {
    let read = bed.dir().join("read");
    let make =
        |name, kind, device| mknodat(CWD, read.join(name), kind, Mode::RUSR | Mode::WUSR, device);
    make("pipe", FileType::Fifo, 0).unwrap();
    drop(UnixListener::bind(read.join("socket")).unwrap());
    symlink("pipe", read.join("link-to-the-pipe")).unwrap();
    symlink("socket", read.join("link-to-the-socket")).unwrap();
    // Only the superuser can make one. It is the null device, which is harmless.
    if make("device", FileType::CharacterDevice, makedev(1, 3)).is_ok() {
        symlink("device", read.join("link-to-the-device")).unwrap();
    }
}

/// Makes files with names that are not UTF-8, and one that is.
pub(crate) fn has_names_that_are_no_text(bed: &Bed) {
    let read = bed.dir().join("read");
    for name in [&b"\xff\xfe"[..], b"half\xc3", b"\xed\xa0\x80", b"long\xe0\x80\x80", b"text"] {
        fs::write(read.join(std::ffi::OsStr::from_bytes(name)), "good").unwrap();
    }
}

/// From when the guest has begun, swaps a file for a link that leads out, for a pipe and for
/// nothing, and a directory for a link, again and again.
pub(crate) fn swaps(bed: &Bed, worker: WorkerId) -> Check<'_> {
    Box::pin(async move {
        begun(bed, worker).await?;
        let read = bed.dir().join("read");
        let swapped = tokio::task::spawn_blocking(move || {
            let until = Instant::now() + LONG;
            let mut swapped = Ok(());
            while swapped.is_ok() && Instant::now() < until {
                swapped = swap(&read);
            }
            swapped.and_then(|()| fs::write(read.join("enough"), ""))
        });
        swapped.await.unwrap().map_err(|error| format!("the operator could not swap: {error}"))
    })
}

fn swap(read: &Path) -> std::io::Result<()> {
    let (file, dir) = (read.join("file"), read.join("dir"));
    let (next, aside) = (read.join("next"), read.join("aside"));
    symlink("../secret", &next)?;
    fs::rename(&next, &file)?;
    mknodat(CWD, &next, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    fs::rename(&next, &file)?;
    fs::remove_file(&file)?;
    fs::write(&next, "good")?;
    fs::rename(&next, &file)?;

    fs::rename(&dir, &aside)?;
    symlink("../outside", &dir)?;
    fs::remove_file(&dir)?;
    fs::rename(&aside, &dir)
}

/// The number of names in the guest's directory. A million would take half a minute to make and to
/// remove.
const NAMES: u32 = 500_000;

/// Makes many names in the guest's own directory once the guest has begun, then signals that it is
/// done.
pub(crate) fn makes_many_names(bed: &Bed, worker: WorkerId) -> Check<'_> {
    Box::pin(async move {
        begun(bed, worker).await?;
        let path = bed.data(worker);
        let made = tokio::task::spawn_blocking(move || {
            let data = fs::File::open(&path)?;
            // Links are fast to make, but a file can have only tens of thousands of names.
            let mut file = String::new();
            for n in 1..NAMES {
                let name = n.to_string();
                if n % 50_000 == 1 {
                    fs::File::create(path.join(&name))?;
                    file = name;
                } else {
                    linkat(&data, &file, &data, &name, AtFlags::empty())?;
                }
            }
            // The guest waits for this last one.
            fs::File::create(path.join("enough"))
        });
        made.await
            .unwrap()
            .map(drop)
            .map_err(|error| format!("the names could not be made: {error}"))
    })
}

/// Waits until the guest has made the file `begun`.
pub(crate) async fn begun(bed: &Bed, worker: WorkerId) -> Result<(), String> {
    let begun = bed.data(worker).join("begun");
    let until = Instant::now() + PATIENCE;
    while !begun.exists() {
        if Instant::now() > until {
            return Err("the guest does not begin".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}
