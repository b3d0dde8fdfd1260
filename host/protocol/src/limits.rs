//! The limits on guests and requests, in one table.
//!
//! A limit has one name, used for the field, in reports, in errors and in tests. The last column
//! says what the limit bounds. A limit that no code reads does not belong here.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of a disabled limit.
pub const OFF: u64 = u64::MAX;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Ratio of wall time to CPU time allowed for a compilation.
const COMPILE_WALL: u64 = 5;

/// The public view of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitView {
    /// Name of the limit.
    pub name: LimitName,
    /// Unit of its values.
    pub unit: Unit,
    /// Default; none if it is off.
    pub default: Option<u64>,
    /// Description of what it bounds.
    pub why: String,
    /// True if it can be set per worker.
    pub per_worker: bool,
    /// Largest value that the caller may set; none if there is no such ceiling.
    pub ceiling: Option<u64>,
}

impl LimitView {
    /// Describes a limit to a caller with this ceiling.
    pub fn new(name: LimitName, ceiling: Option<u64>) -> Self {
        let on = |value: u64| (value != OFF).then_some(value);
        Self {
            name,
            unit: name.unit(),
            default: on(Limits::default().get(name)),
            why: name.why().to_owned(),
            per_worker: name.is_per_worker(),
            ceiling: ceiling.and_then(on),
        }
    }
}

/// The unit of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Milliseconds.
    #[serde(rename = "milliseconds")]
    Millis,
    /// A count.
    Count,
}

macro_rules! limits {
    ($($name:ident: $unit:ident = $default:expr, $why:literal;)*) => {
        /// A value for every limit. [`Limits::default`] returns the defaults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $why] pub $name: u64,)*
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// The name of a limit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(non_camel_case_types, reason = "a limit has one spelling everywhere")]
        pub enum LimitName {
            $(#[doc = $why] $name,)*
        }

        impl LimitName {
            /// Every limit, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name as reports, errors and specs spell it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Returns a description of what the limit bounds.
            pub const fn why(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }

            /// Returns the limit's unit.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }
        }

        impl Limits {
            /// Returns the value of a limit; [`OFF`] if it is disabled.
            pub const fn get(&self, name: LimitName) -> u64 {
                match name { $(LimitName::$name => self.$name,)* }
            }

            /// Sets a limit.
            pub const fn set(&mut self, name: LimitName, value: u64) {
                match name { $(LimitName::$name => self.$name = value,)* }
            }
        }
    };
}

limits! {
    memory_bytes: Bytes = 256 * MIB, "linear memories and GC heaps of the worker, summed";
    table_elements: Count = 65_536, "elements of all tables, summed";
    core_instances: Count = 64, "core instances in one component";
    memories: Count = 32, "linear memories in one component";
    tables: Count = 64, "tables in one component";
    wasm_stack_bytes: Bytes = 512 * KIB, "the guest's call stack";
    turn_deadline_ms: Millis = 30_000, "wall time of one turn";
    fuel: Count = OFF, "approximate instructions per turn; on for deterministic runs";
    component_bytes: Bytes = 128 * MIB, "size of the wasm file";
    declared_locals: Count = 20_000_000, "locals of all functions in the file, summed; the compiler pays for each";
    compile_memory_bytes: Bytes = 4 * GIB, "address space of the compiler, at most: 512 MiB + 32 x code bytes";
    compile_cpu_ms: Millis = 180_000, "CPU time of one compilation, in whole seconds; not part of the turn";
    compile_wall_ms: Millis = 900_000, "wall time of one compilation; not part of the turn";
    host_resources: Count = 10_000, "streams, pollables and descriptors held by the host";
    component_handles: Count = 10_000, "handles of component resources";
    hostcall_bytes: Bytes = 8 * MIB, "bytes one call may pass to the host";
    random_bytes_per_call: Bytes = MIB, "random bytes per call";
    open_descriptors: Count = 1_024, "open files, directories and listings";
    outbound_connections: Count = 32, "concurrent outbound connections; eight times as many requests may queue";
    http_header_bytes: Bytes = 32 * KIB, "headers of one request or response, with the host's overhead";
    http_chunk_bytes: Bytes = 64 * KIB, "bytes of a body per call";
    http_body_bytes: Bytes = GIB, "one body sent or received";
    http_wait_ms: Millis = 60_000, "one wait for a peer: to connect, to answer, between two chunks";
    http_cpu_ms: Millis = 30_000, "CPU time of an HTTP worker after the head of one answer";
    http_at_once: Count = 32, "requests that an HTTP worker handles at once";
    http_queue: Count = 64, "requests to an HTTP worker that wait for those; further ones are answered 503";
    disk_bytes: Bytes = GIB, "file bytes added to the worker's directories";
    disk_entries: Count = 100_000, "names added to the worker's directories";
    input_bytes: Bytes = 4 * MIB, "one input, or the body of a request that a worker gets whole";
    output_bytes: Bytes = 4 * MIB, "one output, or the body of an answer that a worker gives whole";
    event_bytes: Bytes = 256 * KIB, "one emitted event";
    events_per_turn: Count = 10_000, "events emitted in one turn";
    state_bytes: Bytes = 64 * MIB, "keys and values of the worker's state";
    state_changes_per_turn: Count = 16_384, "state keys that one turn sets or deletes, in one transaction";
    log_bytes_per_turn: Bytes = 4 * MIB, "log lines in the transcript per turn; further ones are dropped";
    log_lines_per_turn: Count = 32_768, "number of log lines per turn; each is an entry, however short";
    mailbox_inputs: Count = 256, "unfinished inputs";
    mailbox_bytes: Bytes = 32 * MIB, "bodies of unfinished inputs, summed";
    transcript_bytes: Bytes = GIB, "bodies in the transcript; the oldest entries are trimmed first";
    attempts_per_input: Count = 5, "attempts at one input during which the host went down";
    idempotency_keys: Count = 10_000, "remembered idempotency keys; the oldest are dropped first";
    idempotency_ms: Millis = 24 * 60 * 60 * 1_000, "time that an idempotency key is remembered";
}

impl LimitName {
    /// Returns true if the limit can be set per worker. The others apply to components before a
    /// worker exists, or are built into the engine.
    pub const fn is_per_worker(self) -> bool {
        !matches!(
            self,
            Self::component_bytes
                | Self::core_instances
                | Self::memories
                | Self::tables
                | Self::wasm_stack_bytes
                | Self::declared_locals
                | Self::compile_memory_bytes
                | Self::compile_cpu_ms
                | Self::compile_wall_ms
        )
    }
}

impl Limits {
    /// Returns the address space for compiling a component with this much code, in bytes.
    ///
    /// The formula comes from measurements of real programs: PHP needs 512 MiB, esbuild and an 18
    /// MB Python component 768 MiB, clang 1.5 GiB.
    pub fn compile_memory_for(&self, code_bytes: u64) -> u64 {
        (512 * MIB).saturating_add(code_bytes.saturating_mul(32)).min(self.compile_memory_bytes)
    }

    /// Returns the limits for a component independent of any worker: limits that can be set per
    /// worker are off.
    #[must_use]
    pub fn for_any_worker(mut self) -> Self {
        for &name in LimitName::ALL.iter().filter(|name| name.is_per_worker()) {
            self.set(name, OFF);
        }
        self
    }

    /// Sets both time limits of a compilation from its CPU time.
    ///
    /// The wall-clock limit is lenient: it catches a compiler that hangs, and must not abort
    /// progress on a busy machine. The compiler uses up to two cores, so five times its CPU time is
    /// ten times its duration on an idle machine.
    pub const fn set_compile_timeout(&mut self, cpu_ms: u64) {
        self.compile_cpu_ms = cpu_ms;
        self.compile_wall_ms = cpu_ms.saturating_mul(COMPILE_WALL);
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error for an unknown limit name.
#[derive(Debug, thiserror::Error)]
#[error("there is no such limit")]
pub struct UnknownLimit;

impl FromStr for LimitName {
    type Err = UnknownLimit;

    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        Self::ALL.iter().copied().find(|name| name.as_str() == text).ok_or(UnknownLimit)
    }
}

impl<'de> serde::Deserialize<'de> for LimitName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

impl serde::Serialize for LimitName {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl schemars::JsonSchema for LimitName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LimitName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let names: Vec<&str> = Self::ALL.iter().map(|name| name.as_str()).collect();
        schemars::json_schema!({
            "description": "The name of a limit.",
            "type": "string",
            "enum": names,
        })
    }
}

impl Unit {
    /// Formats a value for people: `256 MiB`, `30 s`, `65,536`, `off`.
    pub fn show(self, value: u64) -> String {
        if value == OFF {
            return "off".into();
        }
        match self {
            Self::Bytes => match value {
                v if v >= GIB && v.is_multiple_of(GIB) => format!("{} GiB", v / GIB),
                v if v >= MIB && v.is_multiple_of(MIB) => format!("{} MiB", v / MIB),
                v if v >= KIB && v.is_multiple_of(KIB) => format!("{} KiB", v / KIB),
                v => format!("{} B", grouped(v)),
            },
            Self::Millis if value.is_multiple_of(1000) => format!("{} s", grouped(value / 1000)),
            Self::Millis => format!("{} ms", grouped(value)),
            Self::Count => grouped(value),
        }
    }
}

fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_name_parses_back() {
        for &name in LimitName::ALL {
            assert_eq!(name.as_str().parse::<LimitName>().unwrap(), name);
            assert!(Limits::default().get(name) > 0);
        }
        assert!("memory".parse::<LimitName>().is_err());
    }

    #[test]
    fn values_are_shown_in_their_unit() {
        assert_eq!(Unit::Bytes.show(256 * MIB), "256 MiB");
        assert_eq!(Unit::Bytes.show(1000), "1,000 B");
        assert_eq!(Unit::Millis.show(120_000), "120 s");
        assert_eq!(Unit::Count.show(65_536), "65,536");
        assert_eq!(Unit::Count.show(OFF), "off");
    }

    #[test]
    fn compile_memory_grows_with_code_up_to_its_ceiling() {
        let limits = Limits::default();
        assert_eq!(limits.compile_memory_for(0), 512 * MIB);
        assert_eq!(limits.compile_memory_for(8 * MIB), 768 * MIB);
        assert_eq!(limits.compile_memory_for(u64::MAX), 4 * GIB);
    }

    #[test]
    fn per_worker_limits_do_not_apply_to_a_component() {
        let limits = Limits::default().for_any_worker();
        assert_eq!((limits.memory_bytes, limits.table_elements), (OFF, OFF));
        assert_eq!(limits.component_bytes, Limits::default().component_bytes);
        assert_eq!(limits.compile_cpu_ms, Limits::default().compile_cpu_ms);
    }

    #[test]
    fn compile_timeout_sets_cpu_time_and_a_lenient_wall_clock() {
        let mut limits = Limits::default();
        limits.set_compile_timeout(limits.compile_cpu_ms);
        assert_eq!(limits, Limits::default());
        limits.set_compile_timeout(600_000);
        assert_eq!((limits.compile_cpu_ms, limits.compile_wall_ms), (600_000, 3_000_000));
        limits.set_compile_timeout(u64::MAX);
        assert_eq!(limits.compile_wall_ms, OFF);
    }
}
