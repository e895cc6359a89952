//! The files that tell other tools of the system contracts are those of `modules/abi.rs`: Solidity interfaces in
//! `contracts/interfaces`, ABI JSON in `contracts/abi`.
//!
//! `GRID_WRITE_DOCS=1` writes the files instead.

use std::{collections::BTreeSet, fs, path::Path};

use alloy_json_abi::JsonAbi;
use alloy_primitives::Address;
use alloy_sol_types::{SolEventInterface, SolInterface};
use grid_core::modules::abi::{
    ESCROW, Escrow, GUARANTEE, Guarantee, LIGHT_CLIENTS, LightClients, MAILBOX, Mailbox, PROOFS,
    Proofs, REGISTRY, Registry, STAKING, SYSTEM_CONTRACTS, Staking,
};

const SOURCE: &str = include_str!("../src/modules/abi.rs");

/// A contract: name, address, selectors of its functions, of its events.
type Contract = (&'static str, Address, BTreeSet<[u8; 4]>, BTreeSet<[u8; 32]>);

fn contract<F: SolInterface, E: SolEventInterface>(
    name: &'static str,
    address: Address,
    functions: &[[u8; 4]],
    events: &[[u8; 32]],
) -> Contract {
    assert_eq!((functions.len(), events.len()), (F::COUNT, E::COUNT));
    (name, address, functions.iter().copied().collect(), events.iter().copied().collect())
}

fn contracts() -> Vec<Contract> {
    macro_rules! contracts {
        ($($name:ident $address:ident $calls:ident $events:ident),+ $(,)?) => {
            vec![$(contract::<$name::$calls, $name::$events>(
                stringify!($name), $address, $name::$calls::SELECTORS, $name::$events::SELECTORS,
            )),+]
        };
    }
    contracts![
        Registry REGISTRY RegistryCalls RegistryEvents,
        LightClients LIGHT_CLIENTS LightClientsCalls LightClientsEvents,
        Proofs PROOFS ProofsCalls ProofsEvents,
        Mailbox MAILBOX MailboxCalls MailboxEvents,
        Escrow ESCROW EscrowCalls EscrowEvents,
        Guarantee GUARANTEE GuaranteeCalls GuaranteeEvents,
        Staking STAKING StakingCalls StakingEvents,
    ]
}

/// The lines of an interface in the source, with the words above it.
fn interface(name: &str) -> Vec<&'static str> {
    let lines: Vec<_> =
        SOURCE.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    let head = format!("interface {name} {{");
    let start = lines.iter().position(|line| *line == head).expect("it is in the source");
    let end = lines[start..].iter().position(|line| *line == "}").expect("it ends") + start;
    let above = lines[..start].iter().rposition(|line| line.is_empty() || *line == "sol! {");
    let above = above.map_or(start, |line| line + 1);
    lines[above..=end].iter().copied().filter(|line| !line.starts_with("#[")).collect()
}

fn is_dynamic(kind: &str, structs: &[&str]) -> bool {
    kind == "bytes" || kind == "string" || kind.ends_with(']') || structs.contains(&kind)
}

/// A line of the interface as Solidity's compiler takes it: parameters of functions say where they are.
fn solidity(line: &str, structs: &[&str]) -> String {
    let Some((head, rest)) = line.split_once('(').filter(|(head, _)| head.contains("function "))
    else {
        return line.to_owned();
    };
    let (params, tail) = rest.split_once(')').expect("it closes");
    let located = params.split(", ").map(|param| match param.split_once(' ') {
        Some((kind, name)) if is_dynamic(kind, structs) => format!("{kind} calldata {name}"),
        _ => param.to_owned(),
    });
    format!("{head}({}){tail}", located.collect::<Vec<_>>().join(", "))
}

/// A struct's name, and the types and names of its fields.
type Struct = (&'static str, Vec<(&'static str, &'static str)>);

fn structs(lines: &[&'static str]) -> Vec<Struct> {
    let found = lines.iter().filter_map(|line| {
        let (name, fields) = line.trim().strip_prefix("struct ")?.split_once(" { ")?;
        let fields = fields.trim_end_matches(['}', ' ', ';']).split("; ");
        Some((name, fields.filter_map(|field| field.split_once(' ')).collect()))
    });
    found.collect()
}

/// An item with its structs as tuples, whose fields the parser takes without names.
fn flattened(item: &str, structs: &[Struct]) -> String {
    structs.iter().fold(item.to_owned(), |item, (name, fields)| {
        let kinds: Vec<_> = fields.iter().map(|(kind, _)| *kind).collect();
        item.replace(&format!("{name} "), &format!("({}) ", kinds.join(",")))
    })
}

/// Gives the fields of tuples the names that they have in the struct.
fn name_fields(abi: &mut JsonAbi, structs: &[Struct]) {
    let functions = abi.functions.values_mut().flatten();
    for param in functions.flat_map(|one| one.inputs.iter_mut().chain(&mut one.outputs)) {
        let kinds: Vec<_> = param.components.iter().map(|field| field.ty.clone()).collect();
        let of = structs.iter().find(|(_, fields)| {
            fields.iter().map(|(kind, _)| *kind).eq(kinds.iter().map(String::as_str))
        });
        for (field, (_, name)) in param.components.iter_mut().zip(of.into_iter().flat_map(|s| &s.1))
        {
            field.name = (*name).to_owned();
        }
    }
}

fn check(file: &Path, text: &str) {
    if std::env::var_os("GRID_WRITE_DOCS").is_some() {
        fs::create_dir_all(file.parent().expect("a folder")).expect("the folder can be made");
        fs::write(file, text).expect("the file can be written");
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    assert!(written == text, "{} is old: run this test with GRID_WRITE_DOCS=1", file.display());
}

#[test]
fn interfaces_and_abis_of_all_system_contracts_are_the_nodes_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
    let contracts = contracts();
    let addresses: BTreeSet<_> = contracts.iter().map(|(_, address, ..)| *address).collect();
    assert_eq!(addresses, SYSTEM_CONTRACTS.into_iter().collect());
    for (name, address, functions, events) in contracts {
        let lines = interface(name);
        let structs = structs(&lines);
        let names: Vec<_> = structs.iter().map(|(name, _)| *name).collect();
        let body: Vec<_> = lines.iter().map(|line| solidity(line, &names)).collect();
        let text = format!(
            "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.20;\n\n// Generated from grid-core/src/modules/abi.rs.\n// The system contract at {address}.\n\n{}\n",
            body.join("\n")
        );
        check(&folder.join(format!("interfaces/{name}.sol")), &text);

        let items: Vec<_> = lines
            .iter()
            .map(|line| line.trim().trim_end_matches(';'))
            .filter(|line| {
                ["function ", "event ", "error "].iter().any(|word| line.starts_with(word))
            })
            .map(|line| flattened(line, &structs))
            .collect();
        let mut abi = JsonAbi::parse(items.iter().map(String::as_str)).expect("an ABI");
        name_fields(&mut abi, &structs);
        let found: BTreeSet<[u8; 4]> = abi.functions().map(|one| one.selector().0).collect();
        assert_eq!(found, functions, "{name}");
        let found: BTreeSet<[u8; 32]> = abi.events().map(|one| one.selector().0).collect();
        assert_eq!(found, events, "{name}");
        let text = serde_json::to_string_pretty(&abi).expect("JSON") + "\n";
        check(&folder.join(format!("abi/{name}.json")), &text);
    }
}
