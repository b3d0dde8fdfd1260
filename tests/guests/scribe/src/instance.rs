//! The worker's identity, and the history of this instance.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use skep_guest::{ConnectReason, Output, config as bundle, context};

static CONNECTED: OnceLock<ConnectReason> = OnceLock::new();
static PARTING: OnceLock<String> = OnceLock::new();
static TURNS: AtomicU64 = AtomicU64::new(0);

pub fn connected(reason: ConnectReason) {
    eprintln!("connected: {reason:?}");
    let first = CONNECTED.set(reason).is_ok();
    assert!(first, "an instance is connected once");
    if let Some(command) = bundle::get("disconnecting") {
        // The config bundle may be gone by then.
        PARTING.get_or_init(|| command);
    }
    if let Some(command) = bundle::get("connected") {
        obey_in("connected", &command);
    }
}

pub fn disconnecting() {
    eprintln!("disconnecting");
    if let Some(command) = PARTING.get() {
        obey_in("disconnecting", command);
    }
}

fn obey_in(hook: &str, command: &str) {
    match crate::obey(command) {
        Ok(output) => eprintln!("{hook}: {}", String::from_utf8_lossy(&output.body)),
        Err(failure) => eprintln!("{hook}: {failure}"),
    }
}

pub fn count_turn() {
    TURNS.fetch_add(1, Ordering::Relaxed);
}

/// Returns `<name> <value>` lines: runtime, worker, input, attempt, remaining-ms, connected (the
/// reason given to this instance), turns (of this instance). `-` stands for a missing value.
pub fn who_am_i() -> Output {
    let remaining = context::remaining().map(|time| time.as_millis().to_string());
    let connected = CONNECTED.get().map(|reason| format!("{reason:?}").to_lowercase());
    let none = || "-".to_owned();
    Output::text(format!(
        "runtime {}\nworker {}\ninput {}\nattempt {}\nremaining-ms {}\nconnected {}\nturns {}",
        context::runtime_id(),
        context::worker_id(),
        context::input_id().unwrap_or_else(none),
        context::attempt(),
        remaining.unwrap_or_else(none),
        connected.unwrap_or_else(none),
        TURNS.load(Ordering::Relaxed),
    ))
}

/// Returns `<key>=<value>` lines.
pub fn config() -> Output {
    let lines: Vec<_> =
        bundle::get_all().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
    Output::text(lines.join("\n"))
}
