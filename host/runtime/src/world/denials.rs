//! What a guest asked for and was not granted.

use skep_protocol::Denial;

/// Denials that are told of one turn. One that is denied everything would fill its transcript.
pub(crate) const MOST: usize = 32;

/// What a guest asked for and was not granted, once each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials(Vec<Denied>);

/// One thing that a guest was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Where it asked.
    pub interface: &'static str,
    /// For what, and what would allow it.
    pub denial: Denial,
}

impl Denials {
    /// In order of the first denial, 32 at most.
    pub fn iter(&self) -> impl Iterator<Item = &Denied> {
        self.0.iter()
    }

    /// Whether nothing was denied.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A call of an interface that nothing would allow.
    pub(crate) fn record(&mut self, interface: &'static str) {
        self.record_as(interface, Denial::default());
    }

    pub(crate) fn record_as(&mut self, interface: &'static str, denial: Denial) {
        let denied = Denied { interface, denial };
        if self.0.len() < MOST && !self.0.contains(&denied) {
            let wanted = denied.denial.wanted.as_deref();
            tracing::info!(interface, wanted, "denied: not granted");
            self.0.push(denied);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_denial_is_told_once_and_not_too_many() {
        let mut denials = Denials::default();
        for round in 0..100 {
            denials.record("wasi:sockets/tcp");
            let wanted = Some(format!("GET https://{}.example.com", round / 2));
            denials.record_as("wasi:http/outgoing-handler", Denial { wanted, grant: None });
        }
        assert_eq!(denials.iter().count(), 32);
        assert_eq!(denials.iter().filter(|denied| denied.interface.contains("tcp")).count(), 1);
    }
}
