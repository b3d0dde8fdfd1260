//! What is followed: what to ask for, and what to make of each event.

use http::{HeaderName, HeaderValue};
use skep_protocol::{
    Change, Cursor, Entry, EntryKind, Error, FleetChange, Invalid, Problem, WorkerId,
};
use std::sync::Arc;

use crate::ask::Ask;
use crate::shape::Shape;
use crate::sse::Event;

/// Something that is followed, and how far.
pub(crate) trait Feed: Send {
    type Item: Send;

    /// The request for all that comes after what was seen.
    fn ask(&self) -> Ask;

    /// What an event is.
    fn take(&mut self, event: Event) -> Taken<Self::Item>;

    /// Whether it is known where to go on.
    fn has_place(&self) -> bool;

    /// What it means if a server that was followed answers so later.
    fn refused(&mut self, error: &Error) -> Refused;
}

/// What an event was.
pub(crate) enum Taken<T> {
    /// Something new.
    Item(T),
    /// Something known, or nothing.
    Nothing,
    /// The last one.
    End,
    /// The server's own word for why it says no more.
    Said(Error),
    /// Nothing that can come in this place: the stream is damaged.
    Damage,
}

/// What an error is that a server answers with to one who comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The end of what was followed.
    End,
    /// It was dealt with; ask again.
    Again,
    /// What it says.
    Error,
}

fn problem<T>(data: &str) -> Taken<T> {
    let problem = Problem::read(data.as_bytes()).and_then(Problem::into_error);
    problem.map_or(Taken::Damage, Taken::Said)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A worker's transcript.
pub(crate) struct Entries {
    worker: WorkerId,
    /// The last entry that was seen.
    after: Option<Cursor>,
}

impl Entries {
    pub(crate) fn new(worker: WorkerId, after: Option<Cursor>) -> Self {
        Self { worker, after }
    }
}

impl Feed for Entries {
    type Item = Arc<Entry>;

    fn ask(&self) -> Ask {
        Ask::get(&[&"workers", &self.worker, &"events"]).with("after", self.after)
    }

    fn take(&mut self, event: Event) -> Taken<Arc<Entry>> {
        let Event { name, id, data } = event;
        let Some(data) = data else {
            // Where a stream that was asked for from its end begins.
            let place = id.and_then(|id| id.parse().ok());
            self.after = self.after.or(place);
            return Taken::Nothing;
        };
        match name.as_str() {
            "entry" => {}
            "end" => return Taken::End,
            "problem" => return problem(&data),
            _ => return Taken::Nothing,
        }
        let Some(entry) = Entry::read(data.as_bytes()) else { return Taken::Damage };
        match self.after {
            Some(after) if entry.seq <= after => return Taken::Nothing,
            Some(after) if entry.seq.0 > after.0 + 1 && entry.kind != EntryKind::Gap => {
                return Taken::Damage;
            }
            _ => {}
        }
        self.after = Some(entry.seq);
        Taken::Item(Arc::new(entry))
    }

    fn has_place(&self) -> bool {
        self.after.is_some()
    }

    fn refused(&mut self, error: &Error) -> Refused {
        match error {
            Error::WorkerRemoved => Refused::End,
            _ => Refused::Error,
        }
    }
}

/// A change with its place.
pub(crate) trait Placed: Shape + Send {
    /// The path of its stream.
    const PATH: &'static str;

    fn cursor(&self) -> &str;
}

impl Placed for Change {
    const PATH: &'static str = "changes";

    fn cursor(&self) -> &str {
        &self.cursor
    }
}

impl Placed for FleetChange {
    const PATH: &'static str = "events";

    fn cursor(&self) -> &str {
        &self.cursor
    }
}

/// Changes of a runtime's workers, or of a registry's runtimes.
pub(crate) struct Changes<T> {
    place: Option<HeaderValue>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: Placed> Changes<T> {
    /// # Errors
    /// [`Invalid::Cursor`] for what no server can have given out.
    pub(crate) fn new(cursor: Option<&str>) -> Result<Self, Error> {
        let place = cursor.map(|cursor| written(cursor).ok_or(Invalid::Cursor)).transpose()?;
        Ok(Self { place, of: std::marker::PhantomData })
    }
}

/// A cursor as a header, which it is only if it has something to it and no more than a header may.
fn written(cursor: &str) -> Option<HeaderValue> {
    let plain = !cursor.is_empty() && cursor.bytes().all(|c| c.is_ascii_graphic());
    plain.then(|| HeaderValue::from_str(cursor).ok()).flatten()
}

impl<T: Placed> Feed for Changes<T> {
    type Item = T;

    fn ask(&self) -> Ask {
        let ask = Ask::get(&[&T::PATH]);
        match &self.place {
            Some(place) => ask.header(LAST_EVENT_ID, place.clone()),
            None => ask,
        }
    }

    fn take(&mut self, event: Event) -> Taken<T> {
        let Some(data) = event.data else { return Taken::Nothing };
        match event.name.as_str() {
            "change" => {}
            "problem" => return problem(&data),
            _ => return Taken::Nothing,
        }
        let change = T::read(data.as_bytes());
        let Some((change, place)) = change.and_then(|change| {
            let place = written(change.cursor())?;
            Some((change, place))
        }) else {
            return Taken::Damage;
        };
        self.place = Some(place);
        Taken::Item(change)
    }

    /// Without one it begins with everything, so nothing is lost.
    fn has_place(&self) -> bool {
        true
    }

    /// A server that begins anew may not know its old places: everything, then, once more.
    fn refused(&mut self, error: &Error) -> Refused {
        let forgotten = matches!(error, Error::InvalidRequest(Invalid::Cursor));
        if forgotten && self.place.take().is_some() { Refused::Again } else { Refused::Error }
    }
}
