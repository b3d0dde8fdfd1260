//! All values that differ from run to run unless the host makes them equal.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::answer::Verdict;
use crate::file;
use crate::randomness;

/// Prints one per line: `wall <seconds.nanoseconds>`; `slept <nanoseconds>` around a sleep of one
/// second; `random <32 hex digits>` from the host; `hash <16 hex digits>`, which depends on std's
/// own seed; and for each name in `/data`, in the host's order, `<name>: ` and the output of
/// `stat`.
pub fn tell() -> Verdict {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    println!("wall {}.{:09}", wall.as_secs(), wall.subsec_nanos());

    let start = Instant::now();
    thread::sleep(Duration::from_secs(1));
    println!("slept {}", start.elapsed().as_nanos());

    let random = randomness::bytes(16)?;
    println!("random {}", random.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    println!("hash {:016x}", RandomState::new().hash_one("probe"));

    if let Ok(entries) = fs::read_dir("/data") {
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            println!("{name}: {}", file::describe(&format!("/data/{name}"))?);
        }
    }
    Ok(None)
}
