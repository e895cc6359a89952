//! Nonces and their transactions.

use super::*;

on_both! {
    nonces_are_given_out_without_gaps_and_once
    a_batch_is_stored_whole_or_not_at_all
    a_nonce_that_was_settled_by_another_process_stays_as_it_is
    a_batch_of_items_goes_the_whole_way
}

async fn nonces_are_given_out_without_gaps_and_once(place: Place) {
    let store = place.open().await;
    let signer = transaction(0, 0).signer;
    for nonce in [3, 4, 6] {
        store.record_transaction(None, &transaction(nonce, 0), 1).await.unwrap();
    }
    assert_eq!(store.free_nonce(&signer, 0).await.unwrap(), 0);
    assert_eq!(store.free_nonce(&signer, 3).await.unwrap(), 5);
    assert_eq!(store.free_nonce(&signer, 6).await.unwrap(), 7);
    let taken = store.record_transaction(None, &transaction(4, 1), 2).await;
    assert!(matches!(taken, Err(StoreError::NonceTaken(4))), "{taken:?}");
    let live = store.live(&signer).await.unwrap();
    let retry = Retry { reason: "gone", next_at: 0, counts: false, park: false };
    store.settle_failed(&signer, &live[1], None, retry, 3).await.unwrap();
    // A main chain that was set back asks for a closed nonce again, even with the same bytes.
    store.record_transaction(None, &transaction(4, 0), 4).await.unwrap();
    assert_eq!(store.live(&signer).await.unwrap().len(), 3);
}

async fn a_batch_is_stored_whole_or_not_at_all(place: Place) {
    let store = place.open().await;
    let items: Vec<_> = (0..100).map(|n| item(1 + n, 1 + n)).collect();
    store.plan_all(&items, 0, STALE).await.unwrap();
    let claims = claim(&store, "a", 100, 1).await;
    let new: Vec<_> = (0..100).map(|nonce| transaction(nonce, 0)).collect();
    let batch: Vec<_> = claims.iter().map(Some).zip(&new).collect();
    // One nonce in the middle of the second part is taken.
    store.record_transaction(None, &transaction(80, 1), 2).await.unwrap();
    let refused = store.record_transactions(&batch, 3).await;
    assert!(matches!(refused, Err(StoreError::NonceTaken(80))), "{refused:?}");
    assert_eq!(store.live(&new[0].signer).await.unwrap().len(), 1);
    assert_eq!(store.items(&chain(), Stage::Planned, 200).await.unwrap().len(), 100);
    // One item was dropped meanwhile.
    store.drop_item(&claims[70].key, "by hand", 4).await.unwrap();
    let refused = store.record_transactions(&batch[..80], 5).await;
    assert!(
        matches!(&refused, Err(StoreError::LeaseLost(key)) if *key == claims[70].key),
        "{refused:?}"
    );
    assert_eq!(store.live(&new[0].signer).await.unwrap().len(), 1);
    store.record_transactions(&batch[..70], 6).await.unwrap();
    assert_eq!(store.live(&new[0].signer).await.unwrap().len(), 71);
}

async fn a_nonce_that_was_settled_by_another_process_stays_as_it_is(place: Place) {
    let (first, second) = (place.open().await, place.open().await);
    first.plan(&item(1, 5), 0, STALE).await.unwrap();
    let taken = claim(&first, "a", 1, 1).await;
    let new = transaction(0, 0);
    first.record_transaction(Some(&taken[0]), &new, 2).await.unwrap();
    let seen = first.live(&new.signer).await.unwrap();
    // Both have seen the same; the second is faster, and the item is on its way again with the same nonce.
    let retry = Retry { reason: "gone", next_at: 0, counts: true, park: false };
    second.settle_failed(&new.signer, &seen[0], None, retry, 3).await.unwrap();
    let again = claim(&first, "a", 1, 40_000).await;
    first.record_transaction(Some(&again[0]), &transaction(0, 1), 40_001).await.unwrap();
    first.settle_failed(&new.signer, &seen[0], None, retry, 40_002).await.unwrap();
    first.settle_known(&new.signer, &seen[0], "known", 40_003).await.unwrap();
    first.settle_included(&new.signer, &seen[0], &new.hash, 7, 40_004).await.unwrap();
    let item = first.item(&item(1, 5).key()).await.unwrap().unwrap();
    assert_eq!((item.stage, item.attempt, item.nonce), (Stage::Sent, 1, Some(0)));
    assert_eq!(item.tx_hash, Some(transaction(0, 1).hash));
    let events = first.events(&item.key).await.unwrap();
    let events: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(events, ["planned", "signed", "failed", "signed"]);
    // Nor can it be replaced by who has not seen that it is over.
    let live = first.live(&new.signer).await.unwrap();
    second
        .settle_included(&new.signer, &live[0], &transaction(0, 1).hash, 8, 40_005)
        .await
        .unwrap();
    let late = first.replace_transaction(Some(&item.key), &transaction(0, 2), 40_006).await;
    assert!(matches!(late, Err(StoreError::NonceTaken(0))), "{late:?}");
}

async fn a_batch_of_items_goes_the_whole_way(place: Place) {
    const COUNT: u64 = 200;
    let store = place.open().await;
    let items: Vec<_> = (0..COUNT).map(|n| item(1 + n, 1 + n)).collect();
    let planned = store.plan_all(&items, 0, STALE).await.unwrap();
    assert!(planned.iter().all(|planned| *planned == Planned::Inserted));
    let twice = [item(1, 1), item(500, 500), item(500, 500)];
    let planned = store.plan_all(&twice, 0, STALE).await.unwrap();
    let there = Planned::Exists(Stage::Planned);
    assert_eq!(planned, [there, Planned::Inserted, there]);
    let claims = claim(&store, "a", 200, 1).await;
    assert!(claims.iter().map(|claim| claim.from).eq(1..=COUNT), "lowest first");
    let new: Vec<_> = (0..COUNT).map(|nonce| transaction(nonce, 0)).collect();
    let batch: Vec<_> = claims.iter().map(Some).zip(&new).collect();
    store.record_transactions(&batch, 2).await.unwrap();
    let signer = new[0].signer;
    assert_eq!(store.free_nonce(&signer, 0).await.unwrap(), COUNT);
    let live = store.live(&signer).await.unwrap();
    let included: Vec<_> = live
        .iter()
        .map(|live| Inclusion { live, hash: live.transactions[0].hash, block: 9 })
        .collect();
    store.settle_all_included(&signer, &included, 3).await.unwrap();
    assert!(store.live(&signer).await.unwrap().is_empty());
    assert_eq!(store.finish(&chain(), COUNT, 4).await.unwrap(), COUNT);
    let done = store.items(&chain(), Stage::Done, 500).await.unwrap();
    assert_eq!(done.len(), 200);
    let last = done.last().unwrap();
    assert_eq!((last.tx_hash, last.nonce), (Some(new[199].hash), Some(199)));
    let events = store.events(&last.key).await.unwrap();
    let events: Vec<_> = events.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(events, ["planned", "signed", "included"]);
}
