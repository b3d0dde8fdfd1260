//! Attacks on the engine and the compiler: hostile code and hostile bytes.

use skep_protocol::LimitName;

use crate::case::Case;
use crate::expected::Expected::{Completed, Deadline, Denied, Killed, Limit, Refused, Trap};
use crate::{made, own};

/// The deadline of guests that never end, in milliseconds.
const SHORT: u64 = 300;

/// Host memory for a guest whose memory is full, and for a component as it arrives.
const MEMORY: u64 = 288 << 20;
const BYTES: u64 = 160 << 20;

pub(super) fn cases() -> Vec<Case> {
    [endless(), memory(), instructions(), bytes(), shapes(), abi(), cancelled()].concat()
}

fn for_ever(case: Case) -> Case {
    case.with(LimitName::turn_deadline_ms, SHORT)
}

fn endless() -> Vec<Case> {
    vec![
        for_ever(Case::command("loops_for_ever", Deadline)),
        for_ever(Case::text("loops_in_its_start_function", Deadline)),
        for_ever(Case::text("fills_all_its_memory_for_ever", Deadline))
            .peaks(MEMORY, "all its memory"),
        for_ever(Case::text("copies_all_its_memory_for_ever", Deadline))
            .peaks(MEMORY, "all its memory"),
        for_ever(Case::text("leaves_garbage_for_ever", Deadline)),
        for_ever(Case::text("throws_for_ever", Deadline)),
        for_ever(Case::text("destructor_loops_for_ever", Deadline)),
        for_ever(Case::text("post_return_loops_for_ever", Deadline)),
        for_ever(Case::text("realloc_loops_for_ever", Deadline)),
        Case::text("burns_its_fuel", Limit(LimitName::fuel)).with(LimitName::fuel, 10_000_000),
    ]
}

fn memory() -> Vec<Case> {
    vec![
        Case::command("fills_memory", Limit(LimitName::memory_bytes))
            .peaks(MEMORY, "all its memory"),
        Case::text("grows_memory_for_ever", Denied("memory.grow")).hits(LimitName::memory_bytes),
        Case::text("fills_the_collected_heap", Limit(LimitName::memory_bytes))
            .with(LimitName::memory_bytes, 8 << 20),
        Case::text("makes_a_huge_array", Trap("allocation size too large")),
        Case::text("declares_four_gib", Limit(LimitName::memory_bytes)),
        Case::text("declares_an_exabyte", Limit(LimitName::memory_bytes)),
        Case::text("declares_many_big_memories", Limit(LimitName::memory_bytes)),
        Case::text("realloc_grows_memory", Limit(LimitName::memory_bytes)),
        Case::text("grows_a_table", Limit(LimitName::table_elements)),
        Case::text("grows_a_table_by_more_than_there_is", Limit(LimitName::table_elements))
            .with(LimitName::table_elements, 1_000),
        Case::text("declares_a_huge_table", Limit(LimitName::table_elements)),
        Case::made("instance_flood", made::instance_flood::bytes, Limit(LimitName::core_instances)),
        Case::made("memory_flood", made::memory_flood::bytes, Limit(LimitName::memories)),
        Case::made("table_flood", made::table_flood::bytes, Limit(LimitName::tables)),
        Case::made(
            "component_billion_laughs",
            made::component_billion_laughs::bytes,
            Limit(LimitName::core_instances),
        ),
    ]
}

fn instructions() -> Vec<Case> {
    vec![
        Case::text("recurses_deeply", Limit(LimitName::wasm_stack_bytes)),
        Case::text("realloc_recurses", Limit(LimitName::wasm_stack_bytes)),
        Case::command("recurses_in_rust", Trap("out of bounds memory access")),
        Case::text("recurses_through_the_host", Trap("cannot leave component instance")),
        Case::command("panics", Trap("unreachable")),
        Case::service("panics_in_a_turn", Trap("unreachable")),
        Case::text("traps_in_its_start_function", Trap("unreachable")),
        Case::text("exits_in_its_start_function", Completed("")),
        Case::text("initialises_memory_that_it_lacks", Trap("out of bounds")),
        Case::text("initialises_a_table_that_it_lacks", Trap("out of bounds")),
        Case::made(
            "crashes_with_long_names",
            made::crashes_with_long_names::bytes,
            Limit(LimitName::wasm_stack_bytes),
        ),
        Case::text("calls_through_a_null", Trap("uninitialized element")),
        Case::text("throws_and_does_not_catch", Trap("exception")),
    ]
}

fn bytes() -> Vec<Case> {
    let compile = Limit(LimitName::compile_memory_bytes);
    vec![
        Case::made("empty_file", made::empty_file::bytes, Refused("empty")),
        Case::made("wrong_magic", made::wrong_magic::bytes, Refused("not WebAssembly")),
        Case::made("wat_text", made::wat_text::bytes, Refused("text")),
        Case::made("native_code", made::native_code::bytes, Refused("native code")),
        Case::made("native_program", made::native_program::bytes, Refused("native program")),
        Case::made("module_of_the_future", made::module_of_the_future::bytes, Refused("version")),
        Case::made("endless_number", made::endless_number::bytes, Refused("not valid")),
        Case::made(
            "section_longer_than_its_file",
            made::section_longer_than_its_file::bytes,
            Refused("not valid"),
        ),
        Case::made("absurd_code_lengths", made::absurd_code_lengths::bytes, Refused("not valid")),
        Case::own("truncated_anywhere", own::truncated_anywhere::run, Refused("times")),
        Case::own("bits_flipped_anywhere", own::bits_flipped_anywhere::run, Refused("times")),
        Case::made(
            "larger_than_allowed",
            made::larger_than_allowed::bytes,
            Limit(LimitName::component_bytes),
        )
        .peaks(BYTES, "as many bytes as are allowed"),
        Case::made(
            "hundred_mib_custom_section",
            made::hundred_mib_custom_section::bytes,
            Completed(""),
        )
        .peaks(BYTES, "all its bytes"),
        Case::made("huge_data_segments", made::huge_data_segments::bytes, Completed(""))
            .peaks(BYTES, "all its bytes"),
        Case::made("huge_br_table", made::huge_br_table::bytes, Refused("br_table")),
        Case::made("huge_function_body", made::huge_function_body::bytes, compile),
        Case::made("nested_blocks", made::nested_blocks::bytes, compile),
        Case::made(
            "two_hundred_thousand_functions",
            made::two_hundred_thousand_functions::bytes,
            compile,
        ),
        Case::made(
            "eight_thousand_functions_of_locals",
            made::eight_thousand_functions_of_locals::bytes,
            Limit(LimitName::declared_locals),
        ),
        Case::made(
            "slow_to_compile",
            made::slow_to_compile::bytes,
            Limit(LimitName::compile_wall_ms),
        )
        .host_with(LimitName::compile_wall_ms, SHORT),
        Case::made(
            "slower_to_compile",
            made::slower_to_compile::bytes,
            Limit(LimitName::compile_cpu_ms),
        )
        .host_with(LimitName::compile_cpu_ms, 1_000),
        // The compiler overflows its stack.
        Case::made("nested_types", made::nested_types::bytes, Refused("it nests too deeply")),
        Case::made("nested_components", made::nested_components::bytes, compile),
        Case::made("type_billion_laughs", made::type_billion_laughs::bytes, {
            Refused("effective type size exceeds")
        }),
        Case::made("deep_alias_chain", made::deep_alias_chain::bytes, {
            Refused("instances count exceeds")
        }),
    ]
}

fn shapes() -> Vec<Case> {
    vec![
        Case::text("shares_its_memory", Refused("threads")),
        Case::text("starts_with_parameters", Refused("has parameters or results")),
        Case::text("imports_what_nobody_offers", Refused("evil:host/process@1.0.0")),
        Case::text("imports_the_wrong_type", Refused("do not match")),
        Case::text("exports_the_wrong_type", Refused("in its export wasi:cli/run")),
        Case::text("exports_nothing_by_that_name", Refused("there is no `run`")),
        Case::text("handles_the_wrong_type", Refused("and Skep calls `func(input: record")),
        Case::made(
            "hundred_thousand_imports",
            made::hundred_thousand_imports::bytes,
            Refused("does not offer"),
        ),
        Case::made(
            "import_with_a_long_name",
            made::import_with_a_long_name::bytes,
            Refused("does not offer"),
        ),
        Case::made(
            "hundred_thousand_exports",
            made::hundred_thousand_exports::bytes,
            Completed(""),
        ),
    ]
}

fn abi() -> Vec<Case> {
    vec![
        Case::text("realloc_points_nowhere", Trap("realloc")),
        Case::text("realloc_is_askew", Trap("realloc")),
        Case::text("realloc_traps", Trap("unreachable")),
        Case::text("realloc_gives_the_same_twice", Completed("")),
        Case::text("post_return_traps", Trap("unreachable")),
        Case::text("post_return_calls_the_host", Trap("cannot leave component instance")),
        Case::text("answers_with_no_such_case", Trap("discriminant")),
        Case::text("answers_with_what_is_no_text", Trap("utf-8")),
        Case::text("answers_beyond_its_memory", Trap("out of bounds")),
        Case::text("asks_for_results_beyond_its_memory", Trap("out of bounds")),
        Case::text("passes_a_string_that_is_no_text", Trap("utf-8")),
        Case::text("passes_a_string_of_a_surrogate", Trap("utf-8")),
        Case::text("passes_a_string_beyond_its_memory", Trap("out of bounds")),
        Case::text("passes_a_string_of_two_gib", Trap("out of bounds")),
        Case::text("passes_a_string_that_wraps", Trap("out of bounds")),
        Case::text("passes_half_a_character", Trap("unpaired surrogate")),
        Case::text("passes_a_string_askew", Trap("aligned")),
        Case::text("passes_a_string_of_sixteen_mib", Limit(LimitName::hostcall_bytes)),
        Case::text("invents_a_handle", Trap("handle")),
        Case::text("drops_a_handle_twice", Trap("handle")),
        Case::text("polls_nothing", Trap("empty poll list")),
        Case::text("polls_a_list_of_two_gib", Trap("out of bounds")),
    ]
}

fn cancelled() -> Vec<Case> {
    vec![
        Case::command("cancelled_in_its_sleep", Killed).cancelled_after(200),
        Case::command("cancelled_in_a_file_call", Killed).cancelled_after(300),
        Case::command("cancelled_while_it_waits_for_many", Killed).cancelled_after(300),
        Case::command("cancelled_twice", Killed).cancelled_after(100).cancelled_after(0),
        Case::own("removed_while_it_loops", own::removed_while_it_loops::run, Killed),
        Case::own("stopped_while_it_loops", own::stopped_while_it_loops::run, Killed),
    ]
}
