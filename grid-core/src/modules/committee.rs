//! What `LightClients` does for clients with finality alone: their gas, events, views, and the
//! governor's restart.

use alloy_primitives::{B256, Bytes};

use super::{
    CallError, ChainRecord, ChainStatus, ClientParams, Env,
    abi::{LIGHT_CLIENTS, LightClients, REGISTRY, Registry},
    gas,
    indexing::{evaluate, freeze_final, show},
    light_client::save,
    light_clients::view,
    registry::{only_governor, required, store_record},
};
use crate::{
    ChainKey,
    api::SyncStatus,
    committee::{CommitteeClient, read_grid_object},
    light_client::{Accepted, LightClient},
    state::{Accumulator, StateRead, StorageError},
};

/// Takes the gas of light-client objects; those that may carry a committee pay for its keys.
pub(super) fn charge(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    data: &[Bytes],
) -> Result<(), CallError> {
    let network = match &record.client {
        ClientParams::SyncCommittee { network, .. } => network,
        ClientParams::Grid { .. } => {
            env.gas.charge_each(data.len(), gas::GRID_BLOCK)?;
            let signatures = |object: &Bytes| {
                read_grid_object(object).map_or(0, |block| block.certificate.signatures.len())
            };
            let count = data.iter().map(signatures).fold(0usize, usize::saturating_add);
            return env.gas.charge_each(count, gas::SIGNATURE);
        }
        _ => return Ok(()),
    };
    let members = network.config().map_or(0, |network| network.preset.committee_size);
    env.gas.charge_each(data.len(), gas::SYNC_OBJECT)?;
    // 2 is a finality update, the only object without a committee.
    let committees = data.iter().filter(|object| object.first() != Some(&2)).count();
    env.gas.charge_each(committees.saturating_mul(members), gas::SYNC_KEY)
}

/// Keeps the points that a client has decompressed, whether or not it took what it was given.
pub(super) fn keep_keys(env: &Env<'_, '_>, client: &LightClient) {
    if let (LightClient::Committee(client), Some(shared)) = (client, env.overlay.committee_keys()) {
        shared.put(client.keys().clone());
    }
}

/// Tells what is final now.
pub(super) fn report(env: &mut Env<'_, '_>, chain: ChainKey, accepted: &Accepted) {
    let Some(finalized) = accepted.finalized else { return };
    let event = LightClients::FinalityAdvanced {
        chain: chain.0,
        slot: finalized.slot,
        blockRoot: finalized.root,
        blockHash: finalized.execution,
    };
    env.log(LIGHT_CLIENTS, &event);
}

/// Stops a chain whose finality contradicts itself. The client has the evidence.
pub(super) fn freeze(
    env: &mut Env<'_, '_>,
    record: &ChainRecord,
    client: &mut LightClient,
    accepted: &Accepted,
) -> Result<(), StorageError> {
    let Some((known, other)) = accepted.conflict else { return Ok(()) };
    let event = LightClients::ConflictingFinality { chain: record.key().0, known, other };
    env.log(LIGHT_CLIENTS, &event);
    freeze_final(env, record, client)
}

fn committee(client: &LightClient) -> Result<&CommitteeClient, CallError> {
    match client {
        LightClient::Committee(client) => Ok(client),
        _ => Err(CallError::revert("the chain does not prove its finality")),
    }
}

/// Where a client stands.
pub(super) fn status(env: &mut Env<'_, '_>, chain: B256) -> Result<SyncStatus, CallError> {
    let client = view(env, chain)?;
    committee(&client).map(CommitteeClient::status)
}

/// The evidence of a conflict, or nothing.
pub(super) fn evidence(env: &mut Env<'_, '_>, chain: B256) -> Result<Vec<u8>, CallError> {
    let client = view(env, chain)?;
    committee(&client).map(|client| client.evidence().unwrap_or_default())
}

/// Starts a client anew from a trusted block; a frozen chain becomes active.
pub(super) fn restart(
    env: &mut Env<'_, '_>,
    chain: ChainKey,
    checkpoint: B256,
    bootstrap: &Bytes,
) -> Result<(), CallError> {
    only_governor(env)?;
    env.gas.charge(gas::CLIENT_LOAD)?;
    let mut record = required(env, chain)?;
    charge(env, &record, core::slice::from_ref(bootstrap))?;
    if record.status == ChainStatus::Terminated {
        return Err(CallError::revert(format!("chain {} is terminated for good", record.id)));
    }
    let mut client = env.clients.take(env.overlay, &record)?;
    let LightClient::Committee(own) = &mut client else {
        return Err(CallError::revert(format!("chain {} does not prove its finality", record.id)));
    };
    own.restart(checkpoint, bootstrap, env.block.time_ms)
        .map_err(|error| CallError::revert(format!("{}: {error}", record.id)))?;
    if record.status == ChainStatus::Frozen {
        record.status = ChainStatus::Active;
        store_record(env.overlay, &record);
        let accumulator = Accumulator::read(env.overlay, chain)?
            .ok_or_else(|| StorageError::corrupt("accumulator"))?;
        show(env.overlay, &record, &accumulator)?;
        let status = record.status.code();
        env.log(REGISTRY, &Registry::StatusChanged { chain: chain.0, status });
    }
    env.log(LIGHT_CLIENTS, &LightClients::Restarted { chain: chain.0, checkpoint });
    if record.status == ChainStatus::Active {
        evaluate(env, &record, &mut client)?;
    } else {
        save(env.overlay, chain, &mut client)?;
    }
    env.clients.put(chain, client);
    Ok(())
}
