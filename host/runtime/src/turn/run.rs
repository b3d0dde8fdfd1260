//! The arguments, environment and input of a command, parsed from its input.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_protocol::input::RUN_REQUEST;
use skep_protocol::{Invalid, Payload, RunRequest};

/// A run request with its standard input decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RunSpec {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) stdin: Vec<u8>,
}

impl RunSpec {
    /// Parses the input of a command.
    pub(crate) fn parse(payload: &Payload) -> Result<Self, Invalid> {
        let media = payload.content_type.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case(RUN_REQUEST) {
            return Err(Invalid::RunRequest);
        }
        // Parsed as an object first: derived parsers also accept an array for a struct.
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&payload.body).map_err(|_| Invalid::RunRequest)?;
        let request: RunRequest =
            serde_json::from_value(object.into()).map_err(|_| Invalid::RunRequest)?;
        let stdin = match (request.stdin, request.stdin_base64) {
            (None, None) => Vec::new(),
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|_| Invalid::RunRequest)?,
            (Some(_), Some(_)) => return Err(Invalid::RunRequest),
        };
        let args = request.args;
        let env: Vec<_> = request.env.into_iter().collect();
        // No operating system can pass these to a program.
        let nul = |text: &String| text.contains('\0');
        let named = |(key, _): &(String, String)| !key.is_empty() && !key.contains('=');
        let fit = !args.iter().any(nul)
            && env.iter().all(|pair| named(pair) && !nul(&pair.0) && !nul(&pair.1));
        if fit { Ok(Self { args, env, stdin }) } else { Err(Invalid::RunRequest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<RunSpec, Invalid> {
        RunSpec::parse(&Payload {
            content_type: "application/json".into(),
            body: body.to_owned().into(),
        })
    }

    #[test]
    fn standard_input_is_text_or_base64() {
        assert_eq!(parse("{}"), Ok(RunSpec::default()));
        assert_eq!(parse(r#"{"stdin":"é"}"#).unwrap().stdin, "é".as_bytes());
        assert_eq!(parse(r#"{"stdin_base64":"AP8="}"#).unwrap().stdin, [0, 255]);
        let run = parse(r#"{"args":["a",""],"env":{"K":"V=W"}}"#).unwrap();
        assert_eq!((run.args.len(), run.env), (2, vec![("K".into(), "V=W".into())]));
    }

    #[test]
    fn invalid_run_requests_are_refused() {
        for bad in [
            "",
            "[]",
            r#"{"arg":[]}"#,
            r#"{"stdin":"a","stdin_base64":"YQ=="}"#,
            r#"{"stdin_base64":"*"}"#,
            r#"{"args":["a\u0000b"]}"#,
            r#"{"env":{"":"x"}}"#,
            r#"{"env":{"a=b":"x"}}"#,
        ] {
            assert_eq!(parse(bad), Err(Invalid::RunRequest), "{bad}");
        }
        let text = Payload { content_type: "text/plain".into(), body: b"{}".to_vec().into() };
        assert_eq!(RunSpec::parse(&text), Err(Invalid::RunRequest));
    }
}
