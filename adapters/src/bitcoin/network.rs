//! Names of the well-known networks.

use grid_core::{ChainId, bitcoin::NetworkParams};

/// The name of a chain for people; `an unknown network` for others.
#[must_use]
pub fn network_name(chain: &ChainId) -> String {
    let known = NetworkParams::all().into_iter().find(|network| network.chain_id() == *chain);
    known.map_or_else(|| "an unknown network".into(), |network| format!("Bitcoin {}", network.name))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use bitcoin::{Network, blockdata::constants::genesis_block, hashes::Hash as _};

    use super::*;

    #[test]
    fn every_genesis_has_its_name() {
        let networks = [
            (Network::Bitcoin, "Bitcoin mainnet"),
            (Network::Testnet, "Bitcoin testnet3"),
            (Network::Testnet4, "Bitcoin testnet4"),
            (Network::Signet, "Bitcoin signet"),
            (Network::Regtest, "Bitcoin regtest"),
        ];
        for (network, name) in networks {
            let genesis = B256::new(genesis_block(network).block_hash().to_byte_array());
            assert_eq!(network_name(&ChainId::bip122(&genesis)), name);
        }
    }
}
