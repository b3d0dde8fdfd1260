//! The limits that no other group hits: those on inputs and on the records of a service.

use std::time::Duration;

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Deadline, Denied, Limit};
use crate::{own, record};

pub(super) fn cases() -> Vec<Case> {
    [services(), callers()].concat()
}

fn services() -> Vec<Case> {
    vec![
        Case::service("answers_too_much", Limit(LimitName::output_bytes)),
        Case::service("answers_with_a_long_type", Limit(LimitName::output_bytes)),
        Case::service("fails_with_a_long_story", Limit(LimitName::output_bytes)),
        Case::service("emits_too_large_an_event", Denied("both events"))
            .hits(LimitName::event_bytes),
        Case::service("emits_for_ever", Denied("after 10000 events"))
            .hits(LimitName::events_per_turn),
        Case::service("fills_its_state", Denied("after 63 MiB"))
            .hits(LimitName::state_bytes)
            .peaks(96 << 20, "all its state, until its turn ends"),
        Case::service("fills_its_state_with_names", Denied("keys"))
            .with(LimitName::state_changes_per_turn, 1_000_000)
            .hits(LimitName::state_bytes)
            .peaks(128 << 20, "all its state, until its turn ends"),
        Case::service("changes_one_key_after_the_other", {
            Limit(LimitName::state_changes_per_turn)
        })
        // The changes up to the limit come first.
        .approaches_for(Duration::from_secs(2)),
        Case::service("logs_for_ever", Deadline).with(LimitName::turn_deadline_ms, 300),
        Case::service("logs_empty_lines", Deadline)
            // Long enough to commit all of them to a disk that others use.
            .with(LimitName::turn_deadline_ms, 4_000)
            .hits(LimitName::log_lines_per_turn)
            .then(record::has_as_many_lines_as_it_may),
    ]
}

fn callers() -> Vec<Case> {
    vec![
        Case::own("sends_too_large_an_input", own::sends_too_large_an_input::run, {
            Limit(LimitName::input_bytes)
        }),
        Case::own("sends_a_request_without_end", own::sends_a_request_without_end::run, {
            Limit(LimitName::input_bytes)
        }),
        Case::own("sends_too_many_inputs", own::sends_too_many_inputs::run, {
            Limit(LimitName::mailbox_inputs)
        }),
        Case::own("sends_too_many_bytes", own::sends_too_many_bytes::run, {
            Limit(LimitName::mailbox_bytes)
        }),
        Case::own("has_more_requests_than_places", own::has_more_requests_than_places::run, {
            Limit(LimitName::http_at_once)
        }),
        Case::own("has_more_requests_than_may_wait", own::has_more_requests_than_may_wait::run, {
            Limit(LimitName::http_queue)
        }),
        Case::own("fills_its_log", own::fills_its_log::run, {
            Limit(LimitName::log_bytes_per_turn)
        }),
        Case::own("fills_its_transcript", own::fills_its_transcript::run, {
            Limit(LimitName::transcript_bytes)
        }),
        Case::own("takes_the_host_down_with_it", own::takes_the_host_down_with_it::run, {
            Limit(LimitName::attempts_per_input)
        }),
        Case::own("sends_a_flood_of_keys", own::sends_a_flood_of_keys::run, {
            Limit(LimitName::idempotency_keys)
        }),
        Case::own("comes_back_late_with_a_key", own::comes_back_late_with_a_key::run, {
            Limit(LimitName::idempotency_ms)
        }),
    ]
}
