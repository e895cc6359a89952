//! Peers that lie, flood, or speak no protocol: they are dropped, and nothing else suffers.

use super::{rogue::*, *};

async fn node() -> Gossiper {
    Gossiper::with(genesis(), Vec::new(), GossipLimits::default()).await
}

/// After whatever a peer did, honest ones are served as before.
async fn still_serves(node: &Gossiper) {
    let before = node.chain.mempool().size().count;
    let friend = Gossiper::new(&[node]).await;
    friend.submit(&transfer(9, 0));
    node.has(before + 1).await;
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_message_end_the_connection() {
    let node = node().await;
    let none = vec![B256::ZERO; 0];
    for (count, garbage) in [
        vec![7; 100],
        vec![0; 2 * wire::MAX_REQUEST],
        Vec::new(),
        Request::Announce(vec![B256::ZERO; MAX_HASHES + 1]).encode(),
        Request::Fetch(none).encode(),
    ]
    .into_iter()
    .enumerate()
    {
        let rogue = Rogue::dial(&node.handle, &node.chain).await;
        let react = serving(|_| Answer::Transactions(Vec::new()));
        rogue.until_dropped(vec![garbage], react, || None).await;
        until(|| "drop".into(), || node.dropped("invalid") == count as u64 + 1).await;
    }
    still_serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_before_the_last_was_answered_ends_the_connection() {
    let node = node().await;
    let rogue = Rogue::dial(&node.handle, &node.chain).await;
    let flood = |byte: u8| {
        let hashes = (0..1_024u64).map(|number| {
            let mut hash = B256::repeat_byte(byte);
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        });
        Request::Announce(hashes.collect()).encode()
    };
    // It answers nothing, so what it announced keeps waiting.
    rogue.until_dropped((0..3).map(flood).collect(), |_| None, || None).await;
    until(|| "drop".into(), || node.dropped("invalid") == 1).await;
    still_serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_honest_node_relays_ends_the_connection() {
    let node = node().await;
    let good = transfer(2, 0);
    let mut bad_signature = good.encoded_2718();
    // The last byte of s: the signature then recovers to somebody without money, or to nobody.
    let end = bad_signature.len() - 1;
    let other_chain = sign_for_chain(CHAIN_ID + 1);
    let undecodable = vec![2, 0xc1, 0x80];
    bad_signature.truncate(end);
    for (count, raw) in [undecodable, bad_signature, other_chain].into_iter().enumerate() {
        let rogue = Rogue::dial(&node.handle, &node.chain).await;
        let hash = alloy_primitives::keccak256(&raw);
        let bytes = Bytes::from(raw);
        let react = serving(|_| Answer::Transactions(vec![bytes.clone()]));
        rogue.until_dropped(vec![Request::Announce(vec![hash]).encode()], react, || None).await;
        until(|| "drop".into(), || node.dropped("invalid") == count as u64 + 1).await;
    }
    // Another transaction than the one that was asked for, good as it is.
    let rogue = Rogue::dial(&node.handle, &node.chain).await;
    let react = serving(|_| Answer::Transactions(vec![good.encoded_2718().into()]));
    let announce = Request::Announce(vec![B256::repeat_byte(1)]).encode();
    rogue.until_dropped(vec![announce], react, || None).await;
    assert_eq!(node.chain.mempool().size().count, 0);
    still_serves(&node).await;
}

fn sign_for_chain(chain_id: u64) -> Vec<u8> {
    use alloy_consensus::{SignableTransaction as _, TxEip1559};
    let body = TxEip1559 {
        chain_id,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        ..TxEip1559::default()
    };
    let (signature, recovery) =
        support::key(2).sign_prehash_recoverable(body.signature_hash().as_slice()).unwrap();
    let signature = alloy_primitives::Signature::from((signature, recovery));
    TxEnvelope::from(body.into_signed(signature)).encoded_2718()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_announces_what_it_does_not_have_is_forgiven_for_a_while_only() {
    let limits = GossipLimits { forgiven: 100, forgiven_rate: 1, ..GossipLimits::default() };
    let node = Gossiper::with(genesis(), Vec::new(), limits).await;
    let rogue = Rogue::dial(&node.handle, &node.chain).await;
    let mut number = 0u64;
    let mut fakes = move || {
        let hashes = (0..50).map(|_| {
            number += 1;
            B256::left_padding_from(&number.to_be_bytes())
        });
        Some(Request::Announce(hashes.collect()).encode())
    };
    let react = serving(|hashes| Answer::Transactions(vec![Bytes::new(); hashes.len()]));
    rogue.until_dropped(vec![fakes().unwrap()], react, fakes).await;
    until(|| "drop".into(), || node.dropped("useless") == 1).await;
    let useless = node.received("useless");
    assert!((101..=1_000).contains(&useless), "{useless} were asked for");
    still_serves(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_may_send_no_faster_than_its_rate() {
    let honest = Gossiper::new(&[]).await;
    for seed in SENDERS {
        for nonce in 0..100 {
            honest.submit(&transfer(seed, nonce));
        }
    }
    let limits = GossipLimits { peer_rate: 100, ..GossipLimits::default() };
    let start = Instant::now();
    let slow = Gossiper::with(genesis(), vec![honest.handle.address()], limits).await;
    slow.has(400).await;
    // A burst of 200, then 100 a second.
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(slow.dropped("useless"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_does_not_stop_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = support::config(folder.path());
    config.genesis = genesis();
    let node: crate::NodeHandle = Node::start(config, CancellationToken::new()).await.unwrap();
    node.wait_ready().await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let limits = GossipLimits::default();
    let gossip =
        Gossiper::run(home, node.chain().clone(), LOOPBACK.into(), Vec::new(), limits).await;
    // Well signed, by accounts without money: each costs a recovery to find out.
    let flood: HashMap<B256, Bytes> = (0..1_500u64)
        .map(|nonce| {
            let one = transfer(200, nonce);
            (*one.tx_hash(), one.encoded_2718().into())
        })
        .collect();
    let mut hashes: Vec<_> = flood.keys().copied().collect();
    let mut next = move || {
        let rest = hashes.split_off(hashes.len().saturating_sub(MAX_HASHES));
        (!rest.is_empty()).then(|| Request::Announce(rest).encode())
    };
    let react = serving(|hashes| {
        Answer::Transactions(hashes.iter().map(|hash| flood[hash].clone()).collect())
    });
    let height = node.head().height;
    let rogue = Rogue::dial(&gossip.handle, &gossip.chain).await;
    rogue.until_dropped(vec![next().unwrap()], react, next).await;
    let useless = gossip.received("useless");
    assert!(useless > u64::from(limits.forgiven), "{useless} were judged");
    assert_eq!(gossip.dropped("useless"), 1);
    support::wait_height(&node, height + 5).await;
    still_serves_through_blocks(&gossip, &node).await;
    gossip.stop().await;
    support::stop(node).await;
}

async fn still_serves_through_blocks(gossip: &Gossiper, node: &crate::NodeHandle) {
    let friend = Gossiper::new(&[gossip]).await;
    let transaction = transfer(9, 0);
    friend.submit(&transaction);
    let receipt = support::receipt(node, transaction.tx_hash()).await;
    assert_eq!(receipt["status"], "0x1");
    friend.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_others_are_bounded() {
    let limits = GossipLimits { inbound: 2, ..GossipLimits::default() };
    let node = Gossiper::with(genesis(), Vec::new(), limits).await;
    let one = Gossiper::new(&[&node]).await;
    let two = Gossiper::new(&[&node]).await;
    node.connected(2).await;
    let three = Rogue::dial(&node.handle, &node.chain).await;
    three.until_dropped(Vec::new(), |_| None, || None).await;
    assert_eq!(node.handle.peers().len(), 2);
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_answers_withholds_nothing() {
    let node = node().await;
    let wanted = transfer(2, 0);
    let rogue = Rogue::dial(&node.handle, &node.chain).await;
    let announce = Request::Announce(vec![*wanted.tx_hash()]).encode();
    let honest = async {
        node.connected(1).await;
        let friend = Gossiper::new(&[&node]).await;
        friend.submit(&wanted);
        node.has(1).await;
    };
    tokio::select! {
        () = rogue.until_dropped(vec![announce], |_| None, || None) => {
            panic!("the silent peer was waited for")
        }
        () = honest => {}
    }
}
