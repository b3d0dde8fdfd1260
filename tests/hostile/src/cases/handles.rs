//! Attacks that exhaust handles and host calls.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Completed, Deadline, Denied, Limit, Trap};
use crate::own;

/// The deadline of guests that never end, in milliseconds.
const SHORT: u64 = 300;

pub(super) fn cases() -> Vec<Case> {
    [held(), asked(), waited()].concat()
}

fn for_ever(name: &'static str) -> Case {
    Case::command(name, Deadline).with(LimitName::turn_deadline_ms, SHORT)
}

fn held() -> Vec<Case> {
    vec![
        Case::command("never_drops_descriptors", Denied("after 1024 descriptors"))
            .hits(LimitName::open_descriptors),
        Case::command("never_drops_listings", Denied("after 1024 listings"))
            .hits(LimitName::open_descriptors)
            .peaks(160 << 20, "what was read ahead of a thousand listings"),
        Case::command("never_drops_file_streams", Limit(LimitName::component_handles)),
        Case::command("never_drops_pollables", Limit(LimitName::host_resources)),
        Case::command("never_drops_streams", Limit(LimitName::host_resources)),
        Case::text("makes_resources_for_ever", Limit(LimitName::component_handles)),
    ]
}

fn asked() -> Vec<Case> {
    vec![
        Case::command("asks_for_all_randomness", Limit(LimitName::random_bytes_per_call)),
        for_ever("floods_randomness"),
        for_ever("reads_the_clock_for_ever"),
        Case::command("u64_max_everywhere", Denied("all of it")),
        Case::command("writes_more_zeroes_than_allowed", Trap("cannot write more zeroes")),
        Case::text("writes_a_list_of_two_gib", Limit(LimitName::hostcall_bytes))
            .with(LimitName::memory_bytes, 3 << 30),
    ]
}

fn waited() -> Vec<Case> {
    vec![
        Case::command("starts_a_million_timers", Completed("started a million")),
        for_ever("waits_for_thousands_of_timers"),
        Case::command("polls_a_million_entries", Limit(LimitName::hostcall_bytes)),
        for_ever("polls_thousands_of_ready_entries"),
        for_ever("polls_busily"),
        for_ever("blocks_on_what_is_ready"),
        for_ever("sleeps_for_ever"),
        Case::command("waits_for_stdin", Denied("end of input")),
        Case::own(
            "waits_for_stdin_that_never_comes",
            own::waits_for_stdin_that_never_comes::run,
            Deadline,
        ),
    ]
}
