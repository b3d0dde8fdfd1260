//! Resumable event feeds: the request for each, and the interpretation of its events.

use http::{HeaderName, HeaderValue};
use skep_protocol::{
    Cursor, Entry, EntryKind, Error, FleetEvent, FollowChanges, Invalid, Preview, Problem,
    RuntimeEvent, WorkerId,
};
use std::sync::Arc;

use crate::from_json::FromJson;
use crate::request::ApiRequest;
use crate::sse::Event;

/// A feed and the position reached in it.
pub(crate) trait EventFeed: Send {
    type Item: Send;

    /// Returns the request for everything after the current position.
    fn ask(&self) -> ApiRequest;

    /// Interprets an event.
    fn take(&mut self, event: Event) -> EventResult<Self::Item>;

    /// Returns true if the feed can be resumed.
    fn has_position(&self) -> bool;

    /// Decides what an error means when the server returns it on resumption.
    fn refused(&mut self, error: &Error) -> ResumeRefusal;
}

/// The meaning of an event.
pub(crate) enum EventResult<T> {
    /// A new item.
    Item(T),
    /// A duplicate, or an event without an item.
    Nothing,
    /// The end of the feed.
    End,
    /// The error with which the server ended the stream.
    Said(Error),
    /// An event that must not occur here: the stream is damaged.
    Damage,
}

/// The meaning of an error on resumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResumeRefusal {
    /// The feed has ended.
    End,
    /// The position was reset; try again.
    Again,
    /// The error is for the caller.
    Error,
}

fn problem<T>(data: &str) -> EventResult<T> {
    let problem = Problem::read(data.as_bytes()).and_then(Problem::into_error);
    problem.map_or(EventResult::Damage, EventResult::Said)
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A worker's transcript.
pub(crate) struct Entries {
    worker: WorkerId,
    /// Cursor of the last entry.
    after: Option<Cursor>,
    preview: Option<Preview>,
}

impl Entries {
    pub(crate) fn new(worker: WorkerId, after: Option<Cursor>, preview: Option<Preview>) -> Self {
        Self { worker, after, preview }
    }
}

impl EventFeed for Entries {
    type Item = Arc<Entry>;

    fn ask(&self) -> ApiRequest {
        ApiRequest::get(&[&"workers", &self.worker, &"events"])
            .with("after", self.after)
            .with("preview", self.preview.map(Preview::bytes))
    }

    fn take(&mut self, event: Event) -> EventResult<Arc<Entry>> {
        let Event { name, id, data } = event;
        let Some(data) = data else {
            // The start position of a stream that was requested from the end.
            let position = id.and_then(|id| id.parse().ok());
            self.after = self.after.or(position);
            return EventResult::Nothing;
        };
        match name.as_str() {
            "entry" => {}
            "end" => return EventResult::End,
            "problem" => return problem(&data),
            _ => return EventResult::Nothing,
        }
        let Some(entry) = Entry::read(data.as_bytes()) else { return EventResult::Damage };
        match self.after {
            Some(after) if entry.seq <= after => return EventResult::Nothing,
            Some(after) if entry.seq.0 > after.0 + 1 && entry.kind != EntryKind::Gap => {
                return EventResult::Damage;
            }
            _ => {}
        }
        self.after = Some(entry.seq);
        EventResult::Item(Arc::new(entry))
    }

    fn has_position(&self) -> bool {
        self.after.is_some()
    }

    fn refused(&mut self, error: &Error) -> ResumeRefusal {
        match error {
            Error::WorkerRemoved => ResumeRefusal::End,
            _ => ResumeRefusal::Error,
        }
    }
}

/// An event of a feed of changes.
pub(crate) trait ChangeEvent: Sized + Send {
    /// Path of the stream.
    const PATH: &'static str;

    /// Reads an event. `Ok(None)` if the event is not of this feed, an error if it is damaged.
    fn read(name: &str, data: &[u8]) -> Result<Option<Self>, ()>;

    /// Returns the cursor to resume after this event, if it has one.
    fn cursor(&self) -> Option<&str>;
}

/// Reads the data of an event.
fn event<T: FromJson, E>(data: &[u8], event: impl FnOnce(T) -> E) -> Result<Option<E>, ()> {
    T::read(data).map(event).map(Some).ok_or(())
}

impl ChangeEvent for RuntimeEvent {
    const PATH: &'static str = "changes";

    fn read(name: &str, data: &[u8]) -> Result<Option<Self>, ()> {
        match name {
            "change" => event(data, Self::Change),
            "ready" => event(data, Self::Ready),
            "reset" => Ok(Some(Self::Reset)),
            "component" => event(data, Self::Compiled),
            "diagnostic" => event(data, |diagnostic| Self::Diagnostic(Box::new(diagnostic))),
            _ => Ok(None),
        }
    }

    fn cursor(&self) -> Option<&str> {
        match self {
            Self::Change(change) => Some(&change.cursor),
            Self::Ready(ready) => Some(&ready.cursor),
            Self::Reset | Self::Compiled(_) | Self::Diagnostic(_) => None,
        }
    }
}

impl ChangeEvent for FleetEvent {
    const PATH: &'static str = "events";

    fn read(name: &str, data: &[u8]) -> Result<Option<Self>, ()> {
        match name {
            "change" => event(data, Self::Change),
            "ready" => event(data, Self::Ready),
            "reset" => event(data, Self::Reset),
            "entry" => event(data, Self::Entry),
            "entry_problem" => event(data, Self::EntryProblem),
            "component" => event(data, Self::Compiled),
            "diagnostic" => event(data, Self::Diagnostic),
            _ => Ok(None),
        }
    }

    fn cursor(&self) -> Option<&str> {
        match self {
            Self::Change(change) => Some(&change.cursor),
            Self::Ready(ready) => Some(&ready.cursor),
            Self::Reset(_)
            | Self::Entry(_)
            | Self::EntryProblem(_)
            | Self::Compiled(_)
            | Self::Diagnostic(_) => None,
        }
    }
}

/// Events of a runtime, or of a registry's runtimes.
pub(crate) struct Changes<T> {
    position: Option<HeaderValue>,
    from_now: bool,
    /// Further parameters.
    parameters: Vec<(&'static str, String)>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: ChangeEvent> Changes<T> {
    /// # Errors
    /// [`Invalid::Cursor`] for text that no server issues.
    pub(crate) fn new(
        from: FollowChanges,
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Self, Error> {
        let position = from.after.map(|cursor| written(&cursor).ok_or(Invalid::Cursor));
        let (position, from_now) = (position.transpose()?, from.from_now);
        Ok(Self { position, from_now, parameters, of: std::marker::PhantomData })
    }
}

/// Converts a cursor to a header value. Returns none if it is empty or not printable ASCII.
fn written(cursor: &str) -> Option<HeaderValue> {
    let plain = !cursor.is_empty() && cursor.bytes().all(|c| c.is_ascii_graphic());
    plain.then(|| HeaderValue::from_str(cursor).ok()).flatten()
}

impl<T: ChangeEvent> EventFeed for Changes<T> {
    type Item = T;

    fn ask(&self) -> ApiRequest {
        let ask = ApiRequest::get(&[&T::PATH]).with("from", self.from_now.then_some("now"));
        let parameters = self.parameters.iter();
        let ask = parameters.fold(ask, |ask, (name, value)| ask.with(name, Some(value)));
        match &self.position {
            Some(position) => ask.header(LAST_EVENT_ID, position.clone()),
            None => ask,
        }
    }

    fn take(&mut self, event: Event) -> EventResult<T> {
        let Some(data) = event.data else { return EventResult::Nothing };
        if event.name == "problem" {
            return problem(&data);
        }
        let event = match T::read(&event.name, data.as_bytes()) {
            Ok(Some(event)) => event,
            Ok(None) => return EventResult::Nothing,
            Err(()) => return EventResult::Damage,
        };
        if let Some(cursor) = event.cursor() {
            let Some(position) = written(cursor) else { return EventResult::Damage };
            self.position = Some(position);
        }
        EventResult::Item(event)
    }

    /// Without a cursor the feed starts over, so nothing is lost.
    fn has_position(&self) -> bool {
        true
    }

    /// A restarted server may not know our cursor: then start over.
    fn refused(&mut self, error: &Error) -> ResumeRefusal {
        let forgotten = matches!(error, Error::InvalidRequest(Invalid::Cursor));
        if forgotten && self.position.take().is_some() {
            ResumeRefusal::Again
        } else {
            ResumeRefusal::Error
        }
    }
}
