//! Greets, then shows what a sandboxed program was given: its arguments, its environment, the first
//! file of `/data`, and its exit code.
//!
//! It only uses WASI, so it runs under any host of `wasi:cli` programs, and natively.

mod exit;
mod report;
mod request;

use std::io::{self, Write};
use std::path::Path;

use report::Report;
use request::Request;

fn main() {
    let request = match Request::parse(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("hello: {error}\nusage: hello [--exit N] [WORDS...]");
            exit::with_code(2)
        }
    };
    let report = Report::gather(&request, std::env::vars(), Path::new("/data"));
    // The greeting is the only output: without a reader there is nothing left to do.
    if write!(io::stdout(), "{report}").and_then(|()| io::stdout().flush()).is_err() {
        exit::with_code(1)
    }
    exit::with_code(request.code)
}
