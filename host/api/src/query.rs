//! Query parameters. Unknown ones are refused, so that a misspelt filter does not list everything.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use skep_protocol::{
    Cursor, EntryFilter, EntryKind, EntryPlace, EntryText, Error, InputId, Preview,
};

use crate::refusal::{HandlerResult, ProblemResponse, query};

/// The text after `?`. The gate has checked its encoding.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.uri.query().unwrap_or_default().to_owned()))
    }
}

impl Query {
    /// Returns a parameter's value. A repeated parameter is an error.
    pub(crate) fn text(&self, name: &str) -> HandlerResult<Option<String>> {
        let pairs = form_urlencoded::parse(self.0.as_bytes());
        let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(query()),
        }
    }

    /// Returns a parameter's value as an unsigned decimal number.
    pub(crate) fn number(&self, name: &str) -> HandlerResult<Option<u64>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        number(&text).map(Some).ok_or_else(query)
    }

    /// Returns `limit`, bounded; 0 if absent.
    pub(crate) fn limit(&self, most: u64) -> HandlerResult<usize> {
        Ok(self.bounded("limit", most)?.unwrap_or(0))
    }

    fn bounded(&self, name: &str, most: u64) -> HandlerResult<Option<usize>> {
        let number = self.number(name)?.map(|number| number.min(most));
        Ok(number.map(|number| usize::try_from(number).expect("it is bounded by a page's size")))
    }

    /// Returns `after`.
    pub(crate) fn after(&self) -> HandlerResult<Option<Cursor>> {
        Ok(self.number("after")?.map(Cursor))
    }

    /// Returns the values of a parameter that may be repeated, at most `most` of them.
    pub(crate) fn all<T: FromStr>(&self, name: &str, most: usize) -> HandlerResult<Vec<T>> {
        let pairs = form_urlencoded::parse(self.0.as_bytes()).filter(|(key, _)| key == name);
        let values: Vec<_> = pairs.take(most + 1).collect();
        if values.len() > most {
            return Err(query());
        }
        values.iter().map(|(_, value)| value.parse().map_err(|_| query())).collect()
    }

    /// Returns `preview`.
    pub(crate) fn preview(&self) -> HandlerResult<Option<Preview>> {
        let bytes = self.number("preview")?;
        bytes.map(Preview::new).transpose().map_err(|_| query())
    }

    /// Returns the filter of entries: `kind`, `input_id` and `q`.
    pub(crate) fn entry_filter(&self) -> HandlerResult<EntryFilter> {
        let kinds = self.text("kind")?.unwrap_or_default();
        let words = kinds.split(',').filter(|_| !kinds.is_empty());
        let kinds = words.map(|word| EntryKind::from_word(word).ok_or_else(query));
        let input_id = self.text("input_id")?.map(|id| id.parse::<InputId>().map_err(Error::from));
        let text = self.text("q")?.map(|text| text.parse::<EntryText>());
        Ok(EntryFilter {
            kinds: kinds.collect::<HandlerResult<_>>()?,
            input_id: input_id.transpose()?,
            text: text.transpose()?,
        })
    }

    /// Returns the place of a page of entries: at most one of `after`, `before`, `last` and `at`.
    /// With `last`, also returns the number of entries, bounded.
    pub(crate) fn entry_place(&self) -> HandlerResult<(EntryPlace, Option<usize>)> {
        let after = self.after()?.map(EntryPlace::After);
        let before = self.number("before")?.map(|seq| EntryPlace::Before(Cursor(seq)));
        let last = self.bounded("last", crate::page::PAGE)?;
        if last == Some(0) {
            return Err(query());
        }
        let at = self.text("at")?.map(|at| at.parse().map_err(|_| query())).transpose()?;
        let places = [after, before, last.map(|_| EntryPlace::End), at.map(EntryPlace::At)];
        let mut places = places.into_iter().flatten();
        match (places.next(), places.next()) {
            (place, None) => Ok((place.unwrap_or_default(), last)),
            (_, Some(_)) => Err(query()),
        }
    }

    /// Returns a parameter's value in its own type.
    pub(crate) fn parsed<T: FromStr>(&self, name: &str) -> HandlerResult<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| query())
    }
}

/// Refuses a query with a parameter that the route does not take.
pub(crate) fn check(query: &str, known: &[&str]) -> HandlerResult<()> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    match pairs.find(|(key, _)| !known.contains(&key.as_ref())) {
        Some((key, _)) => Err(ProblemResponse::unknown_parameter(&key, known)),
        None => Ok(()),
    }
}

/// Parses digits only: `str::parse` also accepts a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use skep_protocol::LabelFilter;

    use super::*;

    #[test]
    fn a_repeated_parameter_is_refused() {
        let query = Query("limit=7&x=%20&label=a%2Fb=c=d&after=1&after=2&wait_ms=-1".into());
        assert_eq!(query.limit(5).unwrap(), 5);
        let label = query.parsed::<LabelFilter>("label").unwrap().unwrap();
        assert_eq!((&*label.key, &*label.value), ("a/b", "c=d"));
        assert!(query.after().is_err());
        assert!(query.number("wait_ms").is_err());
        assert_eq!(query.text("none").unwrap(), None);
        assert_eq!(query.text("x").unwrap().as_deref(), Some(" "));
    }

    #[test]
    fn only_known_parameters_are_accepted() {
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
    fn a_number_has_only_digits() {
        assert_eq!(number("0018"), Some(18));
        for bad in ["", "+1", "-1", "1.5", "1e3", " 1", "18446744073709551616"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
