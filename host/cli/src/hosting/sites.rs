//! The sites of a host: HTTP workers on addresses of their own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use skep_api::{ServerLimits, SiteAccess, SiteRoute, TlsIdentity};
use skep_registry::Registry;
use tokio::net::TcpListener;

use super::{exposure, parts};
use crate::failure::Failed;
use crate::site_setting::{SiteSetting, TlsSetting};
use crate::terminal;

/// A site that has bound its address.
pub(super) struct BoundSite {
    listener: TcpListener,
    address: SocketAddr,
    identity: Option<TlsIdentity>,
    routes: Vec<SiteRoute>,
}

impl BoundSite {
    /// Binds the address of a site.
    pub(super) async fn bind(setting: &SiteSetting) -> Result<Self, Failed> {
        let routes = setting.routes().map_err(Failed::here)?;
        let identity = setting.tls.as_ref().map(TlsSetting::identity).transpose();
        let identity = identity.map_err(Failed::here)?;
        let listener = parts::listener(&setting.listen).await?;
        let address = listener.local_addr()?;
        let is_public = routes.iter().any(|route| route.access == SiteAccess::Public);
        if is_public && identity.is_none() && !address.ip().is_loopback() {
            let message = format!("{address} serves workers to other machines, without TLS");
            terminal::say("warning", &message);
        }
        Ok(Self { listener, address, identity, routes })
    }

    /// Returns the URL of the site.
    pub(super) fn url(&self) -> String {
        let url = exposure::url(self.address);
        match self.identity {
            None => url,
            Some(_) => url.replacen("http:", "https:", 1),
        }
    }

    /// Serves the site until `shutdown` is ready.
    pub(super) async fn serve(
        self,
        registry: Registry,
        limits: ServerLimits,
        shutdown: impl Future,
    ) -> io::Result<()> {
        let router = skep_api::site_router(registry, self.routes);
        match self.identity {
            None => skep_api::serve(self.listener, router, limits, shutdown).await,
            Some(identity) => {
                skep_api::serve_tls(self.listener, identity, router, limits, shutdown).await
            }
        }
    }
}
