//! The reason why a component cannot be loaded, and whether another attempt may succeed.

use std::sync::Arc;

use skep_sandbox::{CompileError, LoadError, Refusal};
use skep_store::StoreError;

/// The reason why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("the component's file is not in the store")]
    Missing,
    #[error("failed to read the component's file")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the thread that loaded the component panicked")]
    Panicked,
    /// Another turn, or an earlier attempt of this one, failed in this way.
    #[error(transparent)]
    Again(Arc<NotReady>),
}

impl NotReady {
    /// Returns true if the failure follows from the component's bytes alone, so that each attempt
    /// would fail in the same way. A limit and the switch of WASI 0.3 are settings of the host, and a
    /// compiler that dies may have been killed.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Load(LoadError::Refused(refusal)) => {
                !matches!(refusal, Refusal::Limit { .. } | Refusal::Wasi03Off(_))
            }
            Self::Load(LoadError::Compile(error)) => {
                use CompileError::{Invalid, Misfit, Unoffered};
                matches!(error, Invalid(_) | Misfit(_) | Unoffered(_))
            }
            Self::Again(error) => error.is_final(),
            Self::Load(LoadError::Shortage(_) | LoadError::Engine(_))
            | Self::Missing
            | Self::Store(_)
            | Self::Panicked => false,
        }
    }

    /// Returns true if the failure may pass within seconds. A compilation that reached a limit
    /// would take as long again.
    pub(crate) fn is_brief(&self) -> bool {
        match self {
            Self::Load(LoadError::Compile(error)) => !matches!(error, CompileError::Limit { .. }),
            Self::Load(LoadError::Shortage(_) | LoadError::Engine(_))
            | Self::Store(_)
            | Self::Panicked => true,
            Self::Load(LoadError::Refused(_)) | Self::Missing => false,
            Self::Again(error) => error.is_brief(),
        }
    }

    /// Returns the reason for the caller, and the next step. The details of the host's own failures
    /// are in its log.
    pub(crate) fn told(&self) -> String {
        let again = "send the input again";
        match self {
            // The resource is the operator's business.
            Self::Load(LoadError::Shortage(_)) => {
                format!("the host lacks a resource for it; {again}")
            }
            Self::Load(LoadError::Compile(error @ CompileError::Limit { .. })) => {
                format!("{error}; {again}, or let the operator raise the limit")
            }
            Self::Load(LoadError::Refused(refusal @ Refusal::Limit { .. })) => {
                format!("{refusal}; let the operator raise the limit, then {again}")
            }
            // It was stored while the switch was on; the refusal names the switch.
            Self::Load(LoadError::Refused(refusal @ Refusal::Wasi03Off(_))) => {
                format!("{refusal}; then {again}")
            }
            Self::Load(LoadError::Compile(CompileError::Crashed(_))) => {
                format!("the compiler failed; {again}")
            }
            Self::Missing => format!("its file is not in the store; restore it, then {again}"),
            Self::Store(StoreError::Damaged { .. }) => {
                format!("its file is damaged; restore it, then {again}")
            }
            Self::Again(error) => error.told(),
            Self::Load(_) | Self::Store(_) | Self::Panicked => {
                format!("the host failed to load it; its log has the reason; {again}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use skep_protocol::LimitName;
    use skep_sandbox::Shortage;

    use super::*;

    #[test]
    fn only_a_refusal_of_the_bytes_is_final() {
        let compile = |error| NotReady::Load(LoadError::Compile(error));
        let limit = |name| CompileError::Limit { name, limit: 7 };
        let io = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let too_much = Refusal::Limit { name: LimitName::component_bytes, found: 2, limit: 1 };
        for (error, is_final, is_brief) in [
            (compile(CompileError::Invalid("it".into())), true, true),
            (NotReady::Load(LoadError::Refused(Refusal::NotWasm)), true, false),
            (NotReady::Load(LoadError::Refused(Refusal::Link("it".into()))), true, false),
            (NotReady::Load(LoadError::Refused(too_much)), false, false),
            (NotReady::Load(LoadError::Refused(Refusal::Wasi03Off("it".into()))), false, false),
            (compile(limit(LimitName::compile_cpu_ms)), false, false),
            (compile(limit(LimitName::compile_wall_ms)), false, false),
            (compile(limit(LimitName::compile_memory_bytes)), false, false),
            (compile(CompileError::Crashed("signal 11".into())), false, true),
            (compile(CompileError::Io(io())), false, true),
            (NotReady::Load(LoadError::Shortage(Shortage::Killed)), false, true),
            (NotReady::Load(LoadError::Shortage(Shortage::Memory)), false, true),
            (NotReady::Load(LoadError::Engine("it".into())), false, true),
            (NotReady::Missing, false, false),
            (NotReady::Store(StoreError::Closed), false, true),
            (NotReady::Panicked, false, true),
        ] {
            assert_eq!(error.is_final(), is_final, "{error}");
            let told = error.told();
            assert!(is_final || told.contains("send the input again"), "{told}");
            let again = NotReady::Again(Arc::new(error));
            assert_eq!((again.is_final(), again.told()), (is_final, told));
            assert!(is_final || again.is_brief() == is_brief, "{again}");
        }
    }
}
