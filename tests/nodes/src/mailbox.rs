//! The mailbox for EVM chains (`contracts/src/GridMailbox.sol`), deployed on anvil. `scripts/build-contracts` compiles it.

use std::time::Duration;

use crate::{Anvil, NodeError};

/// The contract's creation code, hexadecimal.
const CODE: &str = include_str!("../contracts/GridMailbox.hex");
/// The first four bytes of keccak-256 of `send(bytes32,bytes32,uint64,bool,bytes)`.
const SEND: &str = "802c2dc6";
/// How long the deployment may take to be mined.
const DEPLOY: Duration = Duration::from_secs(60);

/// A deployed mailbox.
#[derive(Debug, Clone)]
pub struct Mailbox {
    /// The contract's address.
    pub address: String,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Key of the chain that it is for, hexadecimal.
    pub destination: &'a str,
    /// An address there.
    pub recipient: &'a str,
    /// The last second in which it may take effect, since 1970; 0 for no end.
    pub deadline: u64,
    /// Whether it takes effect only after the ordered messages before it.
    pub ordered: bool,
    /// What it says, hexadecimal.
    pub payload: &'a str,
}

fn word(hex: &str) -> String {
    format!("{:0>64}", hex.trim_start_matches("0x"))
}

impl Mailbox {
    /// Deploys a mailbox that listens to the light client at an address and sends to the Grid chain of that number.
    ///
    /// # Errors
    /// As [`Anvil::send`] and [`Anvil::receipt`].
    pub async fn deploy(anvil: &Anvil, client: &str, grid_chain: u64) -> Result<Self, NodeError> {
        let code = format!("0x{}{}{grid_chain:064x}", CODE.trim(), word(client));
        let hash = anvil.send(anvil.account(0)?, None, &code, 0).await?;
        let receipt = anvil.receipt(&hash, DEPLOY).await?;
        match (receipt["status"].as_str(), receipt["contractAddress"].as_str()) {
            (Some("0x1"), Some(address)) => Ok(Self { address: address.to_owned() }),
            _ => Err(NodeError::unexpected("deploying the mailbox", &receipt)),
        }
    }

    /// Sends a message from a development account; returns the transaction's hash. The transaction is sent, not yet mined.
    ///
    /// # Errors
    /// As [`Anvil::send`].
    pub async fn send(
        &self,
        anvil: &Anvil,
        from: &str,
        message: Outgoing<'_>,
    ) -> Result<String, NodeError> {
        let Outgoing { destination, recipient, deadline, ordered, payload } = message;
        let payload = payload.trim_start_matches("0x");
        let (length, padded) = (payload.len() / 2, payload.len().div_ceil(64) * 64);
        let data = format!(
            "0x{SEND}{}{}{deadline:064x}{:064x}{:064x}{length:064x}{payload:0<padded$}",
            word(destination),
            word(recipient),
            u8::from(ordered),
            160,
        );
        anvil.send(from, Some(&self.address), &data, 0).await
    }
}
