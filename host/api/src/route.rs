//! One route: the method and path, who answers, and what the document says of it. The router and the
//! document are made of the same list, so that neither has what the other has not.

use axum::Json;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use skep_protocol::Problem;

use crate::App;
use crate::events::PROBLEM;

/// How a type is written in JSON.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What a body is.
#[derive(Clone)]
pub(crate) enum Content {
    /// There is none.
    Empty,
    /// JSON of this shape.
    Json(Shape),
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Server-sent events: their names, each with the shape of the JSON that is its data.
    Events(Vec<(&'static str, Shape)>),
}

/// JSON that is a `T`.
pub(crate) fn json<T: JsonSchema>() -> Content {
    Content::Json(|generator| generator.subschema_for::<T>())
}

/// Server-sent events of this name whose data is a `T`.
pub(crate) fn named<T: JsonSchema>(name: &'static str) -> (&'static str, Shape) {
    (name, |generator| generator.subschema_for::<T>())
}

/// A stream of these events, and of the problem that may end it.
pub(crate) fn events<const N: usize>(all: [(&'static str, Shape); N]) -> Content {
    Content::Events(all.into_iter().chain([named::<Problem>(PROBLEM)]).collect())
}

/// The place of a parameter in the query, as the document calls it.
const QUERY: &str = "query";

/// A parameter in the query or header.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    pub(crate) place: &'static str,
    pub(crate) shape: Shape,
    pub(crate) says: &'static str,
}

/// See the module's documentation.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) handler: MethodRouter<App>,
    /// The name that the document has for it.
    pub(crate) id: &'static str,
    pub(crate) says: &'static str,
    /// Answered without login.
    pub(crate) open: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) request: Content,
    pub(crate) answers: Vec<(u16, &'static str, Content)>,
    /// The statuses of its problems.
    pub(crate) problems: Vec<u16>,
    /// Not in the document.
    pub(crate) hidden: bool,
}

impl Route {
    fn new<H: Handler<T, App>, T: 'static>(
        (method, filter): (&'static str, MethodFilter),
        path: &str,
        (id, says): (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self {
            method,
            path: path.to_owned(),
            handler: on(filter, handler),
            id,
            says,
            open: false,
            parameters: Vec::new(),
            request: Content::Empty,
            answers: Vec::new(),
            problems: vec![400, 401, 403, 414, 421, 429, 431, 500, 503],
            hidden: false,
        }
    }

    pub(crate) fn get<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(("GET", MethodFilter::GET), path, named, handler)
    }

    /// A change. Its body may be refused for its length, its type and its slowness.
    fn change<H: Handler<T, App>, T: 'static>(
        filter: (&'static str, MethodFilter),
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::new(filter, path, named, handler).refuses(&[408, 409, 413, 415, 507])
    }

    pub(crate) fn post<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("POST", MethodFilter::POST), path, named, handler)
    }

    pub(crate) fn put<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("PUT", MethodFilter::PUT), path, named, handler)
    }

    pub(crate) fn patch<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("PATCH", MethodFilter::PATCH), path, named, handler)
    }

    pub(crate) fn delete<H: Handler<T, App>, T: 'static>(
        path: &str,
        named: (&'static str, &'static str),
        handler: H,
    ) -> Self {
        Self::change(("DELETE", MethodFilter::DELETE), path, named, handler)
    }

    /// Needs no login.
    pub(crate) fn open(mut self) -> Self {
        self.open = true;
        self.problems.retain(|status| !matches!(status, 401 | 403 | 429 | 503));
        self
    }

    /// Is not in the document.
    pub(crate) fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Takes this body.
    pub(crate) fn takes(mut self, request: Content) -> Self {
        self.request = request;
        self
    }

    /// Answers with this.
    pub(crate) fn answers(mut self, status: u16, says: &'static str, content: Content) -> Self {
        self.answers.push((status, says, content));
        self
    }

    /// May be refused with these as well.
    pub(crate) fn refuses(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self.problems.sort_unstable();
        self.problems.dedup();
        self
    }

    /// Takes a parameter in the query.
    pub(crate) fn query<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter::<T>(name, QUERY, says)
    }

    /// Takes a field of the header.
    pub(crate) fn header<T: JsonSchema>(self, name: &'static str, says: &'static str) -> Self {
        self.parameter::<T>(name, "header", says)
    }

    fn parameter<T: JsonSchema>(
        mut self,
        name: &'static str,
        place: &'static str,
        says: &'static str,
    ) -> Self {
        let shape: Shape = |generator| generator.subschema_for::<T>();
        self.parameters.push(Parameter { name, place, shape, says });
        self
    }

    /// The names of the parameters that it takes in the query.
    pub(crate) fn in_query(&self) -> Vec<&'static str> {
        let in_query = self.parameters.iter().filter(|parameter| parameter.place == QUERY);
        in_query.map(|parameter| parameter.name).collect()
    }

    /// The same below another path.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        self.path.insert_str(0, prefix);
        self
    }
}

/// A thing that was stored: 201 where it is new, 200 where it was there.
pub(crate) fn stored<T>(stored: skep_protocol::Stored<T>) -> (axum::http::StatusCode, Json<T>) {
    let status = if stored.created { 201 } else { 200 };
    let status = axum::http::StatusCode::from_u16(status).expect("these are statuses");
    (status, Json(stored.item))
}
