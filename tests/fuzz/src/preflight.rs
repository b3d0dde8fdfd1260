//! The sandbox's preflight, compiled from its sources. It needs no part of the engine, which would
//! have to be built a second time and instrumented.

#[rustfmt::skip]
#[path = "../../../host/sandbox/src/preflight/census.rs"]
pub(crate) mod census;
#[rustfmt::skip]
#[expect(dead_code, reason = "only other parts of the sandbox name grants")]
#[path = "../../../host/sandbox/src/preflight/interfaces.rs"]
pub(crate) mod interfaces;
#[rustfmt::skip]
#[expect(dead_code, reason = "only the compiling child examines a file in depth")]
#[path = "../../../host/sandbox/src/preflight/proposals.rs"]
pub(crate) mod proposals;
#[rustfmt::skip]
#[expect(dead_code, reason = "only other parts of the sandbox use digests and the linker's refusals")]
#[path = "../../../host/sandbox/src/preflight/shape.rs"]
pub(crate) mod shape;
