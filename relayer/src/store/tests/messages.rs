//! Messages: searched, kept, moved on, deleted.

use super::*;

on_both! {
    what_a_block_has_is_stored_with_the_search_or_not_at_all
    an_orphaned_message_waits_again_when_its_block_comes_back
    a_message_at_its_end_stays_there
    ordered_messages_are_woken_and_others_are_not
    ends_are_deleted_and_what_is_open_is_not
}

fn at(height: u64) -> BlockRef {
    BlockRef { height, hash: keccak256(height.to_be_bytes()) }
}

fn step(stage: MessageStage, next_at: u64) -> MessageStep {
    MessageStep { stage, reason: Some("why".into()), attempt: 1, next_at }
}

async fn open(store: &Store, now: u64) -> Vec<MessageRow> {
    store.open_messages(&chain(), now, 10).await.unwrap()
}

async fn what_a_block_has_is_stored_with_the_search_or_not_at_all(place: Place) {
    let store = place.open().await;
    assert_eq!(store.searched(&chain()).await.unwrap(), None);
    let (one, two) = (sighting(1), sighting(2));
    store.search_done(&chain(), at(5), &[one.clone(), two], 7).await.unwrap();
    store.search_done(&chain(), at(6), &[], 8).await.unwrap();
    assert_eq!(store.searched(&chain()).await.unwrap(), Some(at(6)));
    let rows = open(&store, 8).await;
    assert_eq!(rows.len(), 2);
    let row = rows.iter().find(|row| row.nonce == 1).unwrap();
    assert_eq!((row.id, row.block, row.tx), (one.message.id(), at(5), one.tx));
    assert_eq!((row.stage, row.bytes, row.seen_at), (MessageStage::Waiting, 2, 7));
    assert_eq!(store.evidence(&row.key).await.unwrap(), one.evidence);
    assert_eq!(store.message(&row.id).await.unwrap(), [row.clone()]);
    assert_eq!(store.recent_messages(1).await.unwrap().len(), 1);
    // The same block again, as after a stop in the middle.
    store.search_done(&chain(), at(5), &[one], 9).await.unwrap();
    assert_eq!(open(&store, 9).await.len(), 2);
    let counts = store.message_counts().await.unwrap();
    let expected = MessageCount { chain: chain(), stage: MessageStage::Waiting, count: 2 };
    assert_eq!(counts, [expected]);
}

async fn an_orphaned_message_waits_again_when_its_block_comes_back(place: Place) {
    let store = place.open().await;
    store.search_done(&chain(), at(5), &[sighting(1)], 7).await.unwrap();
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Orphaned, 0), 8).await.unwrap();
    assert!(open(&store, 8).await.is_empty());
    // Another block has the same message: a place of its own.
    store.search_done(&chain(), at(6), &[sighting(1)], 9).await.unwrap();
    assert_eq!(open(&store, 9).await.len(), 1);
    store.search_done(&chain(), at(5), &[sighting(1)], 10).await.unwrap();
    let rows = open(&store, 10).await;
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[0].key.clone(), rows[0].attempt, &rows[0].reason), (key, 0, &None));
}

async fn a_message_at_its_end_stays_there(place: Place) {
    let store = place.open().await;
    store.search_done(&chain(), at(5), &[sighting(1)], 7).await.unwrap();
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Delivering, 50), 8).await.unwrap();
    assert!(open(&store, 49).await.is_empty());
    assert_eq!(open(&store, 50).await[0].stage, MessageStage::Delivering);
    store.step_message(&key, &step(MessageStage::Delivered, 0), 51).await.unwrap();
    for stage in [MessageStage::Waiting, MessageStage::Orphaned] {
        store.step_message(&key, &step(stage, 0), 52).await.unwrap();
    }
    store.search_done(&chain(), at(5), &[sighting(1)], 53).await.unwrap();
    let row = store.message(&sighting(1).message.id()).await.unwrap().remove(0);
    assert_eq!((row.stage, row.updated_at), (MessageStage::Delivered, 51));
}

async fn ordered_messages_are_woken_and_others_are_not(place: Place) {
    let store = place.open().await;
    let mut ordered = sighting(1);
    (ordered.message.ordered, ordered.message.deadline) = (true, 9);
    let found = [ordered.clone(), sighting(2)];
    store.search_done(&chain(), at(5), &found, 7).await.unwrap();
    for row in open(&store, 7).await {
        store.step_message(&row.key, &step(MessageStage::Waiting, 900), 8).await.unwrap();
    }
    assert!(open(&store, 8).await.is_empty());
    store.wake_ordered(&chain(), &ordered.message.sender).await.unwrap();
    let rows = open(&store, 8).await;
    assert_eq!((rows.len(), rows[0].id), (1, ordered.message.id()));
}

async fn ends_are_deleted_and_what_is_open_is_not(place: Place) {
    let store = place.open().await;
    store.search_done(&chain(), at(5), &[sighting(1), sighting(2)], 7).await.unwrap();
    let key = open(&store, 7).await.remove(0).key;
    store.step_message(&key, &step(MessageStage::Delivered, 0), 8).await.unwrap();
    let age = Duration::from_millis(10);
    assert_eq!(store.prune(17, age, 10, 10).await.unwrap(), 0);
    assert_eq!(store.prune(18, age, 10, 10).await.unwrap(), 1);
    assert_eq!(store.recent_messages(10).await.unwrap().len(), 1);
}
