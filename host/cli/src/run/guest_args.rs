//! The flags for what a guest of this process gets: directories, variables, grants and limits.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use skep_protocol::{HttpGrant, LimitName, quantity};

use super::env_arg::EnvArg;
use super::file_arg::FileArg;
use super::mount::MountArg;
use crate::{key_value, limit_arg};

/// The access and the limits of a guest of this process.
#[derive(Args, Clone)]
pub(crate) struct GuestArgs {
    /// Map a directory: HOST::GUEST, then :ro (the default) or :rw. HOST alone is mapped to /data.
    /// The value is parsed from the right, so a HOST that contains `::/` or ends in `:ro` or `:rw`
    /// needs an explicit GUEST and rights. Repeat for more
    #[arg(
        long, value_name = "HOST::GUEST[:ro|rw]",
        value_parser = OsStringValueParser::new().try_map(MountArg::parse)
    )]
    pub(crate) dir: Vec<MountArg>,

    /// Give the guest a copy of a file, read-only. Repeat for more
    #[arg(
        long, value_name = "HOST::GUEST",
        value_parser = OsStringValueParser::new().try_map(FileArg::parse)
    )]
    pub(crate) file: Vec<FileArg>,

    /// Unpack a tar archive, which may be gzipped, to a directory of the guest, read-only. Repeat for
    /// more
    #[arg(
        long, value_name = "HOST::GUEST",
        value_parser = OsStringValueParser::new().try_map(FileArg::parse)
    )]
    pub(crate) archive: Vec<FileArg>,

    /// Give the guest no /data and no /tmp of its own. Without this flag, and unless directories are
    /// mapped there, it gets empty ones that are removed afterwards
    #[arg(long)]
    pub(crate) no_data: bool,

    /// Set an environment variable, or pass on your own by its NAME; no other is inherited. Repeat for
    /// more
    #[arg(long, value_name = "K=V|NAME", value_parser = EnvArg::parse)]
    pub(crate) env: Vec<EnvArg>,

    /// Set the variables of a file: K=V or NAME in each line; # begins a comment. Repeat for more
    #[arg(long, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,

    /// Set the guest's name, its argument 0 [default: the component's file name]
    #[arg(long, value_name = "NAME")]
    pub(crate) argv0: Option<String>,

    /// Tell the guest that it starts in this directory: PWD, and the initial directory of a component.
    /// A program that looks at neither starts in /
    #[arg(long, value_name = "PATH")]
    pub(crate) workdir: Option<String>,

    /// Set a value of the config bundle. Repeat for more
    #[arg(long, value_name = "K=V", value_parser = key_value::parse)]
    pub(crate) config: Vec<(String, String)>,

    /// Allow HTTP requests: `[METHOD,… ]SCHEME://HOST[:PORT][ inner]`. HOST may be *.NAME or *;
    /// `inner` allows a name to resolve to an address that is not public. Repeat for more
    #[arg(long, value_name = "GRANT")]
    pub(crate) allow_http: Vec<HttpGrant>,

    /// Offer WASI 0.3, which is experimental, to a component that needs it
    #[arg(long = "wasi-0.3")]
    pub(crate) wasi_0_3: bool,

    /// CPU time that compiling may take; its wall time may be five times that [default: 3m]
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub(crate) compile_timeout: Option<Duration>,

    /// Memory that the guest may use [default: 256MiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub(crate) memory: Option<u64>,

    /// Bytes of files that the guest may add to its directories [default: 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub(crate) disk: Option<u64>,

    /// Set a limit by its name, such as open_descriptors=64; `skep inspect` lists all names. Repeat for
    /// more
    #[arg(long, value_name = "NAME=N", value_parser = limit_arg::parse)]
    pub(crate) limit: Vec<(LimitName, u64)>,

    /// True if the guest gets a /tmp of its own, whatever `no_data` says.
    #[arg(skip)]
    pub(crate) own_tmp: bool,
}
