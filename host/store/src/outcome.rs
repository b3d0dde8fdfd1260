//! The encoding of a turn's outcome as one entry of the transcript.
//!
//! A service's response is stored verbatim. A command's run and any failure are stored as JSON, so
//! that readers of the transcript understand them. The JSON is built from a value with sorted keys,
//! so the text does not depend on the order of a type's fields.

use bytes::Bytes;

use serde_json::{Map, Value, to_value};
use skep_protocol::{Ending, EntryKind, Outcome, Output, Payload, RunOutput, TurnError};

const JSON: &str = "application/json";

/// The parts of an outcome's entry.
pub(crate) struct Encoded<'a> {
    pub(crate) kind: EntryKind,
    pub(crate) is_run: bool,
    pub(crate) content_type: &'a str,
    pub(crate) body: Bytes,
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
        body: value.to_string().into(),
    };
    match (ending, output) {
        (Ending::Completed, Some(Output::Message(payload))) => Encoded {
            kind: EntryKind::Output,
            is_run: false,
            content_type: &payload.content_type,
            body: payload.body.clone(),
        },
        (Ending::Completed, Some(Output::Run(run))) => {
            json(EntryKind::Output, true, to_value(run).unwrap_or_default())
        }
        (Ending::Completed, None) => {
            Encoded { kind: EntryKind::Output, is_run: false, content_type: "", body: Bytes::new() }
        }
        (_, output) => {
            let mut object = match error.map(to_value) {
                Some(Ok(Value::Object(object))) => object,
                _ => Map::new(),
            };
            match output {
                Some(Output::Run(run)) => {
                    object.insert("run".into(), to_value(run).unwrap_or_default());
                }
                Some(Output::Message(payload)) => {
                    object.insert("message_output".into(), to_value(payload).unwrap_or_default());
                }
                None => {}
            }
            json(EntryKind::Failure, false, Value::Object(object))
        }
    }
}

/// Returns `None` if the entry is not an outcome, or was not written by [`encode`].
pub(crate) fn decode(
    kind: EntryKind,
    ending: Option<Ending>,
    is_run: bool,
    payload: Payload,
) -> Option<Outcome> {
    let ending = ending?;
    match kind {
        EntryKind::Output if is_run => {
            let run: RunOutput = serde_json::from_slice(&payload.body).ok()?;
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
                output = Some(Output::Run(serde_json::from_value(run).ok()?));
            }
            if let Some(message) = object.remove("message_output") {
                output = Some(Output::Message(serde_json::from_value(message).ok()?));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn survives(outcome: &Outcome) {
        let encoded = encode(outcome.ending, outcome.output.as_ref(), outcome.error.as_ref());
        let payload =
            Payload { content_type: encoded.content_type.into(), body: encoded.body.clone() };
        let decoded = decode(encoded.kind, Some(outcome.ending), encoded.is_run, payload);
        assert_eq!(decoded.as_ref(), Some(outcome));
    }

    #[test]
    fn outcomes_are_encoded_as_in_existing_stores() {
        let text = |ending, output: Output| {
            let encoded = encode(ending, Some(&output), None);
            String::from_utf8(encoded.body.to_vec()).unwrap()
        };
        let run = |stdout: &[u8]| RunOutput {
            exit_code: Some(3),
            stdout: stdout.into(),
            stderr: b"\"\n".into(),
            truncated: false,
        };
        assert_eq!(
            text(Ending::Completed, Output::Run(run(b"out"))),
            r#"{"exit_code":3,"stderr":"\"\n","stdout":"out","truncated":false}"#
        );
        assert_eq!(
            text(Ending::Deadline, Output::Run(RunOutput { exit_code: None, ..run(b"\xff") })),
            r#"{"run":{"exit_code":null,"stderr":"\"\n","stdout_base64":"/w==","truncated":false}}"#
        );
        let message = |body: &[u8]| Payload {
            content_type: "x/y".into(),
            body: Bytes::copy_from_slice(body),
        };
        assert_eq!(
            text(Ending::Failed, Output::Message(message(b"\xff"))),
            r#"{"message_output":{"body_base64":"/w==","content_type":"x/y"}}"#
        );
        assert_eq!(
            text(Ending::Failed, Output::Message(message(b"b"))),
            r#"{"message_output":{"body":"b","content_type":"x/y"}}"#
        );
    }

    #[test]
    fn every_outcome_is_read_back_unchanged() {
        let message = |body: &[u8]| {
            Output::Message(Payload {
                content_type: JSON.into(),
                body: Bytes::copy_from_slice(body),
            })
        };
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
            stderr: vec!["b".into()],
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
