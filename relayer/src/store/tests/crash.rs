//! Killed at any point, continued by the next process.

use core::{pin::Pin, task::Poll};

use super::*;

on_both! {
    a_crash_at_any_await_loses_nothing_and_uses_one_nonce
}

/// Polls a future a limited number of times: dropping it afterwards is a crash at that await.
struct Polls<F>(Pin<Box<F>>, usize);

impl<F: Future> Future for Polls<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut core::task::Context<'_>) -> Poll<Self::Output> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        self.0.as_mut().poll(cx).map(Some)
    }
}

/// The whole way of an item, idempotent from any point on.
async fn work(store: &Store, height: u64, signer: Address, now: u64) {
    store.plan(&item(height, height), now, STALE).await.unwrap();
    for claim in claim(store, &format!("w{now}"), 1, now).await {
        let nonce = store.free_nonce(&signer, 0).await.unwrap();
        store.record_transaction(Some(&claim), &signed(signer, nonce, 0), now).await.unwrap();
    }
    for live in store.live(&signer).await.unwrap() {
        let hash = live.transactions[0].hash;
        store.settle_included(&signer, &live, &hash, 1, now).await.unwrap();
    }
}

async fn a_crash_at_any_await_loses_nothing_and_uses_one_nonce(place: Place) {
    let mut crashed = 0;
    for polls in 1..2_000 {
        // A key and a time of its own for each, on one database.
        let height = u64::try_from(polls).unwrap();
        let signer = Address::left_padding_from(&height.to_be_bytes());
        let now = height * 100_000;
        let store = place.open().await;
        let finished = Polls(Box::pin(work(&store, height, signer, now)), polls).await.is_some();
        store.close().await;
        crashed += usize::from(!finished);
        // The next process takes over when the lease has ended.
        let store = place.open().await;
        work(&store, height, signer, now + 40_000).await;
        let item = store.item(&item(height, height).key()).await.unwrap().unwrap();
        assert_eq!(item.stage, Stage::Included, "after {polls} polls");
        assert!(
            store.live(&signer).await.unwrap().is_empty(),
            "after {polls} polls a nonce is open"
        );
        let count = "SELECT COUNT(*) FROM nonces WHERE signer = $1";
        let count = store.read_one(db::sql("testing", count).bind(&signer)).await.unwrap();
        assert_eq!(count.unwrap().number(0).unwrap(), 1, "after {polls} polls");
        store.close().await;
        if finished {
            assert!(crashed > 10, "only {crashed} crashes tried");
            return;
        }
    }
    panic!("the work never finished");
}
