//! The system contracts: native modules behind one trait, called with Solidity's ABI.
//!
//! Each module has a fixed address, an interface in [`abi`], a prefix of the state that only it
//! writes, a fixed [gas] schedule and events that become receipt logs. Together they are the chain's contract
//! collection, whose hash is in every block header.
//!
//! A call either succeeds as a whole or leaves no trace but its fee: there are no calls between modules, no
//! code of users, and so no re-entrancy.

pub mod abi;
mod committee;
mod covered;
mod env;
mod escrow;
pub mod gas;
mod guarantee;
mod guarantee_calls;
mod indexing;
mod levels;
pub(crate) mod light_client;
mod light_clients;
mod mailbox;
mod proofs;
pub mod record;
mod registry;
mod staking;
mod staking_calls;
#[cfg(test)]
mod tests;
pub(crate) mod work;

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::SolValue;

use crate::{ChainKey, state::StateRead};

pub(crate) use env::{BlockEnv, CallError, Env};
pub use gas::Gas;
pub(crate) use indexing::{begin_block, read_due, read_entries};
pub(crate) use levels::read as read_pace;
pub(crate) use light_client::Clients;
pub use record::{ChainRecord, ChainStatus, ClientParams, RecordError};
pub(crate) use registry::{read_chain_list, read_record, store_new_record};

/// The most registered chains, terminated ones included.
pub const MAX_CHAINS: usize = 256;

/// A system contract. `docs/system-contracts.md` says how to add one.
pub(crate) trait Module: Sync {
    /// Where it is called.
    fn address(&self) -> Address;
    /// Its name, as in its Solidity interface.
    fn name(&self) -> &'static str;
    /// Raised with every change of behaviour.
    fn version(&self) -> u32;
    /// The state's prefix byte that belongs to it.
    fn prefix(&self) -> u8;
    /// The functions that it has, in Solidity's notation.
    fn functions(&self) -> Vec<&'static str>;
    /// The events that it emits, in Solidity's notation.
    fn events(&self) -> Vec<&'static str>;
    /// Whether a call would be refused because it says nothing new, as far as can be said without executing it. The
    /// mempool asks, so that such a call costs its sender nothing.
    ///
    /// # Errors
    /// [`CallError::Revert`] where it would be refused for another reason.
    fn is_known(&self, _state: &dyn StateRead, _input: &[u8]) -> Result<bool, CallError> {
        Ok(false)
    }
    /// The foreign chain for which a call submits evidence, told by its selector and first argument alone. A chain's
    /// submissions share a part of each block.
    fn submission_chain(&self, _input: &[u8]) -> Option<ChainKey> {
        None
    }
    /// Executes a call.
    ///
    /// # Errors
    /// [`CallError`]: the caller undoes what the call wrote.
    fn call(&self, env: &mut Env<'_, '_>, input: &[u8]) -> Result<Vec<u8>, CallError>;
}

/// The contract collection, by address.
static COLLECTION: [&dyn Module; 7] = [
    &registry::RegistryModule,
    &light_clients::LightClientsModule,
    &proofs::ProofsModule,
    &mailbox::MailboxModule,
    &guarantee::GuaranteeModule,
    &staking::StakingModule,
    &escrow::EscrowModule,
];

/// The system contract at an address.
pub(crate) fn at(address: &Address) -> Option<&'static dyn Module> {
    COLLECTION.iter().find(|module| module.address() == *address).copied()
}

/// [`Module::is_known`] of the contract at an address; `false` where there is none.
///
/// # Errors
/// As [`Module::is_known`].
pub(crate) fn is_known(
    state: &dyn StateRead,
    to: Address,
    input: &[u8],
) -> Result<bool, CallError> {
    at(&to).map_or(Ok(false), |module| module.is_known(state, input))
}

/// [`Module::submission_chain`] of the contract at an address.
pub(crate) fn submission_chain(to: &Address, input: &[u8]) -> Option<ChainKey> {
    at(to)?.submission_chain(input)
}

/// What anybody may know of a system contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Where it is called.
    pub address: Address,
    /// Its name, as in its Solidity interface.
    pub name: &'static str,
    /// Raised with every change of behaviour.
    pub version: u32,
    /// The state's prefix byte that belongs to it.
    pub prefix: u8,
    /// Its functions, in Solidity's notation.
    pub functions: Vec<&'static str>,
    /// Its events, in Solidity's notation.
    pub events: Vec<&'static str>,
}

/// The contract collection, by address.
#[must_use]
pub fn collection() -> Vec<Contract> {
    let contract = |module: &&dyn Module| Contract {
        address: module.address(),
        name: module.name(),
        version: module.version(),
        prefix: module.prefix(),
        functions: module.functions(),
        events: module.events(),
    };
    COLLECTION.iter().map(contract).collect()
}

/// `keccak256(abi.encode((address, string name, uint32 version, uint16 prefix, string[]
/// functions)[]))` over the collection.
#[must_use]
pub fn collection_hash() -> B256 {
    let list = COLLECTION
        .iter()
        .map(|module| {
            let functions = module.functions().into_iter().map(String::from).collect::<Vec<_>>();
            let (name, version) = (module.name().to_owned(), module.version());
            (module.address(), name, version, u16::from(module.prefix()), functions)
        })
        .collect::<Vec<_>>();
    keccak256(list.abi_encode())
}
