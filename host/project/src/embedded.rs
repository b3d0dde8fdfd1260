//! The files that the program carries: SDKs, WIT and templates. The build script lists them.

#![expect(clippy::redundant_pub_crate, reason = "the lists are generated")]

/// Files by their path below a folder.
pub(crate) type Files = &'static [(&'static str, &'static [u8])];

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
