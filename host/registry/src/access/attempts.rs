//! Rate limiting of failed logins by address.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use skep_protocol::{Error, Timestamp};

use crate::secret::SecretDigest;

/// Failed attempts per window after which an address is throttled.
const MOST: u32 = 10;
/// Length of a window.
const WINDOW_MS: u64 = 60_000;
/// Maximum number of addresses counted separately; further ones share one count.
const PEERS: usize = 10_000;
/// Maximum number of remembered pairs of address and valid secret.
const KNOWN: usize = 10_000;

/// Failed attempts by address. An IPv6 address counts by its first 64 bits: one subscriber has the
/// rest.
#[derive(Default)]
pub(crate) struct Attempts {
    windows: HashMap<IpAddr, Window>,
    rest: Window,
    known: HashSet<(IpAddr, [u8; 32])>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    began: Timestamp,
    failures: u32,
}

impl Window {
    fn is_over(&self, now: Timestamp) -> bool {
        // A window also ends if the clock was set back.
        now < self.began || now.as_millis() - self.began.as_millis() >= WINDOW_MS
    }
}

impl Attempts {
    /// Checks that a secret from this address may be looked up. One that was valid from there
    /// before always may, so that guessing does not lock out others at the same address.
    pub(crate) fn check(
        &self,
        peer: IpAddr,
        digest: &SecretDigest,
        now: Timestamp,
    ) -> Result<(), Error> {
        let peer = network(peer);
        let full = self.windows.len() >= PEERS;
        let shared = Some(&self.rest).filter(|_| full);
        let window = self.windows.get(&peer).or(shared);
        let stopped = window.filter(|window| window.failures >= MOST && !window.is_over(now));
        match stopped {
            Some(window) if !self.known.contains(&(peer, *digest.as_bytes())) => {
                let passed = now.as_millis() - window.began.as_millis();
                Err(Error::TooManyAttempts {
                    retry_after: Duration::from_millis(WINDOW_MS - passed),
                })
            }
            _ => Ok(()),
        }
    }

    /// Records a valid secret.
    pub(crate) fn succeeded(&mut self, peer: IpAddr, digest: &SecretDigest) {
        let key = (network(peer), *digest.as_bytes());
        if self.known.contains(&key) {
            return;
        }
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.insert(key);
    }

    /// Records a wrong secret.
    pub(crate) fn failed(&mut self, peer: IpAddr, now: Timestamp) {
        let peer = network(peer);
        if self.windows.len() >= PEERS && !self.windows.contains_key(&peer) {
            self.windows.retain(|_, window| !window.is_over(now));
        }
        let window = if self.windows.len() >= PEERS && !self.windows.contains_key(&peer) {
            &mut self.rest
        } else {
            self.windows.entry(peer).or_default()
        };
        if window.is_over(now) || window.failures == 0 {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer.into(),
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn digest(text: &str) -> SecretDigest {
        SecretDigest::of(text)
    }

    #[test]
    fn the_eleventh_wrong_secret_of_a_minute_is_throttled() {
        let mut attempts = Attempts::default();
        let (here, there) = (peer("10.0.0.1"), peer("10.0.0.2"));
        attempts.succeeded(here, &digest("right"));
        for n in 0..10 {
            assert_eq!(attempts.check(here, &digest("wrong"), Timestamp(n)), Ok(()));
            attempts.failed(here, Timestamp(n));
        }
        let retry_after = Duration::from_millis(59_990);
        let check = |peer, text, at| attempts.check(peer, &digest(text), Timestamp(at));
        assert_eq!(check(here, "wrong", 10), Err(Error::TooManyAttempts { retry_after }));
        assert!(check(here, "right elsewhere", 10).is_err());
        assert_eq!(check(here, "right", 10), Ok(()));
        assert_eq!(check(there, "wrong", 10), Ok(()));
        assert_eq!(check(here, "wrong", 60_000), Ok(()));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_peer() {
        let mut attempts = Attempts::default();
        for n in 0..10 {
            attempts.failed(peer(&format!("2001:db8::{n}")), Timestamp(0));
        }
        assert!(attempts.check(peer("2001:db8::ffff"), &digest(""), Timestamp(1)).is_err());
        assert!(attempts.check(peer("2001:db8:0:1::1"), &digest(""), Timestamp(1)).is_ok());
        assert_eq!(network(peer("::ffff:10.0.0.1")), peer("10.0.0.1"));
    }

    #[test]
    fn the_table_is_bounded_for_many_addresses() {
        let mut attempts = Attempts::default();
        let address = |n: u32| IpAddr::V4(n.into());
        for n in 0..PEERS as u32 + 20 {
            attempts.failed(address(n), Timestamp(0));
        }
        assert_eq!(attempts.windows.len(), PEERS);
        assert!(attempts.check(address(u32::MAX), &digest(""), Timestamp(1)).is_err());
        attempts.failed(address(u32::MAX), Timestamp(60_001));
        assert!(attempts.windows.len() < PEERS);
    }
}
