//! `grid init`.

use std::{net::SocketAddr, path::PathBuf};

use alloy_primitives::B256;
use clap::Args;
use grid_core::confirm::ConfirmationRule;

/// `grid init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Follow a Bitcoin network: NETWORK=URL, for example regtest=http://127.0.0.1:18443.
    #[arg(long, value_name = "NETWORK=URL")]
    pub(crate) bitcoin: Option<String>,
    /// The Bitcoin node's cookie file.
    #[arg(long, value_name = "FILE", conflicts_with = "bitcoin_user")]
    pub(crate) bitcoin_cookie: Option<PathBuf>,
    /// RPC user of the Bitcoin node.
    #[arg(long, value_name = "USER", requires = "bitcoin_password_file")]
    pub(crate) bitcoin_user: Option<String>,
    /// File with the RPC password of the Bitcoin node.
    #[arg(long, value_name = "FILE", requires = "bitcoin_user")]
    pub(crate) bitcoin_password_file: Option<PathBuf>,
    /// Trust the Bitcoin header at this height (a multiple of 2016) instead of starting at genesis.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) bitcoin_start: Option<u64>,
    /// Confirmations after which a Bitcoin header is indexed.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) bitcoin_depth: u64,
    /// Seconds that a Bitcoin header must be old before it is indexed, besides its depth.
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    pub(crate) bitcoin_age: u64,
    /// When a Bitcoin header is indexed, as the JSON of a rule instead of depth and age, for example
    /// {"risk":{"value":100000000,"maxLoss":1000,"attackerShare":100000}}.
    #[arg(long, value_name = "JSON", value_parser = rule, conflicts_with_all = ["bitcoin_depth", "bitcoin_age"])]
    pub(crate) bitcoin_rule: Option<ConfirmationRule>,
    /// Follow an Ethereum chain by its JSON-RPC endpoint. Without --ethereum-beacon its security is `attested`.
    #[arg(long, value_name = "URL")]
    pub(crate) ethereum: Option<String>,
    /// First Ethereum block to trust; the endpoint's head where absent.
    #[arg(long, value_name = "HEIGHT")]
    pub(crate) ethereum_start: Option<u64>,
    /// Follow the Ethereum chain by the light-client data of this beacon node. May be repeated. Its security is
    /// `sync-committee` then, and nobody's word is needed.
    #[arg(long, value_name = "URL", requires_all = ["ethereum", "ethereum_network"])]
    pub(crate) ethereum_beacon: Vec<String>,
    /// The beacon chain: mainnet, sepolia, hoodi, or a JSON file with another network's numbers.
    #[arg(long, value_name = "NAME|FILE", requires = "ethereum_beacon")]
    pub(crate) ethereum_network: Option<String>,
    /// Root of the beacon block to trust; the newest that all the beacon nodes call finalized where absent.
    #[arg(
        long,
        value_name = "ROOT",
        requires = "ethereum_beacon",
        conflicts_with = "ethereum_start"
    )]
    pub(crate) ethereum_checkpoint: Option<B256>,
    /// Which Ethereum block counts as the head: latest, safe, finalized or latest-N.
    #[arg(long, value_name = "TAG", default_value = "latest")]
    pub(crate) ethereum_follow: String,
    /// Confirmations after which an Ethereum header is indexed.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) ethereum_depth: u64,
    /// Follow another Grid chain by the JSON-RPC of a node. Its newest block is trusted: compare its hash with a source
    /// that you trust.
    #[arg(long, value_name = "URL")]
    pub(crate) grid: Option<String>,
    /// How long a header of that chain is trusted: less than a stake stays bound there after its validator left.
    #[arg(long, value_name = "TIME", default_value = "7days", requires = "grid")]
    pub(crate) grid_trusting_period: humantime::Duration,
    /// Chain id of the new Grid chain.
    #[arg(long, value_name = "ID", default_value_t = crate::cmd::CHAIN_ID)]
    pub(crate) chain_id: u64,
    /// Time between two Grid blocks.
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub(crate) block_interval: humantime::Duration,
    /// Address of the Grid node's JSON-RPC.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8645")]
    pub(crate) rpc: SocketAddr,
    /// Address of the relayer's health, metrics and API.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9640")]
    pub(crate) listen: SocketAddr,
    /// Address of the relayer's administration; two ports above --listen on the loopback interface where absent.
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Give this address GRID at genesis: ADDRESS=AMOUNT in whole GRID. May be repeated.
    #[arg(long, value_name = "ADDRESS=GRID")]
    pub(crate) fund: Vec<String>,
}

/// A confirmation rule for a chain with proof of work, checked here so that the command line is blamed.
fn rule(text: &str) -> Result<ConfirmationRule, String> {
    let rule: ConfirmationRule = serde_json::from_str(text).map_err(|error| {
        format!("{error}; expected JSON such as {{\"work\":{{\"blocks\":6}}}} (docs/protocol.md, section 8)")
    })?;
    rule.validate(grid_core::Family::Bitcoin).map_err(|error| error.to_string())?;
    Ok(rule)
}
