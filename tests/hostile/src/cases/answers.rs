//! Guests that answer HTTP requests badly, of both versions of WASI, in instances of every kind.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Deadline, Limit, Trap};
use crate::own;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::own("computes_after_its_head", own::computes_after_its_head::run, {
            Limit(LimitName::http_cpu_ms)
        }),
        Case::own("answers_without_end", own::answers_without_end::run, {
            Limit(LimitName::http_body_bytes)
        }),
        Case::own("never_answers", own::never_answers::run, Deadline),
        Case::own("traps_in_mid_stream", own::traps_in_mid_stream::run, Trap("unreachable")),
    ]
}
