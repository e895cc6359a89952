//! Messages that a relayer carries to the main chain by itself: a Bitcoin payment releases GRID, a contract on Ethereum tells an account.

use std::time::{SystemTime, UNIX_EPOCH};

use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent as _;
use grid_core::modules::abi::{LIGHT_CLIENTS, LightClients};
use grid_test_nodes::{Bitcoind, Grid, Mailbox, Outgoing, wait_for};
use serde_json::{Value, json};

use crate::world::{
    BITCOIN_DEPTH, Chains, ETHEREUM_DEPTH, Home, LIMIT, bitcoin_arguments, internal, log,
    wait_confirmed,
};

const BITCOIN: &str = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328";
const ETHEREUM: &str = "eip155:31337";
/// The escrow contract.
const ESCROW: &str = "0x0000000000000000000000000000000000001008";
/// Grid blocks from the confirmation of a message's block to its delivery.
const MOST_DELAY: u64 = 3;
/// Who gets the GRID.
const PAYEE: &str = "0x000000000000000000000000000000000000be4e";
/// What the payment is.
const SATOSHIS: u64 = 50_000;
/// GRID in its smallest unit.
const GRID: u128 = 1_000_000_000_000_000_000;
/// The number of the Grid chain that `grid init` makes, and no light client of it on anvil.
const GRID_CHAIN: u64 = 4_700_000;
const NOBODY: &str = "0x0000000000000000000000000000000000000001";

/// A daemon with an open route from one chain.
struct Fixture {
    grid: Grid,
    home: Home,
}

impl Fixture {
    async fn start(chains: &[String]) -> Self {
        let home = Home::new();
        home.init(chains).await.expect("init");
        let grid = Grid::start(home.config()).await.expect("start");
        Self { grid, home }
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let line = [&["--json"], arguments].concat();
        let text = self.home.run(&line).await.unwrap_or_else(|error| panic!("{line:?}: {error}"));
        serde_json::from_str(&text).expect("JSON")
    }

    /// What `grid message explain` says, once it says this of the relayer's newest place.
    async fn explained(&self, id: &str, stage: &str, reason: &str) -> Value {
        wait_for(format!("{id} to be {stage}, {reason}"), LIMIT, || async {
            let said = self.json(&["message", "explain", id]).await;
            let newest = &said["seen"][0];
            let why = newest["reason"].as_str().unwrap_or_default();
            let is = newest["stage"] == json!(stage) && why.contains(reason);
            if is { Ok(said) } else { Err(said.to_string()) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&self.grid)))
    }

    /// The only message that the relayer has seen.
    async fn seen(&self) -> Value {
        wait_for("a message", LIMIT, || async {
            let listed = self.json(&["message", "list"]).await;
            let first = listed["messages"][0].clone();
            if first.is_object() { Ok(first) } else { Err(listed.to_string()) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&self.grid)))
    }

    /// GRID of an account, smallest unit.
    async fn balance(&self, account: &str) -> u128 {
        let balance = self.grid.call("eth_getBalance", json!([account, "latest"])).await;
        number(&balance.expect("balance"))
    }

    /// `Delivered` events of the mailbox.
    async fn deliveries(&self) -> usize {
        let address = "0x0000000000000000000000000000000000001004";
        let filter = json!([{ "address": address, "fromBlock": "0x0", "toBlock": "latest" }]);
        let logs = self.grid.call("eth_getLogs", filter).await.expect("logs");
        // The route's event is the other one.
        logs.as_array().expect("logs").len() - 1
    }

    /// Grid blocks from the one that confirmed a delivered message's block to the one that delivered it.
    async fn delay(&self, chain: &str, id: &str) -> u64 {
        let said = self.json(&["message", "explain", id]).await;
        let known = |what: &str| said["known"][what].as_u64().unwrap_or_else(|| panic!("{said}"));
        let (height, delivered) = (known("height"), known("gridHeight"));
        let chain: grid_core::ChainId = chain.parse().expect("chain");
        let topics = json!([LightClients::Indexed::SIGNATURE_HASH, chain.key().0]);
        let filter = json!([{
            "address": LIGHT_CLIENTS, "topics": topics, "fromBlock": "0x0", "toBlock": "latest",
        }]);
        let logs = self.grid.call("eth_getLogs", filter).await.expect("logs");
        let confirmed = logs.as_array().expect("logs").iter().filter_map(|log| {
            let data: Bytes = log["data"].as_str()?.parse().ok()?;
            let indexed = LightClients::Indexed::abi_decode_data(&data).expect("an event");
            (indexed.0..=indexed.1).contains(&height).then(|| number(&log["blockNumber"]))
        });
        // A reorganisation may have confirmed the height before.
        let confirmed = confirmed.max().and_then(|at| u64::try_from(at).ok()).expect("confirmed");
        delivered.checked_sub(confirmed).expect("delivered before it was confirmed")
    }

    /// Locks 5 GRID for a payment to a script; the escrow's id.
    async fn escrow(&self, script: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("time").as_secs();
        let (amount, deadline) = (SATOSHIS.to_string(), (now + 3_600).to_string());
        let opened = self
            .json(&[
                "escrow",
                "open",
                "5",
                "--payee",
                PAYEE,
                "--chain",
                BITCOIN,
                "--script",
                script,
                "--amount",
                &amount,
                "--deadline",
                &deadline,
            ])
            .await;
        opened["id"].as_str().expect("id").to_owned()
    }

    async fn status(&self, escrow: &str) -> Value {
        self.json(&["escrow", "show", escrow]).await["status"].clone()
    }

    /// The data of the output that names the escrow.
    async fn note(&self, nonce: &str, escrow: &str) -> String {
        let note = ["message", "send", ESCROW, "--bitcoin", "--nonce", nonce, "--payload", escrow];
        self.json(&note).await["data"].as_str().expect("data").to_owned()
    }
}

fn number(value: &Value) -> u128 {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).expect("a number");
    u128::from_str_radix(digits, 16).expect("a number")
}

/// An address of the node's, and the script that it stands for.
async fn address(bitcoind: &Bitcoind) -> (String, String) {
    let address = bitcoind.other_address().to_owned();
    let checked = bitcoind.call("validateaddress", json!([address])).await.expect("address");
    let script = checked["scriptPubKey"].as_str().expect("script").to_owned();
    (address, script)
}

#[tokio::test]
async fn a_bitcoin_payment_releases_an_escrow_once_although_its_block_is_orphaned_first() {
    let bitcoind = Chains::bitcoin_only().await;
    let mut world = Fixture::start(&bitcoin_arguments(&bitcoind, "regtest")).await;
    world.json(&["message", "route", BITCOIN]).await;
    let (address, script) = address(&bitcoind).await;
    let escrow = world.escrow(&script).await;
    let note = world.note("1", &escrow).await;

    let paid = bitcoind.pay_and_store(&address, SATOSHIS, &note).await.expect("pay");
    let orphan = bitcoind.mine(1).await.expect("mine").remove(0);
    let seen = world.seen().await;
    assert_eq!((&seen["chain"], &seen["tx"]), (&json!(BITCOIN), &json!(internal(&paid))));
    let id = seen["id"].as_str().expect("id").to_owned();
    let waiting = world.explained(&id, "waiting", "not confirmed").await;
    assert_eq!(waiting["state"], json!("unknown"), "{waiting}");
    let place = &waiting["seen"][0];
    assert_eq!(place["needed"], place["block"]["height"], "{waiting}");
    assert!(place["confirmed"].as_u64() < place["needed"].as_u64(), "{waiting}");

    // The block loses against an empty one; the payment is in the next.
    bitcoind.invalidate_block(&orphan).await.expect("invalidate");
    bitcoind.mine_only(&[]).await.expect("mine");
    bitcoind.mine(BITCOIN_DEPTH).await.expect("mine");
    let delivered = world.explained(&id, "delivered", "took effect").await;
    assert_eq!(delivered["state"], json!("delivered"), "{delivered}");
    assert_ne!(delivered["seen"][0]["block"]["hash"], json!(internal(&orphan)));
    assert_eq!(delivered["delivery"]["stage"], json!("done"), "{delivered}");
    let delay = world.delay(BITCOIN, &id).await;
    println!("delivered {delay} Grid blocks after the confirmation");
    assert!(delay <= MOST_DELAY, "{delivered}");
    assert_eq!(world.status(&escrow).await, json!("released"));
    assert_eq!(world.balance(PAYEE).await, 5 * GRID);

    // More blocks, a restart, and another search change nothing.
    world.grid.stop().await.expect("stop");
    world.grid.restart().await.expect("restart");
    bitcoind.mine(2).await.expect("mine");
    let (height, _) = bitcoind.tip().await.expect("tip");
    wait_confirmed(&world.grid, "bip122:", height + 1 - BITCOIN_DEPTH).await;
    assert_eq!(world.balance(PAYEE).await, 5 * GRID);
    assert_eq!(world.deliveries().await, 1);

    // One that the escrow refuses waits with the contract's reason, and holds up no other one.
    let late = world.note("2", &escrow).await;
    bitcoind.pay_and_store(&address, SATOSHIS, &late).await.expect("pay");
    let second = world.escrow(&script).await;
    let good = world.note("3", &second).await;
    bitcoind.pay_and_store(&address, SATOSHIS, &good).await.expect("pay");
    bitcoind.mine(BITCOIN_DEPTH).await.expect("mine");
    wait_for("the second escrow", LIMIT, || async {
        let status = world.status(&second).await;
        if status == json!("released") { Ok(()) } else { Err(status.to_string()) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&world.grid)));
    let listed = world.json(&["message", "list"]).await;
    let of = |nonce: u64| {
        let rows = listed["messages"].as_array().expect("messages").iter();
        rows.clone().find(|row| row["nonce"] == json!(nonce)).expect("a message").clone()
    };
    let reason = of(2)["reason"].as_str().expect("reason").to_owned();
    assert!(reason.contains("is released"), "{reason}");
    assert_eq!((world.balance(PAYEE).await, world.deliveries().await), (10 * GRID, 2));
}

#[tokio::test]
async fn messages_of_a_contract_on_ethereum_reach_an_account_in_their_order() {
    let chains = Chains::start().await;
    let world = Fixture::start(&chains.ethereum_arguments()).await;
    let anvil = &chains.anvil;
    let mailbox = Mailbox::deploy(anvil, NOBODY, GRID_CHAIN).await.expect("deploy");
    world.json(&["message", "route", ETHEREUM, "--mailbox", &mailbox.address]).await;
    let destination = grid_core::ChainId::eip155(GRID_CHAIN).key().0.to_string();
    let block = anvil.call("eth_getBlockByNumber", json!(["latest", false])).await.expect("block");
    let deadline = u64::try_from(number(&block["timestamp"])).expect("time") + 3_600;
    let from = anvil.account(2).expect("account");
    // Three that are ordered, in one block or several.
    for payload in ["0x01", "0x02", "0x03"] {
        let message = Outgoing {
            destination: &destination,
            recipient: PAYEE,
            deadline,
            ordered: true,
            payload,
        };
        let hash = mailbox.send(anvil, from, message).await.expect("send");
        let receipt = anvil.receipt(&hash, LIMIT).await.expect("receipt");
        assert_eq!(receipt["status"], json!("0x1"), "{receipt}");
    }
    anvil.mine(ETHEREUM_DEPTH).await.expect("mine");
    wait_for("three deliveries", LIMIT, || async {
        let count = world.deliveries().await;
        if count == 3 { Ok(()) } else { Err(world.json(&["message", "list"]).await.to_string()) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&world.grid)));
    let listed = world.json(&["message", "list"]).await;
    let messages = listed["messages"].as_array().expect("messages");
    assert_eq!(messages.len(), 3, "{listed}");
    for message in messages {
        let id = message["id"].as_str().expect("id");
        world.explained(id, "delivered", "took effect").await;
        let delay = world.delay(ETHEREUM, id).await;
        println!("message {}: {delay} Grid blocks after the confirmation", message["nonce"]);
        // The others wait for those before them.
        assert!(delay <= MOST_DELAY || message["nonce"] != json!(0), "{message}");
    }
}
