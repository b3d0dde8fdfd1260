//! The query of a request: what is asked for by name. What a route does not take is refused, so that
//! a filter that was misspelt does not list everything.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use skep_protocol::Cursor;

use crate::refusal::{Answer, Refusal, query};

/// The text after `?`. Whether it is well-formed has been seen to by the gate.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl Query {
    /// A parameter's value. One that is there twice says nothing.
    pub(crate) fn text(&self, name: &str) -> Answer<Option<String>> {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(query()),
        }
    }

    /// A parameter's value, where it is a whole number of digits alone.
    pub(crate) fn number(&self, name: &str) -> Answer<Option<u64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        number(&text).map(Some).ok_or_else(query)
    }

    /// `limit`, bounded; 0 where there is none.
    pub(crate) fn limit(&self, most: u64) -> Answer<usize> {
        let limit = self.number("limit")?.unwrap_or(0).min(most);
        Ok(usize::try_from(limit).expect("it is bounded by a page's size"))
    }

    /// `after`.
    pub(crate) fn after(&self) -> Answer<Option<Cursor>> {
        Ok(self.number("after")?.map(Cursor))
    }

    /// `label=key=value`.
    pub(crate) fn label(&self) -> Answer<Option<(String, String)>> {
        let Some(label) = self.text("label")? else { return Ok(None) };
        let (key, value) = label.split_once('=').ok_or_else(query)?;
        Ok(Some((key.to_owned(), value.to_owned())))
    }
}

/// Refuses a query that has a parameter which the route does not take.
pub(crate) fn check(query: &str, known: &[&str]) -> Answer<()> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(key, _)| !known.contains(&key.as_ref())) {
        Some((key, _)) => Err(Refusal::unknown_parameter(&key, known)),
        None => Ok(()),
    }
}

/// A whole number of digits alone: `str::parse` takes a sign as well.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_once() {
        let query = Query("limit=7&x=%20&label=a%2Fb=c=d&after=1&after=2&wait_ms=-1".into());
        assert_eq!(query.limit(5).unwrap(), 5);
        assert_eq!(query.label().unwrap(), Some(("a/b".into(), "c=d".into())));
        assert!(query.after().is_err());
        assert!(query.number("wait_ms").is_err());
        assert_eq!(query.text("none").unwrap(), None);
        assert_eq!(query.text("x").unwrap().as_deref(), Some(" "));
    }

    #[test]
    fn a_query_has_the_parameters_of_its_route_and_no_others() {
        let known = ["limit", "label"];
        for good in ["", "&", "limit=1", "label=a%3Db&limit=", "l%69mit=1"] {
            assert!(check(good, &known).is_ok(), "{good}");
        }
        for bad in ["x", "=", "limit=1&Limit=1", "label%00=a", "limit%20=1", "limit[]=1"] {
            assert!(check(bad, &known).is_err(), "{bad}");
        }
        assert!(check("limit=1", &[]).is_err());
    }

    #[test]
    fn a_number_is_digits() {
        assert_eq!(number("0018"), Some(18));
        for bad in ["", "+1", "-1", "1.5", "1e3", " 1", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
