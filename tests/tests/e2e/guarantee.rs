//! Guaranteed payments on a real Bitcoin node, with the commands of people and by a relayer: one confirms, one is orphaned and mined
//! again, one is orphaned and double-spent.

use grid_test_nodes::{Bitcoind, Grid, GridConfig, wait_for};
use serde_json::Value;

use crate::world::{
    BITCOIN_DEPTH, Chains, Home, LIMIT, bitcoin_arguments, wait_bitcoin_tip, wait_confirmed,
};

/// Who is paid where a payment is lost.
const BENEFICIARY: &str = "0x00000000000000000000000000000000000be4ef";
/// The confirmed tip must pass the deadline by so many blocks before a claim.
const GRACE: u64 = 12;
/// GRID in its smallest unit.
const GRID: u128 = 1_000_000_000_000_000_000;

struct Fixture {
    bitcoind: Bitcoind,
    grid: Grid,
    home: Home,
}

impl Fixture {
    /// With these settings in the daemon's environment.
    async fn start(settings: &[(&str, &str)]) -> Self {
        let bitcoind = Chains::bitcoin_only().await;
        let home = Home::new();
        home.init(&bitcoin_arguments(&bitcoind, "regtest")).await.expect("init");
        let env = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let grid = Grid::start(GridConfig { env, ..home.config() }).await.expect("start");
        Self { bitcoind, grid, home }
    }

    /// A command of `grid guarantee`, as a program sees it.
    async fn guarantee(&self, arguments: &[&str]) -> Result<Value, String> {
        let line = [&["--json", "guarantee"], arguments].concat();
        let text = self.home.run(&line).await.map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// A payment in a new block.
    async fn payment(&self) -> String {
        let txid = self.bitcoind.pay(None, 1_000_000).await.expect("pay");
        self.bitcoind.mine(1).await.expect("mine");
        txid
    }

    /// Covers a payment with 50 GRID as soon as the main chain tracks its block; the guarantee.
    async fn request(&self, txid: &str) -> Value {
        let arguments =
            ["request", txid, "--cover", "50", "--beneficiary", BENEFICIARY, "--within", "8"];
        let arguments = [&arguments[..], &["--wait", "60s"]].concat();
        let made = self.guarantee(&arguments).await.expect("request");
        let guarantee = made["guarantee"].clone();
        assert_eq!(guarantee["status"], "guaranteed", "{made}");
        assert_eq!(guarantee["txid"], txid);
        guarantee
    }

    /// What `explain` says.
    async fn explain(&self, guarantee: &Value) -> Value {
        self.guarantee(&["explain", text(&guarantee["id"])]).await.expect("explain")
    }

    async fn status(&self, guarantee: &Value) -> String {
        text(&self.explain(guarantee).await["guarantee"]["status"]).to_owned()
    }

    /// Waits until somebody has ended it so.
    async fn ends(&self, guarantee: &Value, how: &str) {
        wait_for(how, LIMIT, || async {
            let status = self.status(guarantee).await;
            if status == how { Ok(()) } else { Err(status) }
        })
        .await
        .expect("an end");
    }

    async fn end(&self, how: &str, guarantee: &Value) -> Result<Value, String> {
        self.guarantee(&[how, text(&guarantee["id"])]).await
    }

    /// Waits until the main chain has all of the node's blocks.
    async fn caught_up(&self) {
        let (height, tip) = self.bitcoind.tip().await.expect("tip");
        wait_bitcoin_tip(&self.grid, &tip).await;
        wait_confirmed(&self.grid, "bip122:", height + 1 - BITCOIN_DEPTH).await;
    }

    /// GRID of an account, smallest unit.
    async fn balance(&self, account: &str) -> u128 {
        let balance = self.grid.call("eth_getBalance", serde_json::json!([account, "latest"]));
        number(&balance.await.expect("balance"))
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn number(value: &Value) -> u128 {
    u128::from_str_radix(text(value).trim_start_matches("0x"), 16).expect("a number")
}

#[tokio::test]
async fn payments_that_confirm_are_settled_and_lost_ones_are_paid() {
    let world = Fixture::start(&[]).await;
    // Nobody stands behind a payment yet.
    let txid = world.payment().await;
    world.caught_up().await;
    let refused = world.guarantee(&["request", &txid, "--cover", "50"]).await.unwrap_err();
    assert!(refused.contains("above 0"), "{refused}");
    world.guarantee(&["underwrite", "1000"]).await.expect("underwrite");

    confirms(&world).await;
    is_mined_again(&world).await;
    is_double_spent(&world).await;

    let list = world.guarantee(&["list"]).await.expect("list");
    let pool = |name: &str| number(&list["pool"][name]);
    assert_eq!((pool("locked"), pool("cover")), (0, 0), "{list}");
    assert_eq!((pool("deposited"), pool("paid")), (1_000 * GRID, 50 * GRID));
    assert_eq!(
        pool("free") + pool("locked") + pool("paid") + pool("withdrawn"),
        pool("deposited") + pool("premiums")
    );
    underwriters_leave(&world).await;
}

#[tokio::test]
async fn a_relayer_that_keeps_guarantees_ends_all_of_them() {
    let keeps = [("GRID_RELAYER_GUARANTEE_KEEP", "true"), ("GRID_RELAYER_GUARANTEE_POLL", "500ms")];
    let world = Fixture::start(&keeps).await;
    world.guarantee(&["underwrite", "1000"]).await.expect("underwrite");

    let kept = world.request(&world.payment().await).await;
    let again = world.request(&world.payment().await).await;
    world.bitcoind.invalidate_block(text(&again["block"])).await.expect("invalidate");
    world.bitcoind.mine_only(&[]).await.expect("mine");
    world.bitcoind.mine(BITCOIN_DEPTH).await.expect("mine");
    world.ends(&kept, "settled").await;
    world.ends(&again, "settled").await;

    let txid = world.payment().await;
    let lost = world.request(&txid).await;
    world.bitcoind.invalidate_block(text(&lost["block"])).await.expect("invalidate");
    let conflict = world.bitcoind.double_spend(&txid).await.expect("double spend");
    world.bitcoind.mine_only(&[conflict]).await.expect("mine");
    let deadline = lost["deadline"].as_u64().expect("deadline");
    let (height, _) = world.bitcoind.tip().await.expect("tip");
    let last = deadline + GRACE + BITCOIN_DEPTH - 1;
    world.bitcoind.mine(last - height).await.expect("mine");
    world.caught_up().await;
    assert_eq!(world.status(&lost).await, "guaranteed", "its time is not over");
    world.bitcoind.mine(1).await.expect("mine");
    world.ends(&lost, "defaulted").await;
    assert_eq!(world.balance(BENEFICIARY).await, 50 * GRID);

    // Each end was one transaction, and its row is done.
    wait_for("the rows", LIMIT, || async {
        let line = ["--json", "relayer", "items", "--chain", "grid:guarantee", "--stage", "done"];
        let items = world.home.run(&line).await.map_err(|error| error.to_string())?;
        let items: Value = serde_json::from_str(&items).map_err(|error| error.to_string())?;
        match items["items"].as_array().map(Vec::len) {
            Some(3) => Ok(()),
            _ => Err(items.to_string()),
        }
    })
    .await
    .expect("rows");
}

async fn confirms(world: &Fixture) {
    let txid = world.payment().await;
    let guarantee = world.request(&txid).await;
    let explained = world.explain(&guarantee).await;
    assert!(text(&explained["open"]["settleRefused"]).contains("not confirmed"), "{explained}");
    assert!(text(&explained["open"]["claimRefused"]).contains("has not passed"), "{explained}");
    assert_eq!(explained["open"]["found"]["block"], guarantee["block"]);
    let early = world.end("settle", &guarantee).await.unwrap_err();
    assert!(early.contains("cannot be settled now"), "{early}");
    world.bitcoind.mine(BITCOIN_DEPTH - 1).await.expect("mine");
    world.caught_up().await;
    world.end("settle", &guarantee).await.expect("settle");
    assert_eq!(world.status(&guarantee).await, "settled");
    let again = world.end("settle", &guarantee).await.unwrap_err();
    assert!(again.contains("already"), "{again}");
}

async fn is_mined_again(world: &Fixture) {
    let txid = world.payment().await;
    let guarantee = world.request(&txid).await;
    let orphaned = text(&guarantee["block"]);
    world.bitcoind.invalidate_block(orphaned).await.expect("invalidate");
    // An empty block in its place; the next one takes the payment from the pool.
    world.bitcoind.mine_only(&[]).await.expect("mine");
    world.bitcoind.mine(BITCOIN_DEPTH).await.expect("mine");
    world.caught_up().await;
    let explained = world.explain(&guarantee).await;
    assert!(text(&explained["open"]["settleRefused"]).contains("best branch"), "{explained}");
    assert_ne!(explained["open"]["found"]["block"], guarantee["block"]);
    let height = guarantee["height"].as_u64().expect("height");
    assert_eq!(explained["open"]["found"]["height"], height + 1);
    world.end("settle", &guarantee).await.expect("settle");
    assert_eq!(world.status(&guarantee).await, "settled");
    assert_eq!(world.balance(BENEFICIARY).await, 0, "nothing was lost");
}

async fn is_double_spent(world: &Fixture) {
    let txid = world.payment().await;
    let guarantee = world.request(&txid).await;
    let deadline = guarantee["deadline"].as_u64().expect("deadline");
    world.bitcoind.invalidate_block(text(&guarantee["block"])).await.expect("invalidate");
    let conflict = world.bitcoind.double_spend(&txid).await.expect("double spend");
    world.bitcoind.mine_only(&[conflict]).await.expect("mine");
    let last = deadline + GRACE + BITCOIN_DEPTH - 1;
    let (height, _) = world.bitcoind.tip().await.expect("tip");
    world.bitcoind.mine(last - height).await.expect("mine");
    world.caught_up().await;
    let early = world.end("claim", &guarantee).await.unwrap_err();
    assert!(early.contains("has not passed"), "{early}");
    let explained = world.explain(&guarantee).await;
    assert!(explained["open"]["notFound"].is_string(), "{explained}");
    world.bitcoind.mine(1).await.expect("mine");
    world.caught_up().await;
    world.end("claim", &guarantee).await.expect("claim");
    assert_eq!(world.status(&guarantee).await, "defaulted");
    assert_eq!(world.balance(BENEFICIARY).await, 50 * GRID);
    let again = world.end("claim", &guarantee).await.unwrap_err();
    assert!(again.contains("already"), "{again}");
}

async fn underwriters_leave(world: &Fixture) {
    let early = world.guarantee(&["withdraw"]).await.unwrap_err();
    assert!(early.contains("announced nothing"), "{early}");
    world.guarantee(&["leave"]).await.expect("leave");
    let early = world.guarantee(&["withdraw"]).await.unwrap_err();
    assert!(early.contains("can be taken out from"), "{early}");
    wait_for("the end of the delay", LIMIT, || world.guarantee(&["withdraw"]))
        .await
        .expect("withdraw");
    let list = world.guarantee(&["list"]).await.expect("list");
    assert_eq!(number(&list["holding"]["shares"]), 0, "{list}");
    assert!(number(&list["pool"]["free"]) < GRID / 1_000, "next to nothing stays: {list}");
}
