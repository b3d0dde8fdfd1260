//! Name resolution.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

/// Resolves names. The addresses are checked before any is dialled, and the name is not resolved
/// again.
pub trait Resolver: Send + Sync {
    /// Returns all addresses of a name. May block.
    ///
    /// # Errors
    /// If the name has no address or the lookup fails.
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver: the hosts file, DNS, and what else is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect())
    }
}
