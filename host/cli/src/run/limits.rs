//! The limits of a run: the table's defaults and the flags that change them.

use std::time::Duration;

use skep_protocol::limits::OFF;
use skep_protocol::{LimitName, Limits};

use super::args::RunArgs;
use super::guest_args::GuestArgs;
use crate::ambient;
use crate::limit_arg::millis;

/// Returns the limits of a run.
///
/// # Errors
/// A message, if a limit is given twice or is higher than this machine allows. No value is lowered
/// silently: a run with less than was asked for could fail for that reason alone.
pub(super) fn of(arguments: &mut RunArgs) -> Result<Limits, String> {
    let own = [
        (LimitName::fuel, "--fuel", arguments.fuel),
        (LimitName::log_bytes_per_turn, "--log", arguments.log),
        (LimitName::turn_deadline_ms, "--timeout", arguments.timeout.map(millis)),
    ];
    let limits = of_guest(&arguments.guest, &own)?;
    if limits.turn_deadline_ms != OFF {
        arguments.timeout = Some(Duration::from_millis(limits.turn_deadline_ms.max(1)));
    }
    if limits.fuel != OFF {
        arguments.fuel = Some(limits.fuel);
    }
    Ok(limits)
}

/// Returns the limits of a guest. `own` are those of the command's own flags, as far as they were given.
///
/// # Errors
/// As for [`of`].
pub(crate) fn of_guest(
    arguments: &GuestArgs,
    own: &[(LimitName, &str, Option<u64>)],
) -> Result<Limits, String> {
    let available = ambient::raise_descriptors() / 2;
    let defaults = Limits::default();
    let mut limits = Limits {
        turn_deadline_ms: OFF,
        // Half of the descriptors stay free for compiling and for copying results.
        open_descriptors: defaults.open_descriptors.min(available),
        // The output is passed on and not stored, so it is bounded only on request.
        log_bytes_per_turn: OFF,
        ..defaults
    };
    let own: Vec<_> = [
        (LimitName::memory_bytes, "--memory", arguments.memory),
        (LimitName::disk_bytes, "--disk", arguments.disk),
        (LimitName::compile_cpu_ms, "--compile-timeout", arguments.compile_timeout.map(millis)),
    ]
    .into_iter()
    .chain(own.iter().copied())
    .collect();
    for &(name, _, value) in &own {
        if let Some(value) = value {
            limits.set(name, value);
        }
    }
    if let Some(timeout) = arguments.compile_timeout {
        limits.set_compile_timeout(millis(timeout));
    }
    let mut given = Vec::new();
    for (name, value) in &arguments.limit {
        if let Some((_, flag, _)) =
            own.iter().find(|(own, _, value)| own == name && value.is_some())
        {
            return Err(format!("{flag} and --limit {name} set the same limit; give one of them"));
        }
        if given.contains(name) {
            return Err(format!("--limit {name} is given twice; give one of them"));
        }
        given.push(*name);
        let most = match name {
            // The stack is part of the engine's settings.
            LimitName::wasm_stack_bytes => Some((defaults.wasm_stack_bytes, "the engine's stack")),
            LimitName::open_descriptors => Some((available, "half of `ulimit -n`")),
            _ => None,
        };
        if let Some((most, of)) = most.filter(|(most, _)| value > most) {
            let (value, most) = (name.unit().show(*value), name.unit().show(most));
            return Err(format!("--limit {name}: {value} is more than {most}, which is {of}"));
        }
        limits.set(*name, *value);
    }
    Ok(limits)
}

/// Returns the flag that raises a limit, with a placeholder for its value.
pub(super) fn flag(name: LimitName) -> String {
    match name {
        LimitName::memory_bytes => "--memory".into(),
        LimitName::disk_bytes => "--disk".into(),
        LimitName::fuel => "--fuel".into(),
        LimitName::log_bytes_per_turn => "--log".into(),
        LimitName::turn_deadline_ms => "--timeout".into(),
        LimitName::compile_cpu_ms | LimitName::compile_wall_ms => "--compile-timeout".into(),
        name => format!("--limit {name}=N"),
    }
}
