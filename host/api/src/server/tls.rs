//! The certificate of a server that speaks TLS.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// A certificate with its chain and private key, ready to be served. Offers HTTP/2 and HTTP/1.1.
#[derive(Clone)]
pub struct TlsIdentity(Arc<ServerConfig>);

/// The reason why a certificate cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsIdentityError {
    /// There is no certificate, or one that is malformed.
    #[error("not a PEM file of certificates")]
    Chain,
    /// There is no private key, or one that is malformed.
    #[error("not a PEM file of a private key")]
    Key,
    /// The two do not fit together, or use an algorithm that is not supported.
    #[error("the key does not belong to the certificate, or its kind is not supported")]
    Mismatch,
}

impl TlsIdentity {
    /// Reads a chain, the server's own certificate first, and its private key. Both are PEM.
    ///
    /// # Errors
    /// If no server could be run with them.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsIdentityError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsIdentityError::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsIdentityError::Key)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsIdentityError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|_| TlsIdentityError::Mismatch)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Shakes hands with a client, which gets `within` for it.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        within: Duration,
    ) -> io::Result<TlsStream<S>> {
        let accepting = TlsAcceptor::from(self.0.clone()).accept(stream);
        tokio::time::timeout(within, accepting).await?
    }
}

impl std::fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("TlsIdentity")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_named() {
        let own = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        let (chain, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let read = |chain: &str, key: &str| {
            TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).map(drop)
        };
        read(&chain, &key).unwrap();
        assert_eq!(read("", &key), Err(TlsIdentityError::Chain));
        assert_eq!(read(&key, &key), Err(TlsIdentityError::Chain));
        assert_eq!(read(&chain, &chain), Err(TlsIdentityError::Key));
        let other = other.signing_key.serialize_pem();
        assert_eq!(read(&chain, &other), Err(TlsIdentityError::Mismatch));
    }
}
