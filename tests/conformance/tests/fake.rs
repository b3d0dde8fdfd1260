//! The suite on the runtime in memory.

use skep_conformance::fake::FakeSubject;

skep_conformance::conformance!(FakeSubject::new());

mod of_http_workers {
    use super::FakeSubject;

    skep_conformance::http_conformance!(FakeSubject::new());
}
