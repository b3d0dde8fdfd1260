//! A secret of the operator, and the hosts that may be told.

use std::fmt;
use std::sync::Arc;

use skep_protocol::{HttpGrant, Scheme};

/// The shortest: anything less would be found in answers by chance, and guessed.
const SHORTEST: usize = 8;

/// The longest: it has to go into a header.
const LONGEST: usize = 8_192;

/// A secret that workers may be granted. It reaches no worker: see [`HttpAccess`].
///
/// [`HttpAccess`]: super::HttpAccess
#[derive(Clone)]
pub struct OperatorSecret {
    value: Arc<str>,
    hosts: Arc<[HttpGrant]>,
}

/// The text cannot be a secret. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is {SHORTEST} to {LONGEST} printable characters of ASCII, without spaces")]
pub struct SecretError;

impl OperatorSecret {
    /// A secret and where it may be sent: `methods` and `inner` of these are heeded as well, the
    /// latter in that a request needs a grant of its own to get there.
    ///
    /// # Errors
    /// Where it could not stand in a header, or is too short to be one.
    pub fn new(value: &str, hosts: Vec<HttpGrant>) -> Result<Self, SecretError> {
        let printable = value.bytes().all(|c| (0x21..0x7f).contains(&c));
        if !printable || !(SHORTEST..=LONGEST).contains(&value.len()) {
            return Err(SecretError);
        }
        Ok(Self { value: value.into(), hosts: hosts.into() })
    }

    pub(super) fn expose(&self) -> &str {
        &self.value
    }

    /// Whether it may be sent there.
    pub(super) fn is_for(&self, method: &str, scheme: Scheme, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|allowed| allowed.covers(method, scheme, host, port))
    }

    /// Whether the host may be told it, by whatever method and at whatever port.
    pub(super) fn may_reach(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed.host.covers(host))
    }
}

impl fmt::Debug for OperatorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorSecret").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let secret = OperatorSecret::new("hunter2-hunter2", vec!["https://a.b".parse().unwrap()]);
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter2") && shown.contains("a.b"), "{shown}");
        for bad in ["short", "new\nline-in-it", "späße-überall", "a space in it", &"x".repeat(8193)]
        {
            assert_eq!(OperatorSecret::new(bad, Vec::new()).err(), Some(SecretError));
        }
    }
}
