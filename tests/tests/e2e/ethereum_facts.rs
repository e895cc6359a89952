//! Every kind of fact about an Ethereum block, from a real node to a file that verifies without any network.

use serde_json::Value;

use grid_test_nodes::Grid;

use crate::{
    proofs::verify_elsewhere,
    world::{Chains, Home, World},
};

const TRANSFER: &str = "event Transfer(address indexed from, address indexed to, uint256 value)";
const NOBODY: &str = "0x00000000000000000000000000000000000000aa";

/// The height of a transaction's block.
async fn height(world: &World, hash: &str) -> String {
    let limit = std::time::Duration::from_secs(30);
    let receipt = world.chains.anvil.receipt(hash, limit).await.expect("receipt");
    let number = receipt["blockNumber"].as_str().expect("a quantity").trim_start_matches("0x");
    u64::from_str_radix(number, 16).expect("a height").to_string()
}

#[tokio::test]
async fn every_fact_of_an_ethereum_block_is_proven() {
    let mut world = World::start().await;
    let transfer = world.chains.transfer().await;
    let height = height(&world, &transfer).await;
    world.chains.anvil.mine(3).await.expect("mine");
    let token = world.chains.token.address.clone();
    let prove = async |what: &[&str], name: &str| world.home.prove(what, name).await;
    let event = ["eth-log", &transfer, "0", "--abi", TRANSFER, "--with-transaction"];
    let event = prove(&event, "event.json").await;
    let logs =
        prove(&["eth-logs", &token, "--block", &height, "--event", TRANSFER], "logs.json").await;
    let code = prove(&["eth-code", &token, "--bytes"], "code.json").await;
    let nobody = prove(&["eth-account", NOBODY], "nobody.json").await;
    let slots = prove(&["eth-storage", &token, "0", "12345"], "slots.json").await;
    let count = prove(&["eth-count", "--at", &height], "count.json").await;
    let [tx, receipt] = ["tx", "receipt"].map(|kind| format!("{kind}:{transfer}"));
    let [all, hash] = ["logs", "code-hash"].map(|kind| format!("{kind}:{token}"));
    let slot = format!("storage:{token}:0");
    let facts = ["eth-facts", &tx, &receipt, &all, &hash, &slot, "count"];
    let facts = prove(&facts, "facts.json").await;

    let other = ["prove", "eth-log", &transfer, "0", "--abi", "event Other(uint256 a)"];
    let refused = world.home.run(&other).await.expect_err("another event");
    assert!(refused.to_string().contains("no event of the ABI"), "{refused}");
    let missing = world.home.run(&["prove", "eth-log", &transfer, "1"]).await.expect_err("no log");
    assert!(missing.to_string().contains("counted from 0"), "{missing}");
    let file = facts.display().to_string();
    world.home.run(&["submit", &file]).await.expect("the main chain takes its own proof");

    // Everything is off from here on.
    world.grid.stop().await.expect("stop");
    world.chains.anvil.stop().await.expect("stop");
    let trust = world.home.path().join("trust.json").display().to_string();
    let file = event.display().to_string();
    let verify = ["--json", "verify", &file, "--trust", &trust, "--abi", TRANSFER];
    let shown = world.home.run(&verify).await.expect("verified");
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let decoded = &shown["events"][0];
    assert_eq!(decoded["event"], "Transfer(address,address,uint256)");
    assert_eq!(decoded["parameters"][2]["value"], "7");
    assert_eq!(shown["claim"]["claims"][0]["hash"], transfer);

    let claim = async |file: &std::path::Path| {
        verify_elsewhere(&trust, file).await.expect("verified")["claim"].clone()
    };
    let logs = claim(&logs).await;
    assert_eq!((&logs["kind"], logs["logs"].as_array().map(Vec::len)), (&"logs".into(), Some(1)));
    let code = claim(&code).await;
    assert!(code["code"].as_str().is_some_and(|code| code.len() > 100), "{code}");
    assert_eq!(claim(&nobody).await["account"], Value::Null);
    let slots = claim(&slots).await;
    let values: Vec<&Value> =
        slots["claims"].as_array().expect("two").iter().map(|slot| &slot["value"]).collect();
    assert!(values.contains(&&Value::Null) && values.iter().any(|value| value.is_string()));
    assert_eq!(claim(&count).await["count"], 1);
    let facts = claim(&facts).await;
    assert_eq!(facts["claims"].as_array().map(Vec::len), Some(6), "{facts}");
}

/// The token is older than the index: it is proven by the hashes that later blocks' states hold.
#[tokio::test]
async fn blocks_below_the_index_are_proven_by_eip_2935() {
    let chains = Chains::start().await;
    let transfer = chains.transfer().await;
    chains.anvil.mine(1).await.expect("mine");
    let below = chains.anvil.block_number().await.expect("number") - 1;
    chains.anvil.mine(6).await.expect("mine");
    let mut arguments = chains.ethereum_arguments();
    arguments.extend(["--ethereum-start".into(), (below + 3).to_string()]);
    let home = Home::new();
    home.init(&arguments).await.expect("init");
    let grid = Grid::start(home.config()).await.expect("start");
    let token = chains.token.address.clone();
    let event = ["eth-log", &transfer, "0", "--abi", TRANSFER, "--with-transaction"];
    let event = home.prove(&event, "event.json").await;
    let height = below.to_string();
    let slot = home.prove(&["eth-storage", &token, "0", "--at", &height], "slot.json").await;
    let newest = home.prove(&["eth-storage", &token, "0"], "newest.json").await;
    for file in [&event, &slot] {
        let file = file.display().to_string();
        home.run(&["submit", &file]).await.expect("the main chain takes it");
    }

    let mut world = World { chains, grid, home };
    world.grid.stop().await.expect("stop");
    world.chains.anvil.stop().await.expect("stop");
    let trust = world.home.path().join("trust.json").display().to_string();
    for file in [&event, &slot] {
        let shown = verify_elsewhere(&trust, file).await.expect("verified");
        assert_eq!((&shown["height"], &shown["claim"]["height"]), (&below.into(), &below.into()));
        assert_eq!(shown["claim"]["kind"], "ancestor");
        assert!(shown["ancestorOf"]["height"].as_u64() >= Some(below + 3), "{shown}");
    }
    let shown = verify_elsewhere(&trust, &event).await.expect("verified");
    assert_eq!(shown["claim"]["claim"]["claims"][0]["hash"], transfer);
    assert_eq!(
        verify_elsewhere(&trust, &newest).await.expect("verified")["ancestorOf"],
        Value::Null
    );
    let file = event.display().to_string();
    let words = ["verify", &file, "--trust", &trust, "--abi", TRANSFER];
    let words = world.home.run(&words).await.expect("verified");
    let expected = format!("block {below}, an ancestor of indexed block ");
    assert!(words.contains(&expected) && words.contains("by EIP-2935"), "{words}");
    assert!(words.contains("Transfer"), "{words}");
}
