//! The limits of a step. A value above the host's maximum is refused at its line, never lowered.

use std::collections::BTreeMap;
use std::time::Duration;

use skep_protocol::limits::OFF;
use skep_protocol::step::STEP_DEADLINE_MS;
use skep_protocol::{LimitName, Limits, Unit, quantity};
use toml::Spanned;

use crate::fault::FileFault;
use crate::file::{DefaultsTable, LimitNumber, StepTable};

/// The output that is kept of a step that sets no amount.
const LOG: u64 = 4 << 20;

/// Maximum output that can be kept: it is in memory while the step runs.
pub(crate) const MOST_LOG: u64 = 256 << 20;

/// The highest values that this host allows.
#[derive(Clone, Debug, Default)]
pub struct Ceilings(pub BTreeMap<LimitName, u64>);

/// The limits of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepBounds {
    /// Limits of the guest.
    pub limits: Limits,
    /// Bytes of standard output and standard error that are kept.
    pub log_bytes: u64,
}

/// Returns the limits of a step: its own, else its tool's, else the defaults.
pub(crate) fn bounds(
    step: &StepTable,
    tool_memory: Option<&Spanned<String>>,
    defaults: &DefaultsTable,
    ceilings: &Ceilings,
) -> Result<StepBounds, FileFault> {
    let base = Limits { turn_deadline_ms: STEP_DEADLINE_MS, ..Limits::default() };
    let mut making = Bounds { limits: base, ceilings };
    let timeout = step.timeout.as_ref().or(defaults.timeout.as_ref());
    making.quantity(LimitName::turn_deadline_ms, timeout)?;
    let memory = step.memory.as_ref().or(tool_memory);
    making.quantity(LimitName::memory_bytes, memory.or(defaults.memory.as_ref()))?;
    making.quantity(LimitName::disk_bytes, step.disk.as_ref().or(defaults.disk.as_ref()))?;
    if let Some(fuel) = &step.fuel {
        making.set(LimitName::fuel, *fuel.get_ref(), fuel.span())?;
    }
    for (name, value) in &step.limits {
        if !name.is_per_worker() {
            let message = format!("{name} belongs to the host and cannot be set by a step");
            return Err(FileFault::at(value.span(), message));
        }
        let number = match value.get_ref() {
            LimitNumber::Number(number) => *number,
            LimitNumber::Text(text) => {
                parse(name.unit(), text).map_err(|why| FileFault::at(value.span(), why))?
            }
        };
        making.set(*name, number, value.span())?;
    }
    let log_bytes = match step.log.as_ref().or(defaults.log.as_ref()) {
        None => LOG,
        Some(text) => {
            let log = quantity::bytes(text.get_ref());
            let log = log.map_err(|why| FileFault::at(text.span(), why))?;
            if log > MOST_LOG {
                let message = format!("log is at most {}", Unit::Bytes.show(MOST_LOG));
                return Err(FileFault::at(text.span(), message));
            }
            log
        }
    };
    Ok(StepBounds { limits: making.limits, log_bytes })
}

struct Bounds<'a> {
    limits: Limits,
    ceilings: &'a Ceilings,
}

impl Bounds<'_> {
    fn quantity(
        &mut self,
        name: LimitName,
        text: Option<&Spanned<String>>,
    ) -> Result<(), FileFault> {
        let Some(text) = text else { return Ok(()) };
        let value = parse(name.unit(), text.get_ref());
        let value = value.map_err(|why| FileFault::at(text.span(), why))?;
        self.set(name, value, text.span())
    }

    fn set(
        &mut self,
        name: LimitName,
        value: u64,
        span: std::ops::Range<usize>,
    ) -> Result<(), FileFault> {
        if let Some(&most) = self.ceilings.0.get(&name).filter(|&&most| value > most) {
            let (value, most) = (name.unit().show(value), name.unit().show(most));
            let message = format!("{name} = {value} is above this host's maximum of {most}");
            return Err(FileFault::at(span, message).hint("lower it, or run it on a larger host"));
        }
        self.limits.set(name, value);
        Ok(())
    }
}

fn parse(unit: Unit, text: &str) -> Result<u64, String> {
    match unit {
        Unit::Bytes => quantity::bytes(text),
        Unit::Millis => quantity::duration(text).map(millis),
        Unit::Count => text.parse().map_err(|_| format!("`{text}` is not a number")),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(OFF)
}
