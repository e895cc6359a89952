//! A peer that serves low-work headers for ever, in a process of its own: its memory is measured.

#[path = "peers/fake.rs"]
#[allow(dead_code, reason = "shared with the tests of other peers")]
mod fake;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::U256;
use bitcoin::p2p::message::NetworkMessage;
use grid_adapters::bitcoin::p2p::{P2pConfig, SyncPhase};
use grid_core::bitcoin::Header;

use crate::fake::{Conn, Fake, branch, config, follow, genesis, until, wire, with_file};

/// Serves headers of little work without end, made as they are asked for.
async fn endless(mut conn: Conn, served: Arc<AtomicUsize>) {
    if !conn.handshake().await {
        return;
    }
    let mut tip = genesis();
    while let Some(message) = conn.next().await {
        match message {
            NetworkMessage::GetHeaders(request) => {
                let known = Header::parse(&tip).hash();
                let asked = request.locator_hashes.first().map(|hash| *hash.as_ref());
                if asked != Some(known.0) {
                    tip = genesis();
                }
                let headers = branch(&tip, 2_000, 3);
                tip = headers[1_999];
                served.fetch_add(headers.len(), Ordering::SeqCst);
                if !conn.send(NetworkMessage::Headers(wire(&headers))).await {
                    return;
                }
            }
            NetworkMessage::Ping(nonce) => {
                conn.send(NetworkMessage::Pong(nonce)).await;
            }
            _ => {}
        }
    }
}

/// Resident memory of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = status.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("resident pages") * 4_096
}

#[tokio::test]
async fn a_peer_that_serves_low_work_for_ever_does_not_grow_our_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("headers");
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let peer = Fake::start(move |conn| endless(conn, count.clone())).await;
    let source =
        follow(P2pConfig { min_chain_work: Some(U256::MAX), ..with_file(config(&[&peer]), &file) });
    until("a start", || served.load(Ordering::SeqCst) >= 10_000).await;
    let before = resident();
    until("many headers", || served.load(Ordering::SeqCst) >= 110_000).await;
    let grown = resident().saturating_sub(before);
    // Stored, they would be 8 MB of headers alone and some 20 MB in the tree.
    assert!(grown < 4_000_000, "{grown} bytes more after 100,000 headers");
    let progress = source.progress();
    assert_eq!(progress.phase, SyncPhase::Presync);
    assert!(progress.height >= 100_000, "{progress:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 80);
    assert_eq!(peer.connections(), 1, "nothing is wrong with it yet");
}
