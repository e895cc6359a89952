//! Execution headers: decoded from RLP, hashed, encoded again, linked.

use std::path::Path;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::Header as RlpHeader;
use grid_core::ethereum::header::{SealedEthHeader, decode_header};
use serde_json::Value;

use super::{Outcome, hexes};

/// Decodes a header that must have a hash, and checks that no change of it decodes to the same hash.
fn check(rlp: &[u8], hash: &B256) -> Result<SealedEthHeader, String> {
    let sealed = decode_header(rlp).map_err(|error| error.to_string())?;
    if sealed.hash != *hash {
        return Err(format!("hash is {}, not {hash}", sealed.hash));
    }
    let mut longer = rlp.to_vec();
    longer.push(0);
    if decode_header(&longer).is_ok() {
        return Err(String::from("a byte after the header was taken"));
    }
    if decode_header(&rlp[..rlp.len() - 1]).is_ok() {
        return Err(String::from("a header without its last byte was taken"));
    }
    Ok(sealed)
}

/// Compares a decoded header with its fields in JSON, by name.
fn compare(sealed: &SealedEthHeader, json: &Value) -> Result<(), String> {
    let found = serde_json::to_value(&sealed.header).map_err(|error| error.to_string())?;
    let fields = json.as_object().ok_or("the header is not an object")?;
    for (name, expected) in fields {
        // `miner` and the like are in both; sizes, uncles and transactions are not the header's.
        if let Some(value) = found.get(name).filter(|_| name != "hash")
            && !same(value, expected)
        {
            return Err(format!("{name} is {value}, not {expected}"));
        }
    }
    Ok(())
}

fn same(found: &Value, expected: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.to_ascii_lowercase()),
        // Some tables give the number as a decimal.
        Value::Number(number) => number.as_u64().map(|number| format!("{number:#x}")),
        _ => None,
    };
    found == expected || (text(found).is_some() && text(found) == text(expected))
}

fn field<'a>(json: &'a Value, name: &str) -> Result<&'a str, String> {
    json[name].as_str().ok_or_else(|| format!("has no field {name}"))
}

fn hash(json: &Value) -> Result<B256, String> {
    field(json, "hash")?.parse().map_err(|_| String::from("its hash is not a hash"))
}

/// One block: `hash`, `header_rlp`, `header`.
pub(super) fn block(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let rlp = hexes::data(field(&json, "header_rlp")?)?;
    let expected = hash(&json)?;
    let result = check(&rlp, &expected).and_then(|sealed| compare(&sealed, &json["header"]));
    outcome.case("header", result);
    for at in (0..rlp.len()).step_by(7) {
        let mut changed = rlp.clone();
        changed[at] ^= 0x10;
        let refused = decode_header(&changed).map_or(true, |sealed| sealed.hash != expected);
        outcome.case(
            format!("header with byte {at} changed"),
            if refused { Ok(()) } else { Err(String::from("kept its hash")) },
        );
    }
    Ok(())
}

/// A chain of an anvil node: `{ chain: [ { block, header_rlp, … } ] }`.
pub(super) fn anvil(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let list = json["chain"].as_array().ok_or("has no chain")?;
    linked(outcome, list.iter().map(|entry| (&entry["header_rlp"], &entry["block"])))
}

/// A list of `{ number, hash, header_rlp, header }`.
pub(super) fn decoded_chain(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let list = json.as_array().ok_or("is not a list")?;
    for entry in list {
        let rlp = hexes::data(field(entry, "header_rlp")?)?;
        let result =
            check(&rlp, &hash(entry)?).and_then(|sealed| compare(&sealed, &entry["header"]));
        outcome.case(format!("fields of {}", entry["number"]), result);
    }
    linked(outcome, list.iter().map(|entry| (&entry["header_rlp"], entry)))
}

/// Headers of consecutive blocks, each with JSON that has at least its `hash` and `number`.
fn linked<'a>(
    outcome: &mut Outcome,
    headers: impl Iterator<Item = (&'a Value, &'a Value)>,
) -> Result<(), String> {
    let mut parent: Option<SealedEthHeader> = None;
    for (rlp, json) in headers {
        let rlp = hexes::data(rlp.as_str().ok_or("an entry has no header_rlp")?)?;
        let label = format!("block {}", json["number"]);
        match check(&rlp, &hash(json)?) {
            Ok(sealed) => {
                let result =
                    follows(parent.as_ref(), &sealed).and_then(|()| compare(&sealed, json));
                outcome.case(label, result);
                parent = Some(sealed);
            }
            Err(reason) => outcome.case(label, Err(reason)),
        }
    }
    Ok(())
}

fn follows(parent: Option<&SealedEthHeader>, child: &SealedEthHeader) -> Result<(), String> {
    match parent {
        Some(parent)
            if child.header.parent_hash != parent.hash
                || child.header.number != parent.header.number + 1 =>
        {
            Err(format!("does not follow {}", parent.hash))
        }
        _ => Ok(()),
    }
}

/// Concatenated RLP blocks of one chain.
pub(super) fn chain_rlp(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let bytes = hexes::bytes(path)?;
    let mut rest = bytes.as_slice();
    let mut parent: Option<SealedEthHeader> = None;
    while !rest.is_empty() {
        let rlp = first_item(&mut rest)?;
        match decode_header(rlp) {
            Ok(sealed) => {
                outcome.case(
                    format!("block {}", sealed.header.number),
                    follows(parent.as_ref(), &sealed),
                );
                parent = Some(sealed);
            }
            Err(error) => outcome.case(keccak256(rlp), Err(error.to_string())),
        }
    }
    Ok(())
}

/// The header of the block at the front of a buffer, whole; the buffer goes on after the block.
fn first_item<'a>(buffer: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let error = |error: alloy_rlp::Error| format!("is not a list of blocks: {error}");
    let mut block = RlpHeader::decode_bytes(buffer, true).map_err(error)?;
    let whole = block;
    RlpHeader::decode_bytes(&mut block, true).map_err(error)?;
    Ok(&whole[..whole.len() - block.len()])
}

/// The result of a recorded call: the last line that begins with `<<`. `None` when the answer is an
/// error or null.
fn recorded(path: &Path) -> Result<Option<Value>, String> {
    let text = hexes::text(path)?;
    let line = text.lines().rev().find_map(|line| line.strip_prefix("<<")).ok_or("no answer")?;
    let mut answer: Value =
        serde_json::from_str(line).map_err(|error| format!("answer is not JSON: {error}"))?;
    let result = answer["result"].take();
    Ok((!result.is_null()).then_some(result))
}

/// `debug_getRawHeader`: the header decodes and encodes to the same bytes.
pub(super) fn raw_header_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    if let Some(result) = recorded(path)? {
        let rlp = hexes::data(result.as_str().ok_or("answer is not a text")?)?;
        outcome.case("header", check(&rlp, &keccak256(&rlp)).map(drop));
    } else {
        outcome.passed(1);
    }
    Ok(())
}

/// `debug_getRawBlock`: the header within decodes.
pub(super) fn raw_block_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    if let Some(result) = recorded(path)? {
        let rlp = hexes::data(result.as_str().ok_or("answer is not a text")?)?;
        let mut rest = rlp.as_slice();
        let header = first_item(&mut rest)?;
        outcome.case("header", check(header, &keccak256(header)).map(drop));
    } else {
        outcome.passed(1);
    }
    Ok(())
}

/// `eth_getBlockByNumber`, `eth_getBlockByHash`: the fields, encoded, have the hash that is told.
pub(super) fn block_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let Some(result) = recorded(path)? else {
        outcome.passed(1);
        return Ok(());
    };
    let header: alloy_consensus::Header = serde_json::from_value(result.clone())
        .map_err(|error| format!("is not a header: {error}"))?;
    let rlp = alloy_rlp::encode(&header);
    outcome.case("header", check(&rlp, &hash(&result)?).map(drop));
    Ok(())
}
