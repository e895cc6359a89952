//! From nothing to proofs that verify without any network.

use grid_core::proof::{CrossChainProof, verify};
use serde_json::{Value, json};

use crate::world::{Home, World, internal};

/// `grid verify` in a folder that holds only the trust file.
pub(crate) async fn verify_elsewhere(
    trust: &str,
    proof: &std::path::Path,
) -> Result<Value, String> {
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

    let (newer, way) = (world.home.beside("newer.json"), world.home.beside("way.json"));
    std::fs::copy(world.home.path().join("trust.json"), &newer).expect("copy");
    let [newer, way] = [newer, way].map(|file| file.display().to_string());
    world.home.run(&["trust", "hand-over", "--from", "0", "--out", &way]).await.expect("hand-over");
    let update = ["--json", "trust", "update", "--trust", &newer];
    let updated = world.home.run(&update).await.expect("the trust goes on");
    let updated: Value = serde_json::from_str(&updated).expect("JSON");
    assert!(updated["height"].as_u64() > Some(0) && updated["expired"] == false, "{updated}");

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
    // The same from a newer header, and from genesis over headers in a file.
    assert_eq!(verify_elsewhere(&newer, &payment).await.expect("verified"), shown);
    let old = world.home.path().join("trust.json").display().to_string();
    let led = ["--json", "verify", &file, "--trust", &old, "--hand-over", &way];
    let led = world.home.run(&led).await.expect("verified");
    assert_eq!(serde_json::from_str::<Value>(&led).expect("JSON"), shown);
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

#[tokio::test]
async fn outputs_data_and_witnesses_are_proven() {
    let mut world = World::start().await;
    let node = &world.chains.bitcoind;
    let paid = node.pay(None, 1_234_567).await.expect("pay");
    let stored = node.store("67726964").await.expect("store");
    let block = node.mine(1).await.expect("mine").remove(0);
    node.mine(3).await.expect("mine");
    let prove = async |what: &[&str], name: &str| world.home.prove(what, name).await;
    let (output, data) = (format!("{paid}:0"), format!("{stored}:0"));
    let proofs = [
        prove(&["btc-payment", &output], "payment.json").await,
        prove(&["btc-data", &data, "--block", &block], "data.json").await,
        prove(&["btc-witness", &paid], "witness.json").await,
        prove(&["btc-tx", &paid, &stored], "both.json").await,
    ];
    let refused = world.home.run(&["prove", "btc-data", &output]).await.expect_err("no data");
    assert!(refused.to_string().contains("OP_RETURN"), "{refused}");
    for file in &proofs {
        let file = file.display().to_string();
        world.home.run(&["submit", &file]).await.expect("the main chain takes its own proof");
    }

    // What an auditor does with the node's own tools, and no Grid.
    auditor(&world, &block, &paid, &output).await;

    world.grid.stop().await.expect("stop");
    world.chains.bitcoind.stop().await.expect("stop");
    let trust = world.home.path().join("trust.json").display().to_string();
    let mut claims = Vec::new();
    for file in &proofs {
        let shown = verify_elsewhere(&trust, file).await.expect("verified");
        claims.push(shown["claim"].clone());
    }
    assert_eq!((&claims[0]["amount"], &claims[0]["output"]), (&1_234_567.into(), &0.into()));
    assert_eq!(claims[1]["data"], "0x67726964");
    assert_eq!(claims[2]["txid"], internal(&paid));
    assert_ne!(claims[2]["wtxid"], claims[2]["txid"]);
    let listed = claims[3]["claims"].as_array().expect("a list");
    let ids: Vec<&str> = listed.iter().filter_map(|claim| claim["txid"].as_str()).collect();
    let (first, second) = (internal(&paid), internal(&stored));
    assert!(ids.len() == 2 && ids.contains(&&*first) && ids.contains(&&*second), "{ids:?}");
}

/// Proofs from the raw block and from `gettxoutproof`, without Grid's chain.
async fn auditor(world: &World, block: &str, txid: &str, output: &str) {
    let node = &world.chains.bitcoind;
    let text = async |method: &str, params: Value| {
        let answer = node.call(method, params).await.expect("the node answers");
        answer.as_str().expect("text").to_owned()
    };
    let save = |name: &str, text: &str| {
        let file = world.home.beside(name);
        std::fs::write(&file, text).expect("write");
        file.display().to_string()
    };
    let run = async |arguments: &[&str]| world.home.run(arguments).await;

    let raw = save("block.hex", &text("getblock", json!([block, 0])).await);
    let made = world.home.beside("block-proof.json").display().to_string();
    let prove =
        ["bitcoin", "prove", "--network", "regtest", "--block", &raw, output, "--out", &made];
    run(&prove).await.expect("prove");
    let shown = run(&["--json", "bitcoin", "verify-proof", &made]).await.expect("verified");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&shown["verified"], &shown["blockHash"]), (&true.into(), &block.into()));
    let first = &shown["transactions"][0];
    assert_eq!((&first["txid"], &first["outputs"][0]["amount"]), (&txid.into(), &1_234_567.into()));
    let address = first["outputs"][0]["address"].as_str().expect("an address");
    assert!(address.starts_with("bcrt1"), "{address}");
    let height = node.call("getblock", json!([block])).await.expect("block");
    assert_eq!(shown["height"], height["height"]);
    let other = run(&["bitcoin", "verify-proof", "--network", "mainnet", &made]).await;
    assert!(other.is_err(), "a regtest proof passes for mainnet");

    let coinbase = height["tx"][0].as_str().expect("a coinbase").to_owned();
    let merkle = text("gettxoutproof", json!([[coinbase, txid], block])).await;
    let merkle = save("merkle.hex", &merkle);
    let first =
        save("coinbase.hex", &text("getrawtransaction", json!([coinbase, false, block])).await);
    let second = save("payment.hex", &text("getrawtransaction", json!([txid, false, block])).await);
    let verify = ["--json", "bitcoin", "verify-proof", "--network", "regtest", &merkle];
    let whole = run(&[&verify[..], &["--raw", &first, "--raw", &second]].concat()).await;
    let whole: Value = serde_json::from_str(&whole.expect("verified")).expect("JSON");
    assert_eq!(
        (&whole["strength"], &whole["claim"]["kind"]),
        (&"transactions".into(), &"bitcoinTx".into())
    );
    let alone = run(&verify).await.expect_err("ids alone prove no transaction");
    assert!(alone.to_string().contains("incomplete-merkle-block"), "{alone}");
    let ids = run(&[&verify[..], &["--ids-only"]].concat()).await.expect("ids");
    assert!(ids.contains("CVE-2017-12842"), "{ids}");
}
