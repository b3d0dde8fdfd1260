//! An [`Error`] as an HTTP body: RFC 9457, `application/problem+json`.
//!
//! Every field of an error is a member of its own, so that an error read from the network equals
//! the one sent. `detail` is for people and is never parsed.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Conflict, Error, Invalid, LimitName, Need, NoAnswer, Role};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The reason of an unknown entry that was there once.
const TRIMMED: &str = "trimmed";

/// A problem of RFC 9457.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:skep:problem:` followed by the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// Summary, the same for every problem with this code.
    pub title: String,
    /// Status of the response.
    pub status: u16,
    /// Stable code.
    pub code: String,
    /// Details of this occurrence, and the next step.
    pub detail: String,
    /// Unknown id or digest; the error that an HTTP worker gave as its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Stable word for what is invalid or in conflict, or why there is no answer; for a refused
    /// component, the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Limit that the request exceeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitName>,
    /// Value of that limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_value: Option<u64>,
    /// Delay before the next attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// For a refusal by role or ceiling: what the request would need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Need>,
}

impl Problem {
    /// Creates a problem of HTTP itself that has no [`Error`], such as a method that is not allowed.
    pub fn of_http(status: u16, code: &str, title: &str, detail: &str) -> Self {
        Self {
            kind: format!("urn:skep:problem:{code}"),
            title: title.to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.to_owned(),
            subject: None,
            reason: None,
            limit: None,
            limit_value: None,
            retry_after_ms: None,
            needs: None,
        }
    }

    /// Returns the error that this problem was made from. None if there is none, or it is not ours.
    pub fn into_error(self) -> Option<Error> {
        let Self { code, subject, reason, limit, limit_value, retry_after_ms, needs, .. } = self;
        let subject = subject.unwrap_or_default();
        let retry_after = retry_after_ms.map(Duration::from_millis);
        Some(match code.as_str() {
            "invalid_request" => {
                let any = limit.unwrap_or(LimitName::ALL[0]);
                let all = Invalid::all(any);
                let found = all.into_iter().find(|one| Some(one.reason()) == reason.as_deref())?;
                Error::InvalidRequest(found)
            }
            "unauthenticated" => Error::Unauthenticated,
            "forbidden" => Error::Forbidden(needs.unwrap_or(Need::Role(Role::Admin))),
            "unknown_runtime" => Error::UnknownRuntime(subject.parse().ok()?),
            "unknown_worker" => Error::UnknownWorker(subject.parse().ok()?),
            "unknown_host" => Error::UnknownHost(subject.parse().ok()?),
            "unknown_component" => Error::UnknownComponent(subject.parse().ok()?),
            "unknown_config" => Error::UnknownConfig(subject.parse().ok()?),
            "unknown_blob" => Error::UnknownBlob(subject.parse().ok()?),
            "unknown_input" => Error::UnknownInput(subject.parse().ok()?),
            "unknown_entry" => Error::UnknownEntry {
                seq: subject.parse().ok()?,
                trimmed: reason.as_deref() == Some(TRIMMED),
            },
            "unknown_file" => Error::UnknownFile,
            "unknown_run" => Error::UnknownRun(subject.parse().ok()?),
            "unknown_step" => Error::UnknownStep,
            "unknown_output" => Error::UnknownOutput,
            "unknown_token" => Error::UnknownToken(subject.parse().ok()?),
            "unknown_session" => Error::UnknownSession(subject.parse().ok()?),
            "unknown_site" => Error::UnknownSite(subject.parse().ok()?),
            "unknown_route" => Error::UnknownRoute(subject.parse().ok()?),
            "conflict" => {
                let all = Conflict::ALL.into_iter();
                let mut found = all.filter(|one| Some(one.reason()) == reason.as_deref());
                Error::Conflict(found.next()?)
            }
            "precondition_failed" => Error::PreconditionFailed,
            "worker_stopped" => Error::WorkerStopped,
            "worker_removed" => Error::WorkerRemoved,
            "limit_exceeded" => Error::LimitExceeded { name: limit?, limit: limit_value? },
            "component_refused" => Error::ComponentRefused { reason: reason? },
            "mailbox_full" => Error::MailboxFull { name: limit?, retry_after: retry_after? },
            "no_answer" => Error::NoAnswer(NoAnswer::of(&reason?, subject.parse().ok())?),
            "operation_unsupported" => Error::OperationUnsupported,
            "busy" => Error::Busy { retry_after: retry_after? },
            "too_many_attempts" => Error::TooManyAttempts { retry_after: retry_after? },
            "runtime_unavailable" => Error::RuntimeUnavailable,
            "steps_unavailable" => Error::StepsUnavailable,
            "storage_full" => Error::StorageFull,
            "internal" => Error::Internal,
            _ => return None,
        })
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        let mut problem =
            Self::of_http(error.status(), error.code(), title(error), &error.to_string());
        match error {
            Error::InvalidRequest(invalid) => {
                problem.reason = Some(invalid.reason().into());
                if let Invalid::Limit(name) = invalid {
                    problem.limit = Some(*name);
                }
            }
            Error::UnknownRuntime(id) => problem.subject = Some(id.to_string()),
            Error::UnknownWorker(id) | Error::WorkerNotVisible(id) => {
                problem.subject = Some(id.to_string());
            }
            Error::UnknownHost(id) => problem.subject = Some(id.to_string()),
            Error::UnknownComponent(digest) => problem.subject = Some(digest.to_string()),
            Error::UnknownConfig(digest) => problem.subject = Some(digest.to_string()),
            Error::UnknownBlob(hash) => problem.subject = Some(hash.to_string()),
            Error::UnknownInput(id) => problem.subject = Some(id.to_string()),
            Error::UnknownEntry { seq, trimmed } => {
                problem.subject = Some(seq.to_string());
                problem.reason = trimmed.then(|| TRIMMED.into());
            }
            Error::UnknownRun(id) => problem.subject = Some(id.to_string()),
            Error::UnknownToken(id) => problem.subject = Some(id.to_string()),
            Error::UnknownSession(id) => problem.subject = Some(id.to_string()),
            Error::UnknownSite(name) => problem.subject = Some(name.to_string()),
            Error::UnknownRoute(address) => problem.subject = Some(address.to_string()),
            Error::Conflict(conflict) => problem.reason = Some(conflict.reason().into()),
            Error::NoAnswer(why) => {
                problem.reason = Some(why.reason().into());
                if let NoAnswer::GuestError(error) = why {
                    problem.subject = Some(error.to_string());
                }
            }
            Error::LimitExceeded { name, limit } => {
                (problem.limit, problem.limit_value) = (Some(*name), Some(*limit));
            }
            Error::ComponentRefused { reason } => problem.reason = Some(reason.clone()),
            Error::MailboxFull { name, retry_after } => {
                problem.limit = Some(*name);
                problem.retry_after_ms = Some(millis(*retry_after));
            }
            Error::Busy { retry_after } | Error::TooManyAttempts { retry_after } => {
                problem.retry_after_ms = Some(millis(*retry_after));
            }
            Error::Forbidden(need) => problem.needs = Some(need.clone()),
            Error::Unauthenticated
            | Error::UnknownFile
            | Error::UnknownStep
            | Error::UnknownOutput
            | Error::PreconditionFailed
            | Error::WorkerStopped
            | Error::WorkerRemoved
            | Error::OperationUnsupported
            | Error::RuntimeUnavailable
            | Error::StepsUnavailable
            | Error::StorageFull
            | Error::Internal => {}
        }
        problem
    }
}

const fn title(error: &Error) -> &'static str {
    match error {
        Error::InvalidRequest(_) => "The request is not valid",
        Error::Unauthenticated => "Not logged in",
        Error::Forbidden(_) => "Not allowed",
        Error::UnknownRuntime(_) => "Unknown runtime",
        Error::UnknownWorker(_) | Error::WorkerNotVisible(_) => "Unknown worker",
        Error::UnknownHost(_) => "Unknown host",
        Error::UnknownComponent(_) => "Unknown component",
        Error::UnknownConfig(_) => "Unknown config bundle",
        Error::UnknownBlob(_) => "Unknown blob",
        Error::UnknownInput(_) => "Unknown input",
        Error::UnknownEntry { .. } => "Unknown entry",
        Error::UnknownFile => "Unknown file",
        Error::UnknownRun(_) => "Unknown run",
        Error::UnknownStep => "Unknown step",
        Error::UnknownOutput => "Unknown output",
        Error::UnknownToken(_) => "Unknown token",
        Error::UnknownSession(_) => "Unknown session",
        Error::UnknownSite(_) => "Unknown site",
        Error::UnknownRoute(_) => "Unknown route",
        Error::Conflict(_) => "Conflict with the current state",
        Error::PreconditionFailed => "Precondition failed",
        Error::WorkerStopped => "The worker is stopped",
        Error::WorkerRemoved => "The worker was removed",
        Error::LimitExceeded { .. } => "Limit exceeded",
        Error::ComponentRefused { .. } => "The component was refused",
        Error::MailboxFull { .. } => "The mailbox is full",
        Error::NoAnswer(_) => "The worker did not answer",
        Error::OperationUnsupported => "Not supported here",
        Error::Busy { .. } => "Busy",
        Error::TooManyAttempts { .. } => "Too many attempts",
        Error::RuntimeUnavailable => "The runtime is unavailable",
        Error::StepsUnavailable => "Steps are unavailable",
        Error::StorageFull => "The storage is full",
        Error::Internal => "Internal error",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WorkerId;

    #[test]
    fn an_error_survives_the_network() {
        let seen = |error: &Error| !matches!(error, Error::WorkerNotVisible(_));
        for error in Error::every().into_iter().filter(seen) {
            let json = serde_json::to_string(&Problem::from(&error)).unwrap();
            let problem: Problem = serde_json::from_str(&json).unwrap();
            assert_eq!(problem.status, error.status());
            assert_eq!(problem.into_error(), Some(error), "{json}");
        }
    }

    #[test]
    fn an_invisible_worker_looks_like_an_unknown_one() {
        let worker = WorkerId::new(1, [1; 10]);
        let hidden = Problem::from(&Error::WorkerNotVisible(worker));
        assert_eq!(hidden, Problem::from(&Error::UnknownWorker(worker)));
    }

    #[test]
    fn a_foreign_problem_is_not_an_error_of_ours() {
        let json = r#"{"type":"about:blank","title":"x","status":500,"code":"teapot","detail":""}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(problem.into_error(), None);
        let mut invalid = Problem::from(&Error::InvalidRequest(Invalid::Cursor));
        invalid.reason = Some("whim".into());
        assert_eq!(invalid.into_error(), None);
    }
}
