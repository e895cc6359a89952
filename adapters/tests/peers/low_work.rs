//! Peers with chains of too little work: given up without having been stored.

use alloy_primitives::U256;
use bitcoin::p2p::message::NetworkMessage;
use grid_adapters::{SourceChain as _, bitcoin::p2p::P2pConfig};
use grid_core::bitcoin::Header;

use crate::fake::{Fake, after, branch, config, follow, genesis, in_sync, until, wire, with_file};

/// Regtest's work of a block.
const BLOCK: u64 = 2;

fn needing(blocks: u64, config: P2pConfig) -> P2pConfig {
    // Genesis has work as well.
    P2pConfig { min_chain_work: Some(U256::from((blocks + 1) * BLOCK)), ..config }
}

#[tokio::test]
async fn a_chain_with_the_network_s_work_is_downloaded_twice_and_stored() {
    let chain = branch(&genesis(), 7_000, 1);
    let peer = Fake::honest(chain.clone()).await;
    let source = follow(needing(6_999, config(&[&peer])));
    let tip = in_sync(&source).await;
    assert_eq!((tip.height, tip.hash), (7_000, Header::parse(&chain[6_999]).hash()));
}

#[tokio::test]
async fn a_chain_that_ends_before_that_is_given_up_and_nothing_of_it_stored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let poor = Fake::honest(branch(&genesis(), 5_000, 1)).await;
    let source = follow(needing(5_001, with_file(config(&[&poor]), &file)));
    until("several attempts", || poor.connections() > 2).await;
    let error = source.tip().await.unwrap_err().to_string();
    assert!(error.contains("is needed") || error.contains("still downloading"), "{error}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 80);
    // With a better peer beside it, that one is followed.
    let chain = branch(&genesis(), 5_500, 2);
    let good = Fake::honest(chain).await;
    let source = follow(needing(5_001, config(&[&poor, &good])));
    assert_eq!(in_sync(&source).await.height, 5_500);
}

#[tokio::test]
async fn a_block_announced_in_the_middle_of_the_two_downloads_disturbs_nothing() {
    let chain = branch(&genesis(), 4_501, 1);
    let served = chain.clone();
    let peer = Fake::start(move |mut conn| {
        let chain = served.clone();
        async move {
            assert!(conn.handshake().await);
            let (old, new) = chain.split_at(4_500);
            for answer in 0.. {
                let Some(locator) = conn.asked_for_headers().await else { return };
                // Three answers are the first download, the fourth starts the second.
                let known = if answer > 3 { &chain } else { old };
                if answer == 3 {
                    conn.send(NetworkMessage::Headers(wire(new))).await;
                }
                conn.send(NetworkMessage::Headers(wire(after(known, &locator)))).await;
            }
        }
    })
    .await;
    let source = follow(needing(4_400, config(&[&peer])));
    assert!(in_sync(&source).await.height >= 4_500);
    assert_eq!(peer.connections(), 1);
}
