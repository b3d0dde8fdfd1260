//! The connection pool: name resolution, TCP and TLS within one deadline.
//!
//! Uses HTTP/1.1 with keep-alive, not HTTP/2: every event stream has its own connection, so a
//! server's limit on streams is never reached, and a stalled connection delays only one exchange.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::Either;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use crate::deadlines::ClientDeadlines;
use crate::endpoint::{Endpoint, EndpointError, LOCALHOST};
use crate::transfer::Outgoing;

/// Maximum number of idle connections per endpoint.
const IDLE: usize = 16;

/// Lifetime of idle connections: shorter than servers', so that a request seldom meets a connection
/// that is being closed.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// The connection pool of one endpoint.
pub(crate) type Pool = Client<Prompt<HttpsConnector<HttpConnector<LoopbackResolver>>>, Outgoing>;

/// Creates an empty pool.
pub(crate) fn pool(
    endpoint: &Endpoint,
    deadlines: &ClientDeadlines,
) -> Result<Pool, EndpointError> {
    let roots = if endpoint.is_tls() { roots(endpoint)? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(EndpointError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new_with_resolver(LoopbackResolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_connect_timeout(Some(deadlines.connect));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE)
        .build(Prompt { inner: https, deadline: deadlines.connect }))
}

/// Loads the trusted authorities: the operator's own if configured, else the system's.
fn roots(endpoint: &Endpoint) -> Result<RootCertStore, EndpointError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &endpoint.ca else {
        let system = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(system.certs);
        return if added == 0 { Err(EndpointError::NoAuthorities) } else { Ok(roots) };
    };
    let pem =
        std::fs::read(path).map_err(|error| EndpointError::CaFile { path: path.clone(), error })?;
    let content = || EndpointError::CaFileContent(path.clone());
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| content())?;
        roots.add(certificate).map_err(|_| content())?;
    }
    if roots.is_empty() { Err(content()) } else { Ok(roots) }
}

/// The system's resolver, except that `localhost` is never looked up: tokens may be sent to it
/// without TLS.
#[derive(Clone)]
pub(crate) struct LoopbackResolver(GaiResolver);

type Addresses = Either<std::array::IntoIter<SocketAddr, 2>, GaiAddrs>;

impl Service<Name> for LoopbackResolver {
    type Response = AddressIter;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<AddressIter, io::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if name.as_str() == LOCALHOST {
            let here: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            let here = here.map(|address| SocketAddr::new(address, 0));
            return Box::pin(async move { Ok(AddressIter(Either::Left(here.into_iter()))) });
        }
        let looking = self.0.call(name);
        Box::pin(async move { Ok(AddressIter(Either::Right(looking.await?))) })
    }
}

/// The addresses of a name.
pub(crate) struct AddressIter(Addresses);

impl Iterator for AddressIter {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match &mut self.0 {
            Either::Left(here) => here.next(),
            Either::Right(found) => found.next(),
        }
    }
}

/// A connector with a deadline.
#[derive(Clone)]
pub(crate) struct Prompt<C> {
    inner: C,
    deadline: Duration,
}

type Connecting<T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn std::error::Error + Send + Sync>>> + Send>>;

impl<C> Service<Uri> for Prompt<C>
where
    C: Service<Uri, Error = Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = C::Error;
    type Future = Connecting<C::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.deadline, self.inner.call(uri));
        Box::pin(async move {
            match connected.await {
                Ok(connected) => connected,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}
