//! Validation of responses, and conversion of problems to errors.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use skep_protocol::problem::PROBLEM_JSON;
use skep_protocol::text::neutral;
use skep_protocol::{Error, Problem};

use crate::endpoint::Refusals;
use crate::from_json::FromJson;

/// The reason why an exchange failed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server answered with an error.
    Said(Error),
    /// The connection could not be made, or was lost, or timed out.
    Lost {
        /// True if the request may have arrived and been executed.
        sent: bool,
    },
    /// The response is not of our protocol. The text says in which way, for the log.
    Foreign(&'static str),
}

impl Fault {
    /// Converts the fault to an error for the caller.
    pub(crate) fn into_error(self, refusals: Refusals) -> Error {
        match (self, refusals) {
            (Self::Said(Error::Unauthenticated | Error::Forbidden(_)), Refusals::Hidden) => {
                tracing::warn!("the remote refuses the configured token");
                Error::RuntimeUnavailable
            }
            // A runtime throttles this machine's address after too many wrong tokens.
            (Self::Said(Error::TooManyAttempts { retry_after }), Refusals::Hidden) => {
                Error::Busy { retry_after }
            }
            (Self::Said(error), _) => error,
            (Self::Lost { sent }, _) => {
                tracing::debug!(sent, "the remote is unreachable or its response incomplete");
                Error::RuntimeUnavailable
            }
            (Self::Foreign(what), _) => {
                tracing::warn!(what, "a server at a remote's address does not speak the protocol");
                Error::RuntimeUnavailable
            }
        }
    }
}

/// Returns true if the body has this media type, with any parameters.
pub(crate) fn is_type(headers: &HeaderMap, wanted: &str) -> bool {
    let claimed = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let claimed = claimed.and_then(|value| value.split(';').next());
    claimed.is_some_and(|claimed| claimed.trim().eq_ignore_ascii_case(wanted))
}

/// Converts an error response to a fault.
pub(crate) fn refusal(status: u16, headers: &HeaderMap, body: &[u8]) -> Fault {
    if !is_type(headers, PROBLEM_JSON) {
        return Fault::Foreign("an error response that is not a problem");
    }
    match Problem::read(body).and_then(Problem::into_error) {
        Some(error) if error.status() != status => {
            Fault::Foreign("a problem whose status differs from the response's")
        }
        Some(Error::ComponentRefused { reason }) => {
            // The only free text of the server in any error.
            Fault::Said(Error::ComponentRefused { reason: neutral(&reason).to_string() })
        }
        Some(error) => Fault::Said(error),
        None => Fault::Foreign("a problem with an unknown code"),
    }
}

/// Parses a JSON response.
pub(crate) fn shape<T: FromJson>(headers: &HeaderMap, body: &[u8]) -> Result<T, Fault> {
    if !is_type(headers, "application/json") {
        return Err(Fault::Foreign("a response that is not JSON"));
    }
    T::read(body).ok_or(Fault::Foreign("JSON that does not match the expected type"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;

    fn typed(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_content_type_may_have_parameters() {
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
    fn a_refused_token_is_reported_only_to_its_owner() {
        for error in [
            Error::Unauthenticated,
            Error::Forbidden(skep_protocol::Need::Role(skep_protocol::Role::Admin)),
        ] {
            let fault = Fault::Said(error.clone());
            assert_eq!(fault.clone().into_error(Refusals::Told), error);
            assert_eq!(fault.into_error(Refusals::Hidden), Error::RuntimeUnavailable);
        }
        let full = Fault::Said(Error::StorageFull).into_error(Refusals::Hidden);
        assert_eq!(full, Error::StorageFull);
    }

    #[test]
    fn too_many_failed_logins_are_shown_to_their_owner_and_busy_to_others() {
        let retry_after = Duration::from_millis(2_500);
        let fault = Fault::Said(Error::TooManyAttempts { retry_after });
        assert_eq!(fault.clone().into_error(Refusals::Hidden), Error::Busy { retry_after });
        assert_eq!(fault.into_error(Refusals::Told), Error::TooManyAttempts { retry_after });
    }

    #[test]
    fn a_servers_text_is_escaped() {
        let problem = r#"{"type":"","title":"","status":422,"code":"component_refused","detail":"","reason":"a\u001b[2Jb"}"#;
        let Fault::Said(error) = refusal(422, &typed(PROBLEM_JSON), problem.as_bytes()) else {
            panic!("the problem is one of ours")
        };
        assert_eq!(error.to_string(), "the component was refused: a\\u{1b}[2Jb");
    }
}
