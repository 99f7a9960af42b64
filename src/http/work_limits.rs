//! Limits on work that may take long, and on answers that wait to be sent.
//!
//! Each is given out in turns, so that no connection has another one wait for all its requests.

use std::sync::Arc;
use std::thread::available_parallelism;

use super::error::Failure;
use super::respond::HttpResponse;
use super::turns::{Turn, Turns};
use crate::directory::DirectoryError;

/// The bytes after which a page ends: it then has fewer resources than were asked for (RFC 7644, section
/// 3.4.2.4).
pub(super) const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The bytes of answers that may wait to be sent, in all and for one connection. Clients take most answers
/// at once; the others are held in memory until they have been sent.
const IN_FLIGHT: usize = 64 * 1024 * 1024;
const IN_FLIGHT_OF_ONE: usize = 32 * 1024 * 1024;

/// The bytes that are held for an answer while it is made. With fewer, many would be made and not kept.
const AHEAD: usize = PAGE_BYTES;

/// The bytes that are held ahead for a group whose members take more than [`AHEAD`]: it may have 250,000 with
/// names of 40 bytes.
const MANY_MEMBERS: usize = 16 * 1024 * 1024;

/// Answers up to this size are not counted: the number of connections limits them.
const UNCOUNTED: usize = 64 * 1024;

/// How many long answers may be made at once, and how many searches may look at many resources on a machine
/// with as many processors.
const AT_ONCE: usize = 4;

/// Limits on the work for all requests together.
pub(super) struct WorkLimits {
    /// Searches that look at many resources.
    scans: Arc<Turns>,
    /// Other work that may take long.
    long: Arc<Turns>,
    /// Bytes of answers that wait to be sent.
    in_flight: Arc<Turns>,
}

impl WorkLimits {
    pub(super) fn new() -> Self {
        // With more than there are processors, a search that runs would wait for those before it.
        let processors = available_parallelism().map_or(AT_ONCE, usize::from);
        let scans = processors.clamp(2, AT_ONCE);
        Self {
            scans: Turns::new(scans, scans),
            long: Turns::new(AT_ONCE, AT_ONCE),
            in_flight: Turns::new(IN_FLIGHT, IN_FLIGHT_OF_ONE),
        }
    }

    /// Makes an answer that takes little work, and is seldom large.
    pub(super) async fn short(
        &self,
        connection: usize,
        work: impl Fn() -> Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure> {
        let answer = work()?;
        let mut size = answer.body().held_bytes();
        if size <= UNCOUNTED {
            return Ok(answer);
        }
        // Not ahead of those that wait.
        if let Some(bytes) = self.in_flight.try_take(connection, size) {
            match settle(bytes, answer) {
                Ok(answer) => return Ok(answer),
                Err(larger) => size = larger,
            }
        }
        loop {
            let bytes = self.bytes(connection, size).await?;
            match settle(bytes, work()?) {
                Ok(answer) => return Ok(answer),
                Err(larger) => size = larger,
            }
        }
    }

    /// Makes an answer that may take long, by work that shows no group whose members take more
    /// bytes than it is given.
    pub(super) async fn long(
        &self,
        connection: usize,
        work: impl Fn(usize) -> Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure> {
        self.heavy(&self.long, connection, work).await
    }

    /// Makes the answer to a search that looks at many resources, like [`WorkLimits::long`].
    pub(super) async fn scan(
        &self,
        connection: usize,
        work: impl Fn(usize) -> Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure> {
        self.heavy(&self.scans, connection, work).await
    }

    /// Does work in turn, on this thread: the allocator would keep the memory of answers for a thread that does
    /// nothing else. The runtime moves the other connections of this thread to other threads meanwhile.
    async fn heavy(
        &self,
        turns: &Arc<Turns>,
        connection: usize,
        work: impl Fn(usize) -> Result<HttpResponse, Failure>,
    ) -> Result<HttpResponse, Failure> {
        let (mut size, mut most_bytes) = (AHEAD, AHEAD);
        loop {
            let (turn, bytes) = self.start(turns, connection, size).await?;
            let made = tokio::task::block_in_place(|| work(most_bytes));
            drop(turn);
            if let Err(Failure::Directory(DirectoryError::Large)) = made {
                (size, most_bytes) = (MANY_MEMBERS, usize::MAX);
                continue;
            }
            let answer = made?;
            match settle(bytes, answer) {
                Ok(answer) => return Ok(answer),
                Err(larger) => size = larger,
            }
        }
    }

    /// Takes bytes ahead of a change, whose answer cannot wait once it is made.
    pub(super) async fn ahead(&self, connection: usize) -> Result<Turn, Failure> {
        self.bytes(connection, AHEAD).await
    }

    /// Takes a turn and the bytes for its answer. What waits for a turn holds no bytes, and what waits for
    /// bytes no turn, so that neither keeps others from the one that is free.
    async fn start(
        &self,
        turns: &Arc<Turns>,
        connection: usize,
        size: usize,
    ) -> Result<(Turn, Turn), Failure> {
        let turn = turns.take(connection, 1).await.map_err(|_| Failure::Internal)?;
        if let Some(bytes) = self.in_flight.try_take(connection, size) {
            return Ok((turn, bytes));
        }
        drop(turn);
        let bytes = self.bytes(connection, size).await?;
        let turn = turns.take(connection, 1).await.map_err(|_| Failure::Internal)?;
        Ok((turn, bytes))
    }

    /// Counts the answer to a change, whatever is free; `ahead` has been taken for it.
    pub(super) fn count(
        &self,
        connection: usize,
        ahead: Option<Turn>,
        answer: HttpResponse,
    ) -> HttpResponse {
        let size = answer.body().held_bytes();
        if size <= UNCOUNTED {
            return answer;
        }
        let mut bytes = ahead.unwrap_or_else(|| self.in_flight.nothing(connection));
        bytes.force(size);
        answer.map(|body| body.counted_by(bytes))
    }

    async fn bytes(&self, connection: usize, size: usize) -> Result<Turn, Failure> {
        self.in_flight.take(connection, size).await.map_err(|_| Failure::Internal)
    }
}

/// Counts an answer; its size if it is larger than what is held for it and more is not free. It is not kept
/// then, since it would not be counted while it waits.
fn settle(mut bytes: Turn, answer: HttpResponse) -> Result<HttpResponse, usize> {
    let size = answer.body().held_bytes();
    if size <= UNCOUNTED {
        return Ok(answer);
    }
    if bytes.resize(size) { Ok(answer.map(|body| body.counted_by(bytes))) } else { Err(size) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use hyper::StatusCode;

    use super::*;
    use crate::http::respond;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_few_long_answers_are_made_at_once_and_the_others_wait() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work_limits = Arc::new(WorkLimits::new());
        let made: Vec<_> = (0..3 * AT_ONCE)
            .map(|number| (number, Arc::clone(&work_limits)))
            .map(|(number, work_limits)| {
                tokio::spawn(async move {
                    let work = |_| {
                        MOST.fetch_max(MADE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(50));
                        MADE.fetch_sub(1, Ordering::SeqCst);
                        Ok(respond::empty(StatusCode::OK))
                    };
                    work_limits.long(number, work).await.is_ok()
                })
            })
            .collect();
        for one in made {
            assert!(one.await.unwrap());
        }
        assert_eq!(MOST.load(Ordering::SeqCst), AT_ONCE);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_group_of_many_members_is_read_once_there_is_memory_for_it() {
        let work_limits = WorkLimits::new();
        let made = |most_bytes| {
            if most_bytes < MANY_MEMBERS {
                return Err(DirectoryError::Large.into());
            }
            Ok(respond::json_body(StatusCode::OK, vec![b' '; 19 * 1024 * 1024]))
        };
        let held = work_limits.long(0, made).await.unwrap();
        let wait = Duration::from_millis(20);
        let next = tokio::time::timeout(wait, work_limits.long(0, made)).await;
        assert!(next.is_err(), "it is not made while the share is used up");
        drop(held);
        assert!(work_limits.long(0, made).await.is_ok());
    }

    #[tokio::test]
    async fn a_short_answer_does_not_go_ahead_of_one_that_waits() {
        const LITTLE: usize = 2 * UNCOUNTED;
        let work_limits = WorkLimits::new();
        let answer = |size: usize| move || Ok(respond::json_body(StatusCode::OK, vec![b' '; size]));
        let mut held = Vec::new();
        for number in 1..=IN_FLIGHT / PAGE_BYTES {
            let size = if number == 1 { PAGE_BYTES - LITTLE } else { PAGE_BYTES };
            held.push(work_limits.short(number % 2, answer(size)).await.unwrap());
        }
        let wait = Duration::from_millis(20);
        let mut waiting = std::pin::pin!(work_limits.ahead(2));
        assert!(tokio::time::timeout(wait, &mut waiting).await.is_err());
        let mut short = std::pin::pin!(work_limits.short(1, answer(LITTLE)));
        assert!(tokio::time::timeout(wait, &mut short).await.is_err(), "it would fit");
        drop(held);
        drop(waiting.await.unwrap());
        assert!(short.await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_is_counted_until_it_is_sent_and_a_small_one_never() {
        let work_limits = WorkLimits::new();
        let answer = |size: usize| move || Ok(respond::json_body(StatusCode::OK, vec![b' '; size]));
        let small = work_limits.short(0, answer(UNCOUNTED)).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..IN_FLIGHT_OF_ONE / PAGE_BYTES {
            held.push(work_limits.short(0, answer(PAGE_BYTES)).await.unwrap());
        }
        let wait = Duration::from_millis(20);
        let beyond = work_limits.short(0, answer(UNCOUNTED + 1));
        assert!(tokio::time::timeout(wait, beyond).await.is_err(), "the share is used up");
        assert!(work_limits.short(0, answer(UNCOUNTED)).await.is_ok(), "a small one does not wait");
        assert!(work_limits.short(1, answer(PAGE_BYTES)).await.is_ok(), "nor another connection");
        drop((small, held.pop()));
        assert!(work_limits.short(0, answer(UNCOUNTED + 1)).await.is_ok());
    }
}
