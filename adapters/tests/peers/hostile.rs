//! Peers that lie, stall or talk nonsense: each is dropped for its own reason, and an honest peer
//! beside it is followed all the same.

use std::{sync::Arc, time::Duration};

use bitcoin::{
    consensus::serialize,
    p2p::{
        Magic, ServiceFlags,
        message::{NetworkMessage, RawNetworkMessage},
    },
};
use grid_adapters::{AdapterError, SourceChain as _};

use crate::fake::{
    Conn, Fake, LIMIT, branch, config, follow, genesis, in_sync, timing, until, version, wire,
};

/// Whether the address is tried again soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Banned,
    TriedAgain,
}

/// Lets a peer misbehave alone, and says what the source makes of it; then gives it an honest peer
/// beside the bad one.
async fn outcome<F, Fut>(behave: F, words: &str, then: Then)
where
    F: Fn(Conn) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let bad = Fake::start(behave).await;
    let alone = follow(config(&[&bad]));
    // It may be looked at while a connection is under way: then the reason is not known yet.
    let seen = tokio::time::timeout(LIMIT, async {
        loop {
            let error = alone.tip().await.expect_err("there is nothing to follow").to_string();
            if error.contains(words) {
                return error;
            }
        }
    });
    let error = seen.await.expect("the reason is told");
    match then {
        Then::Banned => {
            assert_eq!(bad.connections(), 1, "{error}");
            // Long enough for several attempts if it were not.
            tokio::time::sleep(timing().retry_most * 2).await;
            assert_eq!(bad.connections(), 1, "{error}");
        }
        Then::TriedAgain => until("another attempt", || bad.connections() > 1).await,
    }
    let good = Fake::honest(branch(&genesis(), 2_100, 1)).await;
    let both = follow(config(&[&bad, &good]));
    assert_eq!(in_sync(&both).await.height, 2_100);
}

/// Introduces itself, and then answers the first request for headers with `answer`.
async fn answering(mut conn: Conn, answer: Vec<[u8; 80]>) {
    if conn.handshake().await {
        while conn.asked_for_headers().await.is_some() {
            conn.send(NetworkMessage::Headers(wire(&answer))).await;
        }
    }
}

#[tokio::test]
async fn a_node_of_another_network_is_named() {
    let behave = |mut conn: Conn| async move {
        conn.next().await;
        let version = NetworkMessage::Version(version());
        conn.raw(&serialize(&RawNetworkMessage::new(Magic::BITCOIN, version))).await;
        conn.until_closed().await;
    };
    let peer = Fake::start(behave).await;
    let error = follow(config(&[&peer])).tip().await.unwrap_err();
    assert!(matches!(error, AdapterError::WrongNetwork { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("Bitcoin mainnet (magic f9beb4d9)"), "{text}");
    outcome(behave, "Bitcoin mainnet", Then::Banned).await;
}

#[tokio::test]
async fn garbage_ends_the_connection() {
    let behave = |mut conn: Conn| async move {
        conn.raw(&[0x5a; 4_096]).await;
        conn.until_closed().await;
    };
    outcome(behave, "no known network (magic 5a5a5a5a)", Then::Banned).await;
}

#[tokio::test]
async fn a_giant_length_is_refused_before_a_byte_is_read() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            let mut frame = serialize(&RawNetworkMessage::new(
                crate::fake::MAGIC,
                NetworkMessage::Headers(Vec::new()),
            ));
            frame[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
            conn.raw(&frame).await;
            conn.until_closed().await;
        }
    };
    outcome(behave, "headers message of 4294967295 bytes", Then::Banned).await;
}

#[tokio::test]
async fn a_message_that_never_ends_has_a_deadline() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            let headers = NetworkMessage::Headers(wire(&branch(&genesis(), 100, 1)));
            let bytes = serialize(&RawNetworkMessage::new(crate::fake::MAGIC, headers));
            let (frame, payload) = bytes.split_at(24);
            conn.raw(frame).await;
            for byte in payload {
                if !conn.raw(&[*byte]).await {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    outcome(behave, "no end of a message within", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_pause_in_a_message_s_start_is_noticed_by_the_pings() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            // Half a frame, and nothing after it: no pong can come through any more.
            conn.raw(&crate::fake::MAGIC.to_bytes()).await;
            conn.until_closed().await;
        }
    };
    outcome(behave, "no pong within", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_dropped() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            conn.until_closed().await;
        }
    };
    outcome(behave, "no pong within", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_getheaders_is_dropped() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            while let Some(message) = conn.next().await {
                if let NetworkMessage::Ping(nonce) = message {
                    conn.send(NetworkMessage::Pong(nonce)).await;
                }
            }
        }
    };
    outcome(behave, "no answer to getheaders within", Then::TriedAgain).await;
}

#[tokio::test]
async fn hanging_up_in_the_handshake_suggests_another_network() {
    let behave = |mut conn: Conn| async move {
        conn.next().await;
    };
    outcome(behave, "closed the connection in the handshake", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_silent_handshake_has_a_deadline() {
    let behave = |mut conn: Conn| async move { conn.until_closed().await };
    outcome(behave, "no handshake within", Then::TriedAgain).await;
}

#[tokio::test]
async fn our_own_nonce_is_a_connection_to_ourselves() {
    let behave = |mut conn: Conn| async move {
        // What comes is sent back.
        if let Some(message) = conn.next().await {
            conn.send(message).await;
            conn.until_closed().await;
        }
    };
    outcome(behave, "leads back to this process", Then::Banned).await;
}

#[tokio::test]
async fn old_nodes_and_nodes_without_blocks_are_not_used() {
    let old = |mut conn: Conn| async move {
        conn.next().await;
        let mut version = version();
        version.version = 70_011;
        conn.send(NetworkMessage::Version(version)).await;
        conn.until_closed().await;
    };
    outcome(old, "speaks protocol version 70011", Then::TriedAgain).await;
    let empty = |mut conn: Conn| async move {
        conn.next().await;
        let mut version = version();
        version.services = ServiceFlags::WITNESS;
        conn.send(NetworkMessage::Version(version)).await;
        conn.until_closed().await;
    };
    outcome(empty, "include no block chain", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_header_without_proof_of_work_is_an_offence() {
    let mut chain = branch(&genesis(), 100, 1);
    while grid_core::bitcoin::Header::parse(&chain[99]).hash()[31] < 0x80 {
        chain[99][76] = chain[99][76].wrapping_add(1);
    }
    let chain = Arc::new(chain);
    let behave = move |conn: Conn| answering(conn, chain.to_vec());
    outcome(behave, "high-hash", Then::Banned).await;
}

#[tokio::test]
async fn headers_out_of_order_are_an_offence() {
    let mut chain = branch(&genesis(), 100, 1);
    chain.swap(50, 51);
    let chain = Arc::new(chain);
    let behave = move |conn: Conn| answering(conn, chain.to_vec());
    outcome(behave, "non-continuous", Then::Banned).await;
}

#[tokio::test]
async fn headers_that_follow_nothing_known_wear_patience_out() {
    let elsewhere = branch(&branch(&genesis(), 1, 9)[0], 5, 9);
    let elsewhere = Arc::new(elsewhere);
    let behave = move |mut conn: Conn| {
        let elsewhere = elsewhere.clone();
        async move {
            if conn.handshake().await {
                while conn.send(NetworkMessage::Headers(wire(&elsewhere))).await {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    };
    outcome(behave, "do not connect", Then::TriedAgain).await;
}

#[tokio::test]
async fn a_second_introduction_is_an_offence() {
    let behave = |mut conn: Conn| async move {
        if conn.handshake().await {
            conn.send(NetworkMessage::Version(version())).await;
            conn.until_closed().await;
        }
    };
    outcome(behave, "introduction again", Then::Banned).await;
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut config = config(&[]);
    config.peers = vec![address.to_string()];
    let error = follow(config).tip().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no peer of regtest is connected"), "{text}");
    assert!(text.contains(&address.to_string()) && text.contains("cannot connect"), "{text}");
    assert!(error.is_transient());
}
