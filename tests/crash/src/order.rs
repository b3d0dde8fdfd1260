//! The behaviour of a guest for one input.

use serde::{Deserialize, Serialize};
use skep_protocol::input::RUN_REQUEST;
use skep_protocol::{ComponentKind, Payload, RunRequest};

use crate::chance::Chance;

/// An input. Its name is unique, so that it can be recognised in a transcript.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) name: String,
    /// The number of events that its turn emits.
    pub(crate) events: u32,
    pub(crate) pause: Pause,
    pub(crate) end: End,
}

/// The action between the events of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Pause {
    None,
    NapMs(u64),
    SpinMs(u64),
}

/// The end of the turn, if it is not interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Ok,
    Keep,
    Fail,
    Panic,
}

impl Order {
    /// Makes a turn of less than 5 ms.
    pub(crate) fn short(name: String, chance: &mut Chance) -> Self {
        let end = match chance.below(100) {
            0..=69 => End::Ok,
            70..=87 => End::Keep,
            88..=95 => End::Fail,
            _ => End::Panic,
        };
        let events = u32::try_from(chance.below(5)).unwrap();
        Self { name, events, pause: Pause::None, end }
    }

    /// Makes a turn long enough for its records to be flushed before it ends.
    pub(crate) fn long(name: String, chance: &mut Chance) -> Self {
        let ms = chance.between(8, 50);
        let pause = if chance.percent(25) { Pause::SpinMs(ms / 2) } else { Pause::NapMs(ms) };
        let events = u32::try_from(chance.between(2, 9)).unwrap();
        Self { events, pause, ..Self::short(name, chance) }
    }

    /// Makes the input for a worker of this kind.
    pub(crate) fn payload(&self, kind: ComponentKind) -> Payload {
        if kind == ComponentKind::Command {
            let request = RunRequest { args: vec![self.name.clone()], ..RunRequest::default() };
            let body = serde_json::to_vec(&request).unwrap();
            return Payload { content_type: RUN_REQUEST.into(), body: body.into() };
        }
        let pause = match self.pause {
            Pause::None => "-".into(),
            Pause::NapMs(ms) => format!("nap:{ms}"),
            Pause::SpinMs(ms) => format!("spin:{ms}"),
        };
        let end = match self.end {
            End::Ok => "ok",
            End::Keep => "keep",
            End::Fail => "fail",
            End::Panic => "panic",
        };
        let body = format!("{} {} {pause} {end}", self.name, self.events).into_bytes();
        Payload { content_type: "text/plain".into(), body: body.into() }
    }

    /// Returns the name in an input.
    pub(crate) fn name_in(payload: &Payload) -> Option<String> {
        if let Ok(request) = serde_json::from_slice::<RunRequest>(&payload.body) {
            return request.args.into_iter().next();
        }
        let text = std::str::from_utf8(&payload.body).ok()?;
        text.split(' ').next().map(str::to_owned)
    }
}
