//! Messages: searched, kept, moved on, deleted.

use super::*;

on_both! {
    what_a_block_has_is_stored_with_the_search_or_not_at_all
    an_orphaned_message_waits_again_when_its_block_comes_back
    a_message_at_its_end_stays_there
    the_next_ordered_message_is_woken_and_others_are_not
    blocks_above_and_far_below_are_forgotten
    what_is_not_carried_has_its_reason_and_is_never_looked_at
    messages_that_were_refused_and_those_that_are_not_deep_enough_hold_up_nobody
    ends_are_deleted_and_what_is_open_is_not
}

fn at(height: u64) -> BlockRef {
    BlockRef { height, hash: keccak256(height.to_be_bytes()) }
}

fn step(stage: MessageStage, next_at: u64) -> MessageStep {
    MessageStep { stage, reason: Some("why".into()), attempt: 1, next_at }
}

async fn open(store: &Store, now: u64) -> Vec<MessageRow> {
    store.open_messages(&chain(), 100, now, 10).await.unwrap()
}

/// A block has these messages, and this relayer carries them.
async fn has(store: &Store, block: BlockRef, numbers: &[u64], now: u64) {
    let found: Vec<_> = numbers.iter().map(|number| (sighting(*number), None)).collect();
    store.search_done(&chain(), block, &found, now).await.unwrap();
}

async fn what_a_block_has_is_stored_with_the_search_or_not_at_all(place: Place) {
    let store = place.open().await;
    assert_eq!(store.searched(&chain(), 9).await.unwrap(), []);
    let one = sighting(1);
    has(&store, at(5), &[1, 2], 7).await;
    has(&store, at(6), &[], 8).await;
    assert_eq!(store.searched(&chain(), 9).await.unwrap(), [at(6), at(5)]);
    let rows = open(&store, 8).await;
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row.nonce == 1).unwrap();
    assert_eq!((row.id, row.block, row.tx), (one.message.id(), at(5), one.tx));
    assert_eq!((row.stage, row.bytes, row.seen_at), (MessageStage::Waiting, 2, 7));
    assert!(row.reason.as_deref().is_some_and(|why| why.contains("not confirmed block 5")));
    assert_eq!(store.message(&row.id).await.unwrap(), core::slice::from_ref(row));
    assert_eq!(store.recent_messages(1).await.unwrap().len(), 1);
    // The same block again, as after a stop in the middle.
    has(&store, at(5), &[1], 9).await;
    assert_eq!(open(&store, 9).await.len(), 2);
    let counts = store.message_counts().await.unwrap();
    let expected = MessageCount { chain: chain(), stage: MessageStage::Waiting, count: 2 };
    assert_eq!(counts, [expected]);
}

async fn an_orphaned_message_waits_again_when_its_block_comes_back(place: Place) {
    let store = place.open().await;
    has(&store, at(5), &[1], 7).await;
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Orphaned, 0), 8).await.unwrap();
    assert!(open(&store, 8).await.is_empty());
    // Another block has the same message: a place of its own.
    has(&store, at(6), &[1], 9).await;
    assert_eq!(open(&store, 9).await.len(), 1);
    has(&store, at(5), &[1], 10).await;
    let rows = open(&store, 10).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (rows[0].key.clone(), rows[0].attempt, rows[0].stage),
        (key, 0, MessageStage::Waiting)
    );
}

async fn a_message_at_its_end_stays_there(place: Place) {
    let store = place.open().await;
    has(&store, at(5), &[1], 7).await;
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Delivering, 50), 8).await.unwrap();
    assert!(open(&store, 49).await.is_empty());
    assert_eq!(open(&store, 50).await[0].stage, MessageStage::Delivering);
    store.step_message(&key, &step(MessageStage::Delivered, 0), 51).await.unwrap();
    for stage in [MessageStage::Waiting, MessageStage::Orphaned] {
        store.step_message(&key, &step(stage, 0), 52).await.unwrap();
    }
    has(&store, at(5), &[1], 53).await;
    let row = store.message(&sighting(1).message.id()).await.unwrap().remove(0);
    assert_eq!((row.stage, row.updated_at), (MessageStage::Delivered, 51));
}

async fn the_next_ordered_message_is_woken_and_others_are_not(place: Place) {
    let store = place.open().await;
    let mut ordered = sighting(1);
    (ordered.message.ordered, ordered.message.deadline) = (true, 9);
    let mut behind = sighting(3);
    (behind.message.ordered, behind.message.deadline) = (true, 9);
    let found = [ordered.clone(), sighting(2), behind].map(|sighting| (sighting, None));
    store.search_done(&chain(), at(5), &found, 7).await.unwrap();
    for row in open(&store, 7).await {
        store.step_message(&row.key, &step(MessageStage::Waiting, 900), 8).await.unwrap();
    }
    assert!(open(&store, 8).await.is_empty());
    store.wake_ordered(&chain(), &ordered.message.sender, 1).await.unwrap();
    let rows = open(&store, 8).await;
    assert_eq!((rows.len(), rows[0].id), (1, ordered.message.id()));
}

async fn ends_are_deleted_and_what_is_open_is_not(place: Place) {
    let store = place.open().await;
    has(&store, at(5), &[1, 2], 7).await;
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Delivered, 0), 8).await.unwrap();
    let age = Duration::from_millis(10);
    assert_eq!(store.prune(17, age, 10, 10).await.unwrap(), 0);
    assert_eq!(store.prune(18, age, 10, 10).await.unwrap(), 1);
    assert_eq!(store.recent_messages(10).await.unwrap().len(), 1);
}

async fn blocks_above_and_far_below_are_forgotten(place: Place) {
    let store = place.open().await;
    let searched = async || store.searched(&chain(), 2_000).await.unwrap();
    for height in [1, 2, 3] {
        has(&store, at(height), &[], 7).await;
    }
    // The source has left the branch above 1.
    let other = BlockRef { height: 2, hash: keccak256("other") };
    has(&store, other, &[], 8).await;
    assert_eq!(searched().await, [other, at(1)]);
    let last = u64::from(SEARCHED) + 1;
    has(&store, at(last), &[], 9).await;
    assert_eq!(searched().await, [at(last), other]);
}

async fn what_is_not_carried_has_its_reason_and_is_never_looked_at(place: Place) {
    let store = place.open().await;
    let found = [(sighting(1), Some("not on the list".into()))];
    store.search_done(&chain(), at(5), &found, 7).await.unwrap();
    assert!(open(&store, 9).await.is_empty());
    let row = store.message(&sighting(1).message.id()).await.unwrap().remove(0);
    let told = (row.stage, row.reason.as_deref());
    assert_eq!(told, (MessageStage::Filtered, Some("not on the list")));
}

async fn messages_that_were_refused_and_those_that_are_not_deep_enough_hold_up_nobody(
    place: Place,
) {
    let store = place.open().await;
    has(&store, at(5), &[1, 2], 7).await;
    has(&store, at(6), &[3], 7).await;
    let first = store.open_messages(&chain(), 6, 8, 1).await.unwrap().remove(0);
    store.step_message(&first.key, &step(MessageStage::Waiting, 0), 8).await.unwrap();
    let rows = store.open_messages(&chain(), 6, 8, 10).await.unwrap();
    assert_eq!((rows.len(), &rows[2].key, rows[2].attempt), (3, &first.key, 1));
    let deep = store.open_messages(&chain(), 5, 8, 10).await.unwrap();
    assert!(deep.len() == 2 && deep.iter().all(|row| row.block == at(5)));
}
