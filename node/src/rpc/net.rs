//! `net_*`, `web3_*`, and the constants among `eth_*`.

use alloy_primitives::{Address, Bytes, U64, keccak256};

use super::{Methods, args::quantity};

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
    methods.add("net_version", 0, |context, _| Ok(context.chain.id().to_string()));
    methods.add("net_listening", 0, |_, _| Ok(true));
    methods.add("net_peerCount", 0, |_, _| Ok(U64::ZERO));
    methods.add("web3_clientVersion", 0, |_, _| Ok(client_version()));
    methods.add("web3_sha3", 1, |_, args| Ok(keccak256(args.required::<Bytes>("data")?)));
    methods.add("eth_chainId", 0, |context, _| Ok(quantity(context.chain.id())));
    // A node without the newest block is a node that has not caught up; it then has no newer one to
    // compare with either, so nothing can be told here.
    methods.add("eth_syncing", 0, |_, _| Ok(false));
    // The node keeps no accounts.
    methods.add("eth_accounts", 0, |_, _| Ok(Vec::<Address>::new()));
    methods.add("eth_mining", 0, |_, _| Ok(false));
}
