//! Hostile output. The host and every reader must treat it as data.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{self, Completed, Deadline, Denied};
use crate::{own, record};

/// The bound on the output that is kept, in bytes.
const KEPT: u64 = 1 << 20;

fn floods(name: &'static str, expected: Expected) -> Case {
    Case::command(name, expected)
        .with(LimitName::output_bytes, KEPT)
        .with(LimitName::log_bytes_per_turn, KEPT)
        .hits(LimitName::log_bytes_per_turn)
        .then(record::has_the_beginning)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        floods("floods_its_output", Deadline).with(LimitName::turn_deadline_ms, 2_000),
        floods("writes_one_endless_line", Completed("é")),
        Case::command("writes_what_is_no_text", Completed("whole")).then(record::is_faithful),
        Case::command("writes_control_sequences", Completed("title")).then(record::is_faithful),
        Case::command("fakes_what_its_host_says", Completed("fake")).then(record::is_faithful),
        Case::command("writes_and_exits_at_once", Completed("the last")).then(record::is_faithful),
        Case::service("emits_fake_entries", Denied("12 kinds")).then(record::is_its_hosts),
        Case::own("writes_to_a_terminal", own::writes_to_a_terminal::run, Completed("no command")),
        Case::own("fakes_its_report", own::fakes_its_report::run, Completed("exit code 7")),
    ]
}
