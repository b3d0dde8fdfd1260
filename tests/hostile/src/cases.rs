//! The table of cases.
//!
//! To add one:
//! 1. write what does harm, in a file that is named after what it does: a command in
//!    `tests/guests/hostile/src/bin`, text in `tests/guests/hostile/wat`, a way for a service to
//!    misbehave in `tests/guests/hostile/service/src` (and its `lib.rs`), bytes that a program
//!    makes in `src/made` (and `made.rs`), or, where running one guest once is not all, a function
//!    in `src/own` (and `own.rs`) that is given the [`Bed`](crate::Bed) and says what it saw;
//! 2. add a line to the file of its group below, with the same name, how it has to end, and the
//!    limits that its worker does not have by default;
//! 3. run it: `cargo xtask hostile NAME`.
//!
//! A command calls `hostile::now_it_comes()` just before it goes too far, so that the time from
//! there to its end can be taken; `hostile::denied("what")` where it was told no, as it should be;
//! `hostile::allowed("what")` where it was not. A service does so with a failure of code `denied`.
//!
//! Commands with nothing but `wasi:*` run once more behind the second wall, in processes of their own,
//! as `out_of_process::NAME`; where one has to end otherwise there, its case says so with `walled_ends`.
//!
//! A file without a case fails the tests of this crate, as does a limit that no case hits.

mod directory;
mod engine;
mod handles;
mod limits;
mod network;
mod output;

use crate::case::Case;

/// Every case in the host's process, and once more behind the second wall where it can be there.
pub fn everywhere() -> Vec<Case> {
    let out_of_process = all().into_iter().filter_map(Case::behind_the_wall);
    all().into_iter().chain(out_of_process).collect()
}

/// Every case.
pub fn all() -> Vec<Case> {
    [
        engine::cases(),
        handles::cases(),
        limits::cases(),
        directory::cases(),
        output::cases(),
        network::cases(),
    ]
    .concat()
}
