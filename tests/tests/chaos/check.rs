//! What must be true when nothing goes wrong any more.

use std::collections::BTreeMap;

use grid_test_nodes::NodeError;
use serde_json::{Value, json};

use crate::world::{Chain, World};

/// Headers below the newest checked one that are looked at again: a reorganisation may have replaced them.
const AGAIN: u64 = 200;
/// A relayer says so of a chain that others follow.
const NOT_MINE: &str = "no source is configured";

/// What was checked so far.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    /// Headers in the index.
    indexed: BTreeMap<Chain, u64>,
    /// The highest header that was compared.
    compared: BTreeMap<Chain, u64>,
}

impl Checker {
    /// Whether both chains are indexed as far as their rules allow, and every relayer has nothing left to do.
    pub(crate) async fn at_rest(world: &World) -> Result<(), String> {
        let said = |error: NodeError| error.to_string();
        for chain in Chain::ALL {
            let height = world.height(chain).await.map_err(said)?;
            let tip = world.hash(chain, height).await.map_err(said)?;
            let seen = world.node.chain(chain.family()).await.map_err(said)?;
            let confirmed = seen["confirmed"]["height"].as_u64();
            if seen["tracked"]["hash"] != json!(tip) || confirmed < Some(height + 1 - chain.depth())
            {
                return Err(format!("{chain:?} is at {height} {tip}, the main chain has {seen}"));
            }
        }
        for relayer in &world.relayers {
            let status = relayer.status().await.map_err(said)?;
            idle(&status).map_err(|why| format!("relayer {}: {why}", relayer.name))?;
            let account = account(world, &status).await.map_err(said)?;
            if account["nonce"] != account["pendingNonce"] {
                return Err(format!("relayer {}: {account}", relayer.name));
            }
        }
        Ok(())
    }

    /// Every confirmed header of both chains is in the index, each height once, and no relayer panicked.
    pub(crate) async fn index(&mut self, world: &World) -> Result<(), NodeError> {
        for chain in Chain::ALL {
            let seen = world.node.chain(chain.family()).await?;
            let first = number(&seen["firstHeight"], "firstHeight")?;
            let last = number(&seen["confirmed"]["height"], "confirmed")?;
            let count = world.node.indexed(&seen).await?;
            if count != (first, last + 1 - first) {
                let why = format!("{chain:?}: {count:?} indexed, {first} to {last} confirmed");
                return Err(NodeError::Broken(why));
            }
            self.indexed.insert(chain, count.1);
            let known = self.compared.get(&chain).map_or(first, |to| to.saturating_sub(AGAIN));
            compare(world, chain, &seen["id"], known.max(first)..=last).await?;
            self.compared.insert(chain, last);
        }
        match world.relayers.iter().find(|relayer| relayer.log().contains("panicked")) {
            Some(relayer) => Err(NodeError::Broken(format!("relayer {} panicked", relayer.name))),
            None => Ok(()),
        }
    }

    /// Headers in the index.
    pub(crate) fn headers(&self) -> BTreeMap<Chain, u64> {
        self.indexed.clone()
    }

    /// Transactions of all keys.
    pub(crate) async fn transactions(&self, world: &World) -> Result<u64, NodeError> {
        let mut nonces = BTreeMap::new();
        for relayer in &world.relayers {
            let status = relayer.status().await?;
            let account = account(world, &status).await?;
            nonces.insert(account["address"].to_string(), number(&account["nonce"], "nonce")?);
        }
        Ok(nonces.values().sum())
    }
}

/// A relayer with nothing open and nothing to complain about.
fn idle(status: &Value) -> Result<(), String> {
    let problems = status["problems"].as_array().ok_or("no problems in the status")?;
    let mine = |problem: &&Value| !problem.to_string().contains(NOT_MINE);
    if let Some(problem) = problems.iter().find(mine) {
        return Err(problem.to_string());
    }
    let wallet = &status["wallet"];
    if wallet["gap"] != json!(0) || wallet["live"] != json!(0) {
        return Err(format!("wallet {wallet}"));
    }
    for chain in status["chains"].as_array().into_iter().flatten() {
        if chain["items"].as_object().is_none_or(|items| !items.is_empty()) {
            return Err(format!("{}: items {}", chain["id"], chain["items"]));
        }
    }
    if status["ready"] == json!(true) { Ok(()) } else { Err("not ready".into()) }
}

async fn account(world: &World, status: &Value) -> Result<Value, NodeError> {
    world.node.call("grid_account", json!([status["wallet"]["address"]])).await
}

async fn compare(
    world: &World,
    chain: Chain,
    id: &Value,
    heights: std::ops::RangeInclusive<u64>,
) -> Result<(), NodeError> {
    for height in heights {
        let header = world.node.call("grid_header", json!([id, height])).await?;
        let expected = json!(world.hash(chain, height).await?);
        if header["blockHash"] != expected || header["height"] != json!(height) {
            let why = format!("{chain:?} {height}: {expected} is indexed as {header}");
            return Err(NodeError::Broken(why));
        }
    }
    Ok(())
}

fn number(value: &Value, what: &str) -> Result<u64, NodeError> {
    value
        .as_u64()
        .ok_or_else(|| NodeError::Unexpected { method: what.to_owned(), answer: value.to_string() })
}
