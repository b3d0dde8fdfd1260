//! Time: sleeping, computing, and waiting for what never comes.

use futures_util::future::join_all;
use wasip3::clocks::monotonic_clock;
use wasip3::wit_stream;

use crate::Verdict;

/// Sleeps once.
pub async fn nap(millis: u64) -> Verdict {
    monotonic_clock::wait_for(millis * 1_000_000).await;
    Ok("woke\n".into())
}

/// Sleeps this many times at once.
pub async fn naps(count: usize, millis: u64) -> Verdict {
    let before = monotonic_clock::now();
    join_all((0..count).map(|_| monotonic_clock::wait_for(millis * 1_000_000))).await;
    let took = (monotonic_clock::now() - before) / 1_000_000;
    Ok(format!("at once: {}\n", took < millis * count as u64 / 2))
}

/// Sleeps for ever.
pub async fn sleep() -> Verdict {
    monotonic_clock::wait_for(u64::MAX).await;
    Ok("woke\n".into())
}

/// Computes for ever.
pub fn spin() -> Verdict {
    loop {
        std::hint::spin_loop();
    }
}

/// Reads a stream whose other end it holds itself.
pub async fn wait_for_nothing() -> Verdict {
    let (writer, mut reader) = wit_stream::new::<u8>();
    let read = reader.next().await;
    drop(writer);
    Ok(format!("{read:?}\n"))
}
