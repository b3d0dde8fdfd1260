//! Whether an answer is the protocol's, and what it says if it is not a success.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use skep_protocol::problem::PROBLEM_JSON;
use skep_protocol::text::neutral;
use skep_protocol::{Error, Problem};

use crate::endpoint::Refusals;
use crate::shape::Shape;

/// The code of a problem that is HTTP's and no runtime's.
const TOO_MANY_ATTEMPTS: &str = "too_many_attempts";

/// Why an exchange gave nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server said why.
    Said(Error),
    /// There is no server, it does not answer, or not to the end.
    Lost {
        /// It may have the request, and have carried it out.
        sent: bool,
    },
    /// Whoever answered does not speak the protocol. With what that was, for the log.
    Foreign(&'static str),
}

impl Fault {
    /// What the caller is told.
    pub(crate) fn into_error(self, refusals: Refusals) -> Error {
        match (self, refusals) {
            (Self::Said(Error::Unauthenticated | Error::Forbidden), Refusals::Hidden) => {
                tracing::warn!("a remote refuses the token that the operator gave for it");
                Error::RuntimeUnavailable
            }
            (Self::Said(error), _) => error,
            (Self::Lost { sent }, _) => {
                tracing::debug!(sent, "a remote does not answer, or not to the end");
                Error::RuntimeUnavailable
            }
            (Self::Foreign(what), _) => {
                tracing::warn!(what, "what answers for a remote does not speak the protocol");
                Error::RuntimeUnavailable
            }
        }
    }
}

/// Whether a body claims to be that, whatever parameters it has.
pub(crate) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let claimed = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let claimed = claimed.and_then(|value| value.split(';').next());
    claimed.is_some_and(|claimed| claimed.trim().eq_ignore_ascii_case(wanted))
}

/// What is wrong, in the server's words.
pub(crate) fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Fault {
    if !is_type(headers, PROBLEM_JSON) {
        return Fault::Foreign("an error that is no problem of ours");
    }
    let problem = Problem::read(body);
    if let Some(problem) = &problem
        && (status, problem.status, &*problem.code) == (429, 429, TOO_MANY_ATTEMPTS)
    {
        // A host that has seen too many bad tokens listens to nobody for a while.
        let retry_after = Duration::from_millis(problem.retry_after_ms.unwrap_or(1_000));
        return Fault::Said(Error::Busy { retry_after });
    }
    match problem.and_then(Problem::into_error) {
        Some(error) if error.status() != status => {
            Fault::Foreign("a problem with the status of another one")
        }
        Some(Error::ComponentRefused { reason }) => {
            // The only text of the server's own that an error carries.
            Fault::Said(Error::ComponentRefused { reason: neutral(&reason).to_string() })
        }
        Some(error) => Fault::Said(error),
        None => Fault::Foreign("a problem that is none of ours"),
    }
}

/// What the server answered with, in JSON.
pub(crate) fn shape<T: Shape>(headers: &HeaderMap, body: &[u8]) -> Result<T, Fault> {
    if !is_type(headers, "application/json") {
        return Err(Fault::Foreign("an answer that is not JSON"));
    }
    T::read(body).ok_or(Fault::Foreign("JSON of another shape"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn typed(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_content_type_may_have_parameters_and_no_other_name() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json ;a=b"]
        {
            assert!(is_type(&typed(good), "application/json"), "{good}");
        }
        for bad in ["", "text/html", "application/jsonp", "application/problem+json", "é"] {
            let headers = HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_bytes(bad.as_bytes()).unwrap(),
            )]);
            assert!(!is_type(&headers, "application/json"), "{bad}");
        }
        assert!(!is_type(&HeaderMap::new(), "application/json"));
    }

    #[test]
    fn a_refused_token_is_told_to_its_owner_only() {
        for error in [Error::Unauthenticated, Error::Forbidden] {
            let fault = Fault::Said(error.clone());
            assert_eq!(fault.clone().into_error(Refusals::Told), error);
            assert_eq!(fault.into_error(Refusals::Hidden), Error::RuntimeUnavailable);
        }
        let full = Fault::Said(Error::StorageFull).into_error(Refusals::Hidden);
        assert_eq!(full, Error::StorageFull);
    }

    #[test]
    fn too_many_failed_logins_pass() {
        let problem = r#"{"type":"","title":"","status":429,"code":"too_many_attempts","detail":"",
            "retry_after_ms":2500}"#;
        let refused = refusal(429, &typed(PROBLEM_JSON), problem.as_bytes());
        let retry_after = Duration::from_millis(2_500);
        assert_eq!(refused, Fault::Said(Error::Busy { retry_after }));
        let refused = refusal(503, &typed(PROBLEM_JSON), problem.as_bytes());
        assert!(matches!(refused, Fault::Foreign(_)), "{refused:?}");
    }

    #[test]
    fn a_servers_own_words_cannot_repaint_a_terminal() {
        let problem = r#"{"type":"","title":"","status":422,"code":"component_refused","detail":"","reason":"a\u001b[2Jb"}"#;
        let Fault::Said(error) = refusal(422, &typed(PROBLEM_JSON), problem.as_bytes()) else {
            panic!("it is one of ours")
        };
        assert_eq!(error.to_string(), "the component was refused: a\\u{1b}[2Jb");
    }
}
