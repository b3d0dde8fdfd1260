//! A caller that drives some workers, which no other caller changes.

use std::time::Duration;

use futures_util::future::join_all;
use skep_protocol::{InputId, InputState, Turns, WorkerId};

use crate::actor::Actor;
use crate::chance::Chance;
use crate::line::{Answer, Build, BuildKind, Line, Request};
use crate::order::Order;
use crate::place;
use crate::plan::Retry;
use crate::wasm::VERSIONS;

/// The bound on the workers of one client.
const MOST: usize = 5;

/// Longer than any turn here, in milliseconds.
const LONG: u64 = 10_000;

/// A worker of a client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    pub(crate) id: WorkerId,
    pub(crate) build: Build,
    pub(crate) stopped: bool,
}

/// A caller and its workers.
pub(crate) struct Client {
    pub(crate) actor: Actor,
    pub(crate) chance: Chance,
    /// The prefix of its orders' names.
    pub(crate) prefix: String,
    pub(crate) own: Vec<Own>,
    pub(crate) retries: Vec<Retry>,
    /// True to create and remove workers more often.
    pub(crate) restless: bool,
    /// The number of orders so far.
    pub(crate) orders: u64,
}

impl Client {
    /// Runs until the process is killed.
    pub(crate) async fn run(mut self) {
        for Retry { worker, order, key } in std::mem::take(&mut self.retries) {
            let Some(own) = self.own.iter().find(|own| own.id == worker).copied() else { continue };
            let wait_ms = self.wait();
            let request = Request::Send { worker, order, key: Some(key), wait_ms };
            self.actor.ask(own.build.kind, request).await;
        }
        loop {
            let few = self.own.len() < 2;
            if few || self.restless && self.chance.percent(20) && self.own.len() < MOST {
                self.create().await;
                continue;
            }
            let at = self.chance.index(self.own.len());
            if self.own[at].stopped {
                if self.chance.percent(30) {
                    self.command(at, Request::Start).await;
                    self.own[at].stopped = false;
                }
                tokio::task::yield_now().await;
                continue;
            }
            let own = self.own[at];
            if self.restless && self.chance.percent(20) {
                self.remove(at).await;
                continue;
            }
            match self.chance.below(100) {
                0..=34 => self.waited(own).await,
                35..=44 => self.burst(own).await,
                45..=49 => self.rush(at).await,
                50..=59 => self.keyed(own).await,
                60..=69 => self.long(own).await,
                70..=76 => self.cancel(own).await,
                77..=82 => self.stop(at).await,
                83..=90 => {
                    let to = u32::try_from(self.chance.below(VERSIONS.into())).unwrap();
                    self.command(at, |id| Request::Update(id, to)).await;
                }
                91..=93 => self.command(at, Request::Rollback).await,
                94..=96 if self.own.len() < MOST => self.create().await,
                97 => self.remove(at).await,
                _ => self.config().await,
            }
        }
    }

    fn name(&mut self) -> String {
        self.orders += 1;
        format!("{}n{}", self.prefix, self.orders)
    }

    fn short(&mut self) -> Order {
        Order::short(self.name(), &mut self.chance)
    }

    fn long_order(&mut self) -> Order {
        Order::long(self.name(), &mut self.chance)
    }

    /// Returns the sender's wait, if it waits.
    fn wait(&mut self) -> Option<u64> {
        match self.chance.below(4) {
            0 => None,
            1 => Some(self.chance.below(4)),
            _ => Some(LONG),
        }
    }

    async fn send(&self, own: Own, order: Order, wait_ms: Option<u64>) -> Option<InputId> {
        let request = Request::Send { worker: own.id, order, key: None, wait_ms };
        match self.actor.ask(own.build.kind, request).await {
            Answer::Accepted(id, _) | Answer::Ended(id, _) => Some(id),
            _ => None,
        }
    }

    async fn command(&self, at: usize, request: impl FnOnce(WorkerId) -> Request) {
        let own = self.own[at];
        self.actor.ask(own.build.kind, request(own.id)).await;
    }

    async fn waited(&mut self, own: Own) {
        let order = self.short();
        self.send(own, order, Some(LONG)).await;
    }

    /// Sends several inputs at once, waiting or not.
    async fn burst(&mut self, own: Own) {
        let count = self.chance.between(2, 8);
        let sends: Vec<_> = (0..count).map(|_| (self.short(), self.wait())).collect();
        join_all(sends.into_iter().map(|(order, wait)| self.send(own, order, wait))).await;
    }

    /// Sends inputs and a command at once.
    async fn rush(&mut self, at: usize) {
        let own = self.own[at];
        let count = self.chance.between(1, 4);
        let sends: Vec<_> = (0..count).map(|_| (self.short(), self.chance.below(30))).collect();
        let stops = self.chance.percent(60);
        let to = u32::try_from(self.chance.below(VERSIONS.into())).unwrap();
        let sends = sends.into_iter().map(|(order, wait)| self.send(own, order, Some(wait)));
        let command = self.command(at, |id| match stops {
            true => Request::Stop(id),
            false => Request::Update(id, to),
        });
        futures_util::future::join(join_all(sends), command).await;
        self.own[at].stopped = stops;
    }

    /// Sends one input twice, and another one with the same key.
    async fn keyed(&mut self, own: Own) {
        let order = if self.chance.percent(30) { self.long_order() } else { self.short() };
        let key = Some(format!("key-{}", order.name));
        let worker = own.id;
        let mut request = |order: &Order, wait: bool| Request::Send {
            worker,
            order: order.clone(),
            key: key.clone(),
            wait_ms: wait.then(|| self.chance.below(30)),
        };
        let (first, second) = (request(&order, true), request(&order, false));
        let kind = own.build.kind;
        if self.chance.percent(50) {
            let both = [first, second].map(|request| self.actor.ask(kind, request));
            join_all(both).await;
        } else {
            self.actor.ask(kind, first).await;
            self.actor.ask(kind, second).await;
        }
        if self.chance.percent(20) {
            let other = self.short();
            let request = Request::Send { worker, order: other, key, wait_ms: None };
            self.actor.ask(kind, request).await;
        }
    }

    /// Sends a turn that is flushed before it ends, and reports to the parent while it runs.
    async fn long(&mut self, own: Own) {
        let order = self.long_order();
        let Some(input) = self.send(own, order, None).await else { return };
        if own.build.kind == BuildKind::Command {
            return;
        }
        for _ in 0..200 {
            match self.actor.runtime.input(own.id, input).await.map(|view| view.state) {
                Ok(InputState::Queued) => tokio::time::sleep(Duration::from_millis(1)).await,
                Ok(InputState::Running) => return self.actor.tell(Line::LongTurn),
                Ok(InputState::Done) | Err(_) => return,
            }
        }
    }

    /// Cancels one of several inputs, running or queued.
    async fn cancel(&mut self, own: Own) {
        let first = self.long_order();
        let mut inputs = vec![self.send(own, first, None).await];
        for _ in 0..self.chance.below(4) {
            let order = self.short();
            inputs.push(self.send(own, order, None).await);
        }
        let inputs: Vec<_> = inputs.into_iter().flatten().collect();
        if self.chance.percent(30) {
            tokio::time::sleep(Duration::from_millis(self.chance.below(10))).await;
        }
        for input in self.chance.some_of(&inputs, 2) {
            self.actor.ask(own.build.kind, Request::Cancel(own.id, input)).await;
        }
    }

    /// Stops a worker with a queue, and mostly starts it again.
    async fn stop(&mut self, at: usize) {
        let own = self.own[at];
        if self.chance.percent(60) {
            let first = self.long_order();
            self.send(own, first, None).await;
            for _ in 0..self.chance.below(4) {
                let order = self.short();
                self.send(own, order, None).await;
            }
        }
        self.command(at, Request::Stop).await;
        self.own[at].stopped = true;
        let refused = self.short();
        self.send(own, refused, Some(LONG)).await;
        if self.chance.percent(60) {
            self.command(at, Request::Start).await;
            self.own[at].stopped = false;
        }
    }

    async fn create(&mut self) {
        let kind = match self.chance.below(10) {
            0 => BuildKind::Command,
            1 => BuildKind::ShortTally,
            _ => BuildKind::Tally,
        };
        let version = u32::try_from(self.chance.below(VERSIONS.into())).unwrap();
        let build = Build { kind, version };
        let random: [u8; 16] =
            (u128::from(self.chance.next()) << 64 | u128::from(self.chance.next())).to_le_bytes();
        let random: [u8; 10] = random[..10].try_into().unwrap();
        let id = WorkerId::new(place::now().as_millis(), random);
        self.actor.ask(kind, Request::Create(id, build)).await;
        if self.chance.percent(25) {
            self.actor.ask(kind, Request::Create(id, build)).await;
        }
        let own = Own { id, build, stopped: false };
        self.own.push(own);
        if self.chance.percent(70) {
            let order = self.short();
            let wait = self.wait();
            self.send(own, order, wait).await;
        }
    }

    /// Removes a worker, sometimes with work left to do.
    async fn remove(&mut self, at: usize) {
        let own = self.own.swap_remove(at);
        if self.chance.percent(40) {
            let order = self.long_order();
            self.send(own, order, None).await;
        }
        self.actor.ask(own.build.kind, Request::Remove(own.id)).await;
        if self.chance.percent(50) {
            self.actor.ask(own.build.kind, Request::Create(own.id, own.build)).await;
        }
    }

    async fn config(&mut self) {
        let version = u32::try_from(self.chance.between(100, 10_000)).unwrap();
        self.actor.ask(BuildKind::Tally, Request::PutConfig(version)).await;
    }
}
