//! The HTTP requests that one guest may send.

use std::collections::BTreeMap;

use skep_protocol::{HttpGrant, SecretName};

use super::secret::OperatorSecret;

/// The hosts that one guest may send requests to, and the secrets that it may use.
#[derive(Clone, Debug, Default)]
pub struct HttpAccess {
    /// The allowed targets.
    pub grants: Vec<HttpGrant>,
    /// The secrets that the guest gets placeholders for.
    pub secrets: BTreeMap<SecretName, OperatorSecret>,
}
