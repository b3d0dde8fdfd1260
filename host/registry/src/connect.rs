//! Handles for remote runtimes.

use std::sync::Arc;

use skep_client::{Client, Endpoint, EndpointError, Prefix, Token, Url};
use skep_protocol::RuntimeHandle;

use crate::RemoteSpec;

/// Creates handles for remotes. Sends nothing: only use shows whether a remote answers.
pub trait Connect: Send + Sync {
    /// Creates a handle for the runtime of an entry.
    ///
    /// # Errors
    /// [`ConnectError`] if the entry itself is unusable.
    fn connect(&self, spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError>;
}

/// The error for an unusable entry: a bad address, or an unreadable file that it names. The log has
/// the kind of error; only [`Network::client`] returns the details, to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the remote's entry cannot be used")]
pub struct ConnectError;

/// Connects to remotes over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Network {
    /// Creates a client for a remote. The error names addresses and files, so it is only for the
    /// operator who wrote the entry.
    ///
    /// # Errors
    /// If the entry is unusable.
    pub fn client(spec: &RemoteSpec) -> Result<Client, EntryError> {
        let endpoint = Endpoint {
            url: spec.endpoint.parse::<Url>().map_err(|_| EntryError::Url)?,
            token: spec.token_file.clone().map_or(Token::None, Token::File),
            ca: spec.ca_file.clone(),
            insecure: spec.insecure,
            prefix: Prefix::V1,
        };
        Ok(Client::new(endpoint)?)
    }
}

/// A detailed error in a remote's entry, for the operator who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// The address is not a URL.
    #[error("the address is not a URL; write https://host[:port]")]
    Url,
    /// The address or one of the files is unusable.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl EntryError {
    /// Returns the kind of error, without addresses or names.
    fn kind(&self) -> &'static str {
        let Self::Endpoint(error) = self else { return "the address is not a URL" };
        match error {
            EndpointError::Scheme(_) => "the address is neither https nor http",
            EndpointError::UserInfo | EndpointError::Query => "the address has a user or a query",
            EndpointError::InTheClear(_) => "the token would be sent without TLS",
            EndpointError::Token
            | EndpointError::TokenFile { .. }
            | EndpointError::TokenFileContent(_) => "the token cannot be read",
            EndpointError::CaFile { .. } | EndpointError::CaFileContent(_) => {
                "the certificates cannot be read"
            }
            EndpointError::NoAuthorities => "this machine has no certificate authorities",
            EndpointError::Tls(_) => "TLS cannot be set up",
        }
    }
}

impl Connect for Network {
    fn connect(&self, spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError> {
        match Self::client(spec) {
            Ok(client) => Ok(Arc::new(client)),
            Err(error) => {
                let why = error.kind();
                tracing::error!(runtime_id = %spec.runtime_id, why, "the remote's entry cannot be used");
                Err(ConnectError)
            }
        }
    }
}
