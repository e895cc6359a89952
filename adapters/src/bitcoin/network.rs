//! Names of the well-known networks.

use grid_core::ChainId;

/// The name of a chain for people; `an unknown network` for others.
#[must_use]
pub fn network_name(chain: &ChainId) -> &'static str {
    match chain.reference() {
        "000000000019d6689c085ae165831e93" => "Bitcoin mainnet",
        "000000000933ea01ad0ee984209779ba" => "Bitcoin testnet3",
        "00000000da84f2bafbbc53dee25a72ae" => "Bitcoin testnet4",
        "00000008819873e925422c1ff0f99f7c" => "Bitcoin signet",
        "0f9188f13cb7b2c71f2a335e3a4fc328" => "Bitcoin regtest",
        _ => "an unknown network",
    }
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
