//! `poll_oneoff`: waits for the first of several events.

use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use wasmtime_wasi_io::poll::Pollable;
use wiggle::{GuestMemory, GuestPtr, GuestType};

use super::abi::types::{self, Errno, Error, Rights};
use super::clock::known_clock;
use super::fds::Fd;

use crate::guest::clocks::Timer;
use crate::guest::stdio::{GuestInput, GuestOutput};
use crate::wasi::world::World;

enum PollSource {
    Timer(Timer),
    Input(GuestInput),
    Output(GuestOutput),
    /// A regular file is always ready.
    File,
    Failed(Errno),
}

impl PollSource {
    async fn ready(&mut self) {
        match self {
            Self::Timer(timer) => timer.ready().await,
            Self::Input(input) => input.ready().await,
            Self::Output(output) => output.ready().await,
            Self::File | Self::Failed(_) => {}
        }
    }
}

impl World {
    pub(super) async fn poll(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: u32,
    ) -> Result<u32, Error> {
        // Each subscription allocates a future, so their number is bounded by what one call may
        // transfer.
        let most = self.transfer_limit() / types::Subscription::guest_size();
        if count == 0 || count > most {
            return Err(Errno::Inval.into());
        }
        let mut waits = Vec::new();
        for subscription in subscriptions.as_array(count).iter() {
            let subscription = memory.read(subscription?)?;
            let (kind, source) = self.source(&subscription.u)?;
            waits.push((subscription.userdata, kind, source));
        }
        let mut ready: Vec<bool> = vec![false; waits.len()];
        {
            let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
            for (.., source) in &mut waits {
                futures.push(Box::pin(source.ready()));
            }
            std::future::poll_fn(|cx| {
                for (future, ready) in futures.iter_mut().zip(&mut ready) {
                    *ready = *ready || future.as_mut().poll(cx).is_ready();
                }
                if ready.contains(&true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        let mut written = 0;
        for ((userdata, type_, source), _) in
            waits.into_iter().zip(ready).filter(|(_, ready)| *ready)
        {
            let error = match source {
                PollSource::Failed(errno) => errno,
                _ => Errno::Success,
            };
            let event = types::Event {
                userdata,
                error,
                type_,
                fd_readwrite: types::EventFdReadwrite {
                    nbytes: 1,
                    flags: types::Eventrwflags::empty(),
                },
            };
            memory.write(events.add(written)?, event)?;
            written += 1;
        }
        Ok(written)
    }

    fn source(
        &mut self,
        subscription: &types::SubscriptionU,
    ) -> Result<(types::Eventtype, PollSource), Error> {
        use types::{Eventtype, SubscriptionU};
        Ok(match subscription {
            SubscriptionU::Clock(clock) => {
                known_clock(clock.id)?;
                let absolute =
                    clock.flags.contains(types::Subclockflags::SUBSCRIPTION_CLOCK_ABSTIME);
                let timeout = Duration::from_nanos(clock.timeout);
                let timer = match (absolute, clock.id) {
                    (false, _) => self.clocks.timer_after(timeout),
                    (true, types::Clockid::Monotonic) => self.clocks.timer_at(timeout),
                    (true, _) => {
                        self.clocks.timer_after(timeout.saturating_sub(self.clocks.wall()))
                    }
                };
                (Eventtype::Clock, PollSource::Timer(timer))
            }
            SubscriptionU::FdRead(fd) => {
                let needed = Rights::POLL_FD_READWRITE | Rights::FD_READ;
                let source = match self.fds().get(fd.file_descriptor, needed) {
                    Ok(Fd::Stdin) => PollSource::Input(self.stdin.clone()),
                    Ok(Fd::File(_)) => PollSource::File,
                    Ok(_) => PollSource::Failed(Errno::Badf),
                    Err(errno) => PollSource::Failed(errno),
                };
                (Eventtype::FdRead, source)
            }
            SubscriptionU::FdWrite(fd) => {
                let needed = Rights::POLL_FD_READWRITE | Rights::FD_WRITE;
                let source = match self.fds().get(fd.file_descriptor, needed) {
                    Ok(Fd::Stdout) => PollSource::Output(self.stdout.clone()),
                    Ok(Fd::Stderr) => PollSource::Output(self.stderr.clone()),
                    Ok(Fd::File(_)) => PollSource::File,
                    Ok(_) => PollSource::Failed(Errno::Badf),
                    Err(errno) => PollSource::Failed(errno),
                };
                (Eventtype::FdWrite, source)
            }
        })
    }
}
