//! The result of a verb: its output and the exit code.

use std::io::{self, Write};

/// The result of a verb. `Ok` prints the line, if there is one, and exits 0.
pub type Verdict = Result<Option<String>, Answer>;

/// The results with a nonzero exit code.
pub enum Answer {
    /// The host refused. Printed as `error: <ErrorKind> (<raw code>)`, exit 1.
    Refused(io::Error),
    /// The host refused after some progress: `error: <ErrorKind> (<raw code>) after <count>`, exit
    /// 1.
    RefusedAfter(io::Error, u64),
    /// An unknown verb or wrong arguments: exit 2.
    Usage,
    /// This exit code, silently.
    Code(u8),
}

impl From<io::Error> for Answer {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

/// Returns the result of a verb with no output but `ok`.
pub fn ok<T>(result: io::Result<T>) -> Verdict {
    result.map(|_| Some("ok".to_owned())).map_err(Answer::from)
}

/// Formats `<ErrorKind> (<raw code>)`, or only the kind if there is no code.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => format!("{:?} ({code})", error.kind()),
        None => format!("{:?}", error.kind()),
    }
}

/// Parses a numeric argument. Anything else is a usage error.
pub fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| leave(Err(Answer::Usage)))
}

pub fn exit(code: u8) -> Verdict {
    Err(Answer::Code(code))
}

pub fn leave(verdict: Verdict) -> ! {
    let (line, code) = match verdict {
        Ok(line) => (line, 0),
        Err(Answer::Refused(error)) => (Some(format!("error: {}", reason(&error))), 1),
        Err(Answer::RefusedAfter(error, count)) => {
            (Some(format!("error: {} after {count}", reason(&error))), 1)
        }
        Err(Answer::Usage) => {
            eprintln!("usage: probe VERB [ARGUMENTS]; the verbs are in tests/guests/probe");
            (None, 2)
        }
        Err(Answer::Code(code)) => (None, code),
    };
    let mut stdout = io::stdout().lock();
    if let Some(line) = line {
        // A missing reader cannot be told.
        let _ = writeln!(stdout, "{line}");
    }
    let _ = stdout.flush();
    with_code(code)
}

#[cfg(all(target_os = "wasi", target_env = "p2"))]
fn with_code(code: u8) -> ! {
    wasip2::cli::exit::exit_with_code(code);
    unreachable!("exit-with-code does not return")
}

#[cfg(not(all(target_os = "wasi", target_env = "p2")))]
fn with_code(code: u8) -> ! {
    std::process::exit(code.into())
}
