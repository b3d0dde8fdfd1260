//! Tests of whole pipelines with an executor whose programs are functions of their job.

mod cache;
mod crashes;
mod ends;
mod explaining;
mod faults;
mod hostile_files;
mod pipelines;
mod places;
mod reading;
pub(crate) mod testing;
