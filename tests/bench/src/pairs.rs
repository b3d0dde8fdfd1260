//! Two ways to do the same thing, timed alternately.
//!
//! Both halves of a pair see the same other load, clock and caches, so the ratio is taken pair by
//! pair and its median is reported: a burst of other work spoils a few pairs, not the figure.

use std::time::Duration;

/// The times of both sides, each for one run.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    ours: Vec<Duration>,
    theirs: Vec<Duration>,
}

/// The medians of the pairs, and the spread of the ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) pairs: usize,
    pub(crate) ours: Duration,
    pub(crate) theirs: Duration,
    pub(crate) ratio: f64,
    /// The range of the middle half of the ratios.
    pub(crate) ratio_middle_half: [f64; 2],
}

/// The side that goes first in a pair. The sides alternate, since the second one finds warm caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    Ours,
    Theirs,
}

impl First {
    pub(crate) fn of(pair: usize) -> Self {
        if pair.is_multiple_of(2) { Self::Ours } else { Self::Theirs }
    }

    /// Runs both sides in this order, and returns ours and theirs.
    pub(crate) fn both<T, E>(
        self,
        ours: impl FnOnce() -> Result<T, E>,
        theirs: impl FnOnce() -> Result<T, E>,
    ) -> Result<(T, T), E> {
        match self {
            Self::Ours => {
                let ours = ours()?;
                Ok((ours, theirs()?))
            }
            Self::Theirs => {
                let theirs = theirs()?;
                Ok((ours()?, theirs))
            }
        }
    }
}

impl Pairs {
    /// Adds a pair of times, each for a batch of `batch` runs.
    pub(crate) fn push(&mut self, batch: u32, ours: Duration, theirs: Duration) {
        self.ours.push(ours / batch);
        self.theirs.push(theirs / batch);
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut ratios: Vec<f64> = self
            .ours
            .iter()
            .zip(&self.theirs)
            .map(|(ours, theirs)| ours.as_secs_f64() / theirs.as_secs_f64())
            .collect();
        ratios.sort_by(f64::total_cmp);
        let at = |part: usize| ratios[(ratios.len() - 1) * part / 4];
        Summary {
            pairs: ratios.len(),
            ours: median(&self.ours),
            theirs: median(&self.theirs),
            ratio: at(2),
            ratio_middle_half: [at(1), at(3)],
        }
    }
}

fn median(times: &[Duration]) -> Duration {
    percentile(times, 50)
}

/// Returns the time within which this percentage of the times lies.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_taken_pair_by_pair() {
        let ms = Duration::from_millis;
        let mut pairs = Pairs::default();
        // The machine became ten times slower after two pairs.
        for (ours, theirs) in [(3, 2), (3, 2), (30, 20), (30, 20), (90, 20)] {
            pairs.push(1, ms(ours), ms(theirs));
        }
        let summary = pairs.summary();
        assert_eq!((summary.ours, summary.theirs), (ms(30), ms(20)));
        assert!((summary.ratio - 1.5).abs() < 1e-9);
        assert_eq!(summary.pairs, 5);
    }
}
