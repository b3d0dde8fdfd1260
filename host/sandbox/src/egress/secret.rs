//! A secret of the operator and the hosts that may receive it.

use std::fmt;
use std::sync::Arc;

use skep_protocol::{HttpGrant, Scheme};

/// Minimum bytes. A shorter value could be guessed, and would occur in responses by chance.
const SHORTEST: usize = 8;

/// Maximum bytes. The value has to fit into a header.
const LONGEST: usize = 8_192;

/// A secret that can be granted to workers, which never see its value: see [`HttpAccess`].
///
/// [`HttpAccess`]: super::HttpAccess
#[derive(Clone)]
pub struct OperatorSecret {
    value: Arc<str>,
    hosts: Arc<[HttpGrant]>,
}

/// The value cannot be a secret. The message does not repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret must be {SHORTEST} to {LONGEST} printable ASCII characters without spaces")]
pub struct SecretError;

impl OperatorSecret {
    /// Creates a secret that may be sent to `hosts`. The methods of a host grant apply. Its `inner`
    /// flag applies too, but the request also needs a grant of its own for a non-public address.
    ///
    /// # Errors
    /// If the value is too short or cannot be put into a header.
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

    /// Returns true if the secret may be sent with this request.
    pub(super) fn is_for(&self, method: &str, scheme: Scheme, host: &str, port: u16) -> bool {
        self.hosts.iter().any(|allowed| allowed.covers(method, scheme, host, port))
    }

    /// Returns true if the secret may be sent to `host`, by any method and port.
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
    fn debug_output_does_not_show_the_secret() {
        let secret = OperatorSecret::new("hunter2-hunter2", vec!["https://a.b".parse().unwrap()]);
        let shown = format!("{secret:?}");
        assert!(!shown.contains("hunter2") && shown.contains("a.b"), "{shown}");
        for bad in ["short", "new\nline-in-it", "späße-überall", "a space in it", &"x".repeat(8193)]
        {
            assert_eq!(OperatorSecret::new(bad, Vec::new()).err(), Some(SecretError));
        }
    }
}
