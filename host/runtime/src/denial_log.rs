//! Denials: recorded in the transcript, and reported to the operator with the grant that would
//! help.

use std::sync::Arc;

use skep_protocol::text::{brief, neutral};
use skep_protocol::{
    Denial, Diagnostic, DiagnosticCode, EntryKind, Grants, Payload, Rights, ScopeGrant,
};
use skep_store::record::{DENIALS, SharedWrite};

use skep_sandbox::{Denials, Denied};

use crate::clock::now;
use crate::roster::core::Core;
use crate::roster::worker::Worker;
use crate::turn::log::TurnLog;

/// Maximum length of the denied access in a message, in characters. A method and an origin are
/// shorter.
const WANTED: usize = 400;

/// The denials recently reported to the operator about one worker.
#[derive(Debug, Default)]
pub(crate) struct DenialLog {
    reported: Vec<Denial>,
}

impl DenialLog {
    /// Records all denials in the transcript. Reports those that a grant would allow to the
    /// operator, once each: a worker may repeat them in every turn.
    pub(crate) fn record(
        &mut self,
        core: &Core,
        worker: &Worker,
        log: &Arc<TurnLog>,
        denials: &Denials,
    ) {
        let denials: Vec<_> =
            denials.iter().map(|denied| with_grant(core, worker, denied)).collect();
        for Denied { interface, denial } in &denials {
            let payload = match denial {
                Denial { wanted: None, grant: None } => Payload::default(),
                // Cannot fail: denials consist of text and lists.
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
            .filter(|denial| denial.grant.is_some() && !self.reported.contains(denial))
            .collect();
        // The store keeps only the last few.
        let skipped = new.len().saturating_sub(DENIALS);
        let diagnostics: Vec<_> =
            new[skipped..].iter().filter_map(|denial| diagnostic(core, worker, denial)).collect();
        for diagnostic in diagnostics {
            self.report(core, diagnostic);
        }
    }

    fn report(&mut self, core: &Core, diagnostic: Diagnostic) {
        if let Some(denial) = &diagnostic.denial {
            self.reported.push(Denial::clone(denial));
        }
        if self.reported.len() > DENIALS {
            self.reported.remove(0);
        }
        // If storing fails, the transcript still has it.
        core.report(diagnostic);
    }

    /// Clears the diagnostics of denials that the new grants allow. The others keep their time.
    pub(crate) fn review(&mut self, core: &Core, worker: &Worker, grants: &Grants) {
        let reported = match core.store.diagnostics(Some(&worker.id)) {
            Ok(reported) => reported,
            Err(error) => {
                core.fault(error);
                return;
            }
        };
        let clear = SharedWrite::Clear(DiagnosticCode::Denied, worker.id);
        drop(core.store.submit_shared(clear));
        self.reported.clear();
        let stands = |one: &Diagnostic| {
            one.code == DiagnosticCode::Denied
                && one.denial.as_ref().is_some_and(|denial| !denial.is_met_by(grants))
        };
        // The store lists the newest first; reporting adds the newest last.
        for diagnostic in reported.into_iter().rev().filter(stands) {
            self.report(core, diagnostic);
        }
    }
}

/// Adds the grant that would allow the change of a read-only directory, if the operator offers
/// write access to it.
fn with_grant(core: &Core, worker: &Worker, denied: &Denied) -> Denied {
    let mut denied = denied.clone();
    let scopes = &worker.state().record.spec.grants.scopes;
    let mut readable = denied.directory().into_iter().filter_map(|directory| {
        let has = scopes.iter().find(|has| has.guest.as_str() == directory)?;
        // The value may come from a compromised child process, so it is looked up rather than
        // trusted.
        let most = core.scopes.get(&has.name)?.rights;
        let more = has.rights == Rights::ReadOnly && most == Rights::ReadWrite;
        more.then(|| ScopeGrant { rights: most, ..has.clone() })
    });
    if let Some(grant) = readable.next() {
        denied.denial.grant = Some(Grants { scopes: vec![grant], ..Grants::default() });
    }
    denied
}

fn diagnostic(core: &Core, worker: &Worker, denial: &Denial) -> Option<Diagnostic> {
    let (wanted, grants) = (denial.wanted.as_deref()?, denial.grant.as_ref()?);
    let wanted = brief(wanted, WANTED);
    let command = grants.command(&core.runtime_id, worker.id);
    // The text may come from a child process, so it is shortened and neutralized.
    let message = format!("denied {}; run `{command}` to allow it", neutral(&wanted));
    let (code, subject) = (DiagnosticCode::Denied, Some(worker.id.into()));
    let mut diagnostic = Diagnostic::new(code, message, subject, now());
    diagnostic.denial = Some(Box::new(denial.clone()));
    Some(diagnostic)
}
