//! A site as the settings say, and a route on it.

use skep_protocol::{RouteAuth, RoutePrefix, RuntimeId, SiteName, WorkerId};

/// A site of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSpec {
    /// The operator's name for it.
    pub name: SiteName,
    /// True if stored routes may be public.
    pub public: bool,
    /// Routes of the settings.
    pub routes: Vec<SiteRoute>,
}

/// A route of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteRoute {
    /// Host and beginning of the path.
    pub prefix: RoutePrefix,
    /// Runtime of the worker.
    pub runtime_id: RuntimeId,
    /// Worker that answers.
    pub worker_id: WorkerId,
    /// Right that a request needs.
    pub auth: RouteAuth,
}
