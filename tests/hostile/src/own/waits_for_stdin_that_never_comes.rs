//! `skep run` of a guest that reads its standard input, which stays open and empty.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::built;
use crate::host::program;
use crate::seen::Seen;

/// The exit code for a deadline.
const DEADLINE: i32 = 124;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let timeout = Duration::from_secs(1);
        // A first run compiles the guest, which is not part of the measurement.
        let first = |millis: u128| {
            let mut command = Command::new(program());
            command.args(["run", "--timeout", &format!("{millis}ms")]);
            command.env("XDG_CACHE_HOME", skep_harness::shared_cache());
            command.arg(built("hostile/waits_for_stdin"));
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        first(10_000).stdin(Stdio::null()).status().unwrap();
        let began = Instant::now();
        let mut child = first(timeout.as_millis()).stdin(Stdio::piped()).spawn().unwrap();
        let open = child.stdin.take();
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        drop(open);
        let stopped_in = began.elapsed().saturating_sub(timeout);
        match status.code() {
            Some(DEADLINE) => Seen { end: End::Deadline, stopped_in, ran: true },
            _ => Seen::told(End::Wrong(format!("{status}"))),
        }
    })
}
