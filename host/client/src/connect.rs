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
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tower_service::Service;

use crate::deadlines::ClientDeadlines;
use crate::dial::{Dial, ServerIo};
use crate::endpoint::{Endpoint, EndpointError, LOCALHOST};
use crate::transfer::Outgoing;

/// Maximum number of idle connections per endpoint.
const IDLE: usize = 16;

/// Lifetime of idle connections: shorter than servers', so that a request seldom meets a connection
/// that is being closed.
const IDLE_FOR: Duration = Duration::from_secs(30);

/// The connection pool of one endpoint.
pub(crate) type Pool = Client<Prompt, Outgoing>;

/// Creates an empty pool of connections over the network.
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
    Ok(pool_over(Connector::Network(https), deadlines))
}

/// Creates an empty pool of connections that are made by `dial`.
pub(crate) fn dialed_pool(dial: Arc<dyn Dial>, deadlines: &ClientDeadlines) -> Pool {
    pool_over(Connector::Dialed(dial), deadlines)
}

fn pool_over(connector: Connector, deadlines: &ClientDeadlines) -> Pool {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE)
        .build(Prompt { connector, deadline: deadlines.connect })
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

/// Makes connections.
#[derive(Clone)]
enum Connector {
    Network(HttpsConnector<HttpConnector<LoopbackResolver>>),
    Dialed(Arc<dyn Dial>),
}

/// A connector with a deadline.
#[derive(Clone)]
pub(crate) struct Prompt {
    connector: Connector,
    deadline: Duration,
}

type ConnectFailure = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Prompt {
    type Response = ServerIo;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<ServerIo, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        match &mut self.connector {
            Connector::Network(https) => https.poll_ready(context),
            Connector::Dialed(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let deadline = self.deadline;
        let late = |_| ConnectFailure::from(io::Error::from(io::ErrorKind::TimedOut));
        match &mut self.connector {
            Connector::Network(https) => {
                let connecting = timeout(deadline, https.call(uri));
                Box::pin(async move {
                    Ok(ServerIo::Network(Box::new(connecting.await.map_err(late)??)))
                })
            }
            Connector::Dialed(dial) => {
                let dialing = timeout(deadline, dial.dial());
                Box::pin(async move {
                    Ok(ServerIo::Dialed(TokioIo::new(dialing.await.map_err(late)??)))
                })
            }
        }
    }
}
