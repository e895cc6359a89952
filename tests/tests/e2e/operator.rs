//! An operator's questions, answered by `status`, `explain` and the API of the real daemon alone.

use grid_test_nodes::{Grid, GridConfig, NodeError, Postgres, wait_for};
use serde_json::{Value, json};

use crate::world::{BITCOIN_DEPTH, Chains, Home, LIMIT, World};

const BITCOIN: &str = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328";

async fn json_of(home: &Home, arguments: &[&str]) -> Value {
    let mut line = vec!["--json"];
    line.extend(arguments);
    let text = home.run(&line).await.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    serde_json::from_str(&text).expect("JSON")
}

impl World {
    async fn json(&self, arguments: &[&str]) -> Value {
        json_of(&self.home, arguments).await
    }

    async fn explain(&self, id: &str) -> Value {
        self.json(&["relayer", "explain", id]).await
    }

    /// Waits until a header stands where it should, and returns the explanation.
    async fn explained_as(&self, id: &str, place: &str) -> Value {
        wait_for(format!("{id} to be {place}"), LIMIT, || async {
            let said = self.explain(id).await;
            let summary = said["summary"].to_string();
            if said["place"] == json!(place) { Ok(said) } else { Err(summary) }
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"))
    }
}

/// What happened to the item of an explanation, oldest first.
fn steps(said: &Value) -> Vec<&str> {
    said["timeline"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|step| step["what"].as_str())
        .collect()
}

#[tokio::test]
async fn an_operator_learns_where_a_header_is_and_why() {
    let world = World::start().await;
    world.wait_indexed().await;

    // A block hash as Bitcoin's own tools show it, of a block that is in the index.
    let bitcoind = &world.chains.bitcoind;
    let hash = bitcoind.block_hash(20).await.expect("hash");
    let said = world.explained_as(&hash, "indexed").await;
    assert_eq!((&said["chain"], &said["height"]), (&json!(BITCOIN), &json!(20)), "{said:#}");
    let summary = said["summary"].as_str().expect("text");
    assert!(summary.contains("since Grid block") && summary.contains("grid prove"), "{summary}");
    assert_eq!(said["main"]["moreBlocks"], json!(0));
    // The relayer sees its transaction in the block with its next look.
    let said = wait_for("the end of the transaction", LIMIT, || async {
        let said = world.explain(&hash).await;
        if steps(&said).contains(&"included") { Ok(said) } else { Err(format!("{said:#}")) }
    })
    .await
    .expect("its end");
    assert!(steps(&said).starts_with(&["planned", "signed"]), "{said:#}");
    assert_eq!(said["transactions"][0]["outcome"], json!("included"), "{said:#}");

    // The transaction that carried it leads to the same item.
    let transaction = said["transactions"][0]["hash"].as_str().expect("hash");
    assert_eq!(world.explain(transaction).await["item"]["key"], said["item"]["key"]);
    let text = world.home.run(&["relayer", "explain", transaction]).await.expect("text");
    assert!(text.contains("STEP") && text.contains("signed"), "{text}");

    // What it cost is what the main chain says.
    let cost = &said["transactions"][0]["cost"];
    let receipt = world.grid.call("eth_getTransactionReceipt", json!([transaction])).await;
    let receipt = receipt.expect("receipt");
    let number = |value: &Value| {
        let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).expect("a number");
        u128::from_str_radix(digits, 16).expect("a number")
    };
    let fee = number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]);
    assert!(fee > 0 && number(&cost["fee"]) == fee, "{cost} {receipt}");
    assert!(text.contains("cost ") && text.contains("COST IN GRID"), "{text}");

    // The tip is on the main chain and not confirmed; the one above does not exist.
    bitcoind.mine(1).await.expect("mine");
    let (tip, _) = bitcoind.tip().await.expect("tip");
    let said = world.explained_as(&format!("{BITCOIN}:{tip}"), "confirming").await;
    assert_eq!(said["main"]["moreBlocks"], json!(BITCOIN_DEPTH - 1), "{said:#}");
    let above = world.explain(&format!("{BITCOIN}:{}", tip + 1)).await;
    assert_eq!(above["place"], json!("not-yet"), "{above:#}");
    let nobody = world.explain(&"77".repeat(32)).await;
    assert_eq!(nobody["place"], json!("unknown"));
}

#[tokio::test]
async fn a_paused_chain_says_who_and_why_and_goes_on_when_it_is_resumed() {
    let mut world = World::start().await;
    world.wait_indexed().await;
    let said =
        world.json(&["relayer", "pause", BITCOIN, "--by", "ann", "--reason", "upgrade"]).await;
    assert_eq!(said["paused"]["by"], json!("ann"));
    world.grid.stop().await.expect("stop");
    world.grid.restart().await.expect("restart");

    world.chains.bitcoind.mine(2).await.expect("mine");
    let (tip, _) = world.chains.bitcoind.tip().await.expect("tip");
    let id = format!("{BITCOIN}:{tip}");
    let said = world.explained_as(&id, "paused").await;
    let summary = said["summary"].as_str().expect("text");
    assert!(summary.contains("ann paused") && summary.contains("grid relayer resume"), "{summary}");
    let text = world.home.run(&["status"]).await.expect("status");
    assert!(text.contains("NOTICE  chain bip122") && text.contains("paused by ann"), "{text}");

    // Without the token nothing is changed.
    let token = world.home.path().join("keys/admin-token");
    let good = std::fs::read_to_string(&token).expect("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef").expect("token");
    let refused = world.home.run(&["relayer", "resume", BITCOIN]).await;
    assert!(matches!(&refused, Err(NodeError::Command { .. })), "{refused:?}");
    std::fs::write(&token, good).expect("token");
    world.home.run(&["relayer", "resume", BITCOIN]).await.expect("resume");
    world.explained_as(&id, "confirming").await;
}

/// The folder of another relayer with the same chains, key and database.
fn twin(home: &Home) -> Home {
    let twin = Home::new();
    std::fs::create_dir_all(twin.path().join("keys")).expect("folder");
    for file in ["grid.toml", "keys/password", "keys/relayer.json", "keys/admin-token"] {
        std::fs::copy(home.path().join(file), twin.path().join(file)).expect(file);
    }
    twin.change_config(|text| {
        text.replace(&home.config().listen, &twin.config().listen)
            .replace(&home.admin(), &twin.admin())
    });
    twin
}

/// The relayer's name, and the holders of its chains.
async fn holders(home: &Home) -> (Value, Vec<Value>) {
    let relayer = json_of(home, &["status"]).await["relayer"].take();
    let chains = relayer["chains"].as_array().expect("chains").iter();
    (relayer["name"].clone(), chains.map(|chain| chain["holder"].clone()).collect())
}

#[tokio::test]
async fn each_of_two_relayers_on_one_database_says_who_holds_a_chain() {
    let (chains, postgres) = tokio::join!(Chains::start(), Postgres::start());
    let postgres = postgres.expect("PostgreSQL");
    let store = postgres.database().expect("a database");
    let home = Home::new();
    home.init(&chains.arguments()).await.expect("init");
    home.change_config(|text| {
        text.replace("store = \"relayer.db\"", &format!("store = \"{store}\""))
    });
    let mut first = Grid::start(home.config()).await.expect("grid start");
    let other = twin(&home);
    let config = GridConfig {
        rpc: home.config().rpc,
        command: ["relayer", "run"].map(String::from).into(),
        ..other.config()
    };
    let mut second = Grid::start(config).await.expect("grid relayer run");

    let here =
        |holders: &[Value]| holders.iter().filter(|held| held["here"] == json!(true)).count();
    wait_for("each to hold one of the two chains", LIMIT, || async {
        let ((a, of_a), (b, of_b)) = tokio::join!(holders(&home), holders(&other));
        let names = |held: &Value| if held["here"] == json!(true) { a.clone() } else { b.clone() };
        let agree = of_a
            .iter()
            .zip(&of_b)
            .all(|(one, two)| one["relayer"] == names(one) && one["relayer"] == two["relayer"]);
        let even = [&of_a, &of_b].map(|held| (held.len(), here(held)));
        if agree && even == [(2, 1); 2] { Ok(()) } else { Err(format!("{of_a:?} {of_b:?}")) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let text = other.run(&["status"]).await.expect("status");
    assert!(text.contains("held by the relayer") && text.contains("with the key 0x"), "{text}");

    second.stop().await.expect("stop");
    wait_for("the first to hold both again", LIMIT, || async {
        let (_, held) = holders(&home).await;
        if here(&held) == 2 { Ok(()) } else { Err(format!("{held:?}")) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    first.stop().await.expect("stop");
}
