//! `grid prove`: joins the source chain's inclusion proof with the main chain's path to it.

use std::{fs, path::Path, sync::Arc, time::Duration};

use eyre::{OptionExt as _, Result, WrapErr as _, bail};
use grid_adapters::{ProofRequest, SourceChain};
use grid_core::{
    ChainId, CompatHeader,
    api::ChainInfo,
    grid::light::HandOver,
    proof::{
        self, Anchor, Claim, CrossChainProof, Inclusion, Segment, Trust, TrustAnchor,
        ethereum::ancestor::{HISTORY_WINDOW, is_named},
        facts::BitcoinFact,
    },
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::{
    args::{BlockArg, ProveArgs, ProveCommand},
    btc,
    config::ChainKind,
    home::Home,
    main_chain::GridRpc,
    output::{Output, write_line},
    proof_file::ProofFile,
    sources,
};

/// How often `--wait` looks again.
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn run(home: &Home, command: &ProveCommand, out: Output) -> Result<()> {
    let rpc = GridRpc::of(home)?;
    let (common, proof) = match command {
        ProveCommand::BtcTx { txids, common, block } => {
            let facts = each(txids, |text| Ok(BitcoinFact::Tx { txid: btc::txid(text)? }))?;
            (common, bitcoin(home, &rpc, common, facts, block).await?)
        }
        ProveCommand::BtcPayment { outputs, common, block } => {
            let facts = each(outputs, |text| {
                let (txid, output) = btc::outpoint(text)?;
                Ok(BitcoinFact::Payment { txid, output })
            })?;
            (common, bitcoin(home, &rpc, common, facts, block).await?)
        }
        ProveCommand::BtcData { outputs, common, block } => {
            let facts = each(outputs, |text| {
                let (txid, output) = btc::outpoint(text)?;
                Ok(BitcoinFact::Data { txid, output })
            })?;
            (common, bitcoin(home, &rpc, common, facts, block).await?)
        }
        ProveCommand::BtcWitness { txid, common, block } => {
            let facts = vec![BitcoinFact::Witness { txid: btc::txid(txid)? }];
            (common, bitcoin(home, &rpc, common, facts, block).await?)
        }
        ProveCommand::Header { chain, height, common } => {
            let info = confirmed(&rpc, chain, *height, common).await?;
            let header = rpc.header(&info.id, *height).await?;
            (common, join(&rpc, &info.id, header, Inclusion::HeaderOnly {}).await?)
        }
        ethereum => return super::prove_eth::run(home, &rpc, ethereum, out).await,
    };
    write(&rpc, common, common.out.as_deref(), &proof, out).await
}

fn each<T>(texts: &[String], read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    texts.iter().map(|text| read(text)).collect()
}

async fn bitcoin(
    home: &Home,
    rpc: &GridRpc,
    common: &ProveArgs,
    facts: Vec<BitcoinFact>,
    block: &BlockArg,
) -> Result<CrossChainProof> {
    let block_hash = block.block.as_deref().map(btc::block_hash).transpose()?;
    let request = ProofRequest::Bitcoin { facts, block_hash };
    from_source(home, rpc, ChainKind::Bitcoin, common, request).await
}

pub(super) async fn from_source(
    home: &Home,
    rpc: &GridRpc,
    kind: ChainKind,
    common: &ProveArgs,
    mut request: ProofRequest,
) -> Result<CrossChainProof> {
    let config = home.config()?;
    let source: Arc<dyn SourceChain> = sources::choose(home, &config, kind, common.on.as_ref())?;
    let deadline = Instant::now() + *common.wait;
    loop {
        let material = match source.proof_material(request.clone()).await {
            Ok(material) => material,
            // Not in a block yet, or the block just went away: with --wait that may pass.
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                sleep(POLL).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let height = material.header.height;
        if let ProofRequest::Ethereum { via: via @ None, .. } = &mut request {
            *via = above_index(rpc, source.id(), height, common).await?;
            if via.is_some() {
                continue;
            }
        }
        confirmed(rpc, source.id(), height, common).await?;
        let indexed = rpc.header(source.id(), height).await?;
        if indexed == material.header {
            return join(rpc, source.id(), material.header, material.inclusion).await;
        }
        // The two disagree while one of them follows a reorganisation.
        if Instant::now() >= deadline {
            bail!(
                "the main chain has confirmed block {} of {} at height {height}, the source shows {}: \
                 one of them follows a reorganisation; try again",
                indexed.blockHash,
                source.id(),
                material.header.blockHash
            );
        }
        sleep(POLL).await;
    }
}

/// The block of the index that shows a block below it: the newest confirmed one, whose state a node is the most
/// likely to have. `None` where the index does not start above `height`.
async fn above_index(
    rpc: &GridRpc,
    chain: &ChainId,
    height: u64,
    common: &ProveArgs,
) -> Result<Option<u64>> {
    let first = rpc.chain(chain).await?.first_height;
    if height >= first {
        return Ok(None);
    }
    let info = confirmed(rpc, chain, first, common).await?;
    let newest = info.confirmed.map_or(first, |at| at.height);
    if !is_named(height, newest) {
        bail!(
            "block {height} of {chain} is below the start of its index, {first}, and more than {HISTORY_WINDOW} \
             blocks below the newest confirmed block, {newest}: EIP-2935 does not reach it"
        );
    }
    Ok(Some(newest))
}

/// Waits, as long as `--wait` allows, until the main chain has confirmed a height.
async fn confirmed(
    rpc: &GridRpc,
    chain: &ChainId,
    height: u64,
    common: &ProveArgs,
) -> Result<ChainInfo> {
    let deadline = Instant::now() + *common.wait;
    loop {
        let info = rpc.chain(chain).await?;
        if height < info.first_height {
            bail!(
                "height {height} of {chain} is below the start of its index, {}",
                info.first_height
            );
        }
        let reached = info.confirmed.map(|at| at.height);
        if reached.is_some_and(|reached| reached >= height) {
            return Ok(info);
        }
        if Instant::now() >= deadline {
            bail!(
                "block {height} of {chain} is not confirmed on the main chain yet: rule {}, tracked up to {}, \
                 confirmed up to {}; try again later or give --wait 60s",
                info.rule,
                info.tracked.height,
                reached.map_or_else(|| "nothing".into(), |height| height.to_string())
            );
        }
        sleep(POLL).await;
    }
}

/// The block whose state is proven: the one asked for, or the newest confirmed one.
pub(super) async fn state_height(
    home: &Home,
    rpc: &GridRpc,
    common: &ProveArgs,
    at: Option<u64>,
) -> Result<u64> {
    if let Some(height) = at {
        return Ok(height);
    }
    let config = home.config()?;
    let source = sources::choose(home, &config, ChainKind::Ethereum, common.on.as_ref())?;
    let info = rpc.chain(source.id()).await?;
    match info.confirmed {
        Some(at) => Ok(at.height),
        None => {
            bail!("{} has no confirmed block yet; tracked up to {}", info.id, info.tracked.height)
        }
    }
}

/// Assembles the proof and verifies it before anybody else sees it.
async fn join(
    rpc: &GridRpc,
    chain: &ChainId,
    header: CompatHeader,
    inclusion: Inclusion,
) -> Result<CrossChainProof> {
    let tip = rpc.tip().await?;
    let answer = rpc.prove(chain, header.height).await?;
    if answer.header != header {
        bail!(
            "the main chain reorganised {chain} at height {} meanwhile; try again",
            header.height
        );
    }
    let trust = Trust {
        chain_id: tip.chain_id,
        anchor: TrustAnchor::Validators(answer.validators.clone()),
    };
    let segment =
        Segment::from_abi(&answer.segment).wrap_err("the node's proof path is malformed")?;
    let anchor =
        Anchor::Certificate { certificate: answer.certificate, validators: answer.validators };
    let proof = proof::build::assemble(header, answer.source, inclusion, segment, anchor)
        .wrap_err("the source's inclusion proof does not fit its header")?;
    proof::verify(&proof, &trust).wrap_err("the assembled proof does not verify")?;
    Ok(proof)
}

/// The proof with the headers that lead to its Grid block from a trusted height; without any where none is needed.
async fn led(rpc: &GridRpc, from: u64, proof: &CrossChainProof) -> Result<Vec<u8>> {
    let (height, _) = proof.grid_block().ok_or_eyre("the proof names no Grid block")?;
    let way = rpc.hand_over(from, Some(height)).await?;
    // The last one is the proof's own Grid block, which carries its certificate itself.
    let blocks = way.blocks.into_iter().filter(|block| block.certificate.height < height).collect();
    let way = HandOver { blocks, ..way };
    if way.blocks.is_empty() {
        return Ok(proof.to_json()?.into_bytes());
    }
    ProofFile { proof: proof.clone(), hand_over: Some(way) }.to_json()
}

/// What `--json` says of a written file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    file: String,
    bytes: usize,
    claim: &'a Claim,
    source: &'a ChainId,
    height: u64,
}

/// Writes the proof to `file`, or to standard output.
pub(super) async fn write(
    rpc: &GridRpc,
    common: &ProveArgs,
    file: Option<&Path>,
    proof: &CrossChainProof,
    out: Output,
) -> Result<()> {
    let bytes = match common.from {
        _ if common.binary => proof.to_abi().to_vec(),
        None => proof.to_json()?.into_bytes(),
        Some(from) => led(rpc, from, proof).await?,
    };
    let Some(file) = file else {
        // Without a file the output is the proof itself, in hexadecimal where it is binary.
        return if common.binary {
            write_line(&alloy_primitives::hex::encode_prefixed(&bytes))
        } else {
            write_line(&String::from_utf8_lossy(&bytes))
        };
    };
    fs::write(file, &bytes).wrap_err_with(|| format!("cannot write {}", file.display()))?;
    let written = Written {
        file: file.display().to_string(),
        bytes: bytes.len(),
        claim: &proof.claim,
        source: &proof.source,
        height: proof.claim.block(&proof.header).height,
    };
    out.show(&written, |written| {
        let Written { file, bytes, .. } = written;
        format!("wrote {file} ({bytes} bytes); check it with: grid verify {file}")
    })
}
