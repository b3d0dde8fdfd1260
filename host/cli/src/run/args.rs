//! The command line of `skep run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use skep_protocol::quantity;

use super::backtrace::Backtrace;
use super::guest_args::GuestArgs;
use super::isolate_arg::IsolateArg;
use super::out_arg::OutArg;
use crate::output::OutputFormat;

/// Run a component once
#[derive(Args, Clone)]
#[command(after_help = "\
Examples:
  skep run hello.wasm one two
  skep run --dir src::/src --dir out::/data:rw --timeout 30s build.wasm /src
  skep run --memory 64MiB --env LANG=C --output json tool.wasm --help
  echo hi | skep run --input - counter.wasm
  curl --silent https://example.org/tool.wasm | skep run -
  skep run --allow-http https://api.example.com --allow-http 'GET https://*.example.org' fetch.wasm
  skep run --allow-http 'http://db.corp:8080 inner' fetch.wasm
  skep run --deterministic=7 --out results test.wasm
  skep run --log 1MiB --report run.json --limit open_descriptors=64 step.wasm
  skep run --out reports::*.xml --out bin::build/** --archive sysroot.tar::/usr cc.wasm /src/a.c
  CARGO_TARGET_WASM32_WASIP1_RUNNER='skep run --cargo' cargo test --target wasm32-wasip1

All words after COMPONENT belong to the guest, even those that look like flags; one leading `--` is
dropped.

Exit codes: the guest's own, and
  124 deadline   125 Skep failed or bad usage   126 refused before running
  130 Ctrl-C     134 trap, or a limit other than memory   137 out of memory   143 SIGTERM")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(super) guest: GuestArgs,

    /// Stop the guest after this time (250ms, 5s, 2m). Waiting for its input counts; compiling does
    /// not. Reading the component from a pipe may take as long again
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub(super) timeout: Option<Duration>,

    /// Bytes of standard output and standard error, summed, that are passed on. Further ones are
    /// counted and dropped [default: all]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub(super) log: Option<u64>,

    /// Approximate number of instructions that the guest may execute. Compiles it with instruction
    /// counting
    #[arg(long, value_name = "N")]
    pub(super) fuel: Option<u64>,

    /// Make the run repeatable: virtual clocks, seeded randomness, sorted directories
    #[arg(
        long, value_name = "SEED", num_args = 0..=1, require_equals = true,
        default_missing_value = "0", conflicts_with = "allow_http"
    )]
    pub(super) deterministic: Option<u64>,

    /// Give the guest an empty /out, and copy its regular files to DIR afterwards: all of them, or those
    /// that a pattern with *, ? and ** matches. What the last run left in DIR is removed; other files in
    /// it stay. Repeat for more
    #[arg(
        long, value_name = "DIR[::PATTERN]",
        value_parser = OsStringValueParser::new().try_map(OutArg::parse)
    )]
    pub(super) out: Vec<OutArg>,

    /// Keep what earlier runs left in the directories of --out
    #[arg(long, requires = "out")]
    pub(super) keep_out: bool,

    /// Standard input of a command: a file, or - for your own [default: -]
    #[arg(long, value_name = "FILE|-")]
    pub(super) stdin: Option<PathBuf>,

    /// Input of a service: a file, or - for standard input
    #[arg(long, value_name = "FILE|-")]
    pub(super) input: Option<PathBuf>,

    /// Media type of the input of a service [default: application/octet-stream]
    #[arg(long, value_name = "TYPE")]
    pub(super) content_type: Option<String>,

    /// Format of the result. With json, standard output is one JSON object and the guest's own
    /// streams go to standard error
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(super) output: OutputFormat,

    /// Write the result as JSON to a file, beside the guest's own streams
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,

    /// Run the guest in a process of its own, which can reach nothing but its directories even if the
    /// guest breaks out of the engine [default: auto for a component from standard input, and otherwise
    /// never]
    #[arg(
        long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true,
        default_missing_value = "always"
    )]
    pub(super) isolate: Option<IsolateArg>,

    /// Run as cargo's runner of a target: the working directory is /, CARGO_MANIFEST_DIR has its own
    /// path, both read-only; the variables that describe the package are passed on, and /tmp is empty
    #[arg(long)]
    pub(super) cargo: bool,

    /// Part of the call stack to show if the guest crashes
    #[arg(long, value_enum, default_value = "short", value_name = "FORM")]
    pub(super) backtrace: Backtrace,

    /// Component or WASI preview1 module: a file, or - for standard input
    #[arg(value_name = "COMPONENT")]
    pub(super) component: PathBuf,

    /// Arguments of the guest
    #[arg(value_name = "ARGS")]
    pub(super) args: Vec<OsString>,
}
