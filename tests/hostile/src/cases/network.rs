//! HTTP attacks: requests to prohibited addresses, and hostile servers.
//!
//! All traffic stays on loopback; the bed resolves the names.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Deadline, Denied, Limit};
use crate::own;

pub(super) fn cases() -> Vec<Case> {
    [inside(), servers(), crowds(), hoards()].concat()
}

fn inside() -> Vec<Case> {
    vec![
        Case::own("asks_this_machine", own::asks_this_machine::run, Denied("all 9 forms")),
        Case::own("asks_the_private_network", own::asks_the_private_network::run, {
            Denied("all 18 forms")
        }),
        Case::own("asks_for_the_clouds_metadata", own::asks_for_the_clouds_metadata::run, {
            Denied("all 9 forms")
        }),
        Case::own("wraps_an_address_in_another", own::wraps_an_address_in_another::run, {
            Denied("all 10 forms")
        }),
        Case::own("writes_numbers_oddly", own::writes_numbers_oddly::run, Denied("all 20 forms")),
        Case::own("asks_the_hosts_own_port", own::asks_the_hosts_own_port::run, {
            Denied("all 6 forms")
        }),
        Case::own("is_redirected_inside", own::is_redirected_inside::run, {
            Denied("all 5 redirects")
        }),
        Case::own("has_its_name_lead_inside", own::has_its_name_lead_inside::run, {
            Denied("all 6 answers")
        }),
    ]
}

fn servers() -> Vec<Case> {
    vec![
        Case::own("is_bombed_with_headers", own::is_bombed_with_headers::run, {
            Limit(LimitName::http_header_bytes)
        }),
        Case::own("is_answered_without_end", own::is_answered_without_end::run, {
            Limit(LimitName::http_body_bytes)
        }),
        Case::own("is_answered_in_one_piece", own::is_answered_in_one_piece::run, {
            Limit(LimitName::http_chunk_bytes)
        }),
        Case::own("is_never_answered", own::is_never_answered::run, {
            Limit(LimitName::http_wait_ms)
        }),
        Case::own("is_answered_a_byte_at_a_time", own::is_answered_a_byte_at_a_time::run, Deadline),
    ]
}

fn crowds() -> Vec<Case> {
    vec![
        Case::own("asks_for_too_many_connections", own::asks_for_too_many_connections::run, {
            Limit(LimitName::outbound_connections)
        }),
        Case::own("asks_ten_thousand_times_at_once", own::asks_ten_thousand_times_at_once::run, {
            Limit(LimitName::outbound_connections)
        }),
    ]
}

fn hoards() -> Vec<Case> {
    vec![
        Case::own("never_drops_fields", own::never_drops_fields::run, {
            Limit(LimitName::hostcall_bytes)
        }),
        Case::own("never_drops_bodies", own::never_drops_bodies::run, {
            Limit(LimitName::hostcall_bytes)
        }),
    ]
}
