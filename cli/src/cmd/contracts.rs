//! `grid contracts`: what can be called on a Grid chain.

use alloy_primitives::{Address, B256};
use eyre::{Result, WrapErr as _, eyre};
use grid_core::modules::{Contract, collection, collection_hash};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::ContractsArgs,
    output::{Output, table},
};

/// The interfaces as other tools read them. A test of grid-core compares them with the modules.
const ABIS: [(&str, &str); 7] = [
    ("Registry", include_str!("../../../contracts/abi/Registry.json")),
    ("LightClients", include_str!("../../../contracts/abi/LightClients.json")),
    ("Proofs", include_str!("../../../contracts/abi/Proofs.json")),
    ("Mailbox", include_str!("../../../contracts/abi/Mailbox.json")),
    ("Guarantee", include_str!("../../../contracts/abi/Guarantee.json")),
    ("Staking", include_str!("../../../contracts/abi/Staking.json")),
    ("Escrow", include_str!("../../../contracts/abi/Escrow.json")),
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Contracts {
    /// As every block header has it.
    collection_hash: B256,
    contracts: Vec<Shown>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    name: &'static str,
    address: Address,
    version: u32,
    abi: Value,
}

pub(super) fn run(args: &ContractsArgs, out: Output) -> Result<()> {
    let contracts = collection().iter().map(shown).collect::<Result<Vec<_>>>()?;
    let Some(name) = &args.name else {
        let all = Contracts { collection_hash: collection_hash(), contracts };
        return out.show(&all, people);
    };
    let names: Vec<_> = contracts.iter().map(|one| one.name).collect();
    let one = contracts.iter().find(|one| one.name.eq_ignore_ascii_case(name));
    let one = one.ok_or_else(|| eyre!("no contract {name:?}; there are {}", names.join(", ")))?;
    // JSON either way: it is for other programs.
    Output { json: true }.show(&one.abi, |_| String::new())
}

fn shown(contract: &Contract) -> Result<Shown> {
    let Contract { name, address, version, .. } = *contract;
    let abi = ABIS.iter().find(|(other, _)| *other == name).map_or("null", |(_, abi)| *abi);
    let abi = serde_json::from_str(abi).wrap_err_with(|| format!("the ABI of {name}"))?;
    Ok(Shown { name, address, version, abi })
}

fn people(all: &Contracts) -> String {
    let count = |abi: &Value, kind: &str| {
        let items = abi.as_array().into_iter().flatten();
        items.filter(|item| item["type"] == kind).count().to_string()
    };
    let rows = all.contracts.iter().map(|one| {
        let (functions, events) = (count(&one.abi, "function"), count(&one.abi, "event"));
        [one.name.into(), one.address.to_string(), one.version.to_string(), functions, events]
    });
    let rows = table(["CONTRACT", "ADDRESS", "VERSION", "FUNCTIONS", "EVENTS"], rows);
    format!(
        "{rows}\ncollection {}\n`grid contracts NAME` prints the ABI of one, for cast, ethers, viem, web3",
        all.collection_hash
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_contract_is_shown_with_its_own_interface() {
        let contracts = collection();
        assert_eq!(contracts.len(), ABIS.len());
        for contract in contracts {
            let (functions, events) = (contract.functions.len(), contract.events.len());
            let shown = shown(&contract).unwrap();
            let items = shown.abi.as_array().expect("an ABI");
            let of = |kind| items.iter().filter(|item| item["type"] == kind).count();
            assert_eq!((of("function"), of("event")), (functions, events), "{}", shown.name);
        }
    }
}
