//! The ends of a step that count as success, and those after which it is repeated.

use toml::Spanned;

use crate::fault::FileFault;
use crate::file::{AnyWord, ExitCodes, ExpectTable, OutcomeWords, RetryTable};
use crate::result::StepOutcome;

/// Maximum number of repetitions.
pub(crate) const MOST_RETRIES: u32 = 10;

/// The ends that count as success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Ends.
    pub outcomes: Vec<StepOutcome>,
    /// Exit codes of a program that exits; `None` for all.
    pub exits: Option<Vec<u8>>,
}

/// Repetition after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retries {
    /// Maximum number of repetitions.
    pub most: u32,
    /// Ends after which it is repeated.
    pub on: Vec<StepOutcome>,
}

/// The ends that a guest can cause.
pub(crate) const OF_GUESTS: [StepOutcome; 4] =
    [StepOutcome::Exited, StepOutcome::Trapped, StepOutcome::Deadline, StepOutcome::Limit];

/// The ends after which a step may be repeated.
pub(crate) const CAUSES: [StepOutcome; 5] = [
    StepOutcome::HostFault,
    StepOutcome::Exited,
    StepOutcome::Trapped,
    StepOutcome::Deadline,
    StepOutcome::Limit,
];

impl Expected {
    pub(crate) fn parse(table: &ExpectTable) -> Result<Self, FileFault> {
        let exits = match &table.exit {
            None => Some(vec![0]),
            Some(ExitCodes::One(code)) => Some(vec![*code]),
            Some(ExitCodes::Several(codes)) => Some(codes.clone()),
            Some(ExitCodes::Any(AnyWord::Any)) => None,
        };
        let outcomes = match &table.outcome {
            None => vec![StepOutcome::Exited],
            Some(words) => {
                let list = match words.get_ref() {
                    OutcomeWords::One(word) => std::slice::from_ref(word),
                    OutcomeWords::Several(words) => words.as_slice(),
                };
                let each = list.iter().map(|word| outcome(word, &OF_GUESTS, words.span()));
                each.collect::<Result<_, _>>()?
            }
        };
        Ok(Self { outcomes, exits })
    }

    /// Returns true if this end counts as success.
    pub fn includes(&self, outcome: StepOutcome, exit_code: Option<u8>) -> bool {
        let exits = |code: u8| self.exits.as_ref().is_none_or(|exits| exits.contains(&code));
        self.outcomes.contains(&outcome)
            && (outcome != StepOutcome::Exited || exit_code.is_some_and(exits))
    }

    /// Returns the text of it that is part of a key.
    pub(crate) fn text(&self) -> String {
        let outcomes: Vec<_> = self.outcomes.iter().map(|it| it.as_str()).collect();
        let exits = match &self.exits {
            None => "any".to_owned(),
            Some(exits) => exits.iter().map(u8::to_string).collect::<Vec<_>>().join(","),
        };
        format!("{} {exits}", outcomes.join(","))
    }
}

impl Retries {
    pub(crate) fn parse(table: Option<&Spanned<RetryTable>>) -> Result<Self, FileFault> {
        let Some(spanned) = table else {
            return Ok(Self { most: 1, on: vec![StepOutcome::HostFault] });
        };
        let table = spanned.get_ref();
        if table.max > MOST_RETRIES {
            let message = format!("a step is repeated {MOST_RETRIES} times at most");
            return Err(FileFault::at(spanned.span(), message));
        }
        let on = table.on.iter().map(|word| outcome(word, &CAUSES, spanned.span()));
        Ok(Self { most: table.max, on: on.collect::<Result<_, _>>()? })
    }
}

fn outcome(
    word: &str,
    known: &[StepOutcome],
    span: std::ops::Range<usize>,
) -> Result<StepOutcome, FileFault> {
    known.iter().copied().find(|it| it.as_str() == word).ok_or_else(|| {
        FileFault::at(span, format!("`{word}` is no end of a step here"))
            .nearest(word, known.iter().map(|it| it.as_str()))
    })
}
