//! Logs on standard error. `SKEP_LOG` sets the level, and `SKEP_LOG_FORMAT=json` the format.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;

/// Starts logging. Without `SKEP_LOG`, only warnings and errors are logged.
pub(crate) fn start() {
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("SKEP_LOG")
        .from_env_lossy();
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(crate::terminal::stderr_is_terminal());
    match std::env::var("SKEP_LOG_FORMAT").as_deref() {
        Ok("json") => builder.json().init(),
        _ => builder.compact().init(),
    }
}
