//! One connection, from first byte to last.

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
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service as _;

use super::activity::{Activity, WriteProgress};
use super::connection_info::ConnectionInfo;
use super::limits::ServerLimits;
use super::timed_socket::TimedSocket;

/// Maximum size of a head, in bytes. Beyond it the parser answers with an empty body. The gate
/// refuses smaller heads, with a problem.
const HEAD_BYTES: usize = 128 << 10;

/// Maximum number of header fields, as for the size.
const HEAD_FIELDS: usize = 256;

/// Maximum number of concurrent requests of one HTTP/2 connection.
const STREAMS: u32 = 256;

/// Maximum number of HTTP/2 requests that were reset before they were handled.
const RESETS: usize = 32;

pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    limits: ServerLimits,
    link: ConnectionInfo,
) {
    let activity = Arc::new(Activity::new(limits));
    let mut closing = link.closing.clone();
    let service = Service { router, link: Arc::new(link), activity: Arc::clone(&activity) };
    let io = TokioIo::new(TimedSocket::new(stream, Arc::clone(&activity), limits.stall));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Hyper's own timeout includes the time between two requests.
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
                    tracing::debug!(error, "connection failed");
                }
                return;
            }
            Ok(()) = closing.changed() => connection.as_mut().graceful_shutdown(),
            _ = look.tick() => {
                if activity.is_stalled() {
                    tracing::debug!("closed a connection: the client does not read a response");
                    return;
                }
            }
        }
    }
}

/// The router as a hyper service.
struct Service {
    router: Router,
    link: Arc<ConnectionInfo>,
    activity: Arc<Activity>,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<TrackedBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(Arc::clone(&self.link));
        let going = InFlight::new(Arc::clone(&self.activity));
        let answer = self.router.clone().call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| TrackedBody::new(body, going)))
        })
    }
}

/// A request in flight.
struct InFlight(Arc<Activity>);

impl InFlight {
    fn new(activity: Arc<Activity>) -> Self {
        activity.request_started();
        Self(activity)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.request_finished();
    }
}

/// A response body that reports its progress.
struct TrackedBody {
    body: Body,
    going: InFlight,
    taken: Option<Arc<WriteProgress>>,
}

impl TrackedBody {
    fn new(body: Body, going: InFlight) -> Self {
        let taken = going.0.is_multiplexed().then(|| going.0.watch());
        Self { body, going, taken }
    }
}

impl http_body::Body for TrackedBody {
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
