//! Access to a host that is starting: the addresses it can be reached at, and its first
//! credentials.

use std::net::{IpAddr, SocketAddr};

use skep_api::Surface;
use skep_protocol::{CreateToken, Error, Role, TokenView};
use skep_registry::{Registry, Secret};

use crate::failure::Failed;
use crate::terminal;

/// The credentials that a host shows when it starts.
pub(super) struct FirstCredentials {
    /// The admin token of a store that had no token yet.
    pub(super) token: Option<(Secret, TokenView)>,
    /// The one-time code that logs a browser in.
    pub(super) login: Option<Secret>,
}

impl FirstCredentials {
    /// Creates the credentials that `surface` needs.
    ///
    /// Refuses an address that other machines can reach while no token exists.
    pub(super) async fn create(
        registry: &Registry,
        surface: Surface,
        address: Option<SocketAddr>,
    ) -> Result<Self, Failed> {
        let access = registry.access();
        if let Err(error) = access.catch_up().await {
            // Another host may have made the first token, so this one makes none.
            tracing::debug!(%error, "the fleet's tokens are not known yet");
            terminal::say("warning", "the fleet does not answer, so no token is accepted yet");
            if let Some(address) = address {
                check(address, false)?;
            }
            return Ok(Self { token: None, login: Some(access.login_code()?) });
        }
        let is_first = !access.has_tokens()?;
        if let Some(address) = address {
            // Nothing but a host can create the first token of a fleet.
            check(address, is_first && !access.is_shared())?;
        }
        if surface == Surface::Runtime {
            return Ok(Self { token: None, login: None });
        }
        let token = match is_first {
            true => {
                let new = CreateToken {
                    role: Role::Admin,
                    name: Some("first start".parse().expect("that is a token's name")),
                    runtimes: None,
                    expires_at: None,
                };
                let access = access.clone();
                let created = tokio::task::spawn_blocking(move || access.create_token(new)).await;
                Some(created.unwrap_or(Err(Error::Internal))?)
            }
            false => None,
        };
        Ok(Self { token, login: Some(access.login_code()?) })
    }
}

fn check(address: SocketAddr, is_first: bool) -> Result<(), Failed> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    if is_first {
        let message =
            format!("{address} is reachable from other machines, but no token exists yet");
        return Err(Failed::here(message)
            .hint("run `skep token create --role admin`, then start the host again"));
    }
    let message = format!("{address} is reachable from other machines without TLS");
    terminal::say("warning", &message);
    Ok(())
}

/// Returns the URL that people and programs on this machine use for an address.
pub(super) fn url(address: SocketAddr) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => match ip {
            IpAddr::V4(_) => "127.0.0.1".to_owned(),
            IpAddr::V6(_) => "[::1]".to_owned(),
        },
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("http://{host}:{}", address.port())
}
