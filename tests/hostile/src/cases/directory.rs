//! Attacks on directories: the guest's own and the operator's.

use skep_protocol::{LimitName, Rights};

use crate::case::Case;
use crate::expected::Expected::{Completed, Denied};
use crate::{look, operator, owner};

/// The disk quota of the cases that fill it.
const ROOM: u64 = 4 << 20;

pub(super) fn cases() -> Vec<Case> {
    let all = [names(), links(), rights(), full(), large()].concat();
    all.into_iter().map(Case::leaves_nothing).collect()
}

fn names() -> Vec<Case> {
    vec![
        Case::command("climbs_out_of_its_directory", Denied("all of 787 calls"))
            .after(operator::has_secrets),
        Case::command("says_names_that_no_file_can_have", Denied("all of 452 calls"))
            .then(look::is_counted),
        Case::text("opens_a_name_that_is_no_text", Denied("a name that is no text")),
        Case::command("gives_files_hostile_names", Completed("gave 37 names"))
            .then(look::shows_good_names),
        Case::command("lists_names_that_are_no_text", Denied("all but 1 names"))
            .scope("read", "/in", Rights::ReadOnly)
            .after(operator::has_names_that_are_no_text),
    ]
}

fn links() -> Vec<Case> {
    vec![
        Case::command("follows_links_out", Denied("all of 313 calls"))
            .after(operator::has_secrets)
            .then(look::leads_nobody_out),
        Case::command("reads_what_its_operator_swaps", Denied("reads"))
            .scope("read", "/in", Rights::ReadOnly)
            .after(operator::has_files)
            .meanwhile(operator::swaps),
        Case::command("swaps_files_for_links", Completed("swapped"))
            .after(operator::has_secrets)
            .meanwhile(owner::works_on_what_is_swapped)
            .then(look::is_counted),
    ]
}

fn rights() -> Vec<Case> {
    vec![
        Case::command("changes_what_it_may_only_read", Denied("all of 38 calls"))
            .scope("read", "/in", Rights::ReadOnly)
            .after(operator::has_files)
            .then(look::changed_nothing),
        Case::command("moves_files_between_rights", Denied("all of 53 calls"))
            .scope("read", "/in", Rights::ReadOnly)
            .scope("write", "/out", Rights::ReadWrite)
            .scope("write", "/same", Rights::ReadOnly)
            .after(operator::has_files)
            .then(look::changed_nothing),
        Case::command("opens_what_is_no_file", Denied("calls"))
            .scope("read", "/in", Rights::ReadOnly)
            .after(operator::has_pipes_and_devices)
            .then(look::opened_none_of_them),
    ]
}

fn full() -> Vec<Case> {
    let fills = |name, expected| {
        Case::command(name, expected)
            .with(LimitName::disk_bytes, ROOM)
            .hits(LimitName::disk_bytes)
            .then(look::is_counted)
    };
    vec![
        fills("fills_its_disk_by_writing", Denied("after 4194304 bytes")),
        fills("fills_its_disk_by_appending", Denied("after 4194304 bytes")),
        fills("fills_its_disk_by_setting_sizes", Denied("after 4100000 bytes")),
        fills("fills_its_disk_with_holes", Denied("after 4100000 bytes")),
        fills("keeps_what_it_removed", Denied("after 4 files")),
        Case::command("makes_names_for_ever", Denied("after 4000 names"))
            .with(LimitName::disk_entries, 4_000)
            .hits(LimitName::disk_entries)
            .then(look::is_counted),
    ]
}

fn large() -> Vec<Case> {
    vec![
        Case::command("nests_directories", Completed("nested 5000 directories"))
            .then(look::can_be_listed),
        // As many as it can in four seconds: about 100,000 here. A million would exceed the
        // deadline.
        Case::command("makes_as_many_files_as_it_can", Completed("made"))
            .with(LimitName::disk_entries, 1_000_000)
            .then(look::made_many),
        Case::command(
            "lists_half_a_million_names",
            Completed("listed 500000 names besides its own"),
        )
        .with(LimitName::disk_entries, 2_000_000)
        .with(LimitName::turn_deadline_ms, 120_000)
        .meanwhile(operator::makes_many_names),
    ]
}
