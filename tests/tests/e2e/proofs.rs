//! From nothing to proofs that verify without any network.

use grid_core::proof::{CrossChainProof, verify};
use serde_json::Value;

use crate::world::{Home, World, internal};

/// `grid verify` in a folder that holds only the trust file.
async fn verify_elsewhere(trust: &str, proof: &std::path::Path) -> Result<Value, String> {
    let elsewhere = Home::new();
    let proof = proof.display().to_string();
    elsewhere
        .run(&["--json", "verify", &proof, "--trust", trust])
        .await
        .map(|text| serde_json::from_str(&text).expect("JSON"))
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_payment_and_an_event_are_proven_and_verified_offline() {
    let mut world = World::start().await;
    let txid = world.chains.payment().await;
    let transfer = world.chains.transfer().await;
    world.chains.bitcoind.mine(3).await.expect("mine");
    world.chains.anvil.mine(3).await.expect("mine");
    let payment = world.home.prove(&["btc-tx", &txid], "payment.json").await;
    let event = world.home.prove(&["eth-receipt", &transfer, "--log", "0"], "event.json").await;
    let transaction = world.home.prove(&["eth-tx", &transfer], "transaction.json").await;
    let token = world.chains.token.address.clone();
    let storage = world.home.prove(&["eth-storage", &token, "0"], "storage.json").await;

    let file = payment.display().to_string();
    world.home.run(&["submit", &file]).await.expect("the main chain takes its own proof");

    // Everything is off from here on.
    world.grid.stop().await.expect("stop");
    world.chains.anvil.stop().await.expect("stop");
    world.chains.bitcoind.stop().await.expect("stop");
    let trust = world.home.path().join("trust.json").display().to_string();

    let shown = verify_elsewhere(&trust, &payment).await.expect("verified");
    let text = shown.to_string();
    assert!(
        text.contains(internal(&txid).trim_start_matches("0x")) || text.contains(&txid),
        "{text}"
    );
    for (proof, word) in [(&event, "attested"), (&transaction, "attested"), (&storage, "attested")]
    {
        let shown = verify_elsewhere(&trust, proof).await.expect("verified");
        assert!(shown.to_string().to_lowercase().contains(word), "{shown}");
    }
    every_flipped_byte_is_refused(&trust, &payment).await;
}

/// One bit of each byte in turn: by the library; and a few of them by the command.
async fn every_flipped_byte_is_refused(trust: &str, file: &std::path::Path) {
    let bytes = std::fs::read(file).expect("proof");
    let trust_text = std::fs::read_to_string(trust).expect("trust");
    let json: Value = serde_json::from_str(&trust_text).expect("trust is JSON");
    let good = CrossChainProof::from_json(&bytes).expect("canonical");
    let anchor = crate::world::trust(&json);
    verify(&good, &anchor).expect("the unchanged file verifies");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let taken =
            CrossChainProof::from_json(&changed).is_ok_and(|proof| verify(&proof, &anchor).is_ok());
        assert!(!taken, "byte {at} of {} can be changed", file.display());
    }
    for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        let other = file.with_extension("changed");
        std::fs::write(&other, &changed).expect("write");
        let refused = verify_elsewhere(trust, &other).await;
        assert!(refused.is_err(), "the command took byte {at} changed");
    }
}
