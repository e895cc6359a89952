//! Whole Ethereum blocks: their roots recomputed, and a proof for every transaction and receipt.

use std::path::Path;

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Header as RlpHeader;
use grid_core::ethereum::{header::decode_header, mpt};
use serde::Deserialize;
use serde_json::Value;

use super::{Outcome, calls::calls, hexes};

/// A list under its root: the root, and the proof of every item.
fn ordered(outcome: &mut Outcome, label: &str, values: &[Bytes], root: B256) {
    outcome.equal(format!("{label}: root"), &mpt::ordered_trie_root(values), &root);
    let trie = mpt::OrderedTrie::new(values);
    for (index, value) in (0u64..).zip(values) {
        let proven = trie
            .prove(index)
            .and_then(|nodes| mpt::verify_transaction(root, index, &nodes))
            .map_err(|error| error.to_string());
        let result = match proven {
            Ok(found) if found == value.as_ref() => Ok(()),
            Ok(_) => Err(String::from("another value was proven")),
            Err(error) => Err(error),
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
            Err(mpt::MptError::NoLog { .. }) => break,
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
