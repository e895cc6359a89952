//! Real inputs from a folder of test data. Files that are not there are no seeds; whether there are
//! any is for the caller to judge.

use std::path::Path;

use alloy_primitives::{B256, Bytes, hex};
use bitcoin::{Block, consensus};
use grid_core::{
    bitcoin::{Header, NetworkParams, spv::RawBlock},
    index::ChainEntry,
    mmr::MmrProof,
    proof::{
        Anchor, BlockProof, CrossChainProof, PROOF_VERSION, Segment,
        facts::{self, BitcoinFact},
    },
    tree::TreeProof,
};
use walkdir::WalkDir;

/// Larger blocks only slow the mutations down.
const MAX_BLOCK: usize = 4_000;

/// The files below a folder whose names end like this, in a fixed order.
pub(super) fn files(folder: &Path, end: &str) -> Vec<Vec<u8>> {
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    walk.filter(|entry| entry.file_name().to_string_lossy().ends_with(end))
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .collect()
}

/// The first headers of each header file, but for genesis.
pub(super) fn headers(data: &Path) -> Vec<Vec<u8>> {
    let files = files(&data.join("bitcoin/headers"), ".bin");
    files.iter().map(|file| file.iter().skip(80).take(20 * 80).copied().collect()).collect()
}

/// Payloads of `headers` messages, whole messages, and a `version` as Bitcoin Core sends it.
pub(super) fn p2p_messages(data: &Path) -> Vec<Vec<u8>> {
    let lists = headers(data).into_iter().map(|bytes| {
        let (raw, _) = bytes.as_chunks::<80>();
        let entries = raw.iter().flat_map(|raw| raw.iter().copied().chain([0]));
        u8::try_from(raw.len()).into_iter().chain(entries).collect()
    });
    let mut seeds: Vec<Vec<u8>> = lists.collect();
    let version = hex!(
        "80110100090400000000000000f1536500000000010000000000000000000000000000000000ffff7f000001479d090400000000000000000000000000000000000000000000000047a5d1fb3bc8c5ef102f5361746f7368693a32352e302e302f0000000001"
    );
    seeds.push(version.to_vec());
    let whole = seeds.iter().map(|payload| super::p2p::frame(b"headers", payload));
    let whole: Vec<Vec<u8>> = whole.collect();
    [seeds, whole].concat()
}

/// Every `gettxoutproof` answer.
pub(super) fn merkle_blocks(data: &Path) -> Vec<Vec<u8>> {
    let folder = data.join("bitcoin/proofs");
    let texts = [files(&folder, "gettxoutproof.csv"), files(&folder, ".hex")].concat();
    texts.iter().flat_map(|text| hexes(text)).filter(|bytes| bytes.len() > 80).collect()
}

/// The first transactions of each block.
pub(super) fn transactions(data: &Path) -> Vec<Vec<u8>> {
    let blocks = files(&data.join("bitcoin/blocks"), ".bin");
    let blocks = blocks.iter().filter_map(|raw| consensus::deserialize::<Block>(raw).ok());
    blocks
        .flat_map(|block| block.txdata.into_iter().take(20))
        .map(|tx| consensus::serialize(&tx))
        .filter(|raw| raw.len() < 2_000)
        .collect()
}

/// The small mainnet blocks.
pub(super) fn blocks(data: &Path) -> Vec<Vec<u8>> {
    let mut blocks = files(&data.join("bitcoin/blocks"), ".bin");
    blocks.retain(|block| block.len() < MAX_BLOCK);
    blocks
}

/// A proof of every kind of fact in the first and the last transaction of each small block, where it
/// has one.
fn proofs(data: &Path) -> Vec<BlockProof> {
    let mut proofs = Vec::new();
    for block in blocks(data).iter().filter_map(|raw| RawBlock::parse(raw).ok()) {
        let txids = block.txs.tree().txids();
        let (Some(first), Some(last)) = (txids.first(), txids.last()) else { continue };
        let lists = [
            vec![BitcoinFact::Tx { txid: *last }],
            vec![BitcoinFact::Payment { txid: *last, output: 0 }],
            vec![BitcoinFact::Data { txid: *last, output: 0 }],
            vec![BitcoinFact::Witness { txid: *last }],
            vec![BitcoinFact::Tx { txid: *first }, BitcoinFact::Tx { txid: *last }],
        ];
        let inclusions = lists.iter().filter_map(|list| facts::from_block(&block.txs, list).ok());
        let chain = NetworkParams::mainnet().chain_id();
        proofs.extend(inclusions.filter_map(|inclusion| {
            BlockProof::assemble(chain.clone(), block.header, inclusion).ok()
        }));
    }
    proofs.truncate(500);
    proofs
}

/// Proofs of facts in one Bitcoin block.
pub(super) fn block_proofs(data: &Path) -> Vec<Vec<u8>> {
    proofs(data).iter().filter_map(|proof| Some(proof.to_json().ok()?.into_bytes())).collect()
}

/// The same facts as proofs by way of Grid, in the right form only: no Grid block is behind them.
fn cross_chain(data: &Path) -> impl Iterator<Item = CrossChainProof> {
    proofs(data).into_iter().map(|proof| {
        let header = Header::parse(&proof.header.0);
        let (chain, hash) = (proof.source.key(), header.hash());
        let entry = ChainEntry {
            chain: chain.0,
            level: 0,
            security: 0,
            firstHeight: 0,
            count: 1,
            accumulatorRoot: hash,
            tipHash: hash,
        };
        let accumulator =
            MmrProof { leaf_index: 0, count: 1, siblings: Vec::new(), peaks: vec![hash] };
        let index = TreeProof { index: 0, count: 1, siblings: vec![hash] };
        CrossChainProof {
            version: PROOF_VERSION,
            claim: proof.claim,
            source: proof.source,
            header: header.compat(chain, 1, hash),
            inclusion: proof.inclusion,
            segments: vec![Segment { accumulator, entry, index, grid_header: Bytes::new() }],
            anchor: Anchor::BlockHash { hash: B256::ZERO },
        }
    })
}

/// Proofs in binary form.
pub(super) fn binary_proofs(data: &Path) -> Vec<Vec<u8>> {
    cross_chain(data).map(|proof| proof.to_abi().to_vec()).collect()
}

/// Proofs in JSON form.
pub(super) fn json_proofs(data: &Path) -> Vec<Vec<u8>> {
    cross_chain(data).filter_map(|proof| Some(proof.to_json().ok()?.into_bytes())).collect()
}

/// Everything in a text that is hexadecimal.
pub(super) fn hexes(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| hex::decode(word).ok()).collect()
}
