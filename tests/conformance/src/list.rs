//! Every case, once.

/// Has a subject run every case, each as a test of its own. See the crate's documentation.
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
                many_who_create_one_worker_at_once_make_one
                an_id_is_chosen_where_the_caller_has_none
                a_removed_id_is_not_used_again
                a_worker_that_is_refused_leaves_nothing
                an_unknown_worker_is_unknown_to_every_verb
                a_removed_worker_is_removed_to_every_verb
                workers_are_listed_in_the_order_of_their_ids
                workers_are_found_by_label
                a_cursor_that_no_list_gave_out_is_refused
                labels_and_display_ref_change_without_disturbing
            }
            inputs {
                an_input_is_accepted_and_then_done
                a_waited_input_comes_back_with_its_outcome
                a_wait_that_elapses_leaves_the_input_to_its_turn
                a_sender_who_goes_away_leaves_the_input_to_its_turn
                inputs_are_handled_one_at_a_time_in_their_order
                workers_do_not_wait_for_each_other
                an_answer_is_bytes_with_their_type
                a_worker_is_told_who_it_is_and_what_it_handles
                an_unknown_input_is_unknown
                state_is_kept_from_turn_to_turn
                usage_counts_turns_however_they_ended
            }
        }
    };
    (@restarts $what:ident) => {
        $crate::conformance! { @$what
            restarts {
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

/// The cases as functions, for [`conformance!`].
pub mod case {
    crate::conformance!(@lasting cases);
    crate::conformance!(@restarts cases);
}
