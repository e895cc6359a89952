//! Bitcoin transaction proofs: `gettxoutproof` answers, merkle blocks, and proofs that only a naive
//! verifier accepts.

use std::path::Path;

use alloy_primitives::{B256, Bytes};
use grid_core::bitcoin::{
    header,
    spv::{self, BlockContext, MerkleBlock, SpvError, TxProof},
    tx::{Tx, TxError},
};
use serde_json::Value;

use super::{Outcome, hexes};

/// A table of `gettxoutproof` answers, each for one transaction.
pub(super) fn tx_out_proofs(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    for row in hexes::rows(path)? {
        let txid = row.get("txid")?;
        outcome.case(format!("transaction {txid}"), tx_out_proof(&row));
    }
    Ok(())
}

fn tx_out_proof(row: &hexes::Row) -> Result<(), String> {
    let bytes = hexes::data(row.get("proof_hex")?)?;
    let block = MerkleBlock::parse(&bytes).map_err(|error| error.to_string())?;
    let hash = header::sha256d(block.header());
    if hash != hexes::displayed(row.get("block_hash")?)? {
        return Err(format!("header has hash {hash}"));
    }
    if block.count() != row.number::<u64>("n_tx")? {
        return Err(format!("number of transactions is {}", block.count()));
    }
    let [found] = block.matches() else {
        return Err(format!("{} matches instead of one", block.matches().len()));
    };
    if (found.txid, found.index) != (hexes::displayed(row.get("txid")?)?, row.number("tx_index")?) {
        return Err(format!("proves transaction {} at {}", found.txid, found.index));
    }
    branches_reach_the_root(&block)?;
    damage_is_noticed(&bytes)
}

fn root_of(block: &MerkleBlock) -> B256 {
    B256::from_slice(&block.header()[36..68])
}

fn branches_reach_the_root(block: &MerkleBlock) -> Result<(), String> {
    for found in block.matches() {
        let root = spv::climb(found.txid, found.index, &found.branch);
        if root != Ok(root_of(block)) {
            return Err(format!("the branch of {} leads to {root:?}", found.txid));
        }
    }
    Ok(())
}

/// Changes one byte of the root, of a hash and of the flags, and the length.
fn damage_is_noticed(bytes: &[u8]) -> Result<(), String> {
    let last = bytes.len() - 1;
    for at in [36, 90, last] {
        let mut bad = bytes.to_vec();
        bad[at] ^= 0x40;
        if MerkleBlock::parse(&bad).is_ok() {
            return Err(format!("taken with byte {at} changed"));
        }
    }
    if MerkleBlock::parse(&bytes[..last]).is_ok() {
        return Err(String::from("taken without its last byte"));
    }
    Ok(())
}

/// One merkle block in hexadecimal.
pub(super) fn merkle_block(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let bytes = hexes::data(hexes::text(path)?.trim())?;
    let result = MerkleBlock::parse(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|block| branches_reach_the_root(&block))
        .and_then(|()| damage_is_noticed(&bytes));
    outcome.case("merkle block", result);
    Ok(())
}

/// Proofs that must be refused.
pub(super) fn negative(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let cases = json.as_array().ok_or("is not a list")?;
    // The preimages of inner nodes that pose as transactions, by any case of the file.
    let preimages: Vec<Vec<u8>> =
        cases.iter().filter_map(|case| hexes::data(case["fake_tx_bytes"].as_str()?).ok()).collect();
    for (number, case) in cases.iter().enumerate() {
        let label = case["name"].as_str().map_or_else(|| number.to_string(), str::to_owned);
        let result = if case["txids"].is_array() {
            mutated(case)
        } else if case["fake_tx_bytes"].is_string() {
            fake_transaction(case)
        } else if case["gettxoutproof"].is_string() {
            fake_merkle_block(case, &preimages)
        } else {
            outcome.not_compared(1);
            continue;
        };
        outcome.case(label, result);
    }
    Ok(())
}

fn text<'a>(case: &'a Value, name: &str) -> Result<&'a str, String> {
    case[name].as_str().ok_or_else(|| format!("has no field {name}"))
}

fn list<T>(
    case: &Value,
    name: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let items = case[name].as_array().ok_or_else(|| format!("has no list {name}"))?;
    items.iter().map(|item| read(item.as_str().unwrap_or_default())).collect()
}

/// A hash in internal byte order.
fn internal(text: &str) -> Result<B256, String> {
    hexes::data(text)?.as_slice().try_into().map_err(|_| format!("is not a hash: {text}"))
}

fn header_root(case: &Value) -> Result<B256, String> {
    let header = hexes::data(text(case, "header")?)?;
    header.get(36..68).map(B256::from_slice).ok_or_else(|| String::from("header is too short"))
}

/// A list of transaction ids with a repeated end.
fn mutated(case: &Value) -> Result<(), String> {
    let ids = list(case, "txids", hexes::displayed)?;
    match spv::merkle_root(&ids) {
        Err(SpvError::Mutated) => Ok(()),
        other => Err(format!("expected the repetition to be noticed, found {other:?}")),
    }
}

/// An inner node's preimage as a transaction: a naive climb must succeed, ours must not.
fn fake_transaction(case: &Value) -> Result<(), String> {
    let raw = hexes::data(text(case, "fake_tx_bytes")?)?;
    let index = case["tx_index"].as_u64().ok_or("has no tx_index")?;
    let branch = list(case, "branch_internal_order", internal)?;
    let coinbase = list(case, "coinbase_branch_internal_order", internal)?;
    let root = header_root(case)?;
    if spv::climb(header::sha256d(&raw), index, &branch) != Ok(root) {
        return Err(String::from("the branch does not even reach the root"));
    }
    let block =
        BlockContext { tx_root: root, height: 0, bip34_height: u64::MAX, segwit_height: u64::MAX };
    let refused = |coinbase_branch: &[B256]| {
        let (raw, branch) = (Bytes::from(raw.clone()), branch.clone());
        let (coinbase, coinbase_branch) = (raw.clone(), coinbase_branch.to_vec());
        spv::verify(&TxProof { raw, index, branch, coinbase, coinbase_branch }, &block)
    };
    match (refused(&coinbase), refused(&coinbase[..branch.len()])) {
        (Err(SpvError::Depth { .. }), Err(SpvError::Transaction(TxError::SixtyFour))) => Ok(()),
        other => Err(format!("expected refusal by depth and by length, found {other:?}")),
    }
}

/// A merkle block that is refused itself, or that proves an id whose transaction is refused.
fn fake_merkle_block(case: &Value, preimages: &[Vec<u8>]) -> Result<(), String> {
    let bytes = hexes::data(text(case, "gettxoutproof")?)?;
    let Ok(block) = MerkleBlock::parse(&bytes) else { return Ok(()) };
    for found in block.matches() {
        let preimage = preimages.iter().find(|raw| header::sha256d(raw) == found.txid);
        let preimage = preimage.ok_or("its transaction is not given, and it is taken")?;
        if Tx::from_stripped(preimage).is_ok() {
            return Err(format!("the preimage of {} passes for a transaction", found.txid));
        }
    }
    Ok(())
}

/// Vectors of another SPV library: those that concern trees and transaction ids.
pub(super) fn summa(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let groups = json.as_object().ok_or("is not an object")?;
    for (name, group) in groups {
        let cases = group.as_array().map(Vec::as_slice).unwrap_or_default();
        for (number, case) in cases.iter().enumerate() {
            let label = format!("{name} {number}");
            match name.as_str() {
                "verifyHash256Merkle" => outcome.case(label, climb(case)),
                "prove" => outcome.case(label, prove(case)),
                "calculateTxId" => outcome.case(label, tx_id(case)),
                _ => outcome.not_compared(1),
            }
        }
    }
    Ok(())
}

fn hashes(bytes: &[u8]) -> Option<Vec<B256>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    rest.is_empty().then(|| hashes.iter().map(B256::from).collect())
}

fn expect(found: bool, case: &Value) -> Result<(), String> {
    let expected = case["output"].as_bool().ok_or("has no boolean output")?;
    if found == expected { Ok(()) } else { Err(format!("found {found}, expected {expected}")) }
}

/// Leaf, branch and root in one string; a single hash is both leaf and root.
fn climb(case: &Value) -> Result<(), String> {
    let input = &case["input"];
    let index = input["index"].as_u64().ok_or("has no index")?;
    let hashes = hashes(&hexes::data(text(input, "proof")?)?).unwrap_or_default();
    let found = match hashes.as_slice() {
        [] => false,
        [_] => true,
        [leaf, branch @ .., root] => spv::climb(*leaf, index, branch) == Ok(*root),
    };
    expect(found, case)
}

fn prove(case: &Value) -> Result<(), String> {
    let input = &case["input"];
    let index = input["index"].as_u64().ok_or("has no index")?;
    let branch = hashes(&hexes::data(text(input, "proof")?)?).ok_or("is not a list of hashes")?;
    let leaf = internal(text(input, "txIdLE")?)?;
    let root = internal(text(input, "merkleRootLE")?)?;
    expect(spv::climb(leaf, index, &branch) == Ok(root), case)
}

fn tx_id(case: &Value) -> Result<(), String> {
    let input = &case["input"];
    let mut raw = Vec::new();
    for part in ["version", "vin", "vout", "locktime"] {
        raw.extend(hexes::data(text(input, part)?)?);
    }
    let found = Tx::from_stripped(&raw).map_err(|error| error.to_string())?.id();
    let expected = internal(text(case, "output")?)?;
    if found == expected { Ok(()) } else { Err(format!("found {found}, expected {expected}")) }
}
