//! Steps of pipelines, and callers that send them. Each step runs in the host's process and behind the
//! second wall, beside a good step whose result must stay the same.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Deadline, Limit, Refused};
use crate::own;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::own("floods_the_log_of_its_step", own::floods_the_log_of_its_step::run, Deadline),
        Case::own("spins_in_its_step", own::spins_in_its_step::run, Deadline),
        Case::own("grows_in_its_step", own::grows_in_its_step::run, {
            Limit(LimitName::memory_bytes)
        })
        .peaks(80 << 20, "the step's own memory"),
        Case::own("leaves_too_many_outputs", own::leaves_too_many_outputs::run, {
            Limit(LimitName::disk_entries)
        }),
        Case::own("leaves_too_large_an_output", own::leaves_too_large_an_output::run, {
            Limit(LimitName::disk_bytes)
        }),
        Case::own("sends_a_tree_that_is_a_bomb", own::sends_a_tree_that_is_a_bomb::run, {
            Refused("a tree")
        })
        .peaks(256 << 20, "the names of a tree that is read back, until they are too many"),
        Case::own("stores_more_than_there_is_room", own::stores_more_than_there_is_room::run, {
            Refused("after")
        }),
    ]
}
