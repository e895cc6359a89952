//! The development network's token contract: balances in storage and a `Transfer` event for each
//! payment. Its source is `contracts/Token.sol`; `scripts/build-contracts` compiles it.

use std::time::Duration;

use crate::{Anvil, NodeError};

/// The contract's creation code, hexadecimal.
const CODE: &str = include_str!("../contracts/Token.hex");
/// The first four bytes of keccak-256 of `transfer(address,uint256)`.
const TRANSFER: &str = "a9059cbb";
/// How long the deployment may take to be mined.
const DEPLOY: Duration = Duration::from_secs(60);

/// A deployed token.
#[derive(Debug, Clone)]
pub struct Token {
    /// The contract's address.
    pub address: String,
}

impl Token {
    /// Deploys the token from the first development account, which then owns the supply.
    ///
    /// # Errors
    /// As [`Anvil::send`] and [`Anvil::receipt`].
    pub async fn deploy(anvil: &Anvil) -> Result<Self, NodeError> {
        let code = format!("0x{}", CODE.trim());
        let hash = anvil.send(anvil.account(0)?, None, &code, 0).await?;
        let receipt = anvil.receipt(&hash, DEPLOY).await?;
        match (receipt["status"].as_str(), receipt["contractAddress"].as_str()) {
            (Some("0x1"), Some(address)) => Ok(Self { address: address.to_owned() }),
            _ => Err(NodeError::unexpected("deploying the token", &receipt)),
        }
    }

    /// Moves tokens from the first development account; returns the transaction's hash. The
    /// transaction is sent, not yet mined.
    ///
    /// # Errors
    /// As [`Anvil::send`].
    pub async fn transfer(
        &self,
        anvil: &Anvil,
        to: &str,
        value: u128,
    ) -> Result<String, NodeError> {
        let to = to.trim_start_matches("0x");
        let data = format!("0x{TRANSFER}{to:0>64}{value:064x}");
        anvil.send(anvil.account(0)?, Some(&self.address), &data, 0).await
    }
}
