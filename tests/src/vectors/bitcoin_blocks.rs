//! Whole Bitcoin blocks: every kind of proof of their transactions.

use std::path::Path;

use grid_core::{
    bitcoin::{
        header::{self, Header},
        network::NetworkParams,
        output,
        spv::{self, BlockContext, BlockTxs, RawBlock, SpvError, TxsProof},
        tx::Tx,
    },
    proof::{
        Claim,
        facts::{self, BitcoinFact},
    },
};

use super::{Outcome, hexes};

/// How many transactions of a large block are proven with their witness and with what their outputs say.
const SAMPLE: usize = 100;

/// A raw block, named `network_height_hash.bin`.
pub(super) fn raw(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let parts: Vec<&str> = name.split('_').collect();
    let [network, height, hash] = parts.as_slice() else {
        return Err(String::from("is not named network_height_hash"));
    };
    let chain = NetworkParams::by_name(network).map_err(|error| error.to_string())?.chain_id();
    let height: u64 = height.parse().map_err(|_| format!("has no height: {height}"))?;
    let bytes = hexes::bytes(path)?;
    let RawBlock { header, txs } = RawBlock::parse(&bytes).map_err(|error| error.to_string())?;
    outcome.equal(format!("{name}: hash"), &header::sha256d(&header), &hexes::displayed(hash)?);
    let block = BlockContext::new(&chain, Header::parse(&header).merkle_root, height);
    let count = txs.tree().txids().len();
    for index in 0..count as u64 {
        outcome.case(format!("{name}: transaction {index}"), transaction(&txs, &block, index));
    }
    let step = count.div_ceil(SAMPLE);
    let sample: Vec<u64> = (0..count).step_by(step).map(|index| index as u64).collect();
    for index in &sample {
        outcome.case(format!("{name}: outputs of {index}"), outputs(&txs, &block, *index));
    }
    witnesses(&name, &txs, &block, &sample, outcome);
    for (part, indices) in
        [("first", &sample[..1]), ("some", &sample), ("ends", &[0, count as u64 - 1])]
    {
        outcome.case(format!("{name}: {part} together"), together(&txs, &block, indices));
    }
    Ok(())
}

/// The transaction is in the block at its index and at no neighbouring one.
fn transaction(txs: &BlockTxs, block: &BlockContext, index: u64) -> Result<(), String> {
    let mut proof = txs.prove(index).map_err(|error| error.to_string())?;
    let txid = spv::verify(&proof, block).map_err(|error| error.to_string())?.id();
    if txs.position(&txid) != Some(index) {
        return Err(format!("proves transaction {txid}"));
    }
    proof.index ^= 1;
    if spv::verify(&proof, block).is_ok() {
        return Err(String::from("also proves the neighbouring index"));
    }
    Ok(())
}

fn claim(txs: &BlockTxs, block: &BlockContext, fact: BitcoinFact) -> Result<Claim, String> {
    let inclusion = facts::from_block(txs, &[fact]).map_err(|error| error.to_string())?;
    facts::claim(&inclusion, block).map_err(|error| error.to_string())
}

/// Every output proves its payment, and its data if and only if it holds any.
fn outputs(txs: &BlockTxs, block: &BlockContext, index: u64) -> Result<(), String> {
    let proof = txs.prove(index).map_err(|error| error.to_string())?;
    let tx = Tx::from_stripped(&proof.raw).map_err(|error| error.to_string())?;
    let txid = tx.id();
    for (number, expected) in (0u32..).zip(&tx.inner().output).take(SAMPLE) {
        let paid = claim(txs, block, BitcoinFact::Payment { txid, output: number })?;
        let Claim::BitcoinPayment { script, amount, .. } = &paid else {
            return Err(format!("output {number} proves {paid:?}"));
        };
        let right =
            **script == expected.script_pubkey.as_bytes() && *amount == expected.value.to_sat();
        if !right {
            return Err(format!("output {number} proves {paid:?}"));
        }
        let pushed = output::pushed_data(expected.script_pubkey.as_bytes());
        match (claim(txs, block, BitcoinFact::Data { txid, output: number }), pushed) {
            (Ok(Claim::BitcoinData { data, .. }), Some(pushed)) if *data == *pushed => {}
            (Err(_), None) => {}
            (other, pushed) => {
                return Err(format!("data of output {number}: {other:?} for {pushed:?}"));
            }
        }
    }
    Ok(())
}

/// Where the block commits to witnesses, each one proves; where it does not, none does.
fn witnesses(
    name: &str,
    txs: &BlockTxs,
    block: &BlockContext,
    sample: &[u64],
    outcome: &mut Outcome,
) {
    let active = block.height >= block.segwit_height;
    let witness = match txs.witness() {
        Ok(witness) => witness,
        Err(SpvError::NoCommitment) => return,
        // Before the rule is active a coinbase may commit to anything.
        Err(_) if !active => return,
        Err(error) => return outcome.case(format!("{name}: witness tree"), Err(error.to_string())),
    };
    for index in sample.iter().filter(|index| **index > 0) {
        let result = witness.prove(*index).and_then(|mut proof| {
            let tx = spv::verify_witness(&proof, block)?;
            proof.reserved_value.0[7] ^= 1;
            Ok((tx.wtxid() == header::sha256d(&proof.raw), spv::verify_witness(&proof, block)))
        });
        let result = match result {
            Err(SpvError::BeforeSegwit { .. }) if !active => Ok(()),
            Ok((true, Err(SpvError::Commitment { .. }))) => Ok(()),
            Err(error) => Err(error.to_string()),
            other => Err(format!("found {other:?}")),
        };
        outcome.case(format!("{name}: witness of {index}"), result);
    }
}

/// One proof for several transactions proves exactly these, and with any node missing or changed nothing.
fn together(txs: &BlockTxs, block: &BlockContext, indices: &[u64]) -> Result<(), String> {
    let proofs = indices.iter().map(|index| txs.prove(*index)).collect::<Result<Vec<_>, _>>();
    let proof = proofs.and_then(|proofs| TxsProof::join(&proofs)).map_err(|e| e.to_string())?;
    let found = spv::verify_several(&proof, block).map_err(|error| error.to_string())?;
    let mut expected = indices.to_vec();
    expected.dedup();
    if found.iter().map(|placed| placed.index).collect::<Vec<_>>() != expected {
        return Err(String::from("proves other transactions"));
    }
    for at in 0..proof.nodes.len().min(SAMPLE) {
        let (mut changed, mut short) = (proof.clone(), proof.clone());
        changed.nodes[at].0[at % 32] ^= 1;
        short.nodes.remove(at);
        if spv::verify_several(&changed, block).is_ok()
            || spv::verify_several(&short, block).is_ok()
        {
            return Err(format!("node {at} does not matter"));
        }
    }
    Ok(())
}
