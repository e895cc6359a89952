//! `grid bench`: a chain under load, measured from outside.
//!
//! The load is signed ahead, offered over JSON-RPC, and counted when blocks have it. What a stage costs is measured afterwards:
//! the same blocks go once more through decoding, recovery, execution, roots and commit, one after the other.

mod blocks;
mod empty;
mod load;
mod memory;
mod profile;
mod relayer;
mod report;
mod target;
mod wallet;

use std::{sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};
use eyre::{Result, WrapErr as _};
use grid_core::{genesis::Genesis, grid::Validator};
use grid_node::{Node, NodeConfig, NodeHandle, Role};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{BenchChainArgs, BenchCommand},
    output::Output,
};
use load::Load;
use relayer::RelayerReport;
use report::{ChainReport, EmptyReport};
use target::Target;
use wallet::Wallet;

/// EIP-155 id of the chain in this process.
const CHAIN_ID: u64 = 9_110_000;
/// 2,857 transfers a block.
const GAS_LIMIT: u64 = 60_000_000;

/// Runs a benchmark.
pub(super) async fn run(command: &BenchCommand, out: Output) -> Result<()> {
    let args = match command {
        BenchCommand::Chain(args) => args,
        BenchCommand::Relayer(args) => {
            return out.show(&relayer::run(args).await?, RelayerReport::text);
        }
    };
    if let Some(blocks) = args.blocks {
        return out.show(&empty::run(blocks).await?, EmptyReport::text);
    }
    let report = if args.rpc.is_empty() { local(args).await? } else { remote(args).await? };
    out.show(&report, ChainReport::text)
}

/// One validator in this process, then the profile of its blocks.
async fn local(args: &BenchChainArgs) -> Result<ChainReport> {
    let wallets = wallet::accounts(args.accounts);
    let directory = tempfile::tempdir().wrap_err("cannot make a folder for the chain")?;
    let genesis = genesis(&wallets);
    let interval: Duration = args.block_interval.into();
    let mut config =
        NodeConfig::new(directory.path().into(), genesis.clone(), Role::Validator(validator()));
    config.block_interval = interval;
    config.empty_block_interval = interval;
    let node = start(config).await?;
    let load = Load::sign(CHAIN_ID, &wallets, &vec![0; wallets.len()], args)?;
    let target = Target::in_process(node.caller());
    let run = load.run(Arc::new(target), args).await;
    let memory = memory::of_process(None);
    let chain = node.chain().clone();
    node.stop();
    node.join().await.wrap_err("the chain stopped")?;
    let run = run?;
    let stages = tokio::task::spawn_blocking(move || profile::replay(&genesis, &chain))
        .await
        .wrap_err("the profile was interrupted")??;
    Ok(ChainReport::new(
        "one validator in this process",
        interval,
        &run,
        vec![memory],
        Some(stages),
    ))
}

/// Nodes that run elsewhere.
async fn remote(args: &BenchChainArgs) -> Result<ChainReport> {
    let target = Arc::new(Target::http(&args.rpc)?);
    let chain_id = target.chain_id().await?;
    let wallets = wallet::accounts(args.accounts);
    load::fund(&target, chain_id, &wallets).await?;
    let mut nonces = Vec::with_capacity(wallets.len());
    for wallet in &wallets {
        nonces.push(target.account(wallet.address()).await?.nonce);
    }
    let load = Load::sign(chain_id, &wallets, &nonces, args)?;
    let run = load.run(target, args).await?;
    let memory = args.pid.iter().map(|pid| memory::of_process(Some(*pid))).collect();
    let name = format!("{} nodes over JSON-RPC", args.rpc.len());
    Ok(ChainReport::new(&name, args.block_interval.into(), &run, memory, None))
}

/// Key of the validator in this process.
fn validator() -> k256::ecdsa::SigningKey {
    wallet::key("GRID bench validator")
}

/// A chain with nothing but accounts.
fn genesis(wallets: &[Wallet]) -> Genesis {
    let balance = U256::from(1_000_000u64) * wallet::GRID;
    let account = Address::from_private_key(&validator());
    Genesis {
        chain_id: CHAIN_ID,
        time_ms: 1_700_000_000_000,
        gas_limit: GAS_LIMIT,
        base_fee: 1_000_000,
        alloc: wallets.iter().map(|wallet| (wallet.address(), balance)).collect(),
        governor: account,
        validators: vec![Validator { account, power: 1 }],
        chains: Vec::new(),
        staking: None,
        guarantee: None,
    }
}

async fn start(config: NodeConfig) -> Result<NodeHandle> {
    let node =
        Node::start(config, CancellationToken::new()).await.wrap_err("the chain cannot start")?;
    node.wait_ready().await.wrap_err("the chain makes no block")?;
    Ok(node)
}
