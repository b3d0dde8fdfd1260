//! The place of a store's tokens: its own file, or the fleet of its host.

use std::future::Future;

use skep_client::HostClient;
use skep_protocol::{CreateToken, CreatedToken, Error, TokenId, TokenView};
use skep_registry::Registrar;

use crate::connect::HostConnection;
use crate::failure::Failed;
use crate::settings::{LocationArgs, Settings};
use crate::{ambient, registrar, running};

/// The place of a store's tokens.
pub(super) enum TokenKeeper {
    /// The store's file, whether or not a host runs on it.
    Store(Registrar),
    /// The fleet, through the host that runs on the store.
    Fleet(HostClient),
}

impl TokenKeeper {
    pub(super) fn find(location: &LocationArgs) -> Result<Self, Failed> {
        let settings = Settings::gather(location, None)?;
        let (host, follows) = match ambient::open_dir(&settings.store) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (None, false),
            opened => {
                let dir = opened?;
                (running::RunningHost::find(&dir)?, skep_registry::follows_fleet(&dir)?)
            }
        };
        match host {
            Some(host) if host.is_in_fleet => Ok(Self::Fleet(HostConnection::to(host)?.host()?)),
            None if follows => Err(Failed::here("the tokens of this store are in its fleet").hint(
                "start its host, which reaches the fleet: `skep up --fleet FILE`; if it has left \
                     the fleet, move the file fleet-*.db of the store away",
            )),
            _ => Ok(Self::Store(registrar::open(location)?)),
        }
    }

    pub(super) fn create(&self, new: CreateToken) -> Result<CreatedToken, Failed> {
        match self {
            Self::Store(registrar) => {
                let (secret, view) = registrar.access().create_token(new)?;
                Ok(CreatedToken { token: secret.expose().to_owned(), view })
            }
            Self::Fleet(host) => ask(host.create_token(&new)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<TokenView>, Failed> {
        match self {
            Self::Store(registrar) => Ok(registrar.access().tokens()?),
            Self::Fleet(host) => Ok(ask(host.tokens())?.items),
        }
    }

    pub(super) fn revoke(&self, token: &TokenId) -> Result<TokenView, Failed> {
        match self {
            Self::Store(registrar) => Ok(registrar.access().revoke(token)?),
            Self::Fleet(host) => {
                ask(host.revoke_token(token))?;
                let found = self.list()?.into_iter().find(|view| view.token_id == *token);
                found.ok_or_else(|| Error::UnknownToken(token.clone()).into())
            }
        }
    }
}

/// Waits for a host's answer.
fn ask<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Failed> {
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(threads.block_on(asked)?)
}
