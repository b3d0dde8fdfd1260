//! The order of a list of workers, and positions in it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listed::ListedWorker;
use crate::{Invalid, WorkerId};

/// A property to sort workers by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerSort {
    /// The worker's id.
    Id,
    /// The display name, in any case of letters. Workers without one come last in both directions.
    Name,
    /// The time of creation.
    CreatedAt,
    /// The time of the last change of spec or desired state.
    UpdatedAt,
    /// The state, in the order of `ObservedState`.
    State,
    /// The number of unfinished inputs.
    QueuedInputs,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// The smallest first.
    #[default]
    Asc,
    /// The largest first.
    Desc,
}

macro_rules! words {
    ($name:ident: $($word:literal $variant:ident),*) => {
        impl $name {
            /// The word used in every API and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                match text { $($word => Ok(Self::$variant),)* _ => Err(Invalid::Query) }
            }
        }
    };
}

words!(WorkerSort: "id" Id, "name" Name, "created_at" CreatedAt, "updated_at" UpdatedAt,
    "state" State, "queued_inputs" QueuedInputs);
words!(SortOrder: "asc" Asc, "desc" Desc);

/// The key of a worker in an order, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SortKey<'a> {
    Id,
    Number(u64),
    Name(Option<Cow<'a, str>>),
}

/// A position in an ordered list: a place before or after a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerPosition<'a> {
    key: SortKey<'a>,
    id: WorkerId,
    /// True if the position is before the worker.
    before: bool,
}

impl<'a> WorkerPosition<'a> {
    /// Returns the position after a worker.
    pub fn after(worker: &'a impl ListedWorker, sort: WorkerSort) -> Self {
        let key = match sort {
            WorkerSort::Id => SortKey::Id,
            WorkerSort::Name => SortKey::Name(worker.lower_name()),
            WorkerSort::CreatedAt => SortKey::Number(worker.created_at().as_millis()),
            WorkerSort::UpdatedAt => SortKey::Number(worker.updated_at().as_millis()),
            WorkerSort::State => SortKey::Number(worker.state() as u64),
            WorkerSort::QueuedInputs => SortKey::Number(worker.queued_inputs()),
        };
        Self { key, id: worker.id(), before: false }
    }

    /// Returns the position before the same worker.
    #[must_use]
    pub fn before(self) -> Self {
        Self { before: true, ..self }
    }

    /// Returns the worker that a list by id continues after. None if this is another position.
    pub fn follows(&self) -> Option<WorkerId> {
        (self.key == SortKey::Id && !self.before).then_some(self.id)
    }

    /// Parses a cursor of a list in this order.
    ///
    /// # Errors
    /// [`Invalid::Cursor`].
    pub fn from_text(text: &str, sort: WorkerSort) -> Result<WorkerPosition<'static>, Invalid> {
        let (before, text) = match text.strip_prefix('=') {
            Some(text) => (true, text),
            None => (false, text),
        };
        let parts = text.rsplit_once('.');
        let (key, id) = match (sort, parts) {
            (WorkerSort::Id, None) => (SortKey::Id, text),
            (WorkerSort::Name, Some(("", id))) => (SortKey::Name(None), id),
            (WorkerSort::Name, Some((name, id))) => {
                let name = name.strip_prefix('n').and_then(|name| {
                    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(name).ok()?).ok()
                });
                (SortKey::Name(Some(name.ok_or(Invalid::Cursor)?.into())), id)
            }
            (WorkerSort::Id, Some(_)) | (_, None) => return Err(Invalid::Cursor),
            (_, Some((number, id))) => {
                (SortKey::Number(number.parse().map_err(|_| Invalid::Cursor)?), id)
            }
        };
        Ok(WorkerPosition { key, id: id.parse().map_err(|_| Invalid::Cursor)?, before })
    }

    /// Compares the workers at two positions.
    pub fn order(&self, other: &WorkerPosition<'_>, order: SortOrder) -> Ordering {
        let turned = |ordering: Ordering| match order {
            SortOrder::Asc => ordering,
            SortOrder::Desc => ordering.reverse(),
        };
        let by_key = match (&self.key, &other.key) {
            (SortKey::Number(one), SortKey::Number(other)) => turned(one.cmp(other)),
            (SortKey::Name(Some(one)), SortKey::Name(Some(other))) => turned(one.cmp(other)),
            // Workers without a name are last, whatever the direction.
            (SortKey::Name(one), SortKey::Name(other)) => other.is_some().cmp(&one.is_some()),
            _ => Ordering::Equal,
        };
        by_key.then_with(|| turned(self.id.cmp(&other.id)))
    }

    /// Returns true if a list that continues at `from` contains the worker at this position.
    pub(super) fn is_after(&self, from: &WorkerPosition<'_>, order: SortOrder) -> bool {
        match self.order(from, order) {
            Ordering::Greater => true,
            Ordering::Equal => from.before,
            Ordering::Less => false,
        }
    }
}

impl fmt::Display for WorkerPosition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before {
            f.write_str("=")?;
        }
        match &self.key {
            SortKey::Id => {}
            SortKey::Number(number) => write!(f, "{number}.")?,
            SortKey::Name(None) => f.write_str(".")?,
            SortKey::Name(Some(name)) => {
                write!(f, "n{}.", BASE64_URL_SAFE_NO_PAD.encode(name.as_bytes()))?;
            }
        }
        self.id.fmt(f)
    }
}
