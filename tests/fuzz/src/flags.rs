//! `--dir`, sizes and durations on the command line.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::{Duration, Instant};

use skep_protocol::Rights;

use crate::mount::MountArg;
use skep_protocol::quantity;

pub(crate) fn run(data: &[u8]) {
    // The system never passes an argument with a NUL.
    if data.contains(&0) {
        return;
    }
    directory(OsString::from_vec(data.to_vec()));
    spelling(data);
    if let Ok(text) = std::str::from_utf8(data) {
        size(text);
        duration(text);
    }
}

/// Checks that a parsed mount is the spelled one and is complete.
fn directory(text: OsString) {
    let Ok(mount) = MountArg::parse(text.clone()) else { return };
    assert!(!mount.host.as_os_str().is_empty(), "{mount:?}");
    assert!(text.as_bytes().starts_with(mount.host.as_os_str().as_bytes()), "{text:?}: {mount:?}");
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let parts = mount.guest.strip_prefix('/').expect("a guest's path is absolute");
    assert!(parts.is_empty() || parts.split('/').all(plain), "{mount:?}");
    assert_eq!(MountArg::parse(mount.spelling()), Ok(mount));
}

/// Checks that every host directory has a spelling, for any guest path.
fn spelling(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (host, guest) = data.split_at(at);
    let guest = String::from_utf8_lossy(guest.get(1..).unwrap_or_default()).into_owned();
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    if host.is_empty() || !guest.split('/').all(plain) || guest.contains("::/") {
        return;
    }
    for rights in [Rights::ReadOnly, Rights::ReadWrite] {
        let host = OsString::from_vec(host.to_vec()).into();
        let mount = MountArg { host, guest: format!("/{guest}"), rights };
        assert_eq!(MountArg::parse(mount.spelling()), Ok(mount));
    }
}

fn size(text: &str) {
    let Ok(bytes) = quantity::bytes(text) else { return };
    assert_eq!(quantity::bytes(&bytes.to_string()), Ok(bytes), "{text}");
}

/// Checks that a parsed duration can be added to a point in time, and agrees with the standard
/// library's number within its precision.
fn duration(text: &str) {
    let Ok(duration) = quantity::duration(text) else { return };
    assert!(duration >= Duration::from_millis(1), "{text}");
    assert!(Instant::now().checked_add(duration * 2).is_some(), "{text}");
    assert!(u64::try_from(duration.as_millis()).is_ok(), "{text}");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = match unit.trim_start() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        other => panic!("{other} is no unit"),
    };
    let expected = number.parse::<f64>().expect("the number was parsed") * unit;
    let found = duration.as_secs_f64();
    assert!((found - expected).abs() <= 1e-9 + expected * 1e-12, "{text}: {found}, not {expected}");
}
