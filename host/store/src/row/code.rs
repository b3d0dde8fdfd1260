//! Numeric codes of enums in the database. They never change.

use skep_protocol::{ComponentKind, Desired, Ending, FailedReason, Severity};

use super::BadRow;
use crate::Standing;

pub(crate) const fn of_kind(kind: ComponentKind) -> i64 {
    match kind {
        ComponentKind::Service => 1,
        ComponentKind::Command => 2,
        ComponentKind::Http => 3,
    }
}

pub(crate) const fn kind(code: i64) -> Result<ComponentKind, BadRow> {
    match code {
        1 => Ok(ComponentKind::Service),
        2 => Ok(ComponentKind::Command),
        3 => Ok(ComponentKind::Http),
        _ => Err(BadRow),
    }
}

pub(crate) const fn of_desired(desired: Desired) -> i64 {
    match desired {
        Desired::Running => 1,
        Desired::Stopped => 2,
    }
}

pub(crate) const fn desired(code: i64) -> Result<Desired, BadRow> {
    match code {
        1 => Ok(Desired::Running),
        2 => Ok(Desired::Stopped),
        _ => Err(BadRow),
    }
}

/// Returns a code and a detail.
pub(crate) const fn of_standing(standing: Standing) -> (i64, i64) {
    match standing {
        Standing::Idle => (1, 0),
        Standing::Exited(code) => (2, code as i64),
        Standing::Failed(FailedReason::CrashLoop) => (3, 1),
        Standing::Failed(FailedReason::Quarantined) => (3, 2),
        Standing::Failed(FailedReason::Uninstantiable) => (3, 3),
        Standing::Failed(FailedReason::HostCallStuck) => (3, 4),
        Standing::Stopped => (4, 0),
    }
}

pub(crate) const fn standing(code: (i64, i64)) -> Result<Standing, BadRow> {
    Ok(match code {
        (1, 0) => Standing::Idle,
        (2, code @ 0..=255) => Standing::Exited(code as u8),
        (3, 1) => Standing::Failed(FailedReason::CrashLoop),
        (3, 2) => Standing::Failed(FailedReason::Quarantined),
        (3, 3) => Standing::Failed(FailedReason::Uninstantiable),
        (3, 4) => Standing::Failed(FailedReason::HostCallStuck),
        (4, 0) => Standing::Stopped,
        _ => return Err(BadRow),
    })
}

pub(crate) const fn of_ending(ending: Ending) -> i64 {
    match ending {
        Ending::Completed => 1,
        Ending::Failed => 2,
        Ending::Trapped => 3,
        Ending::Deadline => 4,
        Ending::Limit => 5,
        Ending::Cancelled => 6,
        Ending::HostFault => 7,
    }
}

pub(crate) fn ending(code: i64) -> Result<Ending, BadRow> {
    Ending::ALL.into_iter().find(|ending| of_ending(*ending) == code).ok_or(BadRow)
}

pub(crate) const fn of_severity(severity: Severity) -> i64 {
    match severity {
        Severity::Info => 1,
        Severity::Warning => 2,
        Severity::Error => 3,
    }
}

pub(crate) const fn severity(code: i64) -> Result<Severity, BadRow> {
    match code {
        1 => Ok(Severity::Info),
        2 => Ok(Severity::Warning),
        3 => Ok(Severity::Error),
        _ => Err(BadRow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back() {
        for word in [ComponentKind::Service, ComponentKind::Command, ComponentKind::Http] {
            assert_eq!(kind(of_kind(word)).unwrap(), word);
        }
        for word in [Desired::Running, Desired::Stopped] {
            assert_eq!(desired(of_desired(word)).unwrap(), word);
        }
        for word in Ending::ALL {
            assert_eq!(ending(of_ending(word)).unwrap(), word);
        }
        for word in [Severity::Info, Severity::Warning, Severity::Error] {
            assert_eq!(severity(of_severity(word)).unwrap(), word);
        }
        let reasons = [
            FailedReason::CrashLoop,
            FailedReason::Quarantined,
            FailedReason::Uninstantiable,
            FailedReason::HostCallStuck,
        ];
        let standings = reasons.map(Standing::Failed).into_iter();
        for word in standings.chain([Standing::Idle, Standing::Exited(255), Standing::Stopped]) {
            assert_eq!(standing(of_standing(word)).unwrap(), word);
        }
    }
}
