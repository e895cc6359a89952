//! `net_*`, `web3_*`, and the constants among `eth_*`.

use alloy_primitives::{Address, Bytes, keccak256};

use super::{Method, Methods, args::quantity, required};

/// `web3_clientVersion`.
pub(super) fn client_version() -> String {
    format!(
        "grid/v{}/{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

pub(super) fn register(methods: &mut Methods) {
    let constant = |name, result, summary| Method::new(name, &[], result, summary);
    let version = constant("net_version", "String", "The chain id as a decimal string.");
    methods.add(version, |context, _| Ok(context.chain.id().to_string()));
    let listening = constant("net_listening", "Boolean", "True.");
    methods.add(listening, |_, _| Ok(true));
    let peers = constant("net_peerCount", "Quantity", "How many peers the node is connected to.");
    methods.add(peers, |context, _| Ok(quantity(context.health.status().peers)));
    let client = constant("web3_clientVersion", "String", "Name, version and platform.");
    methods.add(client, |_, _| Ok(client_version()));
    let params = &[required("data", "Bytes")];
    let sha3 = Method::new("web3_sha3", params, "Hash", "keccak256 of the data.");
    methods.add(sha3, |_, args| Ok(keccak256(args.required::<Bytes>()?)));
    let id = constant("eth_chainId", "Quantity", "The EIP-155 chain id.");
    methods.add(id, |context, _| Ok(quantity(context.chain.id())));
    let summary = "False, or how far the node has come while its peers have more blocks.";
    methods.add(constant("eth_syncing", "Syncing", summary), |context, _| Ok(context.syncing()));
    let accounts = constant("eth_accounts", "[Address]", "Empty: the node keeps no accounts.");
    methods.add(accounts, |_, _| Ok(Vec::<Address>::new()));
    let mining = constant("eth_mining", "Boolean", "False: there is no mining.");
    methods.add(mining, |_, _| Ok(false));
}
