//! What the store is like: looked at from beside, while a host may run on it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use skep_store::OpenError;
use skep_store::health::{self, StoreHealth};

use super::Check;
use crate::ambient;
use crate::settings::Settings;

/// How long rows are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Free bytes below which a host should not be.
const LITTLE: u64 = 1 << 30;

/// Free bytes below which the next commit may fail.
const NOTHING: u64 = 32 << 20;

/// A commit takes one or two of these.
const SLOW: Duration = Duration::from_millis(20);

/// Times that a write is made durable, of which the middle one counts.
const SYNCS: usize = 9;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "store";
    let shown = settings.store.display();
    let dir = match ambient::open_dir(&settings.store) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Check::ok(NAME, format!("none yet: `skep up` makes it at {shown}"))];
        }
        Err(error) => {
            return vec![Check::failed(
                NAME,
                format!("{shown} cannot be opened: {error}"),
                "give the directory to this user, or name another with --store",
            )];
        }
    };
    vec![whole(health::check(&dir, LOOK), &shown.to_string()), room(&dir), sync(&dir)]
}

fn whole(looked: Result<StoreHealth, OpenError>, shown: &str) -> Check {
    const NAME: &str = "store";
    let health = match looked {
        Ok(health) => health,
        Err(OpenError::NotAStore) => {
            return Check::failed(
                NAME,
                format!("{shown} is not a store"),
                "name the store's directory with --store, or let `skep up` make one",
            );
        }
        Err(error) => {
            return Check::failed(
                NAME,
                format!("{shown}: {error}"),
                "copy the directory before anything else is done to it",
            );
        }
    };
    let StoreHealth { format, newest_format, workers, rows, complete, .. } = health;
    if !health.damaged.is_empty() {
        let damaged: Vec<_> =
            health.damaged.iter().map(|(what, count)| format!("{count} of {what}")).collect();
        return Check::failed(
            NAME,
            format!("{shown}: damaged: {}", damaged.join(", ")),
            "restore a copy; `skep worker show` names the workers concerned, the others run on",
        );
    }
    let id = health.runtime_id.map_or_else(|| "a new runtime".to_owned(), |id| id.to_string());
    let seen = if complete { "all" } else { "the newest" };
    let found = format!("{id}, format {format}, {workers} workers; {seen} {rows} rows are whole");
    if format < newest_format {
        return Check::degraded(
            NAME,
            format!("{found}; this version writes format {newest_format}"),
            "keep a copy: the next start brings it there, and earlier versions refuse it then",
        );
    }
    Check::ok(NAME, found)
}

fn room(dir: &Dir) -> Check {
    const NAME: &str = "disk";
    let found = match rustix::fs::fstatvfs(dir) {
        Ok(found) => found,
        Err(error) => {
            return Check::degraded(NAME, format!("not known: {error}"), "look at it with df");
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let shown = format!("{} MiB free", free >> 20);
    const HINT: &str = "make room, or move the store: a full disk refuses every input";
    match free {
        free if free < NOTHING => Check::failed(NAME, shown, HINT),
        free if free < LITTLE => Check::degraded(NAME, shown, HINT),
        _ => Check::ok(NAME, shown),
    }
}

fn sync(dir: &Dir) -> Check {
    const NAME: &str = "fsync";
    match measured(dir) {
        Err(error) => Check::failed(
            NAME,
            format!("nothing can be written durably: {error}"),
            "give the store's directory to this user, on a disk that can be written to",
        ),
        Ok(took) => {
            let found = format!("{:.2} ms for 4 KiB", took.as_secs_f64() * 1e3);
            match took {
                took if took > SLOW => Check::degraded(
                    NAME,
                    found,
                    "each acknowledgement waits for it: a local disk is usually faster",
                ),
                _ => Check::ok(NAME, found),
            }
        }
    }
}

/// How long a write takes to be durable, in a file that has no name.
fn measured(dir: &Dir) -> io::Result<Duration> {
    let mut file = cap_tempfile::TempFile::new_anonymous(dir)?.into_std();
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[SYNCS / 2])
}
