//! The subjects of a fleet. Their parts are ids, in which no character has a meaning for NATS.
//!
//! | subject | by | for |
//! | --- | --- | --- |
//! | `rt.POOL.RUNTIME.up` | runtimes | saying that this process has no stream yet |
//! | `rt.POOL.RUNTIME.dial` | dialers | asking a runtime for a stream |
//! | `rt.POOL.RUNTIME.s.STREAM` | dialers | frames to a runtime |
//! | `up.DIALER.s.STREAM` | runtimes | frames to a dialer |
//! | `hb.POOL.RUNTIME` | runtimes | signs of life |
//! | `$KV.RT.RUNTIME` | runtimes | what a runtime is |

use std::fmt;
use std::str::FromStr;

use skep_protocol::RuntimeId;

use crate::rights::{RightsToTry, TriedSubject};

/// The bucket of the runtimes.
pub(crate) const RUNTIMES: &str = "RT";

/// A name in subjects: 1 to 64 of `a-z`, `0-9` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectPart(String);

/// Text that cannot be a part of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name in a fleet is 1 to 64 of a-z, 0-9 and `-`")]
pub struct SubjectPartError;

impl SubjectPart {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a name that no other process has.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let (high, low) = (getrandom::u64()?, getrandom::u64()?);
        Ok(Self(format!("{high:016x}{low:016x}")))
    }
}

impl FromStr for SubjectPart {
    type Err = SubjectPartError;

    fn from_str(text: &str) -> Result<Self, SubjectPartError> {
        let allowed = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
        match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text.to_owned())),
            false => Err(SubjectPartError),
        }
    }
}

impl fmt::Display for SubjectPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The subjects on which a runtime is reached.
pub(crate) fn of_runtime(pool: &SubjectPart, runtime: &RuntimeId) -> String {
    format!("rt.{pool}.{runtime}")
}

/// The subjects on which a dialer is reached.
pub(crate) fn of_dialer(dialer: &SubjectPart) -> String {
    format!("up.{dialer}")
}

pub(crate) fn dial(runtime: &str) -> String {
    format!("{runtime}.dial")
}

/// The subject on which a runtime says that its process has begun.
pub(crate) fn up(runtime: &str) -> String {
    format!("{runtime}.up")
}

/// The subjects on which all runtimes say so.
pub(crate) const ALL_UP: &str = "rt.*.*.up";

/// The subject of a stream's frames to the one that is reached on `at`.
pub(crate) fn stream(at: &str, stream: &SubjectPart) -> String {
    format!("{at}.s.{stream}")
}

pub(crate) fn heartbeat(pool: &SubjectPart, runtime: &RuntimeId) -> String {
    format!("hb.{pool}.{runtime}")
}

/// Returns subjects that a runtime needs, and some of other members. Nothing listens on them.
pub fn rights_of_runtime(pool: &SubjectPart, runtime: &RuntimeId) -> RightsToTry {
    let own = of_runtime(pool, runtime);
    RightsToTry {
        own: vec![
            TriedSubject::Publish(format!("{}.s.doctor", of_dialer(&doctor()))),
            TriedSubject::Subscribe(format!("{own}.s.doctor")),
        ],
        others: vec![
            TriedSubject::Publish(up(&format!("{own}-doctor"))),
            TriedSubject::Publish("hosts.doctor".to_owned()),
            TriedSubject::Subscribe(dial(&format!("{own}-doctor"))),
            TriedSubject::Subscribe("hb.>".to_owned()),
        ],
    }
}

/// Returns subjects that a host needs, and some of other members. Nothing listens on them.
pub fn rights_of_host() -> RightsToTry {
    RightsToTry {
        own: vec![
            TriedSubject::Publish(format!("rt.doctor.doctor.s.{}", doctor())),
            TriedSubject::Subscribe(format!("{}.s.doctor", of_dialer(&doctor()))),
            TriedSubject::Subscribe(ALL_UP.to_owned()),
        ],
        others: vec![
            TriedSubject::Publish(up("rt.doctor.doctor")),
            TriedSubject::Publish(format!("{}.s.doctor", of_dialer(&doctor()))),
            TriedSubject::Subscribe(dial("rt.doctor.doctor")),
        ],
    }
}

/// The name under which subjects are tried.
fn doctor() -> SubjectPart {
    SubjectPart("doctor".to_owned())
}

/// Returns the subject of a dialer's end of a stream, if that is what the text is.
pub(crate) fn dialer_end(text: &str, stream: &SubjectPart) -> Option<String> {
    let dialer = text.strip_prefix("up.")?;
    let dialer: SubjectPart = dialer.parse().ok()?;
    Some(self::stream(&of_dialer(&dialer), stream))
}

/// Returns true if this is the other end of a stream of the process that is reached on `at`: dialers
/// have streams with runtimes only, and runtimes with dialers. Nothing else is answered.
pub(crate) fn is_other_end(subject: &str, at: &str) -> bool {
    let parts: Vec<&str> = subject.split('.').collect();
    let is_dialer = at.starts_with("up.");
    match parts[..] {
        ["rt", _, _, "s", _] if is_dialer => {}
        ["up", _, "s", _] if !is_dialer => {}
        _ => return false,
    }
    parts.iter().all(|part| part.parse::<SubjectPart>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_no_character_with_a_meaning() {
        for good in ["a", "0-a", "default"] {
            assert!(good.parse::<SubjectPart>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "*", ">", "A", "a b", "$", "é", &"a".repeat(65)] {
            assert_eq!(bad.parse::<SubjectPart>(), Err(SubjectPartError), "{bad}");
        }
    }

    #[test]
    fn only_the_other_ends_of_streams_are_answered() {
        assert!(is_other_end("rt.p.r.s.1", "up.d"));
        assert!(is_other_end("up.d.s.1", "rt.p.r"));
        for bad in ["rt.p.r.dial", "up.*.s.1", "rt.p.r.s.>", "$KV.RT.a", "hb.p.r", "", "up.d.s.1.2"]
        {
            assert!(!is_other_end(bad, "up.d") && !is_other_end(bad, "rt.p.r"), "{bad}");
        }
        assert!(!is_other_end("up.d.s.1", "up.e"));
        assert!(!is_other_end("rt.p.r.s.1", "rt.p.q"));
        let stream: SubjectPart = "1".parse().unwrap();
        assert_eq!(dialer_end("up.d", &stream).as_deref(), Some("up.d.s.1"));
        for bad in ["up.", "up.*", "up.a.b", "rt.p.r", "d"] {
            assert_eq!(dialer_end(bad, &stream), None, "{bad}");
        }
    }
}
