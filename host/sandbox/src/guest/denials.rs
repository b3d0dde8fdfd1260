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

/// Where files are asked for, and what is said of a directory that may only be read.
const FILES: &str = "wasi:filesystem/types";
const WRITING: &str = "writing to ";

impl Denied {
    /// The guest's directory that it wanted to change and may only read.
    pub fn directory(&self) -> Option<&str> {
        let wanted = self.denial.wanted.as_deref().filter(|_| self.interface == FILES);
        wanted?.strip_prefix(WRITING)
    }
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

    /// A change of a directory that may only be read. Who knows what it is adds what would allow it.
    pub(crate) fn record_writing(&mut self, guest: &str) {
        let wanted = Some(format!("{WRITING}{guest}"));
        self.record_as(FILES, Denial { wanted, grant: None });
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
