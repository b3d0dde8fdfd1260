//! What an operator has in the directories that guests are granted, and around them, and what is
//! done to those directories while a guest is at work.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, linkat, makedev, mknodat};
use skep_protocol::WorkerId;

use crate::bed::Bed;
use crate::case::Found;

/// What no guest may read.
pub(crate) const SECRET: &[u8] = b"SECRET";

/// How long something is done to a directory.
pub(crate) const LONG: Duration = Duration::from_millis(1_500);

/// The longest that a guest takes to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// Around the directories: a file, and a directory with one.
pub(crate) fn has_secrets(bed: &Bed) {
    fs::write(bed.dir().join("secret"), SECRET).unwrap();
    fs::create_dir(bed.dir().join("outside")).unwrap();
    fs::write(bed.dir().join("outside/file"), SECRET).unwrap();
}

/// Files to be read, and secrets around.
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

/// All that is neither a file nor a directory, and links to it.
pub(crate) fn has_pipes_and_devices(bed: &Bed) {
    let read = bed.dir().join("read");
    let make =
        |name, kind, device| mknodat(CWD, read.join(name), kind, Mode::RUSR | Mode::WUSR, device);
    make("pipe", FileType::Fifo, 0).unwrap();
    drop(UnixListener::bind(read.join("socket")).unwrap());
    symlink("pipe", read.join("link-to-the-pipe")).unwrap();
    symlink("socket", read.join("link-to-the-socket")).unwrap();
    // Only the superuser can make one: the null device, which anyone could do no harm with.
    if make("device", FileType::CharacterDevice, makedev(1, 3)).is_ok() {
        symlink("device", read.join("link-to-the-device")).unwrap();
    }
}

/// Names that a guest cannot say, and some that it can.
pub(crate) fn has_names_that_are_no_text(bed: &Bed) {
    let read = bed.dir().join("read");
    for name in [&b"\xff\xfe"[..], b"half\xc3", b"\xed\xa0\x80", b"long\xe0\x80\x80", b"text"] {
        fs::write(read.join(std::ffi::OsStr::from_bytes(name)), "good").unwrap();
    }
}

/// Swaps a file for a link that leads out, a pipe and nothing at all, and a directory for a link,
/// again and again, from when the guest says that it begins.
pub(crate) fn swaps(bed: &Bed, worker: WorkerId) -> Found<'_> {
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

/// Names in a guest's own directory. A million would take half a minute to make and to remove.
const NAMES: u32 = 500_000;

/// Makes so many names in the guest's own directory, from when it says that it begins, and then tells it
/// that it is enough.
pub(crate) fn makes_many_names(bed: &Bed, worker: WorkerId) -> Found<'_> {
    Box::pin(async move {
        begun(bed, worker).await?;
        let path = bed.data(worker);
        let made = tokio::task::spawn_blocking(move || {
            let data = fs::File::open(&path)?;
            // A file has no more names than some ten thousand, but making it takes the most time.
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
            // The guest waits for the last.
            fs::File::create(path.join("enough"))
        });
        made.await
            .unwrap()
            .map(drop)
            .map_err(|error| format!("the names could not be made: {error}"))
    })
}

/// Waits until a guest has made the file that says so.
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
