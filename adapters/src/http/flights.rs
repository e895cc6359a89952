//! Equal questions that are asked at the same time are asked once.
//!
//! Nothing is kept beyond the answer's arrival: an answer is only as good as its verification, which
//! happens further up, and what was verified is kept there. A question that nobody waits for any more is
//! given up.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};

use crate::RpcError;

/// Most different questions that are shared at a time; more than these are asked by whoever has them.
const MOST: usize = 256;

/// Longest question that is compared with others, in bytes.
const LONGEST_KEY: usize = 64 * 1_024;

type Outcome<T> = Result<T, RpcError>;
type Flight<T> = BoxFuture<'static, Outcome<T>>;

/// Questions by what stands for them.
type UnderWay<T> = HashMap<Box<[u8]>, WeakShared<Flight<T>>>;

/// The questions that are under way.
pub(crate) struct Flights<T>(Mutex<UnderWay<T>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> core::fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<T: Clone> Flights<T> {
    /// The answer to the question that `key` stands for, which `ask` asks unless it is under way.
    pub(crate) async fn join(&self, key: &[u8], ask: impl FnOnce() -> Flight<T>) -> Outcome<T> {
        self.board(key, ask).await
    }

    fn board(&self, key: &[u8], ask: impl FnOnce() -> Flight<T>) -> Shared<Flight<T>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, flight| flight.upgrade().is_some());
        let known = under_way.get(key).and_then(WeakShared::upgrade);
        // What has arrived already was the answer to an earlier question.
        if let Some(flight) = known.filter(|flight| flight.peek().is_none()) {
            return flight;
        }
        let flight = ask().shared();
        if under_way.len() < MOST
            && key.len() <= LONGEST_KEY
            && let Some(weak) = flight.downgrade()
        {
            under_way.insert(key.into(), weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    use futures::{future::join_all, poll};
    use tokio::sync::Semaphore;

    use super::*;

    /// A server that counts what it is asked and answers with the count once it may.
    #[derive(Clone)]
    struct Server {
        asked: Arc<AtomicUsize>,
        answered: Arc<AtomicUsize>,
        may: Arc<Semaphore>,
    }

    impl Server {
        fn new() -> Self {
            let may = Arc::new(Semaphore::new(0));
            Self { asked: Arc::default(), answered: Arc::default(), may }
        }

        fn ask(&self) -> Flight<usize> {
            let server = self.clone();
            server.asked.fetch_add(1, Ordering::Relaxed);
            async move {
                let _turn = server.may.acquire().await;
                Ok(server.answered.fetch_add(1, Ordering::Relaxed))
            }
            .boxed()
        }

        fn answer(&self) {
            self.may.add_permits(1);
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn equal_questions_at_the_same_time_are_one_and_later_ones_are_new() {
        let (flights, server) = (Flights::default(), Server::new());
        let mut together = Box::pin(join_all((0..20).map(|_| flights.join(b"a", || server.ask()))));
        let mut other = Box::pin(flights.join(b"b", || server.ask()));
        assert!(poll!(&mut together).is_pending() && poll!(&mut other).is_pending());
        assert_eq!(server.asked(), 2);
        server.answer();
        assert!(together.await.iter().all(|answer| *answer == Ok(0)));
        assert_eq!(other.await, Ok(1));
        assert_eq!(flights.join(b"a", || server.ask()).await, Ok(2));
        assert_eq!(server.asked(), 3);
    }

    #[tokio::test]
    async fn who_leaves_does_not_take_the_answer_from_those_who_stay() {
        let (flights, server) = (Flights::default(), Server::new());
        let mut hasty = Box::pin(flights.join(b"a", || server.ask()));
        let mut patient = Box::pin(flights.join(b"a", || server.ask()));
        assert!(poll!(&mut hasty).is_pending() && poll!(&mut patient).is_pending());
        drop(hasty);
        server.answer();
        assert_eq!(patient.await, Ok(0));
        // What nobody waits for any more is given up, and asked anew.
        let mut alone =
            Box::pin(flights.join(b"b", || async { core::future::pending().await }.boxed()));
        assert!(poll!(&mut alone).is_pending());
        drop(alone);
        assert_eq!(flights.join(b"b", || server.ask()).await, Ok(1));
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (flights, server) = (Flights::default(), Server::new());
        let keys: Vec<Vec<u8>> = (0..2 * MOST).map(|n| n.to_be_bytes().to_vec()).collect();
        let mut many =
            Box::pin(join_all(keys.iter().map(|key| flights.join(key, || server.ask()))));
        assert!(poll!(&mut many).is_pending());
        assert_eq!(flights.0.lock().unwrap().len(), MOST);
        let long = vec![0; LONGEST_KEY + 1];
        let mut twice = Box::pin(join_all((0..2).map(|_| flights.join(&long, || server.ask()))));
        assert!(poll!(&mut twice).is_pending());
        assert_eq!(server.asked(), 2 * MOST + 2);
    }
}
