//! The sites of a host: HTTP workers on addresses of their own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use skep_api::{ServerLimits, TlsIdentity};
use skep_protocol::{RouteAuth, SiteName};
use skep_registry::{Registry, SiteRoute, SiteSpec};
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
    name: SiteName,
}

impl BoundSite {
    /// Binds the address of a site.
    pub(super) async fn bind(setting: &SiteSetting, spec: SiteSpec) -> Result<Self, Failed> {
        let identity = setting.tls.as_ref().map(TlsSetting::identity).transpose();
        let identity = identity.map_err(Failed::here)?;
        let listener = parts::listener(&setting.listen).await?;
        let address = listener.local_addr()?;
        let is_public = |route: &SiteRoute| route.auth == RouteAuth::Public;
        let may_be_public = spec.public || spec.routes.iter().any(is_public);
        if may_be_public && identity.is_none() && !address.ip().is_loopback() {
            let message = format!("{address} serves workers to other machines, without TLS");
            terminal::say("warning", &message);
        }
        Ok(Self { listener, address, identity, name: spec.name })
    }

    /// Returns the URL of the site.
    pub(super) fn url(&self) -> String {
        let url = exposure::url(self.address);
        match self.identity {
            None => url,
            Some(_) => url.replacen("http:", "https:", 1),
        }
    }

    /// Returns the operator's name for the site.
    pub(super) fn name(&self) -> &SiteName {
        &self.name
    }

    /// Serves the site until `shutdown` is ready.
    pub(super) async fn serve(
        self,
        registry: Registry,
        limits: ServerLimits,
        shutdown: impl Future,
    ) -> io::Result<()> {
        let router = skep_api::site_router(registry, self.name);
        match self.identity {
            None => skep_api::serve(self.listener, router, limits, shutdown).await,
            Some(identity) => {
                skep_api::serve_tls(self.listener, identity, router, limits, shutdown).await
            }
        }
    }
}
