//! Trusted starts, as the operator's own node shows them.

use alloy_primitives::{B256, Bytes, U64, U256};
use eyre::{Result, WrapErr as _, bail, eyre};
use grid_adapters::{
    Endpoint, HttpJsonRpc, SourceChain,
    ethereum::{EthereumSource, FollowHead},
};
use grid_core::{
    ChainId,
    bitcoin::{Checkpoint, rules::PeriodStart},
};
use serde_json::{Value, json};

use crate::{config::ChainSection, home::Home, sources};

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

/// The id of the chain behind an Ethereum endpoint, and a header of it in RLP.
pub(super) async fn ethereum(
    section: &ChainSection,
    start: Option<u64>,
) -> Result<(ChainId, Bytes)> {
    let url = section.rpc.first().ok_or_else(|| eyre!("no endpoint"))?;
    let endpoint = Endpoint::new(url, "chain.rpc[0]")?;
    let number: U64 = HttpJsonRpc::new(endpoint.clone())?
        .call_as("eth_chainId", json!([]))
        .await
        .wrap_err("the Ethereum endpoint cannot be used")?;
    let id = ChainId::eip155(number.to());
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
