//! The way of an item.

use super::*;

on_both! {
    an_item_goes_its_way_and_survives_reopening_at_every_stage
    a_lease_keeps_others_away_until_it_ends_and_its_late_holder_is_refused
    items_behind_a_paused_or_parked_one_wait
    finished_items_are_revived_only_when_they_are_stale
    old_finished_work_is_deleted_and_open_work_is_kept
    chain_trouble_is_remembered
}

async fn an_item_goes_its_way_and_survives_reopening_at_every_stage(place: Place) {
    let store = place.open().await;
    assert_eq!(store.plan(&item(1, 5), 10, STALE).await.unwrap(), Planned::Inserted);
    let again = store.plan(&item(1, 5), 11, STALE).await.unwrap();
    assert_eq!(again, Planned::Exists(Stage::Planned));
    store.close().await;

    let store = place.open().await;
    let claims = claim(&store, "a", 9, 20).await;
    assert_eq!((claims.len(), claims[0].headers()), (1, 5));
    assert_eq!(claims[0].payload, item(1, 5).payload);
    store.close().await;

    let store = place.open().await;
    // A process that has opened the file anew holds nothing yet; the item is still its own.
    assert!(store.hold_chain("a", &chain(), 25, LEASE, Duration::ZERO).await.unwrap().is_some());
    let first = transaction(0, 0);
    store.record_transaction(Some(&claims[0]), &first, 30).await.unwrap();
    let live = store.live(&first.signer).await.unwrap();
    assert_eq!(live[0].transactions[0].max_fee, u128::MAX);
    assert_eq!(store.raw_transaction(&first.hash).await.unwrap(), Some(first.raw.clone()));
    store.settle_included(&first.signer, &live[0], &first.hash, 3, 40).await.unwrap();
    store.close().await;

    let store = place.open().await;
    assert!(store.live(&first.signer).await.unwrap().is_empty());
    assert_eq!(store.finish(&chain(), 4, 50).await.unwrap(), 0);
    assert_eq!(store.finish(&chain(), 5, 50).await.unwrap(), 1);
    let done = store.item(&item(1, 5).key()).await.unwrap().unwrap();
    assert_eq!((done.stage, done.tx_hash), (Stage::Done, Some(first.hash)));
    let events: Vec<_> =
        store.events(&done.key).await.unwrap().into_iter().map(|event| event.what).collect();
    assert_eq!(events, ["planned", "signed", "included"]);
}

async fn a_lease_keeps_others_away_until_it_ends_and_its_late_holder_is_refused(place: Place) {
    let store = place.open().await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    let slow = claim(&store, "slow", 1, 0).await.remove(0);
    assert!(claim(&store, "fast", 1, 29_999).await.is_empty());
    let fast = claim(&store, "fast", 1, 30_000).await.remove(0);
    let refused = store.record_transaction(Some(&slow), &transaction(0, 0), 30_001).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost(_))), "{refused:?}");
    let nothing = store.live(&transaction(0, 0).signer).await.unwrap();
    assert!(nothing.is_empty(), "a refused result leaves nothing behind");
    store.release(&slow, true, 0, "late", 30_002).await.unwrap();
    store.record_transaction(Some(&fast), &transaction(0, 1), 30_003).await.unwrap();
    let item = store.item(&fast.key).await.unwrap().unwrap();
    assert_eq!((item.stage, item.attempt, item.nonce), (Stage::Sent, 0, Some(0)));
}

async fn items_behind_a_paused_or_parked_one_wait(place: Place) {
    let store = place.open().await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    store.plan(&item(6, 9), 0, STALE).await.unwrap();
    let first = claim(&store, "a", 1, 1).await.remove(0);
    assert!(claim(&store, "a", 9, 2).await.is_empty(), "leased in front");
    store.release(&first, true, 1_000, "no", 3).await.unwrap();
    assert!(claim(&store, "a", 9, 999).await.is_empty(), "paused in front");
    assert!(store.park(&first.key, "poison", 5).await.unwrap());
    assert!(claim(&store, "a", 9, 5_000).await.is_empty(), "parked in front");
    assert!(store.retry(&first.key, 6).await.unwrap());
    assert_eq!(claim(&store, "a", 9, 5_000).await.len(), 2);
    assert!(!store.retry(&first.key, 7).await.unwrap());
}

async fn finished_items_are_revived_only_when_they_are_stale(place: Place) {
    let store = place.open().await;
    store.plan(&item(1, 5), 0, STALE).await.unwrap();
    store.finish(&chain(), 5, 100).await.unwrap();
    let early = store.plan(&item(1, 5), 60_099, STALE).await.unwrap();
    assert_eq!(early, Planned::Exists(Stage::Done));
    assert_eq!(store.plan(&item(1, 5), 60_100, STALE).await.unwrap(), Planned::Revived);
    let claim = claim(&store, "a", 1, 60_200).await.remove(0);
    assert_eq!(claim.payload, item(1, 5).payload);
    assert!(store.drop_item(&claim.key, "by hand", 60_300).await.unwrap());
    assert_eq!(store.plan(&item(1, 5), 60_301, STALE).await.unwrap(), Planned::Revived);
}

async fn old_finished_work_is_deleted_and_open_work_is_kept(place: Place) {
    let store = place.open().await;
    for n in 0..30 {
        store.plan(&item(1 + n, 1 + n), n, STALE).await.unwrap();
    }
    for n in 0..20 {
        store.finish(&chain(), 1 + n, 100 + n).await.unwrap();
    }
    for nonce in 0..10 {
        store.record_transaction(None, &transaction(nonce, 0), nonce).await.unwrap();
        let live = store.live(&transaction(0, 0).signer).await.unwrap();
        let hash = transaction(nonce, 0).hash;
        store.settle_included(&transaction(0, 0).signer, &live[0], &hash, 1, nonce).await.unwrap();
    }
    let day = Duration::from_secs(86_400);
    assert!(store.prune(200, day, 5, 1_000).await.unwrap() > 0);
    let done = store.items(&chain(), Stage::Done, 100).await.unwrap();
    assert_eq!(done.len(), 5, "the newest stay");
    assert_eq!(store.items(&chain(), Stage::Planned, 100).await.unwrap().len(), 10);
    store.prune(millis(day) * 2, day, 5, 1_000).await.unwrap();
    assert!(store.items(&chain(), Stage::Done, 100).await.unwrap().is_empty());
    assert_eq!(store.items(&chain(), Stage::Planned, 100).await.unwrap().len(), 10);
}

async fn chain_trouble_is_remembered(place: Place) {
    let store = place.open().await;
    assert_eq!(store.chain(&chain()).await.unwrap(), ChainRow::default());
    let row = ChainRow {
        state: ChainState::Halted,
        attempt: 3,
        next_at: 99,
        reason: Some("wrong network".into()),
    };
    store.set_chain(&chain(), &row, 1).await.unwrap();
    store.close().await;
    assert_eq!(place.open().await.chain(&chain()).await.unwrap(), row);
}
