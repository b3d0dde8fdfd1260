//! The command line of `skep run`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use skep_protocol::{HttpGrant, quantity};

use super::backtrace::Backtrace;
use super::mount::MountArg;
use crate::key_value;
use crate::output::OutputFormat;

/// Run a component once
#[derive(Args)]
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

All words after COMPONENT belong to the guest, even those that look like flags; one leading `--` is
dropped.

Exit codes: the guest's own, and
  124 deadline   125 Skep failed or bad usage   126 refused before running
  130 Ctrl-C     134 trap, or a limit other than memory   137 out of memory   143 SIGTERM")]
pub(crate) struct RunArgs {
    /// Map a directory: HOST::GUEST, then :ro (the default) or :rw. HOST alone is mapped to /data.
    /// The value is parsed from the right, so a HOST that contains `::/` or ends in `:ro` or `:rw`
    /// needs an explicit GUEST and rights. Repeat for more
    #[arg(
        long, value_name = "HOST::GUEST[:ro|rw]",
        value_parser = OsStringValueParser::new().try_map(MountArg::parse)
    )]
    pub(super) dir: Vec<MountArg>,

    /// Give the guest no /data of its own. Without this flag, and unless a directory is mapped
    /// there, the guest gets an empty /data that is removed afterwards
    #[arg(long)]
    pub(super) no_data: bool,

    /// Set an environment variable; nothing is inherited. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    pub(super) env: Vec<(String, String)>,

    /// Set a value of the config bundle. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    pub(super) config: Vec<(String, String)>,

    /// Allow HTTP requests: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`. HOST may be *.NAME or *;
    /// `inner` allows a name to resolve to an address that is not public. Repeat for more
    #[arg(long, value_name = "GRANT", conflicts_with = "deterministic")]
    pub(super) allow_http: Vec<HttpGrant>,

    /// Stop the guest after this time (250ms, 5s, 2m). Waiting for its input counts; compiling does
    /// not. Reading the component from a pipe may take as long again
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub(super) timeout: Option<Duration>,

    /// CPU time that compiling may take; its wall time may be five times that [default: 3m]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub(super) compile_timeout: Option<Duration>,

    /// Memory that the guest may use [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub(super) memory: Option<u64>,

    /// Bytes of files that the guest may add to its directories [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub(super) disk: Option<u64>,

    /// Approximate number of instructions that the guest may execute. Compiles it with instruction
    /// counting
    #[arg(long, value_name = "N")]
    pub(super) fuel: Option<u64>,

    /// Make the run repeatable: virtual clocks, seeded randomness, sorted directories
    #[arg(
        long, value_name = "SEED", num_args = 0..=1, require_equals = true,
        default_missing_value = "0"
    )]
    pub(super) deterministic: Option<u64>,

    /// Give the guest an empty /out, and copy its regular files to DIR afterwards
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,

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
