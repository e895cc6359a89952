//! Trusted starts, as the operator's own node shows them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alloy_primitives::{B256, Bytes, U64, U256};
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_adapters::{
    Endpoint, FinalityChain as _, HttpJsonRpc, SourceChain,
    ethereum::{
        EthereumSource, FollowHead,
        beacon::{LightConfig, LightSource},
    },
};
use grid_core::{
    ChainId,
    api::{BlockRef, SyncStatus},
    bitcoin::{Checkpoint, rules::PeriodStart},
    ethereum::sync::{NetworkSpec, SyncData},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::ethereum::newest;
use crate::{
    config::{BeaconSection, ChainSection},
    home::Home,
    sources,
};

/// Headers of a difficulty period; a checkpoint stands at its start.
const PERIOD: u64 = 2_016;
/// Times that the median-time rule looks at.
const MEDIAN_SPAN: u64 = 11;

/// A Bitcoin header at a difficulty boundary, with its context.
pub(super) async fn bitcoin(
    home: &Home,
    section: &ChainSection,
    source: &dyn SourceChain,
    height: u64,
) -> Result<Checkpoint> {
    if !height.is_multiple_of(PERIOD) {
        let below = height / PERIOD * PERIOD;
        bail!(
            "--bitcoin-start {height}: a trusted start is a multiple of {PERIOD}, for example {below}"
        );
    }
    let span = MEDIAN_SPAN - 1;
    let headers = source
        .headers(height - span, usize::try_from(span + 1)?)
        .await
        .wrap_err("the Bitcoin node cannot show the trusted start")?;
    let Some((start, before)) = headers.split_last() else {
        bail!("--bitcoin-start {height} is above the node's tip");
    };
    if start.compat.height != height {
        bail!("--bitcoin-start {height} is above the node's tip {}", start.compat.height);
    }
    let raw: [u8; 80] = start.raw.as_ref().try_into().wrap_err("a Bitcoin header has 80 bytes")?;
    let [.., b0, b1, b2, b3, _, _, _, _] = raw;
    let time = |time: u64| u32::try_from(time).wrap_err("a Bitcoin header's time has 32 bits");
    Ok(Checkpoint {
        height,
        header: raw.into(),
        chain_work: chain_work(home, section, start.compat.blockHash).await?,
        previous_times: before
            .iter()
            .map(|header| time(header.compat.time))
            .collect::<Result<_>>()?,
        period_start: PeriodStart {
            time: time(start.compat.time)?,
            bits: u32::from_le_bytes([b0, b1, b2, b3]),
        },
        // The start of a period is never a minimum-difficulty exception.
        last_real_bits: None,
    })
}

async fn chain_work(home: &Home, section: &ChainSection, hash: B256) -> Result<U256> {
    let url = section.rpc.first().ok_or_else(|| eyre!("no endpoint"))?;
    let endpoint =
        Endpoint::new(url, "chain.rpc[0]")?.with_auth(sources::bitcoin_auth(home, section)?)?;
    let mut shown = hash;
    shown.0.reverse();
    let shown = format!("{shown:x}");
    let header = HttpJsonRpc::new(endpoint)?.call("getblockheader", json!([shown, true])).await?;
    let digits = header.get("chainwork").and_then(Value::as_str).unwrap_or_default();
    U256::from_str_radix(digits, 16)
        .map_err(|_| eyre!("getblockheader: chainwork {digits:?} is not a hexadecimal number"))
}

/// A beacon block that an Ethereum chain's light clients start from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LightStart {
    /// The execution chain.
    pub(super) chain: ChainId,
    /// The beacon chain's name.
    pub(super) network: String,
    /// Root of the trusted block.
    pub(super) checkpoint: B256,
    /// Its slot.
    pub(super) slot: u64,
    /// How old it is, for people.
    pub(super) age: String,
    /// Height of its execution block.
    pub(super) height: u64,
    /// Header of its execution block in RLP.
    pub(super) header: Bytes,
}

/// The trusted start of an Ethereum chain with a beacon chain: the block that is named, or the newest that all
/// beacon nodes call finalized. A light client starts from it here, so that what is written down can be used.
pub(super) async fn light(
    section: &ChainSection,
    beacon: &BeaconSection,
    network: &NetworkSpec,
    root: Option<B256>,
) -> Result<LightStart> {
    let chain = execution_id(section).await?;
    let network = network.config()?;
    let beacons = sources::endpoints(&beacon.url, "--ethereum-beacon")?;
    let count = beacons.len();
    let checkpoint = match root {
        Some(root) => root,
        None => newest(&network, beacons.clone(), count).await?.root,
    };
    let config = LightConfig {
        chain: chain.clone(),
        network: network.clone(),
        policy: beacon.policy(),
        checkpoint: Some(checkpoint),
        store: None,
        agree: 0,
    };
    let execution = sources::endpoints(&section.rpc, "--ethereum")?;
    let source = LightSource::new(config, beacons, execution)?;
    let data = source.sync_data(&unstarted(checkpoint)).await?;
    let Some(SyncData::Bootstrap(bootstrap)) = data.first() else {
        bail!("no beacon node serves the bootstrap of {checkpoint}");
    };
    let (slot, hash) = (bootstrap.header.beacon.slot, bootstrap.header.execution_block_hash);
    let missing = || eyre!("no execution endpoint has the checkpoint's block {hash}");
    let height = source.block(hash).await?.ok_or_else(missing)?.height;
    let header = source.headers(height, 1).await?.pop().ok_or_else(missing)?;
    if header.compat.blockHash != hash {
        return Err(missing());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let age = Duration::from_secs(now.saturating_sub(network.time_of(slot)));
    let age = humantime::format_duration(age).to_string();
    let (network, header) = (network.name, header.raw);
    Ok(LightStart { chain, network, checkpoint, slot, age, height, header })
}

/// The position of a client that has nothing but its checkpoint.
const fn unstarted(checkpoint: B256) -> SyncStatus {
    SyncStatus {
        started: false,
        checkpoint,
        finalized_slot: 0,
        finalized_root: B256::ZERO,
        finalized_time: 0,
        expires_at: 0,
        period: 0,
        next_committee_known: false,
        wanted: Vec::new(),
        pending: 0,
        missing_above: BlockRef { height: 0, hash: B256::ZERO },
        lowest_pending: None,
        loosened: Vec::new(),
    }
}

/// The id of the chain that an Ethereum endpoint serves.
async fn execution_id(section: &ChainSection) -> Result<ChainId> {
    let url = section.rpc.first().ok_or_else(|| eyre!("no endpoint"))?;
    let endpoint = Endpoint::new(url, "chain.rpc[0]")?;
    let number: U64 = HttpJsonRpc::new(endpoint)?
        .call_as("eth_chainId", json!([]))
        .await
        .wrap_err("the Ethereum endpoint cannot be used")?;
    Ok(ChainId::eip155(number.to()))
}

/// The id of the chain behind an Ethereum endpoint, and a header of it in RLP.
pub(super) async fn ethereum(
    section: &ChainSection,
    start: Option<u64>,
) -> Result<(ChainId, Bytes)> {
    let url = section.rpc.first().ok_or_else(|| eyre!("no endpoint"))?;
    let endpoint = Endpoint::new(url, "chain.rpc[0]")?;
    let id = execution_id(section).await?;
    let follow: FollowHead = section.follow.parse()?;
    let source = EthereumSource::new(id.clone(), endpoint, follow)?;
    let height = match start {
        Some(height) => height,
        None => source.tip().await?.height,
    };
    let header = source
        .headers(height, 1)
        .await?
        .pop()
        .ok_or_else(|| eyre!("--ethereum-start {height} is above the endpoint's head"))?;
    Ok((id, header.raw))
}
