//! `--env`: a variable that is set, or one that is passed on.

use crate::key_value;

/// A variable on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EnvArg {
    /// `K=V`.
    Set(String, String),
    /// `NAME`: the operator's own value.
    Pass(String),
}

impl EnvArg {
    /// Parses `K=V` or `NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.contains('=') {
            true => key_value::parse(text).map(|(key, value)| Self::Set(key, value)),
            false if text.is_empty() => Err("expected KEY=VALUE or NAME".into()),
            false => Ok(Self::Pass(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_value_or_is_passed_on() {
        assert_eq!(EnvArg::parse("K="), Ok(EnvArg::Set("K".into(), String::new())));
        assert_eq!(EnvArg::parse("K=a=b"), Ok(EnvArg::Set("K".into(), "a=b".into())));
        assert_eq!(EnvArg::parse("K"), Ok(EnvArg::Pass("K".into())));
        assert!(EnvArg::parse("").is_err() && EnvArg::parse("=v").is_err());
    }
}
