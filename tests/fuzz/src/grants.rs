//! HTTP grants as text, and the hosts and addresses that they open.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use skep_client::Url;
use skep_protocol::grant::{HttpGrant, Method, Scheme, is_public};

use crate::words::{means_the_same, spelled_so};

pub(crate) fn run(data: &[u8]) {
    if let Some(&bytes) = data.first_chunk::<16>() {
        v6(Ipv6Addr::from(bytes));
    }
    if let Some(&bytes) = data.first_chunk::<4>() {
        v4(Ipv4Addr::from(bytes));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    spelled_so::<Method>(text);
    means_the_same::<HttpGrant>(text);
    let Ok(grant) = text.parse::<HttpGrant>() else { return };
    opens(&grant);
}

/// Checks that a grant opens what it says, and that no other parser reads another host in it.
fn opens(grant: &HttpGrant) {
    let written = grant.to_string();
    let host = grant.host.as_str();
    let port = grant.port.unwrap_or(grant.scheme.port());
    let method = grant.methods.first().map_or("GET", Method::as_str);
    let other = if grant.scheme == Scheme::Http { Scheme::Https } else { Scheme::Http };
    if !host.contains('*') {
        let plain = host.trim_start_matches('[').trim_end_matches(']');
        assert!(grant.covers(method, grant.scheme, plain, port), "{written}");
        assert!(!grant.covers(method, other, plain, port), "{written}");
        assert!(!grant.covers(method, grant.scheme, plain, port ^ 1), "{written}");
        assert!(!grant.covers(method, grant.scheme, &format!("a.{plain}"), port), "{written}");
        if let Ok(url) = format!("{}://{host}:{port}/", grant.scheme).parse::<Url>() {
            let read = url.host_str().unwrap_or_default();
            let address = plain.parse::<IpAddr>();
            let read_plain = read.trim_start_matches('[').trim_end_matches(']');
            match address {
                Ok(address) => assert_eq!(read_plain.parse(), Ok(address), "{written}"),
                Err(_) => assert_eq!(read, host, "{written}"),
            }
        }
    }
    for inner in
        [Ipv4Addr::LOCALHOST, Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::new(10, 0, 0, 1)]
    {
        for inner in [IpAddr::V4(inner), IpAddr::V6(inner.to_ipv6_mapped())] {
            let said = grant.inner || grant.host.is_address(inner);
            assert_eq!(grant.reaches(inner), said, "{written} and {inner}");
        }
    }
}

fn v4(address: Ipv4Addr) {
    let inner = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation();
    let public = is_public(address.into());
    assert!(!(inner && public), "{address}");
    let [a, b, c, d] = address.octets();
    let nat = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d];
    for form in [address.to_ipv6_mapped(), Ipv6Addr::from(nat)] {
        assert_eq!(is_public(form.into()), public, "{address} as {form}");
    }
    // The oldest form, which is not routed.
    assert!(!is_public(address.to_ipv6_compatible().into()), "{address}");
}

fn v6(address: Ipv6Addr) {
    let inner = address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local();
    assert!(!(inner && is_public(address.into())), "{address}");
    if let IpAddr::V4(plain) = address.to_canonical() {
        assert_eq!(is_public(address.into()), is_public(plain.into()), "{address}");
    }
}
