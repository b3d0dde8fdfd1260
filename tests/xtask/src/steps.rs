//! Steps taken one after another, and their results. A failed step does not stop the others.

use std::fmt;

use crate::Error;

/// One step.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// A line for `--help`.
    pub(crate) about: &'static str,
    /// The expected time when everything is built, or 0 if it is short.
    pub(crate) minutes: u32,
    /// Steps whose failure would also fail this one.
    pub(crate) needs: &'static [&'static str],
    pub(crate) take: fn(&'static str) -> Result<(), Error>,
}

/// The result of a step.
#[derive(Debug)]
pub(crate) enum End {
    Passed,
    Failed(Error),
    /// It was not taken, since this step, which it needs, did not pass.
    NotRun(&'static str),
}

/// The results of all steps in order.
#[derive(Debug, Default)]
pub(crate) struct Ends(Vec<(&'static str, End)>);

impl Ends {
    /// Takes all steps in order with `take`. A needed step that is not among them does not count.
    pub(crate) fn of<'a>(
        steps: impl IntoIterator<Item = &'a Step>,
        mut take: impl FnMut(&Step) -> End,
    ) -> Self {
        let mut ends = Self::default();
        for step in steps {
            let end = match step.needs.iter().find(|name| ends.is_missing(name)) {
                Some(missing) => End::NotRun(missing),
                None => take(step),
            };
            ends.0.push((step.name, end));
        }
        ends
    }

    /// Returns true if every step passed.
    pub(crate) fn all_passed(&self) -> bool {
        self.0.iter().all(|(_, end)| matches!(end, End::Passed))
    }

    fn is_missing(&self, name: &str) -> bool {
        self.0.iter().any(|(known, end)| *known == name && !matches!(end, End::Passed))
    }

    fn names(&self, which: impl Fn(&End) -> bool) -> Vec<&'static str> {
        self.0.iter().filter(|(_, end)| which(end)).map(|(name, _)| *name).collect()
    }
}

/// Prints a line for each step that did not pass, and a summary: `ok. N steps passed` or
/// `FAILED. ...`.
impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, end) in &self.0 {
            match end {
                End::Passed => {}
                End::Failed(error) => {
                    // The rest of the output is where the step failed.
                    let error = error.to_string();
                    let first = error.lines().next().unwrap_or_default();
                    writeln!(f, "== {name}: failed: {first}")?;
                }
                End::NotRun(missing) => {
                    writeln!(f, "== {name}: not run, since it needs: {missing}")?
                }
            }
        }
        let passed = self.names(|end| matches!(end, End::Passed)).len();
        if self.all_passed() {
            return write!(f, "test result: ok. {passed} steps passed");
        }
        let failed = self.names(|end| matches!(end, End::Failed(_)));
        write!(f, "test result: FAILED. {passed} steps passed; {} failed: ", failed.len())?;
        f.write_str(&failed.join(", "))?;
        match self.names(|end| matches!(end, End::NotRun(_))) {
            none if none.is_empty() => Ok(()),
            names => write!(f, "; {} not run: {}", names.len(), names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        step("format", &[]),
        step("guests", &[]),
        step("tests", &["format", "guests"]),
        step("after tests", &["tests"]),
        step("fuzz", &[]),
    ];

    const fn step(name: &'static str, needs: &'static [&'static str]) -> Step {
        Step { name, about: "", minutes: 0, needs, take: |_| Ok(()) }
    }

    /// Takes all steps, of which some fail. Returns the results and the steps taken.
    fn taken(failing: &[&str]) -> (Ends, Vec<&'static str>) {
        let mut taken = Vec::new();
        let ends = Ends::of(STEPS, |step| {
            taken.push(step.name);
            match failing.contains(&step.name) {
                true => End::Failed(Error::UnknownGuest(step.name.into())),
                false => End::Passed,
            }
        });
        (ends, taken)
    }

    #[test]
    fn the_summary_counts_the_passed_steps() {
        let (ends, taken) = taken(&[]);
        assert_eq!(taken, ["format", "guests", "tests", "after tests", "fuzz"]);
        assert!(ends.all_passed());
        assert_eq!(ends.to_string(), "test result: ok. 5 steps passed");
    }

    #[test]
    fn a_failed_step_only_prevents_those_that_need_it() {
        let (ends, taken) = taken(&["guests"]);
        assert_eq!(taken, ["format", "guests", "fuzz"]);
        assert!(!ends.all_passed());
        assert_eq!(
            ends.to_string(),
            "== guests: failed: there is no guest \"guests\"\n\
             == tests: not run, since it needs: guests\n\
             == after tests: not run, since it needs: tests\n\
             test result: FAILED. 2 steps passed; 1 failed: guests; 2 not run: tests, after tests"
        );
    }

    #[test]
    fn the_summary_names_every_failed_step() {
        let (ends, taken) = taken(&["after tests", "fuzz"]);
        assert_eq!(taken.len(), STEPS.len());
        let said = ends.to_string();
        let last = said.lines().last();
        assert_eq!(last, Some("test result: FAILED. 3 steps passed; 2 failed: after tests, fuzz"));
    }
}
