//! The connection of a process to the servers of its fleet.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use nkeys::KeyPair;
use tokio::sync::watch;

/// Interval of pings. With the library's 60 s, a hung server was noticed after 40 s; with this, in 6.
const PING: Duration = Duration::from_secs(2);

/// Pauses before another attempt to connect: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The servers of a fleet, and the key of one member.
#[derive(Clone)]
pub struct FleetAccess {
    /// URLs of the servers: `tls://host:port`, or `nats://` on this machine.
    pub servers: Vec<String>,
    /// PEM file of the authority that signed the servers' certificates.
    pub ca: Option<PathBuf>,
    /// The seed of the member's key.
    pub seed: String,
    /// The member's name in the servers' lists of connections.
    pub name: String,
}

/// The error of a connection to a fleet. For the operator only: it may name servers and files.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// A server's address is malformed.
    #[error("an address of a server is malformed; write tls://host:port")]
    Address,
    /// A server would be reached without TLS over a network.
    #[error("the server {0} would be reached without TLS over a network; write tls://host:port")]
    InTheClear(String),
    /// The seed is no key.
    #[error("the key is not the seed of an nkey; `skep fleet init` makes one")]
    Seed,
    /// There is no connection.
    #[error("cannot connect to the fleet: {0}")]
    Connect(#[from] async_nats::ConnectError),
    /// A subject could not be subscribed to.
    #[error("cannot listen in the fleet: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
    /// A message could not be sent.
    #[error("cannot speak in the fleet: {0}")]
    Publish(#[from] async_nats::PublishError),
    /// The server did not answer.
    #[error("the fleet's server does not answer: {0}")]
    Flush(#[from] async_nats::client::FlushError),
    /// A record could not be stored.
    #[error("the fleet does not store {what}: {why}")]
    Store {
        /// The record that was to be stored.
        what: &'static str,
        /// The reason.
        why: String,
    },
    /// The server did not answer, though it is connected.
    #[error("the fleet's server does not answer")]
    Silent,
    /// The system has no randomness.
    #[error("the system has no randomness")]
    NoRandomness,
}

impl FleetAccess {
    /// Connects to any of the servers now. Later breaks are mended without end.
    pub(crate) async fn connect(
        &self,
        on_event: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Client, FleetError> {
        let (servers, options) = self.options(on_event)?;
        Ok(options.connect(servers).await?)
    }

    fn options(
        &self,
        on_event: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<(Vec<ServerAddr>, ConnectOptions), FleetError> {
        let servers = self.servers.iter().map(|server| address(server));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let needs_tls = servers.iter().any(ServerAddr::tls_required);
        let mut options = ConnectOptions::with_nkey(self.seed.clone())
            .name(&self.name)
            .custom_inbox_prefix(inbox(&self.seed)?)
            .require_tls(needs_tls)
            .ping_interval(PING)
            .ignore_discovered_servers()
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                on_event(&event);
                std::future::ready(())
            });
        if let Some(ca) = &self.ca {
            options = options.add_root_certificates(ca.clone());
        }
        Ok((servers, options))
    }
}

/// A connection to a fleet, which is made again when it breaks.
#[derive(Clone, Debug)]
pub struct FleetConnection {
    pub(crate) client: Client,
    /// Counts the connections that were made.
    pub(crate) connected: watch::Receiver<u64>,
}

impl FleetConnection {
    /// Connects as one member. Breaks are mended without end, and servers that cannot be reached yet are
    /// tried again.
    ///
    /// # Errors
    /// [`FleetError`] if the access is malformed or a server refuses it.
    pub async fn open(access: &FleetAccess) -> Result<Self, FleetError> {
        let (made, connected) = watch::channel(0);
        let (servers, options) = access.options(move |event| {
            report(event);
            if matches!(event, Event::Connected) {
                made.send_modify(|made| *made += 1);
            }
        })?;
        let client = match options.clone().connect(servers.clone()).await {
            Err(error) if is_away(error.kind()) => {
                tracing::warn!(%error, "no server of the fleet can be reached yet");
                options.retry_on_initial_connect().connect(servers).await?
            }
            connected => connected?,
        };
        Ok(Self { client, connected })
    }
}

/// Returns true if another attempt may succeed, since no server has answered.
fn is_away(error: ConnectErrorKind) -> bool {
    matches!(error, ConnectErrorKind::Io | ConnectErrorKind::TimedOut | ConnectErrorKind::Dns)
}

/// Returns the subjects of answers to the member with this key. Its permissions name them.
fn inbox(seed: &str) -> Result<String, FleetError> {
    let key = KeyPair::from_seed(seed).map_err(|_| FleetError::Seed)?;
    Ok(format!("_INBOX.{}", key.public_key()))
}

/// Checks the address of a server.
fn address(text: &str) -> Result<ServerAddr, FleetError> {
    // The text may have a password.
    let address: ServerAddr = text.parse().map_err(|_: io::Error| FleetError::Address)?;
    let host = address.host();
    let is_here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match address.tls_required() || is_here {
        true => Ok(address),
        false => Err(FleetError::InTheClear(host.to_owned())),
    }
}

/// Returns the pause before another attempt. It is random, since a server that comes back has all of a
/// fleet at its door.
fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.min(10)).unwrap_or(10);
    let full = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    // Without randomness, the pauses are merely not spread.
    let random = getrandom::u32().map_or(1.0, |n| f64::from(n) / f64::from(u32::MAX));
    full.mul_f64(0.5 + random / 2.0)
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to the fleet"),
        Event::Disconnected => tracing::warn!("the connection to the fleet is broken"),
        Event::SlowConsumer(_) => tracing::warn!("messages of the fleet were lost here"),
        Event::ServerError(error) => tracing::warn!(%error, "the fleet's server refuses"),
        other => tracing::debug!(event = %other, "fleet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_other_machines_need_tls() {
        for good in ["tls://nats.example:4222", "nats://127.0.0.1:4222", "nats://localhost:1"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["nats://nats.example:4222", "nats://10.0.0.1", "10.0.0.1:4222"] {
            assert!(matches!(address(bad), Err(FleetError::InTheClear(_))), "{bad}");
        }
        assert!(matches!(address("http://a"), Err(FleetError::Address)));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_are_spread() {
        let bounds = |attempts, full: Duration| {
            let all: Vec<_> = (0..50).map(|_| pause(attempts)).collect();
            assert!(all.iter().all(|&pause| pause >= full / 2 && pause <= full), "{all:?}");
            assert!(all.iter().any(|&pause| pause != all[0]), "{all:?}");
        };
        bounds(0, FIRST_PAUSE);
        bounds(3, FIRST_PAUSE * 8);
        bounds(1_000, LONGEST_PAUSE);
    }
}
