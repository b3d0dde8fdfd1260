//! Integration tests: the built program with real guests. There is one module per feature, and the
//! name of a test states the behaviour.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is right")]

mod admission;
mod cargo_runner;
mod command_line;
mod compiling;
mod config;
mod crowds;
mod damage;
mod descriptors;
mod deterministic;
mod directories;
mod doctor;
mod durable;
mod embedded;
mod escapes;
mod exit_codes;
mod fleet;
mod following;
mod functions;
mod hosting;
mod http;
mod inspecting;
mod instances;
mod isolated;
mod lifecycle;
mod limits;
mod live;
mod managing;
#[path = "../shared/opening.rs"]
mod opening;
mod out_of_process;
mod outbound;
mod outputs;
mod pipelines;
mod preview1;
mod printing;
mod programs;
mod refused;
mod remotes;
mod retried;
mod served;
mod services;
mod sessions;
mod snapshots;
mod step_host;
mod steps;
mod stopping;
mod storing;
mod streams;
mod surroundings;
mod troubles;
mod wasi_0_3;
mod worker_files;
