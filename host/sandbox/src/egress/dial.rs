//! Resolves a target, checks its addresses, connects and encrypts. Only checked addresses are
//! dialled, and a name is resolved once, so a second lookup cannot yield another address.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use skep_protocol::{HttpGrant, Scheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use wasmtime_wasi_http::Error;

use super::fault;
use super::lookups::WorkerKey;
use super::outbound::Outbound;
use super::target::RequestTarget;

/// Maximum addresses tried for one name.
const TRIES: usize = 8;

/// A connection to a target.
pub(super) enum DialedStream {
    Clear(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// Connects to a target, using only addresses that one of `grants` allows.
pub(super) async fn dial(
    outbound: &Outbound,
    target: &RequestTarget,
    grants: &[HttpGrant],
    worker: &WorkerKey,
    until: Instant,
) -> Result<DialedStream, Error> {
    let found = match target.address() {
        Some(address) => vec![address],
        None => look_up(outbound, target, worker, until).await?,
    };
    let reached = |address: &IpAddr| grants.iter().any(|grant| grant.reaches(*address));
    let mut allowed: Vec<_> = found.into_iter().filter(reached).collect();
    allowed.truncate(TRIES);
    let mut failed = Error::DestinationIpProhibited;
    while let Some(address) = (!allowed.is_empty()).then(|| allowed.remove(0)) {
        // Split the remaining time evenly, so that an address that does not answer leaves time for
        // the others.
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(allowed.len() + 1).unwrap_or(1);
        let address = SocketAddr::new(address.to_canonical(), target.port);
        match connect(outbound, address, share).await {
            Ok(stream) => return encrypt(outbound, target, stream, until).await,
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn look_up(
    outbound: &Outbound,
    target: &RequestTarget,
    worker: &WorkerKey,
    until: Instant,
) -> Result<Vec<IpAddr>, Error> {
    let failed = || Error::DnsError { rcode: None, info_code: None };
    let found = async {
        // The blocking call owns the permit, because it cannot be cancelled.
        let permit = outbound.lookup_permit(worker).await.map_err(|_| failed())?;
        let resolving = outbound.resolving(&target.host);
        let looking = tokio::task::spawn_blocking(move || {
            let found = resolving();
            drop(permit);
            found
        });
        looking.await.map_err(|_| failed())?.map_err(|error| {
            tracing::debug!(%error, "name lookup failed");
            failed()
        })
    };
    tokio::time::timeout_at(until.into(), found).await.map_err(|_| Error::DnsTimeout)?
}

async fn connect(
    outbound: &Outbound,
    address: SocketAddr,
    within: Duration,
) -> Result<TcpStream, Error> {
    let shunned: Vec<_> =
        outbound.shunned().into_iter().filter(|own| own.port() == address.port()).collect();
    let is_shunned = |ip: IpAddr| shunned.iter().any(|own| own.ip().to_canonical() == ip);
    if is_shunned(address.ip()) {
        return Err(Error::DestinationIpProhibited);
    }
    let connected = tokio::time::timeout(within, TcpStream::connect(address));
    let stream = connected.await.map_err(|_| Error::ConnectionTimeout)?;
    let stream = stream.map_err(|error| fault::connect(&error))?;
    if !shunned.is_empty() {
        // Check the peer as well: 0.0.0.0 also leads to this machine.
        let peer = stream.peer_addr().map_err(|error| fault::connect(&error))?.ip().to_canonical();
        let own = stream.local_addr().map_err(|error| fault::connect(&error))?.ip().to_canonical();
        // A listener on all addresses is recognised by the connection leading back to this machine.
        let on_all = shunned.iter().any(|own| own.ip().to_canonical().is_unspecified());
        if is_shunned(peer) || (on_all && (peer.is_loopback() || peer == own)) {
            return Err(Error::DestinationIpProhibited);
        }
    }
    // Delaying small writes gains nothing for a request.
    stream.set_nodelay(true).map_err(|error| fault::connect(&error))?;
    Ok(stream)
}

async fn encrypt(
    outbound: &Outbound,
    target: &RequestTarget,
    stream: TcpStream,
    until: Instant,
) -> Result<DialedStream, Error> {
    if target.scheme == Scheme::Http {
        return Ok(DialedStream::Clear(stream));
    }
    let tls = outbound.tls().ok_or(Error::ConfigurationError)?;
    let name = match target.address() {
        Some(address) => ServerName::from(address),
        None => ServerName::try_from(target.host.clone()).map_err(|_| Error::TlsProtocolError)?,
    };
    let encrypted = tokio::time::timeout_at(until.into(), tls.connect(name, stream)).await;
    let encrypted = encrypted.map_err(|_| Error::ConnectionTimeout)?;
    encrypted.map(Box::new).map(DialedStream::Encrypted).map_err(|error| fault::tls(&error))
}

macro_rules! through {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Self::Clear(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Self::Encrypted(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for DialedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        through!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for DialedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        through!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        through!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        through!(self, stream => stream.poll_shutdown(cx))
    }
}
