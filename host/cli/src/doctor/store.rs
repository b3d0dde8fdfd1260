//! Checks of the store. It is read without its lock, because a host may run on it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use cap_std::fs::Dir;
use skep_store::OpenError;
use skep_store::health::{self, StoreHealth};

use super::check::Check;
use crate::ambient;
use crate::settings::Settings;

/// Maximum time to read rows.
const READ_TIME: Duration = Duration::from_secs(5);

/// Free bytes below which the check is degraded.
const LOW_SPACE: u64 = 1 << 30;

/// Free bytes below which the next commit may fail.
const NO_SPACE: u64 = 32 << 20;

/// Time of one sync above which the check is degraded. A commit takes one or two syncs.
const SLOW: Duration = Duration::from_millis(20);

/// Number of measured syncs. The median counts.
const SYNCS: usize = 9;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    const NAME: &str = "store";
    let shown = settings.store.display();
    let dir = match ambient::open_dir(&settings.store) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Check::ok(NAME, format!("none yet; `skep up` creates it at {shown}"))];
        }
        Err(error) => {
            return vec![Check::failed(
                NAME,
                format!("cannot open {shown}: {error}"),
                "make this user the owner of the directory, or name another with --store",
            )];
        }
    };
    vec![rows(health::check(&dir, READ_TIME), &shown.to_string()), room(&dir), sync(&dir)]
}

fn rows(looked: Result<StoreHealth, OpenError>, shown: &str) -> Check {
    const NAME: &str = "store";
    let health = match looked {
        Ok(health) => health,
        Err(OpenError::NotAStore) => {
            return Check::failed(
                NAME,
                format!("{shown} is not a store"),
                "name the directory of a store with --store, or let `skep up` create one",
            );
        }
        Err(error) => {
            return Check::failed(
                NAME,
                format!("{shown}: {error}"),
                "copy the directory before you change anything in it",
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
            "restore a copy; `skep worker show` reports damaged workers, and the others still run",
        );
    }
    let id = health.runtime_id.map_or_else(|| "a new runtime".to_owned(), |id| id.to_string());
    let checked = if complete { "all" } else { "the newest" };
    let found =
        format!("{id}, format {format}, {workers} workers; {checked} {rows} rows are intact");
    if format < newest_format {
        return Check::degraded(
            NAME,
            format!("{found}; this version writes format {newest_format}"),
            "keep a copy: the next start upgrades the store, and older versions then refuse it",
        );
    }
    Check::ok(NAME, found)
}

fn room(dir: &Dir) -> Check {
    const NAME: &str = "disk";
    let found = match rustix::fs::fstatvfs(dir) {
        Ok(found) => found,
        Err(error) => {
            return Check::degraded(NAME, format!("unknown: {error}"), "check it with `df`");
        }
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let shown = format!("{} MiB free", free >> 20);
    const HINT: &str = "free some space or move the store; on a full disk every input is refused";
    match free {
        free if free < NO_SPACE => Check::failed(NAME, shown, HINT),
        free if free < LOW_SPACE => Check::degraded(NAME, shown, HINT),
        _ => Check::ok(NAME, shown),
    }
}

fn sync(dir: &Dir) -> Check {
    const NAME: &str = "fsync";
    match median_sync(dir) {
        Err(error) => Check::failed(
            NAME,
            format!("cannot write durably: {error}"),
            "make this user the owner of the store's directory, on a writable disk",
        ),
        Ok(took) => {
            let found = format!("{:.2} ms for 4 KiB", took.as_secs_f64() * 1e3);
            match took {
                took if took > SLOW => Check::degraded(
                    NAME,
                    found,
                    "each acknowledgement waits for a sync; a local disk is usually faster",
                ),
                _ => Check::ok(NAME, found),
            }
        }
    }
}

/// Returns the median time of a durable write to a file without a name.
fn median_sync(dir: &Dir) -> io::Result<Duration> {
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
