//! Two nodes on two branches.

use grid_adapters::SourceChain as _;
use grid_test_nodes::{Bitcoind, BitcoindConfig, Grid, rpc, wait_for};
use serde_json::{Value, json};

use super::{assert_same_chain, node, quorum, tip};
use crate::world::{
    BITCOIN_DEPTH, FIRST_BLOCKS, Home, LIMIT, assert_bitcoin_index, bitcoin_arguments, chain, log,
    wait_bitcoin_tip, wait_confirmed,
};

/// Two nodes that can be connected and separated.
struct Pair {
    one: Bitcoind,
    other: Bitcoind,
}

impl Pair {
    /// Both on the same chain, separated.
    async fn start() -> Self {
        let config = BitcoindConfig { listen: true, ..BitcoindConfig::default() };
        let (one, other) =
            tokio::join!(Bitcoind::start(config), Bitcoind::start(BitcoindConfig::default()));
        let pair = Self { one: one.expect("bitcoind"), other: other.expect("bitcoind") };
        pair.one.mine(FIRST_BLOCKS).await.expect("mine");
        pair.connect().await;
        pair.separate().await;
        pair
    }

    /// Connects them and waits until they agree.
    async fn connect(&self) {
        for node in [&self.one, &self.other] {
            node.call("setnetworkactive", json!([true])).await.expect("network on");
        }
        let peer = self.one.peer_address().expect("it accepts peers").to_string();
        self.other.call("addnode", json!([peer, "onetry"])).await.expect("addnode");
        wait_for("both nodes to agree", LIMIT, || async {
            let one = self.one.tip().await.map_err(|error| error.to_string())?;
            let other = self.other.tip().await.map_err(|error| error.to_string())?;
            if one == other { Ok(()) } else { Err(format!("{one:?} and {other:?}")) }
        })
        .await
        .expect("agreement");
    }

    async fn separate(&self) {
        for node in [&self.one, &self.other] {
            node.call("setnetworkactive", json!([false])).await.expect("network off");
        }
    }

    /// Adds blocks to both nodes, different ones.
    async fn fork(&self, one: u64, other: u64) {
        self.one.mine(one).await.expect("mine");
        self.other.mine_competing(other).await.expect("mine");
    }
}

#[tokio::test]
async fn work_decides_between_two_nodes_and_both_branches_are_known() {
    let pair = Pair::start().await;
    let (fork, _) = pair.one.tip().await.expect("tip");
    pair.fork(3, 5).await;
    let by_work = quorum(vec![node(&pair.one), node(&pair.other)], 1);
    assert_same_chain(&by_work, &pair.other).await;
    let view = by_work.view();
    let disagreement = view.disagreement.expect("two branches");
    assert_eq!((disagreement.height, disagreement.held), (fork + 1, false));
    assert_eq!(view.branches[0].headers.len(), 3);
    assert_eq!(view.branches[0].members, ["0"]);

    let by_both = quorum(vec![node(&pair.one), node(&pair.other)], 2);
    assert_eq!(tip(&by_both).await.0, fork, "nothing that only one of them has");
    assert!(by_both.view().disagreement.expect("two branches").held);

    pair.connect().await;
    for quorum in [&by_work, &by_both] {
        assert_same_chain(quorum, &pair.other).await;
        let view = quorum.view();
        assert_eq!(view.disagreement, None);
        assert_eq!(view.competing_blocks(), 3, "what was left stays known");
    }
    // A source that was never on it learns of the branch from the node, too.
    let fresh = quorum(vec![node(&pair.one)], 1);
    fresh.tip().await.expect("tip");
    assert_eq!(fresh.view().competing_blocks(), 3);
}

pub(super) async fn status(home: &Home) -> Value {
    let url = format!("http://{}/v1/status", home.config().listen);
    let (_, text) = rpc::get(&url).await.expect("status");
    serde_json::from_str(&text).expect("JSON")
}

async fn metric(home: &Home, name: &str) -> String {
    let url = format!("http://{}/metrics", home.config().listen);
    let (_, text) = rpc::get(&url).await.expect("metrics");
    let line = text.lines().find(|line| line.starts_with(name) && !line.starts_with('#'));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

async fn wait_metric(home: &Home, name: &str, value: &str) {
    wait_for(format!("{name} to be {value}"), LIMIT, || async {
        let found = metric(home, name).await;
        if found == value { Ok(()) } else { Err(found) }
    })
    .await
    .expect("the metric");
}

#[tokio::test]
async fn a_daemon_that_wants_two_to_agree_confirms_nothing_else_and_heals() {
    let pair = Pair::start().await;
    let home = Home::new();
    home.init(&bitcoin_arguments(&pair.one, "regtest")).await.expect("init");
    home.change_config(|text| {
        let cookie = pair.other.cookie_file();
        text.replace("agree = 1", "agree = 2")
            + &format!(
                "\n[[chain.source]]\nkind = \"rpc\"\nurl = \"{}\"\ncookie_file = \"{}\"\n",
                pair.other.url(),
                cookie.display()
            )
    });
    home.run(&["config", "check"]).await.expect("a good configuration");
    let mut grid = Grid::start(home.config()).await.expect("start");
    let (fork, shared) = pair.one.tip().await.expect("tip");
    wait_bitcoin_tip(&grid, &shared).await;

    pair.fork(4, 6).await;
    wait_metric(&home, "grid_source_held", "1").await;
    assert_eq!(metric(&home, "grid_source_disagreement").await, "1");
    // The daemon hears of the first blocks before the last ones are mined.
    let said = wait_for("the other branch's tip to be seen", LIMIT, || async {
        let said = status(&home).await;
        let height = said["chains"][0]["sources"][1]["height"].clone();
        if height == json!(fork + 6) { Ok(said) } else { Err(height.to_string()) }
    })
    .await
    .expect("the tip");
    let seen = &said["chains"][0];
    assert_eq!(seen["disagreement"]["height"], json!(fork + 1));
    assert_eq!(seen["disagreement"]["votes"].as_array().map(Vec::len), Some(2));
    assert_eq!(seen["sources"][1]["kind"], "rpc");
    assert_eq!(seen["sources"][1]["height"], json!(fork + 6));
    assert!(said["problems"].to_string().contains("sources disagree"), "{said}");
    let main = chain(&grid, "bip122:").await.expect("chain");
    assert_eq!(main["tracked"]["height"], json!(fork), "on neither branch: {}", log(&grid));

    pair.connect().await;
    let (height, hash) = pair.other.tip().await.expect("tip");
    wait_bitcoin_tip(&grid, &hash).await;
    wait_confirmed(&grid, "bip122:", height + 1 - BITCOIN_DEPTH).await;
    wait_metric(&home, "grid_source_disagreement", "0").await;
    assert_bitcoin_index(&grid, &pair.other).await;
    // The branch that lost is evidence as well: all headers above the fork are there.
    wait_for("the branch that lost", LIMIT, || async {
        let main = chain(&grid, "bip122:").await?;
        let most = height + 1 + 4;
        if main["trackedHeaders"] == json!(most) { Ok(()) } else { Err(main.to_string()) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}; end of the log:\n{}", log(&grid)));

    // What it was about is still known to a process that has not seen it.
    grid.stop().await.expect("stop");
    let _grid = Grid::start(home.config()).await.expect("start");
    let last = status(&home).await["chains"][0]["lastDisagreement"].clone();
    assert_eq!((&last["height"], &last["held"]), (&json!(fork + 1), &json!(true)), "{last}");
    assert!(last["endedAt"].as_u64() > last["beganAt"].as_u64(), "{last}");
}
