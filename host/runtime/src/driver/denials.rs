//! What a worker is denied: said in its transcript, and to the operator with what would allow it.

use std::sync::Arc;

use skep_protocol::text::{brief, neutral};
use skep_protocol::{
    Denial, Diagnostic, DiagnosticCode, EntryKind, Grants, Payload, Rights, ScopeGrant,
};
use skep_store::record::{DENIALS, SharedWrite};

use skep_sandbox::{Denials, Denied};

use super::task::Driver;
use crate::clock::now;
use crate::turn::log::TurnLog;

/// Characters of what was wanted in a sentence. A method and an origin have fewer.
const WANTED: usize = 400;

impl Driver {
    /// Says all in the transcript, and to the operator what a grant would allow and what he was not
    /// told already: a worker may try the same in every turn.
    pub(super) fn record_denials(&mut self, log: &Arc<TurnLog>, denials: &Denials) {
        let denials: Vec<_> = denials.iter().map(|denied| self.allowable(denied)).collect();
        for Denied { interface, denial } in &denials {
            let payload = match denial {
                Denial { wanted: None, grant: None } => Payload::default(),
                // It is made of texts and lists, which can be written.
                denial => Payload {
                    content_type: "application/json".into(),
                    body: serde_json::to_vec(denial).unwrap_or_default().into(),
                },
            };
            log.append(EntryKind::Denied, Some(interface), payload);
        }
        let new: Vec<_> = denials
            .iter()
            .map(|denied| &denied.denial)
            .filter(|denial| denial.grant.is_some() && !self.denied.contains(denial))
            .collect();
        // Those before the last few would not be kept.
        let kept = new.len().saturating_sub(DENIALS);
        let told: Vec<_> = new[kept..].iter().filter_map(|denial| self.told(denial)).collect();
        for diagnostic in told {
            self.tell(diagnostic);
        }
    }

    /// With what would allow a change of a directory that may only be read: the same with more rights,
    /// where the operator has those himself.
    fn allowable(&self, denied: &Denied) -> Denied {
        let mut denied = denied.clone();
        let scopes = &self.worker.state().record.spec.grants.scopes;
        let mut readable = denied.directory().into_iter().filter_map(|directory| {
            let has = scopes.iter().find(|has| has.guest.as_str() == directory)?;
            // A process that was taken over may say anything.
            let most = self.inner.scopes.get(&has.name)?.rights;
            let more = has.rights == Rights::ReadOnly && most == Rights::ReadWrite;
            more.then(|| ScopeGrant { rights: most, ..has.clone() })
        });
        if let Some(grant) = readable.next() {
            denied.denial.grant = Some(Grants { scopes: vec![grant], ..Grants::default() });
        }
        denied
    }

    fn told(&self, denial: &Denial) -> Option<Diagnostic> {
        let (wanted, grants) = (denial.wanted.as_deref()?, denial.grant.as_ref()?);
        let wanted = brief(wanted, WANTED);
        let command = grants.command(&self.inner.runtime_id, self.worker.id);
        // A run in a process of its own says itself what it wanted.
        let message = format!("it was denied {}; `{command}` allows it", neutral(&wanted));
        let (code, subject) = (DiagnosticCode::Denied, Some(self.worker.id.into()));
        let mut diagnostic = Diagnostic::new(code, message, subject, now());
        diagnostic.denial = Some(Box::new(denial.clone()));
        Some(diagnostic)
    }

    fn tell(&mut self, diagnostic: Diagnostic) {
        if let Some(denial) = &diagnostic.denial {
            self.denied.push(Denial::clone(denial));
        }
        if self.denied.len() > DENIALS {
            self.denied.remove(0);
        }
        // One that is not kept is in the transcript.
        drop(self.inner.store.submit_shared(SharedWrite::Diagnose(diagnostic)));
    }

    /// Takes back what is allowed by now. What is not stays, as old as it is.
    pub(super) fn review_denials(&mut self, grants: &Grants) {
        let noticed = match self.inner.store.diagnostics(Some(&self.worker.id)) {
            Ok(noticed) => noticed,
            Err(error) => {
                self.inner.fault(error);
                return;
            }
        };
        let clear = SharedWrite::Clear(DiagnosticCode::Denied, self.worker.id);
        drop(self.inner.store.submit_shared(clear));
        self.denied.clear();
        let stands = |one: &Diagnostic| {
            one.code == DiagnosticCode::Denied
                && one.denial.as_ref().is_some_and(|denial| !denial.is_met_by(grants))
        };
        // The newest comes first there, and last here.
        for diagnostic in noticed.into_iter().rev().filter(stands) {
            self.tell(diagnostic);
        }
    }
}
