//! The suite on the runtime in memory: it contradicts neither itself nor the fake.

use skep_conformance::fake::FakeSubject;

skep_conformance::conformance!(FakeSubject::new());
