//! The split of the command line at the component: the guest's words never become Skep's.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::LazyLock;

use clap::{Arg, ArgAction, Command};

use crate::command_line::{CommandLine, WithGuest, split};

/// The subcommands of [`COMMAND`] that have a guest.
const WITH_GUEST: &[WithGuest] = &[
    WithGuest { path: &["run"], define: |_| with_guest("run", "component") },
    WithGuest { path: &["worker", "send"], define: |_| with_guest("send", "worker") },
];

/// A command line with flags of each kind that the program has.
static COMMAND: LazyLock<Command> = LazyLock::new(|| {
    let command = Command::new("skep").subcommand(with_guest("run", "component"));
    let worker = Command::new("worker").subcommand(with_guest("send", "worker"));
    command.subcommand(worker.subcommand(Command::new("list")))
});

fn with_guest(name: &'static str, positional: &'static str) -> Command {
    let value = clap::value_parser!(OsString);
    Command::new(name).args([
        Arg::new("dir").long("dir").action(ArgAction::Append).value_parser(value.clone()),
        Arg::new("timeout").long("timeout").alias("time").short('t').value_parser(value.clone()),
        Arg::new("seed").long("seed").num_args(0..=1).require_equals(true),
        Arg::new("quiet").long("quiet").short('q').action(ArgAction::SetTrue),
        Arg::new(positional).required(true).value_parser(value),
    ])
}

pub(crate) fn run(data: &[u8]) {
    // One word per line; the system never passes a NUL.
    if data.contains(&0) {
        return;
    }
    let words = data.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    let line: Vec<_> = std::iter::once("skep".into()).chain(words).collect();
    let CommandLine { own, guest } = split(WITH_GUEST, line.clone());

    // Only one separator may be dropped; nothing is added or moved.
    let rest = line.strip_prefix(own.as_slice()).expect("Skep's own words come first");
    let separator = rest.first().is_some_and(|word| word == "--");
    assert_eq!(&rest[usize::from(separator)..], guest, "{line:?}");

    let parsed = COMMAND.clone().try_get_matches_from(&own);
    let is_found = split(WITH_GUEST, [own.as_slice(), &["x".into()]].concat()).guest == ["x"];
    if let Ok(matches) = &parsed
        && let Some(component) = component(matches)
    {
        assert!(is_found, "the parser found {component:?} in {own:?}, and the split did not");
        assert_eq!(own.last().map(OsString::as_os_str), Some(component), "{line:?}");
    }
    if is_found {
        // No word after the component changes anything before it.
        for word in ["--dir=/etc::/h", "--help", "--", "-t", ""] {
            let words: [OsString; 2] = [word.into(), OsStr::from_bytes(b"\xff").into()];
            let again = split(WITH_GUEST, [own.as_slice(), &words].concat());
            let guest = if word == "--" { &words[1..] } else { &words[..] };
            assert_eq!(again, CommandLine { own: own.clone(), guest: guest.to_vec() });
        }
    } else {
        assert!(guest.is_empty(), "{line:?}");
    }
}

/// Returns the component or the worker that the parser found.
fn component(matches: &clap::ArgMatches) -> Option<&OsStr> {
    let (name, matches) = matches.subcommand()?;
    let (positional, matches) = match name {
        "run" => ("component", matches),
        _ => ("worker", matches.subcommand_matches("send")?),
    };
    matches.get_one::<OsString>(positional).map(OsString::as_os_str)
}
