//! How a turn's outcome is kept as one entry, and read back from it.
//!
//! A service's answer is the entry's content as it is. A command's run and everything that went
//! wrong are JSON, so that a reader of the transcript can make sense of them.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use skep_protocol::{Ending, EntryKind, Outcome, Output, Payload, RunOutput, TurnError};

const JSON: &str = "application/json";

/// What an outcome's entry consists of.
pub(crate) struct Encoded<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) is_run: bool,
    pub(crate) content_type: &'a str,
    pub(crate) body: Cow<'a, [u8]>,
}

pub(crate) fn encode<'a>(
    ending: Ending,
    output: Option<&'a Output>,
    error: Option<&TurnError>,
) -> Encoded<'a> {
    let json = |kind, is_run, value: Value| Encoded {
        kind,
        is_run,
        content_type: JSON,
        body: Cow::Owned(value.to_string().into_bytes()),
    };
    match (ending, output) {
        (Ending::Completed, Some(Output::Message(payload))) => Encoded {
            kind: EntryKind::Output,
            is_run: false,
            content_type: &payload.content_type,
            body: Cow::Borrowed(&payload.body),
        },
        (Ending::Completed, Some(Output::Run(run))) => {
            json(EntryKind::Output, true, Value::Object(run_to_json(run)))
        }
        (Ending::Completed, None) => Encoded {
            kind: EntryKind::Output,
            is_run: false,
            content_type: "",
            body: Cow::Borrowed(&[]),
        },
        (_, output) => {
            let mut object = match error.map(serde_json::to_value) {
                Some(Ok(Value::Object(object))) => object,
                _ => Map::new(),
            };
            match output {
                Some(Output::Run(run)) => {
                    object.insert("run".into(), Value::Object(run_to_json(run)));
                }
                Some(Output::Message(payload)) => {
                    let mut message = Map::new();
                    message.insert("content_type".into(), payload.content_type.clone().into());
                    put_bytes(&mut message, "body", &payload.body);
                    object.insert("message_output".into(), Value::Object(message));
                }
                None => {}
            }
            json(EntryKind::Failure, false, Value::Object(object))
        }
    }
}

/// None where the entry is not an outcome, or not one that [`encode`] wrote.
pub(crate) fn decode(
    kind: EntryKind,
    ending: Option<Ending>,
    is_run: bool,
    payload: Payload,
) -> Option<Outcome> {
    let ending = ending?;
    match kind {
        EntryKind::Output if is_run => {
            let value: Value = serde_json::from_slice(&payload.body).ok()?;
            let run = run_from_json(value.as_object()?)?;
            Some(Outcome { ending, output: Some(Output::Run(run)), error: None })
        }
        EntryKind::Output => {
            Some(Outcome { ending, output: Some(Output::Message(payload)), error: None })
        }
        EntryKind::Failure => {
            let mut value: Value = serde_json::from_slice(&payload.body).ok()?;
            let object = value.as_object_mut()?;
            let mut output = None;
            if let Some(run) = object.remove("run") {
                output = Some(Output::Run(run_from_json(run.as_object()?)?));
            }
            if let Some(message) = object.remove("message_output") {
                let message = message.as_object()?;
                output = Some(Output::Message(Payload {
                    content_type: message.get("content_type")?.as_str()?.to_owned(),
                    body: get_bytes(message, "body")?,
                }));
            }
            let error = match object.is_empty() {
                true => None,
                false => Some(serde_json::from_value(value).ok()?),
            };
            Some(Outcome { ending, output, error })
        }
        _ => None,
    }
}

fn run_to_json(run: &RunOutput) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("exit_code".into(), json!(run.exit_code));
    put_bytes(&mut object, "stdout", &run.stdout);
    put_bytes(&mut object, "stderr", &run.stderr);
    object.insert("truncated".into(), json!(run.truncated));
    object
}

fn run_from_json(object: &Map<String, Value>) -> Option<RunOutput> {
    Some(RunOutput {
        exit_code: match object.get("exit_code")? {
            Value::Null => None,
            code => Some(u8::try_from(code.as_u64()?).ok()?),
        },
        stdout: get_bytes(object, "stdout")?,
        stderr: get_bytes(object, "stderr")?,
        truncated: object.get("truncated")?.as_bool()?,
    })
}

fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.into(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), BASE64_STANDARD.encode(bytes).into()),
    };
}

fn get_bytes(object: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    match object.get(name) {
        Some(text) => Some(text.as_str()?.as_bytes().to_vec()),
        None => BASE64_STANDARD.decode(object.get(&format!("{name}_base64"))?.as_str()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives(outcome: &Outcome) {
        let encoded = encode(outcome.ending, outcome.output.as_ref(), outcome.error.as_ref());
        let payload = Payload {
            content_type: encoded.content_type.into(),
            body: encoded.body.clone().into_owned(),
        };
        let decoded = decode(encoded.kind, Some(outcome.ending), encoded.is_run, payload);
        assert_eq!(decoded.as_ref(), Some(outcome));
    }

    #[test]
    fn every_outcome_is_read_back_as_it_was() {
        let message =
            |body: &[u8]| Output::Message(Payload { content_type: JSON.into(), body: body.into() });
        let run = |exit_code, stdout: &[u8]| {
            Output::Run(RunOutput {
                exit_code,
                stdout: stdout.into(),
                stderr: b"a\"b\\\n\0".to_vec(),
                truncated: true,
            })
        };
        let error = TurnError {
            code: "deadline".into(),
            message: "too slow".into(),
            limit: Some(skep_protocol::LimitName::turn_deadline_ms),
            frames: vec!["a".into()],
        };
        let outputs = [
            message(b"{\"exit_code\":0}"),
            message(b"\xff"),
            run(Some(3), b"\xff\0"),
            run(None, b"x"),
        ];
        for output in outputs {
            survives(&Outcome {
                ending: Ending::Completed,
                output: Some(output.clone()),
                error: None,
            });
            survives(&Outcome {
                ending: Ending::Deadline,
                output: Some(output),
                error: Some(error.clone()),
            });
        }
        survives(&Outcome { ending: Ending::Trapped, output: None, error: Some(error) });
        survives(&Outcome { ending: Ending::Cancelled, output: None, error: None });
    }
}
