//! `Registry`: which chains take part. Chains come with genesis or by the governor's call; they join, pause
//! and leave without stopping others.

use alloy_primitives::{Address, B256};
use alloy_sol_types::{SolCall, SolInterface, SolValue};

use super::{
    CallError, ChainRecord, ChainStatus, Env, MAX_CHAINS, Module,
    abi::{REGISTRY, Registry},
    gas,
    indexing::{enrol, show},
    levels, light_client,
};
use crate::{
    ChainKey,
    light_client::LightClient,
    pace::Pace,
    state::{Accumulator, Overlay, StateRead, StorageError, keys},
};

/// The module.
#[derive(Debug)]
pub(crate) struct RegistryModule;

impl Module for RegistryModule {
    fn address(&self) -> Address {
        REGISTRY
    }

    fn name(&self) -> &'static str {
        "Registry"
    }

    fn version(&self) -> u32 {
        2
    }

    fn prefix(&self) -> u8 {
        keys::REGISTRY
    }

    fn functions(&self) -> Vec<&'static str> {
        Registry::RegistryCalls::SIGNATURES.to_vec()
    }

    fn events(&self) -> Vec<&'static str> {
        Registry::RegistryEvents::SIGNATURES.to_vec()
    }

    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError> {
        use Registry::{RegistryCalls as Calls, *};
        let call = Calls::abi_decode_validate(input)
            .map_err(|error| CallError::revert(format!("Registry: bad call data: {error}")))?;
        match call {
            Calls::register(call) => {
                let chain = register(env, &call.record)?;
                Ok(registerCall::abi_encode_returns(&chain.0))
            }
            Calls::setStatus(call) => {
                set_status(env, ChainKey(call.chain), call.status)?;
                Ok(Vec::new())
            }
            Calls::chains(_) => {
                env.gas.charge(gas::READ)?;
                let list = read_chain_list(env.overlay)?;
                let list = list.into_iter().map(|chain| chain.0).collect::<Vec<B256>>();
                Ok(chainsCall::abi_encode_returns(&list))
            }
            Calls::record(call) => {
                let record = required(env, ChainKey(call.chain))?;
                Ok(recordCall::abi_encode_returns(&record.encode().into()))
            }
            Calls::status(call) => {
                let record = required(env, ChainKey(call.chain))?;
                Ok(statusCall::abi_encode_returns(&record.status.code()))
            }
            Calls::level(call) => {
                let record = required(env, ChainKey(call.chain))?;
                env.gas.charge(gas::READ)?;
                let pace = levels::read(env.overlay, ChainKey(call.chain))?;
                let last = pace.as_ref().and_then(Pace::last);
                let ret = levelReturn {
                    code: record.level.code(),
                    measured: record.measured,
                    height: last.map_or(0, |last| last.height),
                    medianInterval: last.map_or(0, |last| last.median),
                };
                Ok(levelCall::abi_encode_returns(&ret))
            }
            Calls::governor(_) => Ok(governorCall::abi_encode_returns(&env.block.governor)),
        }
    }
}

pub(super) fn only_governor(env: &Env<'_, '_>) -> Result<(), CallError> {
    env.not_payable()?;
    if env.caller == env.block.governor {
        return Ok(());
    }
    Err(CallError::revert(format!(
        "only the governor {} may change the registry, not {}",
        env.block.governor, env.caller
    )))
}

pub(super) fn required(env: &mut Env<'_, '_>, chain: ChainKey) -> Result<ChainRecord, CallError> {
    env.gas.charge(gas::READ)?;
    read_record(env.overlay, chain)?
        .ok_or_else(|| CallError::revert(format!("chain {chain} is not registered")))
}

fn register(env: &mut Env<'_, '_>, json: &[u8]) -> Result<ChainKey, CallError> {
    only_governor(env)?;
    env.gas.charge(gas::CLIENT_LOAD)?;
    env.gas.charge_each(json.len(), gas::RECORD_BYTE)?;
    let record =
        ChainRecord::from_json(json).map_err(|error| CallError::revert(error.to_string()))?;
    let chain = record.key();
    store_new_record(env.overlay, &record).map_err(|error| match error {
        NewRecordError::Refused(reason) => CallError::Revert(reason),
        NewRecordError::Storage(error) => CallError::Storage(error),
    })?;
    let event = Registry::Registered {
        chain: chain.0,
        id: record.id.to_string(),
        level: record.level.code(),
        security: record.security.code(),
    };
    env.log(REGISTRY, &event);
    Ok(chain)
}

fn set_status(env: &mut Env<'_, '_>, chain: ChainKey, code: u8) -> Result<(), CallError> {
    only_governor(env)?;
    env.gas.charge_each(3, gas::WRITE)?;
    let record = required(env, chain)?;
    let status = ChainStatus::from_code(code)
        .ok_or_else(|| CallError::revert(format!("status {code} is unknown, use 0 to 3")))?;
    if record.status == ChainStatus::Terminated {
        return Err(CallError::revert(format!("chain {} is terminated for good", record.id)));
    }
    if record.status == status {
        return Err(CallError::revert(format!("chain {} is {status} already", record.id)));
    }
    let record = ChainRecord { status, ..record };
    let accumulator = Accumulator::read(env.overlay, chain)?
        .ok_or_else(|| StorageError::corrupt("accumulator"))?;
    store_record(env.overlay, &record);
    show(env.overlay, &record, &accumulator)?;
    env.log(REGISTRY, &Registry::StatusChanged { chain: chain.0, status: code });
    Ok(())
}

/// Why a new chain is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewRecordError {
    /// The record is bad or one too many.
    #[error("{0}")]
    Refused(String),
    /// No verdict.
    #[error(transparent)]
    Storage(StorageError),
}

impl From<StorageError> for NewRecordError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Registers a checked record: at genesis and by call.
pub(crate) fn store_new_record(
    overlay: &mut Overlay<'_>,
    record: &ChainRecord,
) -> Result<(), NewRecordError> {
    let chain = record.key();
    let mut list = read_chain_list(overlay)?;
    if list.len() >= MAX_CHAINS {
        return Err(NewRecordError::Refused(format!(
            "{MAX_CHAINS} chains are registered, no more"
        )));
    }
    let Err(at) = list.binary_search(&chain) else {
        return Err(NewRecordError::Refused(format!("chain {} is registered already", record.id)));
    };
    let mut client: LightClient = light_client::start(record).map_err(NewRecordError::Refused)?;
    list.insert(at, chain);
    let list = list.into_iter().map(|chain| chain.0).collect::<Vec<B256>>();
    overlay.set(keys::chain_list(), list.abi_encode());
    store_record(overlay, record);
    Ok(enrol(overlay, record, &mut client)?)
}

/// The keys of all registered chains, sorted.
pub(crate) fn read_chain_list(state: &dyn StateRead) -> Result<Vec<ChainKey>, StorageError> {
    let Some(bytes) = state.read(&keys::chain_list())? else { return Ok(Vec::new()) };
    let list =
        <Vec<B256>>::abi_decode(&bytes).map_err(|_| StorageError::corrupt("list of chains"))?;
    Ok(list.into_iter().map(ChainKey).collect())
}

/// A chain's record.
pub(crate) fn read_record(
    state: &dyn StateRead,
    chain: ChainKey,
) -> Result<Option<ChainRecord>, StorageError> {
    let Some(bytes) = state.read(&keys::chain_record(chain))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| StorageError::corrupt("chain record"))
}

pub(crate) fn store_record(overlay: &mut Overlay<'_>, record: &ChainRecord) {
    overlay.set(keys::chain_record(record.key()), record.encode());
}
