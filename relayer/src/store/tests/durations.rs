//! Times in stages.

use super::*;

on_both! { times_in_stages_come_from_the_rows_and_each_once }

async fn times_in_stages_come_from_the_rows_and_each_once(place: Place) {
    let store = place.open().await;
    let mark = store.mark(0).await.unwrap();
    store.plan(&item(1, 5), 1_000, STALE).await.unwrap();
    let claim = claim(&store, "a", 1, 1_500).await.remove(0);
    let new = transaction(0, 0);
    store.record_transaction(Some(&claim), &new, 3_000).await.unwrap();
    // Another process goes on with it.
    store.close().await;
    let store = place.open().await;
    let live = store.live(&new.signer).await.unwrap();
    store.settle_included(&new.signer, &live[0], &new.hash, 3, 7_500).await.unwrap();
    store.finish(&chain(), 5, 8_000).await.unwrap();
    let left = |stage, after| Left { chain: chain(), stage, after };
    let (none, mark) = store.left_stages(mark, 3_000).await.unwrap();
    assert_eq!(none, [], "too young to be sure");
    let (first, mark) = store.left_stages(mark, 9_000).await.unwrap();
    assert_eq!(first, [left(Stage::Planned, 2_000)]);
    let (rest, mark) = store.left_stages(mark, 20_000).await.unwrap();
    assert_eq!(rest, [left(Stage::Sent, 4_500), left(Stage::Included, 500)]);
    assert_eq!(store.left_stages(mark, 30_000).await.unwrap(), (vec![], mark));
    let later = store.mark(30_000).await.unwrap();
    let (none, _) = store.left_stages(later, 60_000).await.unwrap();
    assert_eq!(none, [], "nothing happened since");
}
