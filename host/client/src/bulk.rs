//! The results of a bulk request: one JSON object a line, as workers finish.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::{Stream, StreamExt, stream};
use hyper::body::Incoming;
use skep_protocol::{BulkResult, Error};

use crate::from_json::FromJson;
use crate::transfer::piece;

/// Maximum length of a line: two ids and a problem.
const LONGEST: usize = 64 << 10;

/// The results of a bulk request, in the order in which workers finish.
pub type BulkResults = Pin<Box<dyn Stream<Item = Result<BulkResult, Error>> + Send>>;

/// The body of a bulk answer, while it arrives.
struct BulkBody {
    body: Incoming,
    /// Bytes without the end of their line.
    rest: BytesMut,
    ready: VecDeque<BulkResult>,
}

/// Reads the results from a body, waiting `between` for each piece of it. A body that is cut off or
/// has a line that is no result ends the stream with an error.
pub(crate) fn results(body: Incoming, between: Duration) -> BulkResults {
    let start = BulkBody { body, rest: BytesMut::new(), ready: VecDeque::new() };
    let items = stream::unfold(Some(start), move |body| async move {
        let mut body = body?;
        match body.next(between).await {
            Ok(Some(result)) => Some((Ok(result), Some(body))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    });
    items.boxed()
}

impl BulkBody {
    async fn next(&mut self, between: Duration) -> Result<Option<BulkResult>, Error> {
        loop {
            if let Some(result) = self.ready.pop_front() {
                return Ok(Some(result));
            }
            match piece(&mut self.body, between).await {
                Ok(Some(bytes)) => self.rest.extend_from_slice(&bytes),
                Ok(None) if self.rest.is_empty() => return Ok(None),
                Ok(None) | Err(_) => return Err(Error::RuntimeUnavailable),
            }
            while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line = self.rest.split_to(end + 1);
                self.ready.push_back(BulkResult::read(&line).ok_or(Error::RuntimeUnavailable)?);
            }
            if self.rest.len() > LONGEST {
                return Err(Error::RuntimeUnavailable);
            }
        }
    }
}
