//! One connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::activity::{Activity, Taken};
use super::watched::Watched;
use super::{Link, ServerLimits};

/// Beyond this, in bytes, a head is refused by the parser itself, with an empty body. The gate
/// refuses smaller ones, with a problem.
const HEAD_BYTES: usize = 128 << 10;

/// As with the bytes, in fields.
const HEAD_FIELDS: usize = 256;

/// Requests of one HTTP/2 connection at a time.
const STREAMS: u32 = 256;

/// Requests of one HTTP/2 connection that were reset before anyone looked at them.
const RESETS: usize = 32;

pub(super) async fn serve(stream: TcpStream, router: Router, limits: ServerLimits, link: Link) {
    let activity = Arc::new(Activity::new(limits));
    let mut closing = link.closing.clone();
    let service = Service { router, link: Arc::new(link), activity: Arc::clone(&activity) };
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&activity), limits.stall));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Hyper's own counts the time between two requests as well.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_send_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut look = tokio::time::interval(limits.stall);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection was ended");
                }
                return;
            }
            Ok(()) = closing.changed() => connection.as_mut().graceful_shutdown(),
            _ = look.tick() => {
                if activity.is_stalled() {
                    tracing::debug!("a connection was ended: an answer is not taken");
                    return;
                }
            }
        }
    }
}

/// The router, to hyper.
struct Service {
    router: Router,
    link: Arc<Link>,
    activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.link));
        let going = Going::new(Arc::clone(&self.activity));
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| Answer::new(body, going)))
        })
    }
}

/// A request whose answer has not ended.
struct Going(Arc<Activity>);

impl Going {
    fn new(activity: Arc<Activity>) -> Self {
        activity.begins();
        Self(activity)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.ends();
    }
}

/// The body of an answer.
struct Answer {
    body: Body,
    going: Going,
    taken: Option<Arc<Taken>>,
}

impl Answer {
    fn new(body: Body, going: Going) -> Self {
        let taken = going.0.is_multiplexed().then(|| going.0.watch());
        Self { body, going, taken }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Some(taken) = &this.taken {
            match frame {
                Poll::Ready(_) => taken.handed_over(&this.going.0),
                Poll::Pending => taken.has_nothing(),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
