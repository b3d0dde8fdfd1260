//! The TLS client configuration for guests' requests.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// Builds a connector that trusts the system's certificate authorities and `authorities` (in DER).
/// Returns `None` if there is no authority to trust.
pub(super) fn connector(authorities: &[Vec<u8>]) -> Option<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let own = authorities.iter().map(|der| CertificateDer::from(der.clone()));
    roots.add_parsable_certificates(own);
    if roots.is_empty() {
        tracing::warn!("no certificate authorities found; https requests will fail");
        return None;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .inspect_err(|error| tracing::warn!(%error, "failed to set up TLS"))
        .ok()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}
