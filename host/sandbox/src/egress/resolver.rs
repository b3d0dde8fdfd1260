//! Which addresses a name has.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};

/// Looks names up. What it finds is checked before anything is dialled, and looked up no second
/// time.
pub trait Resolver: Send + Sync {
    /// All addresses of a name. May block.
    ///
    /// # Errors
    /// Where there are none, or nobody could be asked.
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's own: hosts file, DNS, whatever it is set to.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect())
    }
}
