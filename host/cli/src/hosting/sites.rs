//! The sites of a host: HTTP workers on addresses of their own.

use std::net::SocketAddr;

use skep_api::{SiteAccess, SiteRoute};
use skep_registry::Registry;
use tokio::net::TcpListener;

use super::parts;
use crate::failure::Failed;
use crate::site_setting::SiteSetting;
use crate::terminal;

/// A site that has bound its address.
pub(super) struct BoundSite {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
    routes: Vec<SiteRoute>,
}

impl BoundSite {
    /// Binds the address of a site.
    pub(super) async fn bind(setting: &SiteSetting) -> Result<Self, Failed> {
        let routes = setting.routes().map_err(Failed::here)?;
        let listener = parts::listener(&setting.listen).await?;
        let address = listener.local_addr()?;
        let is_public = routes.iter().any(|route| route.access == SiteAccess::Public);
        if is_public && !address.ip().is_loopback() {
            let message = format!("{address} serves workers to other machines, without TLS");
            terminal::say("warning", &message);
        }
        Ok(Self { listener, address, routes })
    }

    /// Returns the listener and the site's service.
    pub(super) fn into_service(self, registry: Registry) -> (TcpListener, skep_api::Router) {
        (self.listener, skep_api::site_router(registry, self.routes))
    }
}
