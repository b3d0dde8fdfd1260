//! The memory that all instances of a runtime have together, as a banker would lend it.
//!
//! Instances that run are not all given what their limits allow: most need far less, and there is
//! no memory for that. But each may come to need it, and what is lent comes back only at a turn's
//! end. So a loan is made only if afterwards the turns can still end one after the other, each with
//! all it may ask for (Dijkstra's banker). Whoever has to wait then waits for the end of somebody's
//! turn, which its deadline brings; nobody's result depends on how much the others have.
//!
//! What instances at rest hold can be had back at any time, and stands in no one's way here.

use std::collections::BTreeMap;

/// The books.
#[derive(Debug)]
pub(crate) struct Bank {
    total: u64,
    accounts: BTreeMap<u64, Account>,
    next: u64,
    /// Sum of what all hold.
    held: u64,
    /// Those that were asked to leave, and what of it they hold.
    leavers: usize,
    leaving: u64,
}

#[derive(Debug)]
struct Account {
    /// The most it may ever have.
    limit: u64,
    /// What was lent: what it uses, and what was put by for it.
    held: u64,
    used: u64,
    running: bool,
    leaving: bool,
}

/// The answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loan {
    /// Here it is.
    Made,
    /// Later: others have to end first, or so many bytes at rest have to leave.
    Later { short_bytes: u64 },
    /// There is not that much.
    Never,
}

impl Bank {
    pub(crate) fn new(total: u64) -> Self {
        Self { total, accounts: BTreeMap::new(), next: 0, held: 0, leavers: 0, leaving: 0 }
    }

    /// An account for an instance that is about to run.
    pub(crate) fn open(&mut self, limit: u64) -> u64 {
        let key = self.next;
        self.next += 1;
        let limit = limit.min(self.total);
        let account = Account { limit, held: 0, used: 0, running: true, leaving: false };
        self.accounts.insert(key, account);
        key
    }

    /// Ends an account; what it held is free.
    pub(crate) fn close(&mut self, key: u64) {
        let Some(account) = self.accounts.remove(&key) else { return };
        self.held -= account.held;
        if account.leaving {
            self.leavers -= 1;
            self.leaving -= account.held;
        }
    }

    /// How many were asked to leave and have not done so yet.
    pub(crate) fn leavers(&self) -> usize {
        self.leavers
    }

    /// Puts memory by for an instance that is not there yet.
    pub(crate) fn put_by(&mut self, key: u64, bytes: u64) -> Loan {
        let Some(account) = self.accounts.get(&key) else { return Loan::Never };
        self.raise(key, bytes.min(account.limit))
    }

    /// Has an instance use more.
    pub(crate) fn reserve(&mut self, key: u64, bytes: u64) -> Loan {
        let Some(account) = self.accounts.get_mut(&key) else { return Loan::Never };
        account.running = true;
        let used = account.used.saturating_add(bytes);
        if used > account.limit {
            return Loan::Never;
        }
        let (held, loan) = (account.held, Loan::Made);
        let loan = if used > held { self.raise(key, used) } else { loan };
        if let (Loan::Made, Some(account)) = (loan, self.accounts.get_mut(&key)) {
            account.used = used;
        }
        loan
    }

    /// Has it use less; it may need it again in the same turn.
    pub(crate) fn release(&mut self, key: u64, bytes: u64) {
        if let Some(account) = self.accounts.get_mut(&key) {
            account.used = account.used.saturating_sub(bytes);
        }
    }

    /// Says that its turn has ended: it holds what it uses, and can be had to leave. `None` where
    /// it was asked to already.
    pub(crate) fn rest(&mut self, key: u64) -> Option<u64> {
        let account = self.accounts.get_mut(&key)?;
        if account.leaving {
            return None;
        }
        account.running = false;
        self.held -= account.held - account.used;
        account.held = account.used;
        Some(account.held)
    }

    /// Whether it can run again as it is. If not, it has to leave and come anew.
    pub(crate) fn resume(&mut self, key: u64) -> bool {
        let Some(account) = self.accounts.get_mut(&key) else { return false };
        account.running = true;
        if std::mem::take(&mut account.leaving) {
            self.leavers -= 1;
            self.leaving -= account.held;
        }
        let safe = self.is_safe();
        if let (false, Some(account)) = (safe, self.accounts.get_mut(&key)) {
            account.running = false;
        }
        safe
    }

    /// Says that an instance at rest was asked to leave.
    pub(crate) fn leave(&mut self, key: u64) {
        if let Some(account) = self.accounts.get_mut(&key)
            && !std::mem::replace(&mut account.leaving, true)
        {
            self.leavers += 1;
            self.leaving += account.held;
        }
    }

    /// Lends what is missing up to `held`.
    fn raise(&mut self, key: u64, held: u64) -> Loan {
        let Some(account) = self.accounts.get_mut(&key) else { return Loan::Never };
        let missing = held.saturating_sub(account.held);
        account.held += missing;
        self.held += missing;
        let short = self.held.saturating_sub(self.total);
        let safe = self.is_safe();
        if safe && short == 0 {
            return Loan::Made;
        }
        if let Some(account) = self.accounts.get_mut(&key) {
            account.held -= missing;
            self.held -= missing;
        }
        let short_bytes = if safe { short.saturating_sub(self.leaving) } else { 0 };
        Loan::Later { short_bytes }
    }

    /// Whether all that run can end one after the other, with all that they may ask for.
    fn is_safe(&self) -> bool {
        let running = || self.accounts.values().filter(|account| account.running);
        let most = running().map(|account| account.limit).fold(0, u64::saturating_add);
        if most <= self.total {
            return true;
        }
        let lent: u64 = running().map(|account| account.held).sum();
        let Some(mut free) = self.total.checked_sub(lent) else { return false };
        let mut needs: Vec<(u64, u64)> = running()
            .map(|account| (account.limit.saturating_sub(account.held), account.held))
            .collect();
        needs.sort_unstable();
        needs.into_iter().all(|(need, held)| {
            let ends = need <= free;
            free += held;
            ends
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Loan = Loan::Later { short_bytes: 0 };

    #[test]
    fn a_loan_leaves_enough_for_somebody_to_end() {
        let mut bank = Bank::new(100);
        let (a, b) = (bank.open(80), bank.open(80));
        assert_eq!(bank.reserve(a, 40), Loan::Made);
        assert_eq!(bank.reserve(b, 20), Loan::Made, "60 lent; a can have its 40");
        assert_eq!(bank.reserve(b, 1), LATER, "then neither could end");
        assert_eq!(bank.reserve(a, 40), Loan::Made);
        assert_eq!(bank.reserve(b, 1), LATER);
        bank.close(a);
        assert_eq!(bank.reserve(b, 60), Loan::Made);
        assert_eq!(bank.reserve(b, 1), Loan::Never, "that is beyond its own limit");
    }

    #[test]
    fn who_can_end_may_go_before_who_asked_first() {
        let mut bank = Bank::new(100);
        let (large, small) = (bank.open(100), bank.open(10));
        assert_eq!(bank.reserve(small, 5), Loan::Made);
        assert_eq!(bank.reserve(large, 95), LATER, "then small's last 5 would be missing");
        assert_eq!(bank.reserve(large, 90), Loan::Made);
        assert_eq!(bank.reserve(large, 5), LATER);
        assert_eq!(bank.reserve(small, 5), Loan::Made, "it came after large");
        bank.close(small);
        assert_eq!(bank.reserve(large, 10), Loan::Made);
    }

    #[test]
    fn what_rests_is_in_the_way_only_until_it_leaves() {
        let mut bank = Bank::new(100);
        let (a, b) = (bank.open(60), bank.open(80));
        assert_eq!(bank.reserve(a, 60), Loan::Made);
        assert_eq!(bank.reserve(b, 80), LATER, "a runs");
        assert_eq!(bank.rest(a), Some(60));
        assert_eq!(bank.reserve(b, 80), Loan::Later { short_bytes: 40 });
        bank.leave(a);
        assert_eq!(bank.rest(a), None);
        assert_eq!(bank.reserve(b, 80), LATER, "it is on its way");
        bank.close(a);
        assert_eq!(bank.reserve(b, 80), Loan::Made);
    }

    #[test]
    fn one_at_rest_runs_again_if_all_can_still_end() {
        let mut bank = Bank::new(100);
        let (a, b) = (bank.open(60), bank.open(60));
        assert_eq!(bank.reserve(a, 50), Loan::Made);
        bank.rest(a);
        assert_eq!(bank.reserve(b, 45), Loan::Made, "a would leave");
        assert!(!bank.resume(a), "neither could have its last 10");
        bank.leave(a);
        bank.close(b);
        assert!(bank.resume(a));
        assert_eq!(bank.reserve(a, 10), Loan::Made);
    }

    #[test]
    fn what_was_put_by_is_there_and_goes_back_at_rest() {
        let mut bank = Bank::new(100);
        let (a, b) = (bank.open(90), bank.open(90));
        assert_eq!(bank.put_by(a, 1_000), Loan::Made, "as much as it may have");
        assert_eq!(bank.put_by(b, 11), LATER);
        assert_eq!(bank.reserve(a, 30), Loan::Made);
        bank.release(a, 10);
        assert_eq!(bank.rest(a), Some(20));
        assert_eq!(bank.put_by(b, 80), Loan::Made);
    }

    /// Accounts that ask and end at random: all of them end, and never is more lent than there is.
    #[test]
    fn nobody_waits_for_ever() {
        let mut random = 7u64;
        let mut below = move |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % bound
        };
        for _ in 0..300 {
            let mut bank = Bank::new(100);
            let mut open: Vec<(u64, u64)> = Vec::new();
            let (mut begun, mut stuck) = (0, 0);
            while begun < 40 || !open.is_empty() {
                if begun < 40 && below(3) == 0 {
                    let limit = 1 + below(100);
                    open.push((bank.open(limit), limit));
                    begun += 1;
                }
                let mut went_on = false;
                for place in (0..open.len()).rev() {
                    let (key, left) = open[place];
                    let bytes = (1 + below(40)).min(left);
                    if bytes == 0 {
                        bank.close(key);
                        open.swap_remove(place);
                        went_on = true;
                    } else if bank.reserve(key, bytes) == Loan::Made {
                        open[place].1 -= bytes;
                        went_on = true;
                    }
                    assert!(bank.held <= 100);
                }
                // A smaller bite may be had where a larger one was not.
                stuck = if went_on || open.is_empty() { 0 } else { stuck + 1 };
                assert!(stuck < 1_000, "all wait for each other: {bank:?}");
            }
            assert_eq!(bank.held, 0);
        }
    }
}
