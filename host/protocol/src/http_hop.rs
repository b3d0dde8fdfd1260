//! The headers between two hosts, beside a request to an HTTP worker and its answer.

/// The host and port that the client asked for.
pub const AUTHORITY: &str = "skep-authority";

/// The scheme that the client used.
pub const SCHEME: &str = "skep-scheme";

/// The path and query that the client asked for. They are no part of the request's own path: a proxy
/// between two hosts could make another path of them.
pub const TARGET: &str = "skep-target";

/// Tells a worker's answer from a host's.
pub const FROM: &str = "skep-from";

/// The value of [`FROM`] in a worker's answer.
pub const FROM_WORKER: &str = "worker";
