//! What is scarce, given out in turns: connections that want some of it are served round robin.
//!
//! Whatever is counted (searches that run, bytes that wait to be sent), each connection takes its turn
//! after each other one, however many requests it has, and holds a share at most.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// An amount that requests take from and give back.
pub(super) struct Turns {
    /// The most that one connection holds.
    share: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What nobody holds; negative while more is held than there is, which [`Turn::force`] may bring about.
    free: isize,
    /// By the number of the connection.
    accounts: BTreeMap<usize, Account>,
    /// The connections that wait, in the order of their turns.
    order: VecDeque<usize>,
}

/// What one connection holds and waits for.
#[derive(Default)]
struct Account {
    held: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    amount: usize,
    grant: oneshot::Sender<Turn>,
}

/// A part that one request holds, given back when it is dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    connection: usize,
    amount: usize,
}

impl Turns {
    /// Gives out `all` in total, and at most `share` of it to one connection.
    pub(super) fn new(all: usize, share: usize) -> Arc<Self> {
        let free = isize::try_from(all).unwrap_or(isize::MAX);
        Arc::new(Self {
            share: share.min(all),
            state: Mutex::new(State { free, ..State::default() }),
        })
    }

    /// Takes an amount once it is the connection's turn; of more than its share, the share.
    ///
    /// # Errors
    ///
    /// Never while the turns exist.
    pub(super) async fn take(
        self: &Arc<Self>,
        connection: usize,
        amount: usize,
    ) -> Result<Turn, oneshot::error::RecvError> {
        let amount = amount.min(self.share);
        let granted = {
            let mut state = self.lock();
            if state.is_free(connection, amount, self.share) {
                state.hold(connection, amount);
                None
            } else {
                let (grant, granted) = oneshot::channel();
                state.wait(connection, Waiting { amount, grant });
                Some(granted)
            }
        };
        match granted {
            None => Ok(self.turn(connection, amount)),
            Some(granted) => granted.await,
        }
    }

    /// Takes an amount if it can be had at once.
    pub(super) fn try_take(self: &Arc<Self>, connection: usize, amount: usize) -> Option<Turn> {
        let amount = amount.min(self.share);
        let mut state = self.lock();
        if !state.is_free(connection, amount, self.share) {
            return None;
        }
        state.hold(connection, amount);
        Some(self.turn(connection, amount))
    }

    /// A turn that holds nothing yet.
    pub(super) fn nothing(self: &Arc<Self>, connection: usize) -> Turn {
        self.turn(connection, 0)
    }

    fn turn(self: &Arc<Self>, connection: usize, amount: usize) -> Turn {
        Turn { turns: Arc::clone(self), connection, amount }
    }

    /// Gives back an amount, and grants those their turns that have waited for it.
    fn give_back(self: &Arc<Self>, connection: usize, amount: usize) {
        let granted = {
            let mut state = self.lock();
            state.release(connection, amount);
            state.grant(self.share)
        };
        // Without the lock: a turn whose request is gone comes back at once.
        for (connection, Waiting { amount, grant }) in granted {
            drop(grant.send(self.turn(connection, amount)));
        }
    }

    /// No step between lock and unlock can panic, so a poisoned state is still right.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn account(&mut self, connection: usize) -> &mut Account {
        self.accounts.entry(connection).or_default()
    }

    fn has(&self, amount: usize) -> bool {
        isize::try_from(amount).is_ok_and(|amount| amount <= self.free)
    }

    /// Whether a connection can have an amount at once, without going ahead of one that waits for its turn.
    fn is_free(&mut self, connection: usize, amount: usize, share: usize) -> bool {
        let account = self.account(connection);
        account.waiting.retain(|waiting| !waiting.grant.is_closed());
        if !account.waiting.is_empty() || !account.may_hold(amount, share) || !self.has(amount) {
            return false;
        }
        let waits_for_its_own = |other: &usize| {
            self.accounts.get(other).is_none_or(|account| {
                account.waiting.front().is_none_or(|next| !account.may_hold(next.amount, share))
            })
        };
        self.order.iter().all(waits_for_its_own)
    }

    fn hold(&mut self, connection: usize, amount: usize) {
        self.free = self.free.saturating_sub_unsigned(amount);
        self.account(connection).held += amount;
    }

    fn release(&mut self, connection: usize, amount: usize) {
        self.free = self.free.saturating_add_unsigned(amount);
        let account = self.account(connection);
        account.held = account.held.saturating_sub(amount);
    }

    fn wait(&mut self, connection: usize, waiting: Waiting) {
        self.account(connection).waiting.push_back(waiting);
        if !self.order.contains(&connection) {
            self.order.push_back(connection);
        }
    }

    /// Takes from the queues those whose turn has come, and counts what they hold.
    fn grant(&mut self, share: usize) -> Vec<(usize, Waiting)> {
        let mut granted = Vec::new();
        let mut passed_over = 0;
        while passed_over < self.order.len() {
            let Some(connection) = self.order.pop_front() else { break };
            let account = self.account(connection);
            account.waiting.retain(|waiting| !waiting.grant.is_closed());
            let Some(amount) = account.waiting.front().map(|next| next.amount) else { continue };
            if !account.may_hold(amount, share) {
                self.order.push_back(connection);
                passed_over += 1;
                continue;
            }
            if !self.has(amount) {
                // Nobody goes ahead of it, or small amounts would keep a large one waiting for ever.
                self.order.push_front(connection);
                break;
            }
            self.hold(connection, amount);
            let account = self.account(connection);
            granted.extend(account.waiting.pop_front().map(|next| (connection, next)));
            if !account.waiting.is_empty() {
                self.order.push_back(connection);
            }
            passed_over = 0;
        }
        granted
    }
}

impl Account {
    fn may_hold(&self, amount: usize, share: usize) -> bool {
        self.held + amount <= share
    }
}

impl Turn {
    /// Holds another amount from now on, of more than the connection's share the share; `false` if what is
    /// free does not suffice.
    pub(super) fn resize(&mut self, amount: usize) -> bool {
        let amount = amount.min(self.turns.share);
        if let Some(more) = amount.checked_sub(self.amount).filter(|more| *more > 0) {
            let mut state = self.turns.lock();
            if !state.account(self.connection).may_hold(more, self.turns.share) || !state.has(more)
            {
                return false;
            }
            state.hold(self.connection, more);
        } else if amount < self.amount {
            self.turns.give_back(self.connection, self.amount - amount);
        }
        self.amount = amount;
        true
    }

    /// Holds another amount from now on, free or not.
    pub(super) fn force(&mut self, amount: usize) {
        if !self.resize(amount) {
            self.turns.lock().hold(self.connection, amount - self.amount);
            self.amount = amount;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.amount > 0 {
            self.turns.give_back(self.connection, self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Polls a future once.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    /// Requests of connections that wait for 1, and the order in which they get it.
    fn order(turns: &Arc<Turns>, held: Turn, requests: &[usize]) -> Vec<usize> {
        let mut waiting: Vec<_> = requests
            .iter()
            .map(|connection| (*connection, Box::pin(turns.take(*connection, 1))))
            .collect();
        let mut context = Context::from_waker(Waker::noop());
        for (_, request) in &mut waiting {
            assert!(request.as_mut().poll(&mut context).is_pending());
        }
        let mut order = Vec::new();
        drop(held);
        while !waiting.is_empty() {
            let granted = waiting
                .iter_mut()
                .position(|(_, request)| request.as_mut().poll(&mut context).is_ready());
            // The turn has been dropped, so that the next one has it.
            order.push(waiting.remove(granted.unwrap()).0);
        }
        order
    }

    #[test]
    fn connections_take_turns_however_many_requests_each_has() {
        let turns = Turns::new(1, 1);
        let held = now(turns.take(0, 1)).unwrap().unwrap();
        assert_eq!(order(&turns, held, &[0, 0, 0, 0, 1, 2, 1]), [0, 1, 2, 0, 1, 0, 0]);
        assert!(now(turns.take(5, 1)).is_some(), "all is given back");
    }

    /// Searches take a turn each. One that comes last waits for the end of a search that runs, and of one more at
    /// most: with its own it takes three times as long as alone.
    #[test]
    fn of_48_searches_of_one_connection_two_at_most_end_before_that_of_another_begins() {
        for at_once in 1..=4 {
            let turns = Turns::new(at_once, at_once);
            let mut running: Vec<Turn> =
                (0..at_once).map(|_| now(turns.take(0, 1)).unwrap().unwrap()).collect();
            let ends = running.pop().unwrap();
            let requests = [vec![0; 48 - at_once], vec![1]].concat();
            let order = order(&turns, ends, &requests);
            let before = order.iter().position(|connection| *connection == 1).unwrap();
            assert!(before <= 1, "{at_once} at once: {before} go before it: {order:?}");
        }
    }

    #[test]
    fn one_connection_holds_its_share_and_leaves_the_rest() {
        let turns = Turns::new(4, 2);
        let first = now(turns.take(0, 2)).unwrap().unwrap();
        let mut more = Box::pin(turns.take(0, 1));
        assert!(now(more.as_mut()).is_none(), "the share is used up");
        let others = [now(turns.take(1, 1)), now(turns.take(2, 1))];
        assert!(others.iter().all(Option::is_some), "others do not wait for it");
        assert!(now(turns.take(3, 1)).is_none(), "all is used up");
        drop(first);
        assert!(now(more).is_some());
        assert!(now(turns.take(0, 9)).is_some(), "of more than the share, the share");
    }

    #[test]
    fn a_request_that_is_gone_leaves_nothing_behind() {
        let turns = Turns::new(1, 1);
        let held = now(turns.take(0, 1)).unwrap().unwrap();
        let mut gone = Box::pin(turns.take(1, 1));
        let mut granted = Box::pin(turns.take(2, 1));
        assert!(now(gone.as_mut()).is_none() && now(granted.as_mut()).is_none());
        drop(gone);
        drop(held);
        // Its turn has come, and it never asks.
        drop(granted);
        assert!(now(turns.take(3, 1)).is_some());
    }

    #[test]
    fn a_turn_may_shrink_and_grow_within_the_share() {
        let turns = Turns::new(4, 3);
        let mut turn = now(turns.take(0, 3)).unwrap().unwrap();
        assert!(now(turns.take(1, 2)).is_none());
        assert!(turn.resize(1));
        let other = now(turns.take(1, 2)).unwrap().unwrap();
        assert!(turn.resize(2) && !turn.resize(3), "nothing more is free");
        turn.force(4);
        drop(other);
        assert!(now(turns.take(1, 1)).is_none(), "more is held than there is");
        assert!(turn.resize(9), "it may go on with its share");
        assert!(now(turns.take(1, 1)).is_some());
    }
}
