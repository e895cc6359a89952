//! `LightClients`: evidence in, tracked headers and the index out.
//!
//! A submission is taken or refused as a whole: one bad header anywhere reverts the call with the reason,
//! and nothing of it is kept. Headers that are already known are skipped; a call with nothing but
//! known headers is refused as such, before it reaches a block where possible.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolCall, SolInterface};

use super::{
    CallError, ChainRecord, ChainStatus, Env, Module,
    abi::{LIGHT_CLIENTS, LightClients},
    committee, gas,
    indexing::{evaluate, read_entries, report},
    light_client::{knows, load},
    registry::read_record,
};
use crate::{
    ChainKey, bitcoin, committee as finality, ethereum,
    grid::RecoverableSignature,
    index,
    light_client::{Evidence, LightClient},
    state::{Accumulator, StateRead, keys},
};

/// The most Bitcoin headers of one submission.
const MAX_BITCOIN_HEADERS: usize = bitcoin::client::MAX_HEADERS_PER_SUBMISSION;
/// The most Ethereum headers of one submission.
const MAX_ETHEREUM_HEADERS: usize = ethereum::client::MAX_HEADERS_PER_SUBMISSION;
/// The most light-client objects of one submission.
const MAX_SYNC_DATA: usize = finality::MAX_OBJECTS_PER_SUBMISSION;
/// The most signatures of one submission.
const MAX_SIGNATURES: usize = ethereum::attest::MAX_ATTESTERS;

/// The module.
#[derive(Debug)]
pub(crate) struct LightClientsModule;

impl Module for LightClientsModule {
    fn address(&self) -> Address {
        LIGHT_CLIENTS
    }

    fn name(&self) -> &'static str {
        "LightClients"
    }

    fn version(&self) -> u32 {
        1
    }

    fn prefix(&self) -> u8 {
        keys::LIGHT_CLIENTS
    }

    fn functions(&self) -> Vec<&'static str> {
        LightClients::LightClientsCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        LightClients::LightClientsEvents::SIGNATURES.to_vec()
    }

    fn is_known(&self, state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
        is_known(state, input)
    }

    fn submission_chain(&self, input: &[u8]) -> Option<ChainKey> {
        submission_chain(input)
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        use LightClients::{LightClientsCalls as Calls, *};
        match decode(input)? {
            call @ (Calls::submitBitcoinHeaders(_)
            | Calls::submitAttestedHeaders(_)
            | Calls::submitFinality(_)) => {
                let (chain, evidence) = evidence_of(call)?;
                let added = submit(env, chain, &evidence)?;
                Ok(submitBitcoinHeadersCall::abi_encode_returns(&added))
            }
            Calls::restart(call) => {
                committee::restart(env, ChainKey(call.chain), call.checkpoint, &call.bootstrap)?;
                Ok(Vec::new())
            }
            Calls::finality(call) => {
                let status = committee::status(env, call.chain)?;
                let ret = finalityReturn {
                    slot: status.finalized_slot,
                    blockRoot: status.finalized_root,
                    time: status.finalized_time,
                    period: status.period,
                    nextCommitteeKnown: status.next_committee_known,
                };
                Ok(finalityCall::abi_encode_returns(&ret))
            }
            Calls::wanted(call) => {
                let status = committee::status(env, call.chain)?;
                Ok(wantedCall::abi_encode_returns(&status.wanted))
            }
            Calls::conflict(call) => {
                let evidence = committee::evidence(env, call.chain)?;
                Ok(conflictCall::abi_encode_returns(&evidence.into()))
            }
            Calls::tip(call) => {
                let tracked = view(env, call.chain)?;
                let tip = tracked.tip();
                let ret = tipReturn { height: tip.height(), blockHash: tip.hash() };
                Ok(tipCall::abi_encode_returns(&ret))
            }
            Calls::tracked(call) => {
                let client = view(env, call.chain)?;
                let tree = client.tree();
                let ret = trackedReturn {
                    headers: tree.len() as u64,
                    storedBytes: tree.stored_bytes(),
                    oldestHeight: tree.base().height(),
                };
                Ok(trackedCall::abi_encode_returns(&ret))
            }
            Calls::confirmed(call) => {
                let accumulator = read_accumulator(env, call.chain)?;
                let ret = confirmedReturn {
                    firstHeight: accumulator.first_height,
                    count: accumulator.range.count(),
                    blockHash: accumulator.tip_hash,
                };
                Ok(confirmedCall::abi_encode_returns(&ret))
            }
            Calls::accumulatorRoot(call) => {
                let accumulator = read_accumulator(env, call.chain)?;
                Ok(accumulatorRootCall::abi_encode_returns(&accumulator.range.root()))
            }
            Calls::indexRoot(_) => {
                env.gas.charge(gas::READ)?;
                let root = index::index_root(&read_entries(env.overlay)?);
                Ok(indexRootCall::abi_encode_returns(&root))
            }
        }
    }
}

fn decode(input: &[u8]) -> Result<LightClients::LightClientsCalls, CallError> {
    LightClients::LightClientsCalls::abi_decode_validate(input)
        .map_err(|error| CallError::revert(format!("LightClients: bad call data: {error}")))
}

/// Takes a submission apart.
fn evidence_of(call: LightClients::LightClientsCalls) -> Result<(B256, Evidence), CallError> {
    use LightClients::LightClientsCalls as Calls;
    match call {
        Calls::submitBitcoinHeaders(call) => Ok((call.chain, bitcoin_headers(&call.headers)?)),
        Calls::submitAttestedHeaders(call) => {
            Ok((call.chain, attested_headers(call.headers, &call.signatures)?))
        }
        Calls::submitFinality(call) => Ok((call.chain, sync_committee(call.data, call.headers)?)),
        _ => Err(CallError::revert("not a submission")),
    }
}

fn bitcoin_headers(bytes: &[u8]) -> Result<Evidence, CallError> {
    let (headers, rest) = bytes.as_chunks::<80>();
    if !rest.is_empty() || headers.is_empty() {
        return Err(CallError::revert(format!(
            "{} bytes are not a whole number of 80-byte Bitcoin headers",
            bytes.len()
        )));
    }
    check_count(headers.len(), MAX_BITCOIN_HEADERS)?;
    Ok(Evidence::BitcoinHeaders(headers.to_vec()))
}

fn attested_headers(headers: Vec<Bytes>, signatures: &[Bytes]) -> Result<Evidence, CallError> {
    check_count(headers.len(), MAX_ETHEREUM_HEADERS)?;
    if signatures.len() > MAX_SIGNATURES {
        return Err(CallError::revert(format!(
            "{} signatures, at most {MAX_SIGNATURES} are allowed",
            signatures.len()
        )));
    }
    let signatures = signatures
        .iter()
        .enumerate()
        .map(|(at, bytes)| {
            RecoverableSignature::from_slice(bytes).ok_or_else(|| {
                CallError::revert(format!("signature {at} has {} bytes, not 65", bytes.len()))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Evidence::AttestedHeaders { headers, signatures })
}

fn sync_committee(data: Vec<Bytes>, headers: Vec<Bytes>) -> Result<Evidence, CallError> {
    if data.len() > MAX_SYNC_DATA {
        return Err(CallError::revert(format!(
            "{} light-client objects, at most {MAX_SYNC_DATA} fit one submission",
            data.len()
        )));
    }
    if !headers.is_empty() || data.is_empty() {
        check_count(headers.len(), MAX_ETHEREUM_HEADERS)?;
    }
    Ok(Evidence::Committee { data, headers })
}

fn check_count(count: usize, most: usize) -> Result<(), CallError> {
    if count == 0 {
        return Err(CallError::revert("no headers"));
    }
    if count > most {
        return Err(CallError::revert(format!(
            "{count} headers, at most {most} fit one submission"
        )));
    }
    Ok(())
}

fn charge(env: &mut Env<'_, '_>, evidence: &Evidence) -> Result<(), CallError> {
    env.gas.charge(gas::CLIENT_LOAD)?;
    match evidence {
        Evidence::BitcoinHeaders(headers) => {
            env.gas.charge_each(headers.len(), gas::BITCOIN_HEADER)
        }
        Evidence::AttestedHeaders { headers, signatures } => {
            env.gas.charge_each(headers.len(), gas::ETHEREUM_HEADER)?;
            env.gas.charge_each(signatures.len(), gas::SIGNATURE)
        }
        Evidence::Committee { headers, .. } => {
            env.gas.charge_each(headers.len(), gas::ETHEREUM_HEADER)
        }
    }
}

fn active_record(state: &dyn StateRead, chain: B256) -> Result<ChainRecord, CallError> {
    let record = known_record(state, chain)?;
    match record.status {
        ChainStatus::Active => Ok(record),
        status => Err(CallError::revert(format!("chain {} is {status}", record.id))),
    }
}

fn known_record(state: &dyn StateRead, chain: B256) -> Result<ChainRecord, CallError> {
    read_record(state, ChainKey(chain))?
        .ok_or_else(|| CallError::revert(format!("chain {chain} is not registered")))
}

fn read_accumulator(env: &mut Env<'_, '_>, chain: B256) -> Result<Accumulator, CallError> {
    env.gas.charge(gas::READ)?;
    Accumulator::read(env.overlay, ChainKey(chain))?
        .ok_or_else(|| CallError::revert(format!("chain {chain} is not registered")))
}

pub(super) fn view(env: &mut Env<'_, '_>, chain: B256) -> Result<LightClient, CallError> {
    env.gas.charge(gas::CLIENT_LOAD)?;
    let record = known_record(env.overlay, chain)?;
    Ok(load(env.overlay, &record)?)
}

/// Verifies evidence, follows the best branch and confirms what the rule now confirms.
fn submit(env: &mut Env<'_, '_>, chain: B256, evidence: &Evidence) -> Result<u64, CallError> {
    env.not_payable()?;
    charge(env, evidence)?;
    let record = active_record(env.overlay, chain)?;
    if let Evidence::Committee { data, .. } = evidence {
        committee::charge(env, &record, data)?;
    }
    let chain = record.key();
    let mut client = env.clients.take(env.overlay, &record)?;
    let accepted = client.accept(evidence, env.block.time_ms);
    committee::keep_keys(env, &client);
    if let Some(error) = accepted.rejected {
        // The client holds a prefix of the refused submission: forget it, the state has the truth.
        return Err(CallError::revert(format!("{}: {error}", record.id)));
    }
    if accepted.is_known() {
        env.clients.put(chain, client);
        return Err(CallError::AlreadyKnown);
    }
    report(env, chain, &client, &accepted.change);
    if accepted.conflict.is_some() {
        committee::freeze(env, &record, &mut client, &accepted)?;
    } else {
        committee::report(env, chain, &accepted);
        evaluate(env, &record, &mut client)?;
    }
    env.clients.put(chain, client);
    Ok(u64::try_from(accepted.added).unwrap_or(u64::MAX))
}

/// Whether a call is a submission that tells its chain nothing new.
///
/// # Errors
/// [`CallError::Revert`] where the submission would be refused before any header is checked.
fn is_known(state: &dyn StateRead, input: &[u8]) -> Result<bool, CallError> {
    use LightClients::LightClientsCalls as Calls;
    let call = decode(input)?;
    if !matches!(
        call,
        Calls::submitBitcoinHeaders(_) | Calls::submitAttestedHeaders(_) | Calls::submitFinality(_)
    ) {
        return Ok(false);
    }
    let (chain, evidence) = evidence_of(call)?;
    let record = active_record(state, chain)?;
    Ok(match state.loaded_client(record.key()) {
        Some(client) => knows(&client, &evidence),
        None => knows(&load(state, &record)?, &evidence),
    })
}

/// The chain that a submission names: the first argument of every function that takes evidence.
fn submission_chain(input: &[u8]) -> Option<ChainKey> {
    use LightClients::{submitAttestedHeadersCall, submitBitcoinHeadersCall, submitFinalityCall};
    let (selector, arguments) = input.split_first_chunk::<4>()?;
    let submits = [
        submitBitcoinHeadersCall::SELECTOR,
        submitAttestedHeadersCall::SELECTOR,
        submitFinalityCall::SELECTOR,
    ];
    let chain = arguments.first_chunk::<32>()?;
    submits.contains(selector).then(|| ChainKey(B256::from(chain)))
}
