//! Checks of the machine: engine, kernel, address space and descriptors.

use std::process::{Command, Stdio};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::process::{Resource, getrlimit};
use skep_sandbox::{Allocator, PROVE, Wall};

use super::check::Check;
use crate::ambient;
use crate::locked::locked;
use crate::settings::Settings;
use crate::version::LOCK;

/// The lowest version of each package without known sandbox escapes. The major version must match.
const FLOOR: &[(&str, [u64; 3])] = &[
    ("wasmtime", [48, 0, 8]),
    ("wasmtime-wasi", [48, 0, 8]),
    ("cap-std", [4, 0, 3]),
    ("cap-primitives", [4, 0, 3]),
];

/// Maximum number of memory mappings of one live instance: its stack, and the memories and tables
/// of a Rust component.
const MAPPINGS: u64 = 6;

/// Descriptors that a busy host needs for connections, stores and guests' files.
const DESCRIPTORS: u64 = 8_192;

pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let instances = settings.runtime.options().instances as u64;
    vec![
        versions(LOCK),
        openat2(),
        wall(),
        wall_attempts(),
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
            return Check::failed(NAME, format!("this program does not contain {name}"), REBUILD);
        };
        if parsed(version).is_none_or(|version| version < *floor || version[0] != floor[0]) {
            let [a, b, c] = floor;
            let found = format!("{name} {version} is not a {a}.x version from {a}.{b}.{c} on");
            return Check::failed(NAME, found, REBUILD);
        }
        found.push(format!("{name} {version}"));
    }
    Check::ok(NAME, format!("{}: no known sandbox escapes", found.join(", ")))
}

const REBUILD: &str = "use a build of Skep whose engine has no known sandbox escapes";

fn parsed(version: &str) -> Option<[u64; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some([parts.next()??, parts.next()??, parts.next()??])
}

/// Checks for `openat2`. Without it, each path of a guest takes many system calls instead of one.
fn openat2() -> Check {
    const NAME: &str = "openat2";
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Ok(_) => Check::ok(NAME, "the kernel keeps guests' paths beneath their directories"),
        Err(error) => Check::degraded(
            NAME,
            format!("not available ({error}); paths are resolved step by step, which is slower"),
            "use Linux 5.6 or later, or allow openat2 in the container's seccomp profile",
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
            format!("{missing}; child processes run without it"),
            "use Linux 6.12 or later, with landlock in `lsm=` on the kernel command line",
        ),
    }
}

/// Starts children that raise the wall and then attempt what it must refuse.
fn wall_attempts() -> Check {
    const NAME: &str = "wall tried";
    const HINT: &str = "please report this with the version of the kernel";
    let mut count = 0;
    for files in [&[][..], &["files"][..]] {
        let mut child = Command::new(ambient::program());
        let child = child.arg(PROVE).args(files).stdin(Stdio::null()).stderr(Stdio::null());
        let output = match child.output() {
            Ok(output) => output,
            Err(error) => {
                return Check::failed(NAME, format!("cannot start a child: {error}"), HINT);
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let open: Vec<_> = text.lines().filter(|line| !line.contains(": refused")).collect();
        if !output.status.success() || text.is_empty() {
            let found = format!("{}: {}", output.status, open.join(", "));
            // The check before this one reports parts that the kernel lacks.
            return match Wall::offered().is_whole() {
                true => Check::failed(NAME, found, HINT),
                false => Check::degraded(NAME, found, "see the check above"),
            };
        }
        count += text.lines().count();
    }
    Check::ok(NAME, format!("refused all {count} attempts from behind it"))
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
            "raise the limit (ulimit -v), or lower `instances` of [runtime]",
        ),
        Err(error) => Check::failed(
            NAME,
            format!("{limit}; cannot start the engine: {error}"),
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
            "cannot read vm.max_map_count",
            "mount /proc, or make sure that it is large enough",
        );
    };
    let fit = maximum / MAPPINGS;
    let found =
        format!("room for about {fit} (vm.max_map_count is {maximum}); {instances} are configured");
    if fit >= instances {
        Check::ok(NAME, found)
    } else {
        let wanted = instances.saturating_mul(2 * MAPPINGS);
        Check::degraded(NAME, found, format!("run `sysctl -w vm.max_map_count={wanted}`"))
    }
}

fn descriptors() -> Check {
    const NAME: &str = "descriptors";
    let limit = getrlimit(Resource::Nofile);
    match limit.current {
        Some(current) if current < DESCRIPTORS => Check::degraded(
            NAME,
            format!("{current}; guests and callers together may run out"),
            format!("run `ulimit -n {}`", limit.maximum.unwrap_or(65_536).max(DESCRIPTORS)),
        ),
        Some(current) => Check::ok(NAME, format!("{current}")),
        None => Check::ok(NAME, "unlimited"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::check::CheckStatus;

    #[test]
    fn version_floors_match_deny_toml() {
        let deny = include_str!("../../../../deny.toml");
        for (name, [a, b, c]) in FLOOR {
            assert!(deny.contains(&format!("\"{name}@<{a}.{b}.{c}\"")), "{name}");
        }
    }

    #[test]
    fn an_engine_below_its_floor_fails() {
        assert_eq!(versions(LOCK).status, CheckStatus::Ok);
        let real = locked(LOCK, "wasmtime").unwrap();
        for bad in ["48.0.7", "47.9.9", "49.0.0", "x"] {
            let package = "\nname = \"wasmtime\"\nversion = \"";
            let lock = LOCK.replace(&format!("{package}{real}\""), &format!("{package}{bad}\""));
            let check = versions(&lock);
            assert_eq!(check.status, CheckStatus::Failed, "{bad}");
            assert!(check.found.contains(bad), "{}", check.found);
        }
    }

    #[test]
    fn too_few_mappings_hint_at_the_sysctl() {
        let check = mappings(u64::MAX / 100);
        assert_eq!(check.status, CheckStatus::Degraded);
        assert!(check.hint.unwrap().contains("sysctl"));
    }
}
