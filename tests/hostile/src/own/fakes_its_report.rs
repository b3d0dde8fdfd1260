//! `skep run --output json` of a guest that prints fake reports and exits with 7. The report must
//! be the host's, and the only content of standard output.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::attack::Sight;
use crate::bed::Bed;
use crate::end::End;
use crate::guest::built;
use crate::host::program;
use crate::seen::Seen;

pub(crate) fn run(_: &Bed) -> Sight<'_> {
    Box::pin(async move {
        let mut command = Command::new(program());
        command.args(["run", "--output", "json"]);
        command.arg(built("hostile/fakes_what_its_host_says")).args(["--", "7"]);
        command.env("XDG_CACHE_HOME", skep_harness::shared_cache()).stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let report: Result<Value, _> = serde_json::from_slice(&ran.stdout);
        let said = String::from_utf8_lossy(&ran.stderr);
        let code = ran.status.code();
        Seen::told(match report {
            Ok(report) if code == Some(7) && report["exit_code"] == 7 && said.contains("fake") => {
                End::Completed("exit code 7".into())
            }
            other => End::Wrong(format!("{code:?}: {other:?}")),
        })
    })
}
