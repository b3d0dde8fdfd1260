//! How a remote becomes a handle.

use std::sync::Arc;

use skep_client::{Client, Endpoint, EndpointError, Prefix, Token, Url};
use skep_protocol::RuntimeHandle;

use crate::RemoteSpec;

/// Makes handles of remotes. Nothing is sent by that: whether somebody answers is found out by use.
pub trait Connect: Send + Sync {
    /// A handle of the runtime that is there.
    ///
    /// # Errors
    /// [`ConnectError`] where the entry cannot be used, whoever answers.
    fn connect(&self, spec: &RemoteSpec) -> Result<Arc<dyn RuntimeHandle>, ConnectError>;
}

/// A remote's entry cannot be used: its address, or a file that it names. What is wrong goes to the
/// log by its kind, and to the operator in full from [`Network::client`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the remote's entry cannot be used")]
pub struct ConnectError;

/// Reaches remotes over the network.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network;

impl Network {
    /// A client for a remote, or what is wrong with its entry: for the operator who wrote it, since
    /// that names addresses and files.
    ///
    /// # Errors
    /// Where the entry cannot be used.
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

/// What is wrong with a remote's entry, for the operator who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Its address is none.
    #[error("the address is no URL: write https://host[:port]")]
    Url,
    /// Its address or files cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

impl EntryError {
    /// The same without addresses and names.
    fn kind(&self) -> &'static str {
        let Self::Endpoint(error) = self else { return "the address is no URL" };
        match error {
            EndpointError::Scheme(_) => "the address is neither https nor http",
            EndpointError::UserInfo | EndpointError::Query => "the address has a part too many",
            EndpointError::InTheClear(_) => "its token would go over the network in the clear",
            EndpointError::Token
            | EndpointError::TokenFile { .. }
            | EndpointError::TokenFileContent(_) => "its token cannot be read",
            EndpointError::CaFile { .. } | EndpointError::CaFileContent(_) => {
                "its certificates cannot be read"
            }
            EndpointError::NoAuthorities => "this machine has no list of authorities",
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
                tracing::error!(runtime_id = %spec.runtime_id, why, "a remote's entry is wrong");
                Err(ConnectError)
            }
        }
    }
}
