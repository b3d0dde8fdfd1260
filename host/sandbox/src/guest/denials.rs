//! Accesses that a guest requested without a grant.

use skep_protocol::Denial;

/// Maximum denials reported per turn, so that a guest cannot fill its transcript with them.
pub(crate) const MOST: usize = 32;

/// The distinct denials of one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denials {
    denied: Vec<Denied>,
    bytecode: Option<String>,
}

/// One denied access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The interface that the guest called.
    pub interface: &'static str,
    /// The access that it wanted, and the grant that would allow it.
    pub denial: Denial,
}

/// The interface of file calls, and the text of a denied write to a read-only directory.
const FILES: &str = "wasi:filesystem/types";
const WRITING: &str = "writing to ";

impl Denied {
    /// Returns the guest path of a read-only directory that the guest tried to change.
    pub fn directory(&self) -> Option<&str> {
        let wanted = self.denial.wanted.as_deref().filter(|_| self.interface == FILES);
        wanted?.strip_prefix(WRITING)
    }
}

impl Denials {
    /// Iterates in order of first occurrence, over 32 denials at most.
    pub fn iter(&self) -> impl Iterator<Item = &Denied> {
        self.denied.iter()
    }

    /// True if nothing was denied.
    pub fn is_empty(&self) -> bool {
        self.denied.is_empty()
    }

    /// Returns the first read-only directory in which Python could not keep its bytecode. That is no
    /// denial: Python goes on without.
    pub fn bytecode(&self) -> Option<&str> {
        self.bytecode.as_deref()
    }

    /// Records that Python could not keep its bytecode in a read-only directory.
    pub(crate) fn record_bytecode(&mut self, guest: &str) {
        self.bytecode.get_or_insert_with(|| guest.to_owned());
    }

    /// Records a call of an interface that no grant would allow.
    pub(crate) fn record(&mut self, interface: &'static str) {
        self.record_as(interface, Denial::default());
    }

    /// Records an attempt to change a read-only directory. The caller adds the grant that would
    /// allow it.
    pub(crate) fn record_writing(&mut self, guest: &str) {
        let wanted = Some(format!("{WRITING}{guest}"));
        self.record_as(FILES, Denial { wanted, grant: None });
    }

    pub(crate) fn record_as(&mut self, interface: &'static str, denial: Denial) {
        let denied = Denied { interface, denial };
        if self.denied.len() < MOST && !self.denied.contains(&denied) {
            let wanted = denied.denial.wanted.as_deref();
            tracing::info!(interface, wanted, "denied: not granted");
            self.denied.push(denied);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denials_are_deduplicated_and_bounded() {
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
