//! The list of all cases.

/// Expands to one test per case on a subject. See the crate's documentation.
#[macro_export]
macro_rules! conformance {
    ($subject:expr) => {
        $crate::conformance!($subject, without restarts);
        $crate::conformance!(@restarts tests);
    };
    ($subject:expr, without restarts) => {
        async fn conformance_subject() -> impl $crate::Subject {
            $subject
        }
        $crate::conformance!(@lasting tests);
    };
    (@lasting $what:ident) => {
        $crate::conformance! { @$what
            workers {
                describe_names_the_runtime_and_counts_its_workers
                a_new_worker_is_idle_and_unconnected
                creating_the_same_worker_again_returns_it
                creating_another_under_the_same_id_is_a_conflict
                concurrent_creates_make_one_worker
                an_id_is_chosen_where_the_caller_has_none
                a_removed_id_is_not_used_again
                a_refused_create_leaves_nothing
                an_unknown_worker_is_unknown_to_every_verb
                a_removed_worker_is_removed_to_every_verb
                workers_are_listed_in_the_order_of_their_ids
                workers_are_found_by_label
                an_invented_list_cursor_is_refused
                labels_and_display_ref_change_without_disturbing
            }
            lists {
                sorted_lists_have_every_worker_once
                lists_are_filtered_and_counted
                a_list_shows_what_was_just_changed
                a_cursor_of_another_order_is_refused
            }
            inputs {
                an_input_is_accepted_and_then_done
                a_waited_input_comes_back_with_its_outcome
                inputs_are_listed_newest_first
                a_wait_that_elapses_leaves_the_input_to_its_turn
                an_input_is_handled_after_its_sender_disconnects
                inputs_are_handled_one_at_a_time_in_their_order
                workers_do_not_wait_for_each_other
                an_answer_is_bytes_with_their_type
                a_worker_sees_its_identity_and_input
                an_unknown_input_is_unknown
                state_is_kept_from_turn_to_turn
                usage_counts_turns_however_they_ended
                usage_has_a_history
            }
            endings {
                a_failure_is_the_workers_own_word
                a_crash_is_trapped
                a_service_that_exits_has_not_answered
                turn_deadline_ms
                memory_bytes
                output_bytes
                a_bad_turn_leaves_the_worker_able
                a_bad_turn_does_not_hold_up_the_queue
            }
            cancelling {
                a_queued_input_is_cancelled_and_never_runs
                a_running_input_is_cancelled_and_the_next_one_runs
                cancelling_the_next_input_leaves_the_one_that_ends_alone
                an_ended_input_cannot_be_cancelled
                a_sender_waiting_for_a_cancelled_input_is_answered
                a_cancelled_input_is_one_failure_in_the_transcript
            }
            retries {
                a_key_sent_again_gives_the_same_outcome_without_a_turn
                a_key_sent_again_gives_a_failure_again
                a_key_sent_again_finds_the_input_that_has_not_ended
                a_key_with_another_body_is_a_conflict
                a_key_belongs_to_one_worker
                without_a_key_the_same_body_is_another_input
                many_at_once_with_one_key_are_one_input
                a_retry_is_answered_where_a_new_input_is_refused
                idempotency_keys
                idempotency_ms
            }
            limits {
                mailbox_inputs
                mailbox_bytes
                input_bytes
                state_bytes
                events_per_turn
                event_bytes
                log_bytes_per_turn
                transcript_bytes
                limits_apply_per_worker
                limits_change_between_two_turns
            }
            lifecycle {
                a_stopped_worker_refuses_inputs
                stop_keeps_the_queue_and_start_runs_it
                stop_ends_a_turn_that_does_not_end
                a_queued_input_of_a_stopped_worker_can_be_cancelled
                start_runs_nothing_by_itself
                stopping_and_starting_again_changes_nothing
                remove_leaves_nothing_but_the_id
                a_stopped_worker_can_be_removed
                removing_a_busy_worker_answers_waiting_senders
                changes_of_a_worker_update_its_timestamp
            }
            versions {
                an_update_takes_effect_between_two_turns
                rollback_goes_back_and_forth
                without_an_update_there_is_nothing_to_roll_back_to
                a_worker_stays_of_its_kind
                an_update_to_an_unknown_component_is_refused
                a_config_is_updated_and_rolled_back
                an_updated_worker_has_another_instance
                a_rollback_can_lead_to_no_config
                a_stopped_worker_is_updated_and_stays_stopped
                a_bad_update_can_be_rolled_back
                create_again_after_an_update_is_the_same_worker
            }
            grants {
                grants_change_between_two_turns
                grants_can_be_revoked
                a_worker_with_other_grants_has_another_instance
                the_same_grants_change_nothing
                invalid_grants_are_refused
                a_change_based_on_other_grants_is_a_conflict
                a_rollback_leaves_the_grants
                a_stopped_workers_grants_change
                a_create_is_repeated_by_the_grants_that_it_had
            }
            forks {
                a_fork_has_the_workers_state_config_and_limits
                a_fork_has_the_workers_files
                a_fork_is_as_of_the_last_turn
                a_fork_can_have_another_component_of_its_kind
                forking_again_returns_the_same_worker
            }
            state {
                a_workers_state_is_listed_by_key
                a_long_value_is_shown_in_part
                listing_the_state_wakes_no_instance
            }
            transcript {
                seq_counts_from_one_without_holes
                a_turn_is_recorded_in_the_order_it_happened
                an_event_has_the_workers_word_and_body
                an_input_and_its_answer_are_there_as_they_were_sent
                an_outcome_and_its_entry_say_the_same
                the_transcript_is_read_by_place
                reading_writes_nothing
                a_worker_reads_its_own_entries
                events_are_seen_while_their_turn_runs
            }
            pages {
                the_transcript_is_read_backwards
                a_filter_finds_each_entry_that_passes
                a_filtered_page_leads_to_the_end
                a_page_begins_at_a_time
                a_preview_cuts_long_bodies
                an_entry_is_read_by_its_seq
                a_trimmed_transcript_is_read_backwards_to_its_gap
            }
            subscriptions {
                a_stream_from_the_beginning_is_the_transcript
                a_stream_without_a_place_begins_at_the_end
                a_stream_goes_on_from_a_place
                snapshot_then_follow_neither_loses_nor_repeats
                a_slow_reader_loses_nothing_and_delays_no_turn
                a_stream_ends_when_its_worker_is_removed
                a_stream_is_one_workers_own
            }
            components {
                a_component_is_named_by_its_bytes
                a_component_is_stored_once
                concurrent_uploads_store_a_component_once
                a_component_is_compiled_once_it_is_stored
                bytes_that_are_no_component_are_refused
                a_component_is_examined_without_storing_it
                a_component_that_would_be_refused_is_examined
                an_upload_that_breaks_off_leaves_nothing
                a_component_in_use_stays
                a_component_that_a_rollback_needs_stays
                a_component_that_no_worker_uses_can_be_removed
                components_are_listed_in_the_order_of_their_digests
                an_unknown_component_is_unknown
            }
            configs {
                a_config_is_named_by_its_values_and_stored_once
                a_guest_sees_its_config_sorted
                configs_are_listed_in_the_order_of_their_digests
                a_config_in_use_stays
                a_config_that_no_worker_uses_can_be_removed
                an_unknown_config_is_unknown
            }
            files {
                a_worker_without_files_has_none
                a_file_is_written_read_and_removed
                a_file_that_is_written_again_is_replaced
                a_part_of_a_file_is_read
                the_guest_and_its_owner_share_files
                files_are_there_while_a_turn_runs_and_after_a_stop
                files_are_listed_in_the_order_of_their_names
                one_level_of_a_directory_is_listed
                a_file_or_directory_is_renamed
                a_directory_is_removed_with_everything_below_it
                a_change_under_a_condition_needs_it_to_hold
                a_directory_is_not_a_file
                a_truncated_upload_changes_nothing
                disk_bytes
                disk_entries
                a_written_file_is_no_turn
            }
            archives {
                an_export_can_be_imported
                an_imported_archive_is_visible_to_the_guest
                a_forbidden_archive_entry_aborts_the_import
                bytes_that_are_no_archive_are_refused
                an_import_is_limited_by_the_quota
            }
            commands {
                a_run_has_its_arguments_and_environment_and_no_other
                an_exit_code_is_no_failure
                the_output_of_a_run_is_logged_line_by_line
                standard_input_is_text_or_base64
                an_invalid_run_request_is_refused
                a_crashed_run_keeps_what_it_wrote
                a_run_past_its_deadline_is_ended
                data_persists_between_runs
                a_run_with_a_key_is_run_once
            }
            changes {
                changes_begin_with_a_snapshot_of_each_worker
                every_change_of_a_worker_is_streamed
                changes_resume_from_a_cursor
                changes_resume_within_the_snapshot
                an_invented_changes_cursor_is_refused
                a_snapshot_ends_with_ready
                a_stream_from_now_has_no_snapshot
                no_worker_is_left_out_while_many_are_made
            }
        }
    };
    (@restarts $what:ident) => {
        $crate::conformance! { @$what
            restarts {
                everything_is_there_after_a_restart
                a_lost_instance_is_reported_after_a_restart
                queued_inputs_run_after_a_restart
                an_interrupted_turn_is_run_again_and_counts_once
                acknowledged_inputs_survive_a_crash
                a_written_file_survives
                a_fork_survives
                streamed_entries_survive_a_crash
                an_open_stream_does_not_delay_a_restart
                a_stopped_worker_stays_stopped_after_a_restart
                a_key_is_known_after_a_restart
                a_removed_worker_stays_removed_after_a_restart
                an_update_and_its_rollback_survive_a_restart
                changed_grants_survive
                a_commands_files_and_exit_code_survive
                attempts_per_input
                changes_can_be_followed_over_a_restart
            }
        }
    };
    (@tests $($noun:ident { $($case:ident)* })*) => {
        $(mod $noun {
            $(#[test]
            fn $case() {
                $crate::run(super::conformance_subject(), $crate::case::$noun::$case);
            })*
        })*
    };
    (@cases $($noun:ident { $($case:ident)* })*) => {
        $(#[doc = concat!("On ", stringify!($noun), ".")]
        pub mod $noun {
            $(#[doc = concat!("`", stringify!($case), "`.")]
            pub async fn $case(subject: &dyn $crate::Subject) {
                $crate::$noun::$case(&$crate::trial::Trial::new(subject)).await;
            })*
        })*
    };
}

/// Expands to one test per case of a subject that runs steps of pipelines.
#[macro_export]
macro_rules! step_conformance {
    ($subject:expr) => {
        async fn conformance_subject() -> impl $crate::Subject {
            $subject
        }
        $crate::step_conformance!(@steps tests);
    };
    (@steps $what:ident) => {
        $crate::conformance! { @$what
            steps {
                a_blob_is_stored_by_its_hash
                a_step_runs_with_its_arguments_and_is_then_cached
                a_failed_step_is_not_cached
                a_step_with_another_specification_is_a_conflict
                a_malformed_step_is_refused
                a_cancelled_step_ends_and_may_run_again
                a_question_waits_for_news_of_a_step
            }
        }
    };
}

/// Expands to one test per case of a subject that passes requests to HTTP workers.
#[macro_export]
macro_rules! http_conformance {
    ($subject:expr) => {
        async fn conformance_subject() -> impl $crate::Subject {
            $subject
        }
        $crate::http_conformance!(@http tests);
    };
    (@http $what:ident) => {
        $crate::conformance! { @$what
            http {
                a_request_is_answered_with_a_head_and_a_body
                a_worker_sees_the_target_and_the_headers
                bodies_are_streamed_both_ways
                trailers_follow_the_body
                a_workers_own_status_is_an_answer
                a_request_without_an_answer_is_an_error
                a_worker_of_another_kind_takes_no_requests
                a_worker_that_is_not_there_takes_no_requests
            }
        }
    };
}

/// The cases as functions, for [`conformance!`].
pub mod case {
    crate::conformance!(@lasting cases);
    crate::conformance!(@restarts cases);
    crate::step_conformance!(@steps cases);
    crate::http_conformance!(@http cases);
}
