use std::collections::BTreeSet;

use alloy_primitives::Bytes;
use alloy_sol_types::SolInterface as _;

use super::*;
use crate::{
    genesis::{self, Genesis},
    grid::Validator,
    state::{MemoryState, keys},
    transition::{self, CallContext},
};

fn distinct<T: Ord>(of: impl Fn(&'static dyn Module) -> T) -> bool {
    COLLECTION.iter().map(|module| of(*module)).collect::<BTreeSet<_>>().len() == COLLECTION.len()
}

#[test]
fn every_module_has_its_own_address_prefix_and_name() {
    let addresses = COLLECTION.map(Module::address);
    assert_eq!(addresses, abi::SYSTEM_CONTRACTS);
    assert!(addresses.is_sorted() && distinct(Module::address));
    assert!(distinct(Module::name) && distinct(Module::prefix));
    for module in COLLECTION {
        let name = module.name();
        assert!(![keys::ACCOUNTS, keys::SYSTEM].contains(&module.prefix()), "{name}");
        assert_eq!(at(&module.address()).map(Module::name), Some(name));
    }
    assert!(at(&Address::ZERO).is_none());
}

#[test]
fn the_documentation_has_every_module() {
    let text = include_str!("../../../docs/system-contracts.md");
    for Contract { name, address, prefix, .. } in collection() {
        let end = &address.to_string()[38..];
        let row = format!("| {name} | `0x…{end}` | `{prefix:#04x}` |");
        assert!(text.contains(&row), "{row}");
    }
}

#[test]
fn every_module_lists_its_functions_and_events_once() {
    for Contract { name, functions, events, .. } in collection() {
        for list in [functions, events] {
            assert!(!list.is_empty(), "{name}");
            assert!(list.iter().all(|one| one.ends_with(')')), "{list:?}");
            assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "{list:?}");
        }
    }
}

/// Whatever is called, with whatever arguments, at least the price of a call is taken, and nothing panics.
#[test]
fn every_function_costs_gas() {
    let genesis = genesis::build(&Genesis {
        chain_id: 1,
        time_ms: 1,
        gas_limit: 60_000_000,
        base_fee: 1,
        alloc: Default::default(),
        governor: Address::ZERO,
        validators: vec![Validator { account: Address::repeat_byte(1), power: 1 }],
        chains: Vec::new(),
        staking: None,
        guarantee: None,
    })
    .unwrap();
    let mut state = MemoryState::new();
    state.apply(&genesis);
    let selectors = [
        (abi::REGISTRY, abi::Registry::RegistryCalls::selectors().collect::<Vec<_>>()),
        (abi::LIGHT_CLIENTS, abi::LightClients::LightClientsCalls::selectors().collect()),
        (abi::PROOFS, abi::Proofs::ProofsCalls::selectors().collect()),
        (abi::MAILBOX, abi::Mailbox::MailboxCalls::selectors().collect()),
        (abi::ESCROW, abi::Escrow::EscrowCalls::selectors().collect()),
        (abi::GUARANTEE, abi::Guarantee::GuaranteeCalls::selectors().collect()),
        (abi::STAKING, abi::Staking::StakingCalls::selectors().collect()),
    ];
    assert_eq!(selectors.len(), COLLECTION.len());
    for (to, selectors) in selectors {
        assert_eq!(selectors.len(), at(&to).unwrap().functions().len());
        for selector in selectors {
            for arguments in [0, 32, 320] {
                let input = Bytes::from([&selector[..], &vec![0; arguments]].concat());
                let context =
                    CallContext { to: Some(to), input: input.clone(), ..Default::default() };
                let outcome = transition::call(&state, &context, &genesis.block.header).unwrap();
                let intrinsic =
                    21_000 + input.iter().map(|b| if *b == 0 { 4 } else { 16 }).sum::<u64>();
                assert!(outcome.gas_used >= intrinsic + gas::CALL, "{to} {selector:?} {outcome:?}");
            }
        }
    }
}
