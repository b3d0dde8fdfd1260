//! Sockets, which no host here grants.

use wasip3::sockets::ip_name_lookup;
use wasip3::sockets::types::{IpAddressFamily, TcpSocket, UdpSocket};

use crate::Verdict;

pub fn tcp() -> Verdict {
    match TcpSocket::create(IpAddressFamily::Ipv4) {
        Ok(_) => Ok("a socket\n".into()),
        Err(error) => Err(format!("{error:?}")),
    }
}

pub fn udp() -> Verdict {
    match UdpSocket::create(IpAddressFamily::Ipv4) {
        Ok(_) => Ok("a socket\n".into()),
        Err(error) => Err(format!("{error:?}")),
    }
}

pub async fn resolve(host: &str) -> Verdict {
    match ip_name_lookup::resolve_addresses(host.to_owned()).await {
        Ok(found) => Ok(format!("{} addresses\n", found.len())),
        Err(error) => Err(format!("{error:?}")),
    }
}
