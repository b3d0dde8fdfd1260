//! `skep run` on a terminal of a guest that prints control sequences: colours pass, everything else
//! that a terminal would obey does not.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::built;
use crate::host::program;
use crate::seen::Seen;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let shown = tokio::task::spawn_blocking(shown).await.unwrap();
        Seen::told(match obeyed(&shown) {
            _ if !shown.contains("<script>") => End::Wrong(format!("the terminal got {shown:?}")),
            None if shown.contains("\u{1b}[38;2;1;2;3mred") => End::Completed("no command".into()),
            None => End::Wrong(format!("without its colour: {shown:?}")),
            Some(at) => {
                End::Wrong(format!("the terminal would obey {:?}", &shown[at..].escape_debug()))
            }
        })
    })
}

/// Captures the bytes sent to a terminal.
fn shown() -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let name = std::ffi::OsStr::from_bytes(name.as_bytes());
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let slave = File::from(rustix::fs::open(name, flags, Mode::empty()).unwrap());
    let mut command = Command::new(program());
    command.arg("run").arg(built("hostile/writes_control_sequences"));
    command.env("XDG_CACHE_HOME", skep_harness::shared_cache()).env_remove("NO_COLOR");
    command.stdin(Stdio::null()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = command.spawn().unwrap();
    // The command holds the other end.
    drop(command);
    let mut shown = Vec::new();
    // The end of a terminal reads as an error.
    let _ = File::from(master).read_to_end(&mut shown);
    child.wait().unwrap();
    String::from_utf8_lossy(&shown).into_owned()
}

/// Finds the first character that a terminal would not just display.
fn obeyed(shown: &str) -> Option<usize> {
    let mut characters = shown.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\n' | '\r' | '\t' => {}
            '\u{1b}' => {
                let rest = &shown[at + 1..];
                let end = rest.find(|c: char| !matches!(c, '[' | ';' | ':' | '0'..='9'));
                if !rest.starts_with('[') || end.is_none_or(|end| !rest[end..].starts_with('m')) {
                    return Some(at);
                }
                let _ = characters.nth(end.unwrap_or_default());
            }
            character if character.is_control() => return Some(at),
            _ => {}
        }
    }
    None
}
