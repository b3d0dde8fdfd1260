//! A child's part in the CPU slots: it computes while it has one, like a guest in the host's own
//! process, and stands still while it waits for one.
//!
//! It is not asked: what it says is a stranger's word. The host looks at how long it has computed, the
//! more rarely the longer that is nothing, and stops and continues it from outside.

use std::convert::Infallible;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use crate::slots::{Claim, Share};

use super::Leash;

/// Between two looks at a child that computes.
const LOOK: Duration = Duration::from_millis(2);

/// Between two looks at one that has not computed for long.
const SELDOM: Duration = Duration::from_millis(64);

/// Computing less than this between two looks is none, and less than a fiftieth of the time between
/// them: its own clock computes that much for a guest that sleeps. It is not more, since where many
/// compute without a slot, each has little of a core.
const NOTHING: Duration = Duration::from_micros(200);
const LITTLE: u32 = 50;

/// Holds a child in, from its start on. Whoever drops this lets it stand as it stands.
pub(super) async fn hold(child: &Leash, share: &Share) -> Infallible {
    let (mut at, mut computed) = (Instant::now(), Duration::ZERO);
    let mut computes = async |pause: Duration| {
        tokio::time::sleep(pause).await;
        let took = std::mem::replace(&mut at, Instant::now()).elapsed();
        let more = child.computed().saturating_sub(computed);
        computed += more;
        // One that was taken over may compute on several threads.
        share.owe(more.saturating_sub(took));
        more >= NOTHING + pause / LITTLE
    };
    let mut pause = LOOK;
    loop {
        if !computes(pause).await {
            pause = (pause * 2).min(SELDOM);
            continue;
        }
        pause = LOOK;
        let mut claim = share.claim();
        wait(child, &mut claim).await;
        while computes(LOOK).await {
            if share.is_past_its_turn() {
                child.halt();
                claim.release();
                wait(child, &mut claim).await;
            }
        }
    }
}

/// Has a child stand still until it has a slot.
async fn wait(child: &Leash, claim: &mut Claim<'_>) {
    let mut halted = false;
    poll_fn(|cx| {
        let acquired = claim.poll_acquire(cx);
        if acquired.is_pending() && !std::mem::replace(&mut halted, true) {
            child.halt();
        }
        acquired
    })
    .await;
    child.go_on();
}
