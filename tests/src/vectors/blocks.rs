//! Whole Ethereum blocks: their roots recomputed, and a proof for every transaction and receipt.

use std::{collections::BTreeMap, path::Path};

use alloy_consensus::ReceiptEnvelope;
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rlp::Header as RlpHeader;
use grid_core::{
    ChainId,
    ethereum::{
        header::{compat, decode_header},
        mpt,
        receipt::ReceiptError,
    },
    proof::{
        Claim, PlacedLog, ProvenLog,
        ethereum::{EthereumEvidence, EthereumProof, EthereumRef, EthereumRoots, MAX_LOG_QUERIES},
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::{Outcome, calls::calls, hexes};

/// A list under its root: the root, and the proof of every item.
fn ordered(outcome: &mut Outcome, label: &str, values: &[Bytes], root: B256) {
    outcome.equal(format!("{label}: root"), &mpt::ordered_trie_root(values), &root);
    let trie = mpt::OrderedTrie::new(values);
    for (index, value) in (0u64..).zip(values) {
        let result = trie.prove(index).and_then(|nodes| {
            let found = mpt::verify_transaction(root, index, &nodes)?;
            Ok(found == value.as_ref())
        });
        let result = match result {
            Ok(true) => Ok(()),
            Ok(false) => Err(String::from("another value was proven")),
            Err(error) => Err(error.to_string()),
        };
        outcome.case(format!("{label}: item {index}"), result);
    }
}

/// Every receipt and every one of its logs.
fn receipts(outcome: &mut Outcome, label: &str, values: &[Bytes], root: B256) {
    ordered(outcome, label, values, root);
    let trie = mpt::OrderedTrie::new(values);
    for index in 0..values.len() as u64 {
        let result = trie
            .prove(index)
            .and_then(|nodes| logs(root, index, &nodes))
            .map_err(|error| error.to_string());
        outcome.case(format!("{label}: logs of receipt {index}"), result);
    }
}

fn logs(root: B256, index: u64, nodes: &[Bytes]) -> Result<(), mpt::MptError> {
    let (outcome, _) = mpt::verify_receipt(root, index, nodes, None)?;
    for log in 0.. {
        match mpt::verify_receipt(root, index, nodes, Some(log)) {
            Ok((same, Some(found))) if same == outcome && found.index == log => {}
            Err(mpt::MptError::Receipt(ReceiptError::NoLog { .. })) => break,
            Err(error) => return Err(error),
            Ok(_) => return Err(mpt::MptError::Absent("this log")),
        }
    }
    Ok(())
}

fn list(json: &Value) -> Result<Vec<Bytes>, String> {
    Vec::deserialize(json).map_err(|error| error.to_string())
}

/// A block of the main network with all its transactions and receipts.
pub(super) fn ethereum(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let rlp = hexes::data(json["header_rlp"].as_str().ok_or("has no header")?)?;
    let sealed = decode_header(&rlp).map_err(|error| error.to_string())?;
    let (transactions, logs) = (list(&json["transactions"])?, list(&json["receipts_eip2718"])?);
    ordered(outcome, "transactions", &transactions, sealed.header.transactions_root);
    receipts(outcome, "receipts", &logs, sealed.header.receipts_root);
    let roots = EthereumRoots::from(&compat(ChainId::eip155(1).key(), &sealed));
    outcome.case("all facts in one proof", all_facts(&transactions, &logs, &roots));
    Ok(())
}

/// Every transaction, every receipt and their number in one proof; and all logs of each contract, which must be those
/// that alloy reads from the receipts.
fn all_facts(
    transactions: &[Bytes],
    receipts: &[Bytes],
    roots: &EthereumRoots,
) -> Result<(), String> {
    let count = transactions.len() as u64;
    let mut evidence = EthereumEvidence::default();
    for list in [transactions, receipts] {
        evidence.nodes.extend(mpt::ordered_nodes(list, &(0..=count).collect::<Vec<_>>()).1);
    }
    evidence.receipts = receipts.to_vec();
    let build = |facts: Vec<EthereumRef>| {
        EthereumProof::build(facts, roots, &evidence).map_err(|error| error.to_string())
    };
    let mut facts = vec![EthereumRef::TransactionCount { count }];
    for index in 0..count.min(500) {
        facts.push(EthereumRef::Transaction { index });
        facts.push(EthereumRef::Receipt { index, log: None });
    }
    let proof = build(facts.clone())?;
    let claim = proof.show(roots).map_err(|error| error.to_string())?;
    for (fact, shown) in proof.facts.iter().zip(claim.facts()) {
        let expected = match *fact {
            EthereumRef::Transaction { index } => {
                keccak256(&transactions[usize::try_from(index).unwrap_or(usize::MAX)])
            }
            _ => continue,
        };
        if !matches!(shown, Claim::Transaction { hash, .. } if *hash == expected) {
            return Err(format!("{fact:?} became {shown:?}"));
        }
    }
    damaged(&proof, roots)?;
    let mut logs = BTreeMap::<Address, Vec<PlacedLog>>::new();
    for (transaction, bytes) in (0u64..).zip(receipts) {
        let receipt =
            ReceiptEnvelope::decode_2718_exact(bytes).map_err(|error| error.to_string())?;
        for (index, log) in (0u64..).zip(receipt.logs()) {
            let (topics, data) = log.data.clone().split();
            let log = ProvenLog { index, address: log.address, topics, data };
            logs.entry(log.address).or_default().push(PlacedLog { transaction, log });
        }
    }
    for chunk in logs.keys().copied().collect::<Vec<_>>().chunks(MAX_LOG_QUERIES) {
        let facts =
            chunk.iter().map(|address| EthereumRef::Logs { address: *address, topic: None });
        let proof = build(facts.collect())?;
        let claim = proof.show(roots).map_err(|error| error.to_string())?;
        for (address, shown) in chunk.iter().zip(claim.facts()) {
            let expected = &logs[address];
            if !matches!(shown, Claim::Logs { logs, .. } if logs == expected) {
                return Err(format!("other logs of {address} than alloy reads"));
            }
        }
    }
    Ok(())
}

/// A proof with some byte of a node changed, a node less or a node more must be refused.
fn damaged(proof: &EthereumProof, roots: &EthereumRoots) -> Result<(), String> {
    for at in (0..proof.nodes.len()).step_by(proof.nodes.len() / 20 + 1) {
        let mut changed = proof.clone();
        let mut node = changed.nodes[at].to_vec();
        let middle = node.len() / 2;
        node[middle] ^= 1;
        changed.nodes[at] = node.into();
        let mut less = proof.clone();
        less.nodes.remove(at);
        let mut more = proof.clone();
        more.nodes.insert(at, proof.nodes[at].clone());
        if [changed, less, more].iter().any(|bad| bad.show(roots).is_ok()) {
            return Err(format!("taken with node {at} damaged"));
        }
    }
    Ok(())
}

/// Blocks of a recorded development chain.
pub(super) fn anvil(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let chain = json["chain"].as_array().ok_or("has no chain")?;
    for (number, entry) in chain.iter().enumerate() {
        let root = |name: &str| {
            B256::deserialize(&entry["block"][name]).map_err(|error| error.to_string())
        };
        let transactions = list(&entry["raw_txs"])?;
        // The recorded server commits to blob transactions with their sidecars: not Ethereum's root.
        if transactions.iter().any(|tx| tx.first() == Some(&3)) {
            outcome.not_compared(transactions.len() as u64);
        } else {
            let label = format!("block {number}: transactions");
            ordered(outcome, &label, &transactions, root("transactionsRoot")?);
        }
        let label = format!("block {number}: receipts");
        receipts(outcome, &label, &list(&entry["raw_receipts"])?, root("receiptsRoot")?);
    }
    Ok(())
}

/// The items of an RLP list, with their headers.
fn items(mut bytes: &[u8]) -> Result<(Vec<&[u8]>, &[u8]), String> {
    let error = |error: alloy_rlp::Error| error.to_string();
    let head = RlpHeader::decode(&mut bytes).map_err(error)?;
    if !head.list {
        return Err(String::from("is not a list"));
    }
    let (mut rest, after) = bytes.split_at(head.payload_length);
    let mut found = Vec::new();
    while !rest.is_empty() {
        let start = rest;
        let item = RlpHeader::decode(&mut rest).map_err(error)?;
        rest = &rest[item.payload_length..];
        found.push(&start[..start.len() - rest.len()]);
    }
    Ok((found, after))
}

/// EIP-2718 bytes of a transaction in a block body: legacy ones are lists, typed ones are strings.
fn transaction(item: &[u8]) -> Result<Bytes, String> {
    let mut rest = item;
    let head = RlpHeader::decode(&mut rest).map_err(|error| error.to_string())?;
    Ok(Bytes::copy_from_slice(if head.list { item } else { rest }))
}

/// Concatenated RLP blocks.
pub(super) fn chain_rlp(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let bytes = hexes::bytes(path)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (parts, after) = items(rest)?;
        rest = after;
        let [head, body, ..] = parts.as_slice() else {
            return Err(String::from("a block without header or transactions"));
        };
        let sealed = decode_header(head).map_err(|error| error.to_string())?;
        let transactions =
            items(body)?.0.into_iter().map(transaction).collect::<Result<Vec<_>, _>>()?;
        let label = format!("block {}: transactions", sealed.header.number);
        ordered(outcome, &label, &transactions, sealed.header.transactions_root);
    }
    Ok(())
}

/// Recorded `debug_getRawReceipts` calls, under the roots of the chain beside them.
pub(super) fn raw_receipt_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let folder = path.parent().and_then(Path::parent).ok_or("has no folder")?;
    let chain = folder.join("chain-decoded.json");
    let chain = if chain.exists() { hexes::json(&chain)? } else { Value::Null };
    for (request, answer) in calls(path)? {
        let Ok(values) = list(&answer["result"]) else { continue };
        let number = request["params"][0].as_str().unwrap_or_default();
        let block = chain.as_array().and_then(|blocks| {
            blocks.iter().find(|block| {
                block["number"].as_u64().is_some_and(|height| format!("{height:#x}") == number)
            })
        });
        let root = block.map(|block| B256::deserialize(&block["header"]["receiptsRoot"]));
        match root {
            Some(Ok(root)) => receipts(outcome, &format!("block {number}"), &values, root),
            // The chain's table leaves the genesis block out.
            _ if values.is_empty() => {
                let empty = alloy_trie::EMPTY_ROOT_HASH;
                outcome.equal("no receipts", &mpt::ordered_trie_root(&values), &empty);
            }
            _ => outcome.not_compared(values.len() as u64),
        }
    }
    Ok(())
}

/// Recorded `debug_getRawTransaction` calls: the hash asked for is that of the bytes.
pub(super) fn raw_transaction_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    for (request, answer) in calls(path)? {
        let Ok(raw) = Bytes::deserialize(&answer["result"]) else { continue };
        let asked = B256::deserialize(&request["params"][0]).map_err(|error| error.to_string())?;
        outcome.equal("transaction", &keccak256(raw), &asked);
    }
    Ok(())
}
