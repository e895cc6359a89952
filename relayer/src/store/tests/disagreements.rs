//! What sources disagreed on.

use alloy_primitives::B256;

use super::*;
use crate::status::{DisagreementStatus, VoteStatus};

on_both! { the_last_disagreement_stays_when_it_is_over_and_after_a_restart }

async fn the_last_disagreement_stays_when_it_is_over_and_after_a_restart(place: Place) {
    let vote =
        |byte, name: &str| VoteStatus { hash: B256::repeat_byte(byte), sources: vec![name.into()] };
    let differ = |height| DisagreementStatus {
        height,
        held: true,
        votes: vec![vote(1, "chain[0].rpc[0]"), vote(2, "chain[0].rpc[1]")],
    };
    let store = place.open().await;
    store.set_disagreement(&chain(), None, 1).await.unwrap();
    assert!(store.disagreements().await.unwrap().is_empty(), "there never was one");
    store.set_disagreement(&chain(), Some(&differ(7)), 10).await.unwrap();
    store.set_disagreement(&chain(), Some(&differ(6)), 20).await.unwrap();
    store.close().await;

    let store = place.open().await;
    let last = async || store.disagreements().await.unwrap().remove(&chain()).unwrap();
    let mut expected = LastDisagreement { began_at: 10, ended_at: None, what: differ(6) };
    assert_eq!(last().await, expected);
    store.set_disagreement(&chain(), None, 30).await.unwrap();
    store.set_disagreement(&chain(), None, 40).await.unwrap();
    expected.ended_at = Some(30);
    assert_eq!(last().await, expected, "still there");
    store.set_disagreement(&chain(), Some(&differ(9)), 50).await.unwrap();
    assert_eq!(last().await, LastDisagreement { began_at: 50, ended_at: None, what: differ(9) });
}
