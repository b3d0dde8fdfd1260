//! The suite on the runtime in memory.

use skep_conformance::fake::FakeSubject;

skep_conformance::conformance!(FakeSubject::new());
