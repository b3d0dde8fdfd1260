//! The command line of `skep serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use skep_lanes::HttpPolicy;
use skep_protocol::{HttpInstances, HttpSpec, Limits, quantity};

use crate::output::OutputFormat;
use crate::run::GuestArgs;

/// Serve an HTTP component on this machine, until Ctrl-C
#[derive(Args, Clone)]
#[command(after_help = "\
Examples:
  skep serve hello-http.wasm                         on 127.0.0.1:8080, each request in a new instance
  skep serve --addr 127.0.0.1:0 --dir www::/www site.wasm
  skep serve --instances serial --reuse 1000 api.wasm
  skep serve --allow-http https://api.example.com --env LANG=C proxy.wasm
  skep serve --timeout 5s --memory 64MiB --limit http_at_once=8 --output json untrusted.wasm

All words after COMPONENT belong to the guest. Ctrl-C drains the requests in flight. Requests that get
no answer are answered with a problem (RFC 9457): 502 trap or memory, 503 too many, 504 deadline.

Exit codes:
  0 stopped   125 Skep failed or bad usage   126 refused before serving")]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    pub(super) addr: String,

    /// Lifetime of an instance: `fresh` gives each request its own, `serial` uses one again for requests
    /// one after the other, `concurrent` gives it several at once (only handlers of WASI 0.3)
    #[arg(long, value_name = "HOW", default_value = "fresh")]
    pub(super) instances: HttpInstances,

    /// Requests that an instance handles at most if it is used again; each instance draws a number between half of
    /// it and all of it
    #[arg(long, value_name = "N", default_value = "128", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) reuse: u32,

    #[command(flatten)]
    pub(super) guest: GuestArgs,

    /// Time until the head of an answer (250ms, 5s, 2m) [default: 30s]. The wait for each further piece
    /// is the limit http_wait_ms
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub(super) timeout: Option<Duration>,

    /// Print no line for each request. Requests without an answer are still told
    #[arg(long)]
    pub(super) quiet: bool,

    /// Format of the lines. With json, standard output has one JSON object a line, and the guest's own
    /// streams go to standard error
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(super) output: OutputFormat,

    /// HTTP component: a file, or - for standard input
    #[arg(value_name = "COMPONENT")]
    pub(super) component: PathBuf,

    /// Arguments of the guest
    #[arg(value_name = "ARGS")]
    pub(super) args: Vec<std::ffi::OsString>,
}

impl ServeArgs {
    /// Returns the policy of the instances.
    pub(super) fn policy(&self, limits: &Limits) -> HttpPolicy {
        let (instances, reuse) = (self.instances, Some(self.reuse));
        HttpPolicy::new(HttpSpec { instances, reuse, ..HttpSpec::default() }, limits)
    }
}
