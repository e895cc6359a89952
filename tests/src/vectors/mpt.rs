//! Merkle Patricia proofs: random tries with good and bad proofs, and `eth_getProof` answers of real
//! chains.

use std::path::Path;

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY};
use grid_core::{
    ethereum::mpt,
    proof::{
        Claim,
        ethereum::{EthereumEvidence, EthereumProof, EthereumRef, EthereumRoots},
    },
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{Outcome, calls::calls, hexes};

fn read<T: DeserializeOwned>(json: &Value) -> Result<T, String> {
    T::deserialize(json).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
struct Trie {
    root: B256,
    inclusion: Vec<Lookup>,
    exclusion: Vec<Lookup>,
    invalid: Vec<Lookup>,
}

#[derive(Deserialize)]
struct Lookup {
    key: Bytes,
    value: Option<Bytes>,
    proof: Vec<Bytes>,
    #[serde(default)]
    why: String,
}

/// Random tries with proofs of presence, of absence, and of nothing.
pub(super) fn random_tries(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let tries: Vec<Trie> = read(&json["cases"])?;
    for (number, trie) in tries.iter().enumerate() {
        for case in trie.inclusion.iter().chain(&trie.exclusion) {
            outcome.case(format!("trie {number}, key {}", case.key), lookup(trie.root, case));
        }
        for case in &trie.invalid {
            let found = mpt::lookup(trie.root, &case.key, &case.proof);
            let claimed = case.value.as_ref().map(AsRef::as_ref);
            let result = if found == Ok(claimed) {
                Err(format!("shown although the proof is bad ({})", case.why))
            } else {
                Ok(())
            };
            outcome.case(format!("trie {number}, bad proof of {}", case.key), result);
        }
    }
    Ok(())
}

fn lookup(root: B256, case: &Lookup) -> Result<(), String> {
    let found = mpt::lookup(root, &case.key, &case.proof).map_err(|error| error.to_string())?;
    if found == case.value.as_ref().map(AsRef::as_ref) {
        damage_is_noticed(&case.proof, |nodes| mpt::lookup(root, &case.key, nodes).is_ok())
    } else {
        Err(format!("found {found:?}, expected {:?}", case.value))
    }
}

/// A good proof with a byte changed, a node missing or a node too many must be refused.
fn damage_is_noticed(nodes: &[Bytes], accepted: impl Fn(&[Bytes]) -> bool) -> Result<(), String> {
    for at in 0..nodes.len() {
        let mut bad = nodes.to_vec();
        let mut bytes = bad[at].to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bad[at] = bytes.into();
        if accepted(&bad) {
            return Err(format!("taken with a byte of node {at} changed"));
        }
    }
    let longer = [nodes, &nodes[..1.min(nodes.len())]].concat();
    if !nodes.is_empty() && (accepted(&nodes[..nodes.len() - 1]) || accepted(&longer)) {
        return Err(String::from("taken with a node missing or a node too many"));
    }
    Ok(())
}

/// The answer of `eth_getProof`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    address: Address,
    account_proof: Vec<Bytes>,
    balance: U256,
    code_hash: B256,
    nonce: U256,
    storage_hash: B256,
    storage_proof: Vec<Slot>,
}

#[derive(Deserialize)]
struct Slot {
    key: U256,
    value: U256,
    proof: Vec<Bytes>,
}

fn account(answer: &Answer, root: B256) -> Result<(), String> {
    let nodes = mpt::normalize(answer.account_proof.clone());
    let found =
        mpt::verify_account(root, answer.address, &nodes).map_err(|error| error.to_string())?;
    let stated = (answer.nonce, answer.balance, answer.storage_hash, answer.code_hash);
    let shown = found.map(|account| {
        (U256::from(account.nonce), account.balance, account.storage_root, account.code_hash)
    });
    // Servers fill the fields of an absent account with zeros or with the hashes of nothing.
    let nothing = [B256::ZERO, EMPTY_ROOT_HASH, KECCAK_EMPTY];
    let agrees = shown.map_or_else(
        || {
            stated.0.is_zero()
                && stated.1.is_zero()
                && nothing.contains(&stated.2)
                && nothing.contains(&stated.3)
        },
        |shown| shown == stated,
    );
    if !agrees {
        return Err(format!("found {found:?}, the server says {stated:?}"));
    }
    damage_is_noticed(&nodes, |nodes| mpt::verify_account(root, answer.address, nodes).is_ok())
}

fn slot(root: B256, slot: &Slot) -> Result<(), String> {
    let root = if root.is_zero() { EMPTY_ROOT_HASH } else { root };
    let key = B256::from(slot.key);
    let nodes = mpt::normalize(slot.proof.clone());
    let found = mpt::verify_storage(root, key, &nodes).map_err(|error| error.to_string())?;
    if found != slot.value {
        return Err(format!("found {found}, the server says {}", slot.value));
    }
    damage_is_noticed(&nodes, |nodes| mpt::verify_storage(root, key, nodes).is_ok())
}

/// The account, its code hash and all slots of the answer in one proof.
fn together(answer: &Answer, root: B256) -> Result<(), String> {
    let address = answer.address;
    let mut evidence = EthereumEvidence::default();
    evidence.nodes.extend(mpt::normalize(answer.account_proof.clone()));
    let mut facts =
        vec![EthereumRef::Account { address }, EthereumRef::Code { address, bytes: false }];
    for Slot { key, proof, .. } in &answer.storage_proof {
        evidence.nodes.extend(mpt::normalize(proof.clone()));
        facts.push(EthereumRef::Storage { address, slot: (*key).into() });
    }
    let roots = EthereumRoots { state: root, transactions: B256::ZERO, receipts: B256::ZERO };
    let proof =
        EthereumProof::build(facts, &roots, &evidence).map_err(|error| error.to_string())?;
    let claim = proof.show(&roots).map_err(|error| error.to_string())?;
    for Slot { key, value, .. } in &answer.storage_proof {
        let value = (!value.is_zero()).then_some(*value);
        let expected = Claim::Storage { address, slot: (*key).into(), value };
        if !claim.facts().contains(&expected) {
            return Err(format!("{expected:?} is not among {claim:?}"));
        }
    }
    let accepted = |nodes: &[Bytes]| {
        EthereumProof { nodes: nodes.to_vec(), ..proof.clone() }.show(&roots).is_ok()
    };
    damage_is_noticed(&proof.nodes, accepted)
}

/// Checks one answer under a state root.
fn check(outcome: &mut Outcome, json: &Value, root: B256) -> Result<(), String> {
    let answer: Answer = read(json)?;
    outcome.case(format!("account {}", answer.address), account(&answer, root));
    for entry in &answer.storage_proof {
        let label = format!("slot {:#x} of {}", entry.key, answer.address);
        outcome.case(label, slot(answer.storage_hash, entry));
    }
    outcome.case(format!("all facts of {}", answer.address), together(&answer, root));
    Ok(())
}

/// All answers inside a JSON document.
fn answers<'a>(json: &'a Value, found: &mut Vec<&'a Value>) {
    match json {
        Value::Object(fields) if fields.contains_key("accountProof") => found.push(json),
        Value::Object(fields) => fields.values().for_each(|value| answers(value, found)),
        Value::Array(items) => items.iter().for_each(|value| answers(value, found)),
        _ => {}
    }
}

/// A file with `eth_getProof` answers and the state root that they are under.
pub(super) fn get_proof(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let root = [
        &json["beacon"]["executionPayload"]["state_root"],
        &json["execution"]["block"]["stateRoot"],
        &json["__state_root_recomputed__"],
    ]
    .into_iter()
    .find_map(|root| read::<B256>(root).ok());
    let mut found = Vec::new();
    answers(&json, &mut found);
    let Some(root) = root else {
        outcome.not_compared(found.len() as u64);
        return Ok(());
    };
    found.into_iter().try_for_each(|answer| check(outcome, answer, root))
}

/// Answers of a recorded development chain.
pub(super) fn anvil(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    let proofs = json["proofs"].as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in proofs {
        let block = entry["block"].as_u64().and_then(|number| usize::try_from(number).ok());
        let block = block.map(|number| &json["chain"][number]["block"]);
        let root = block.ok_or("a proof without its block")?;
        check(outcome, &entry["proof"], read(&root["stateRoot"])?)?;
    }
    Ok(())
}

/// Recorded `eth_getProof` calls: the state root is that of some block of the chain beside them.
pub(super) fn proof_calls(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let chain =
        path.parent().and_then(Path::parent).map(|folder| folder.join("chain-decoded.json"));
    let chain =
        chain.filter(|chain| chain.exists()).map(|chain| hexes::json(&chain)).transpose()?;
    for (_, answer) in calls(path)? {
        let mut found = Vec::new();
        answers(&answer, &mut found);
        for json in found {
            let parsed: Answer = read(json)?;
            let first = parsed.account_proof.first().map(keccak256);
            let known = chain.as_ref().and_then(Value::as_array).is_some_and(|blocks| {
                blocks.iter().any(|block| {
                    read::<B256>(&block["header"]["stateRoot"]).ok() == first && first.is_some()
                })
            });
            match first {
                Some(root) if known => check(outcome, json, root)?,
                _ => outcome.not_compared(1),
            }
        }
    }
    Ok(())
}
