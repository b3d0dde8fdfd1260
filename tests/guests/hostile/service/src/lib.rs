//! A hostile service: its input names one of its files, which has the attack. It answers any other
//! input like a good service.

mod answers_too_much;
mod answers_with_a_long_type;
mod changes_one_key_after_the_other;
mod emits_fake_entries;
mod emits_for_ever;
mod emits_too_large_an_event;
mod fails_with_a_long_story;
mod fills_its_state;
mod fills_its_state_with_names;
mod logs_empty_lines;
mod logs_for_ever;
mod panics_in_a_turn;

use skep_guest::{Failure, Input, Output, Worker};

struct Misbehaves;

impl Worker for Misbehaves {
    fn handle(input: Input) -> Result<Output, Failure> {
        match input.text().unwrap_or_default() {
            "answers_too_much" => answers_too_much::handle(),
            "answers_with_a_long_type" => answers_with_a_long_type::handle(),
            "changes_one_key_after_the_other" => changes_one_key_after_the_other::handle(),
            "emits_fake_entries" => emits_fake_entries::handle(),
            "emits_for_ever" => emits_for_ever::handle(),
            "emits_too_large_an_event" => emits_too_large_an_event::handle(),
            "fails_with_a_long_story" => fails_with_a_long_story::handle(),
            "fills_its_state" => fills_its_state::handle(),
            "fills_its_state_with_names" => fills_its_state_with_names::handle(),
            "logs_empty_lines" => logs_empty_lines::handle(),
            "logs_for_ever" => logs_for_ever::handle(),
            "panics_in_a_turn" => panics_in_a_turn::handle(),
            _ => Ok(Output::text("ok")),
        }
    }
}

skep_guest::worker!(Misbehaves);
