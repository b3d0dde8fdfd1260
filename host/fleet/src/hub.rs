//! The open streams of a process, and the tasks that move their frames.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_nats::{Client, Message, StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use crate::frame::StreamFrame;
use crate::link::{Link, StreamFault};
use crate::subject::{self, SubjectPart};

/// Interval at which streams are looked at. They are silent for some of these before it matters.
const TICK: Duration = Duration::from_secs(1);

/// The open streams of a process. Its tasks end when it is dropped.
#[derive(Debug)]
pub(crate) struct Hub {
    /// The subjects on which this process is reached.
    at: String,
    links: Mutex<HashMap<String, OpenLink>>,
    /// What the streams send. Each stream has a window at most in here.
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Answers to frames for streams that are not there. What finds no room is not answered, and the
    /// other end gives up by itself.
    strays: mpsc::Sender<Stray>,
}

/// An answer to a frame for a stream that is not there.
type Stray = (Subject, Bytes);

/// Maximum number of those answers that wait.
const STRAYS: usize = 64;

/// One end of an open stream.
#[derive(Clone, Debug)]
pub(crate) struct OpenLink {
    pub(crate) link: Arc<Link>,
    id: SubjectPart,
    /// The subjects of this end's frames and of the other's.
    to: Subject,
    from: Subject,
    /// The process of the runtime that took the stream. Only a dialer's end has one.
    taken_by: Arc<OnceLock<SubjectPart>>,
}

#[derive(Debug)]
enum Outgoing {
    Frame {
        to: Subject,
        /// The end that sends, so that an end which is gone can be told to it.
        from: Subject,
        frame: Bytes,
    },
    /// The answer to a message that asked for a stream.
    Answer { to: Subject, answer: Bytes },
    /// Asks to be told when all before it is sent.
    Flush(oneshot::Sender<()>),
}

impl Hub {
    /// Starts to take frames on the subjects below `at`.
    pub(crate) async fn start(
        client: Client,
        at: String,
    ) -> Result<Arc<Self>, async_nats::SubscribeError> {
        let mut frames = client.subscribe(format!("{at}.s.*")).await?;
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (strays, stray_queue) = mpsc::channel(STRAYS);
        let hub = Arc::new(Self { at, links: Mutex::default(), outgoing, strays });
        tokio::spawn(send_all(client, queue, stray_queue));
        let weak = Arc::downgrade(&hub);
        tokio::spawn(async move {
            while let Some(message) = frames.next().await {
                let Some(hub) = weak.upgrade() else { return };
                hub.take(message);
            }
        });
        tokio::spawn(Self::tick(Arc::downgrade(&hub)));
        Ok(hub)
    }

    /// Returns the number of open streams.
    pub(crate) fn count(&self) -> usize {
        self.links().len()
    }

    /// Opens one end of a stream. `other` is the subject of the other end's frames.
    pub(crate) fn open(&self, id: &SubjectPart, other: String) -> Option<OpenLink> {
        let open = OpenLink {
            link: Arc::new(Link::default()),
            id: id.clone(),
            to: other.into(),
            from: subject::stream(&self.at, id).into(),
            taken_by: Arc::default(),
        };
        let mut links = self.links();
        if links.contains_key(id.as_str()) {
            return None;
        }
        links.insert(id.as_str().to_owned(), open.clone());
        Some(open)
    }

    /// Sends a frame of a stream.
    pub(crate) fn send(&self, open: &OpenLink, frame: Bytes) {
        self.put(Outgoing::Frame { to: open.to.clone(), from: open.from.clone(), frame });
    }

    /// Forgets a stream, and tells the other end unless it knows.
    pub(crate) fn close(&self, open: &OpenLink) {
        self.links().remove(open.id.as_str());
        if let Some(frame) = open.link.drop_frame() {
            self.send(open, frame.encode());
        }
    }

    /// Answers a message that asked for a stream.
    pub(crate) fn answer(&self, to: Subject, answer: Bytes) {
        self.put(Outgoing::Answer { to, answer });
    }

    /// Waits until the server has all that was sent.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.put(Outgoing::Flush(done));
        // An error means that the connection is gone, so there is nothing to wait for.
        let _ = flushed.await;
    }

    fn put(&self, outgoing: Outgoing) {
        // It has ended only if the process's runtime has.
        let _ = self.outgoing.send(outgoing);
    }

    /// Notes that a process of the runtime took a stream.
    pub(crate) fn taken(&self, open: &OpenLink, runtime: &str, by: SubjectPart) {
        self.reset_former(runtime, &by);
        open.taken_by.get_or_init(|| by);
    }

    /// Breaks all streams that another process of the runtime took: this one has replaced it.
    pub(crate) fn reset_former(&self, runtime: &str, process: &SubjectPart) {
        let is_of = |open: &&OpenLink| {
            open.to.strip_prefix(runtime).is_some_and(|rest| rest.starts_with('.'))
                && open.taken_by.get().is_some_and(|by| by != process)
        };
        let all: Vec<OpenLink> = self.links().values().filter(is_of).cloned().collect();
        for open in all {
            open.link.fail(StreamFault::Reset);
        }
    }

    /// Takes a message for one of the streams.
    fn take(&self, message: Message) {
        let Message { subject, reply, payload, status, .. } = message;
        let id = subject.rsplit('.').next().unwrap_or_default();
        let open = self.links().get(id).cloned();
        if status == Some(StatusCode::NO_RESPONDERS) {
            // The server's answer to a frame for a process that is gone.
            if let Some(open) = open {
                open.link.fail(StreamFault::Reset);
            }
            return;
        }
        let frame = StreamFrame::decode(payload);
        match (open, frame) {
            (Some(open), Ok(frame)) => {
                if open.link.receive(frame).is_err() {
                    self.send(&open, StreamFrame::Reset.encode());
                }
            }
            (Some(open), Err(_)) => {
                if open.link.fail(StreamFault::Invalid) {
                    self.send(&open, StreamFrame::Reset.encode());
                }
            }
            (None, Ok(StreamFrame::Reset) | Err(_)) => {}
            (None, Ok(_)) => {
                // The process was restarted, or has dropped its end.
                let other = reply.filter(|reply| subject::is_other_end(reply, &self.at));
                if let Some(other) = other {
                    let _ = self.strays.try_send((other, StreamFrame::Reset.encode()));
                }
            }
        }
    }

    /// Gives up streams whose other end is gone, and shows that this one is not.
    async fn tick(hub: Weak<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(hub) = hub.upgrade() else { return };
            let all: Vec<OpenLink> = hub.links().values().cloned().collect();
            let now = Instant::now();
            for open in all {
                if let Some(frame) = open.link.tick(now) {
                    hub.send(&open, frame.encode());
                }
            }
        }
    }

    fn links(&self) -> MutexGuard<'_, HashMap<String, OpenLink>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what streams and strays have, until both are closed.
async fn send_all(
    client: Client,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    mut strays: mpsc::Receiver<Stray>,
) {
    loop {
        let sent = tokio::select! {
            biased;
            next = outgoing.recv() => match next {
                None => return,
                Some(Outgoing::Frame { to, from, frame }) => {
                    client.publish_with_reply(to, from, frame).await
                }
                Some(Outgoing::Answer { to, answer }) => client.publish(to, answer).await,
                Some(Outgoing::Flush(done)) => {
                    // The connection may be gone, which the one that waits has to bear.
                    let _ = client.flush().await;
                    let _ = done.send(());
                    Ok(())
                }
            },
            Some((to, frame)) = strays.recv() => client.publish(to, frame).await,
        };
        if let Err(error) = sent {
            // The ends notice the gap.
            tracing::debug!(%error, "a frame was not sent");
        }
    }
}
