//! What the machine has: engine, kernel, memory, descriptors.

use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::process::{Resource, getrlimit};
use skep_sandbox::{Allocator, PROVE, Wall};

use super::Check;
use crate::ambient;
use crate::settings::Settings;
use crate::version::{LOCK, locked};

/// Versions below which there are known ways out of the sandbox, and the line that they are of.
const FLOOR: &[(&str, [u64; 3])] = &[
    ("wasmtime", [48, 0, 8]),
    ("wasmtime-wasi", [48, 0, 8]),
    ("cap-std", [4, 0, 3]),
    ("cap-primitives", [4, 0, 3]),
];

/// Mappings of one live instance, at most: its stack and a Rust component's memories and tables.
const MAPPINGS: u64 = 6;

/// Descriptors that a busy host should have: connections, stores, and files of guests.
const DESCRIPTORS: u64 = 8_192;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let instances = settings.runtime.options().instances as u64;
    vec![
        versions(LOCK),
        openat2(),
        wall(),
        tried(),
        allocator(settings.runtime.room()),
        mappings(instances),
        descriptors(),
    ]
}

fn versions(lock: &str) -> Check {
    const NAME: &str = "engine";
    let mut found = Vec::new();
    for (name, floor) in FLOOR {
        let Some(version) = locked(lock, name) else {
            return Check::failed(NAME, format!("{name} is not part of this program"), REBUILD);
        };
        if parsed(version).is_none_or(|version| version < *floor || version[0] != floor[0]) {
            let [a, b, c] = floor;
            let found = format!("{name} {version} is not in the {a} line from {a}.{b}.{c} on");
            return Check::failed(NAME, found, REBUILD);
        }
        found.push(format!("{name} {version}"));
    }
    Check::ok(NAME, format!("{}: above their security floor", found.join(", ")))
}

const REBUILD: &str = "run a build of Skep whose engine has no known way out of the sandbox";

fn parsed(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Without it every path of a guest is resolved in many steps instead of one.
fn openat2() -> Check {
    const NAME: &str = "openat2";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => Check::ok(NAME, "the kernel keeps guests' paths beneath their directories"),
        Err(error) => Check::degraded(
            NAME,
            format!("not to be had ({error}): paths are resolved step by step, which is slower"),
            "use Linux 5.6 or later, or let the container's seccomp profile pass openat2",
        ),
    }
}

fn wall() -> Check {
    const NAME: &str = "second wall";
    let offered = Wall::offered();
    match offered.missing() {
        None => Check::ok(NAME, format!("Landlock {}, seccomp filters", offered.landlock)),
        Some(missing) => Check::degraded(
            NAME,
            format!("{missing}: children of the host run without"),
            "use Linux 6.12 or later, with landlock in the lsm= of its command line",
        ),
    }
}

/// A child raises the wall and tries it.
fn tried() -> Check {
    const NAME: &str = "wall tried";
    const HINT: &str = "please report this, with the kernel's version";
    let mut count = 0;
    for files in [&[][..], &["files"][..]] {
        let mut child = Command::new(ambient::program());
        let child = child.arg(PROVE).args(files).stdin(Stdio::null()).stderr(Stdio::null());
        let output = match child.output() {
            Ok(output) => output,
            Err(error) => return Check::failed(NAME, format!("no child starts: {error}"), HINT),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let open: Vec<_> = text.lines().filter(|line| !line.contains(": refused")).collect();
        if !output.status.success() || text.is_empty() {
            let found = format!("{}: {}", output.status, open.join(", "));
            // What the kernel lacks was said above.
            return match Wall::offered().is_whole() {
                true => Check::failed(NAME, found, HINT),
                false => Check::degraded(NAME, found, "see the line above"),
            };
        }
        count += text.lines().count();
    }
    Check::ok(NAME, format!("{count} attempts from behind it were refused"))
}

fn allocator(workers: u32) -> Check {
    const NAME: &str = "address space";
    let limit = match getrlimit(Resource::As).current {
        None => "unlimited".to_owned(),
        Some(bytes) => format!("limited to {} MiB", bytes >> 20),
    };
    match Allocator::here(workers) {
        Ok((Allocator::Pool { workers }, _)) => {
            Check::ok(NAME, format!("{limit}; a pool for {workers} instances"))
        }
        Ok((Allocator::OnDemand, why)) => Check::degraded(
            NAME,
            format!(
                "{limit}; no pool, so instances are mapped one by one, which is slower: {}",
                why.unwrap_or_default()
            ),
            "raise the limit (ulimit -v), or set fewer [runtime] instances",
        ),
        Err(error) => Check::failed(
            NAME,
            format!("{limit}; the engine does not start: {error}"),
            "raise the limit (ulimit -v)",
        ),
    }
}

fn mappings(instances: u64) -> Check {
    const NAME: &str = "live instances";
    let read = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let Some(maximum) = read.ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
        return Check::degraded(
            NAME,
            "vm.max_map_count cannot be read",
            "mount /proc, or trust that it is large enough",
        );
    };
    let fit = maximum / MAPPINGS;
    let found = format!("about {fit} fit (vm.max_map_count is {maximum}); {instances} are set");
    if fit >= instances {
        Check::ok(NAME, found)
    } else {
        let wanted = instances.saturating_mul(2 * MAPPINGS);
        Check::degraded(NAME, found, format!("sysctl -w vm.max_map_count={wanted}"))
    }
}

fn descriptors() -> Check {
    const NAME: &str = "descriptors";
    let limit = getrlimit(Resource::Nofile);
    match limit.current {
        Some(current) if current < DESCRIPTORS => Check::degraded(
            NAME,
            format!("{current} of them: guests and callers together may run out"),
            format!("ulimit -n {}", limit.maximum.unwrap_or(65_536).max(DESCRIPTORS)),
        ),
        Some(current) => Check::ok(NAME, format!("{current}")),
        None => Check::ok(NAME, "unlimited"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn its_floors_are_those_of_the_build() {
        let deny = include_str!("../../../../deny.toml");
        for (name, [a, b, c]) in FLOOR {
            assert!(deny.contains(&format!("\"{name}@<{a}.{b}.{c}\"")), "{name}");
        }
    }

    #[test]
    fn an_engine_below_its_floor_is_found_out() {
        assert_eq!(versions(LOCK).status, Status::Ok);
        let real = locked(LOCK, "wasmtime").unwrap();
        for bad in ["48.0.7", "47.9.9", "49.0.0", "x"] {
            let package = "\nname = \"wasmtime\"\nversion = \"";
            let lock = LOCK.replace(&format!("{package}{real}\""), &format!("{package}{bad}\""));
            let check = versions(&lock);
            assert_eq!(check.status, Status::Failed, "{bad}");
            assert!(check.found.contains(bad), "{}", check.found);
        }
    }

    #[test]
    fn too_few_mappings_say_what_to_set() {
        let check = mappings(u64::MAX / 100);
        assert_eq!(check.status, Status::Degraded);
        assert!(check.hint.unwrap().contains("sysctl"));
    }
}
