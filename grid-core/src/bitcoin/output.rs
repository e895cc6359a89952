//! What the outputs of a transaction say: payments, data, addresses.

use alloy_primitives::Bytes;
use bitcoin::{Address, Network, Script, TxOut, opcodes::all::OP_RETURN, script::Instruction};
use thiserror::Error;

use super::{network::NetworkParams, tx::Tx};
use crate::ChainId;

/// All satoshis that will ever exist (Core `MAX_MONEY`).
pub const MAX_MONEY: u64 = 21_000_000 * 100_000_000;

/// Why an output does not say what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// No such output.
    #[error("the transaction has no output {output}, it has {count} (numbered from 0)")]
    Missing {
        /// Wanted output.
        output: u32,
        /// Number of outputs.
        count: usize,
    },
    /// More than all money.
    #[error("output {output} has {amount} satoshis, more than exist")]
    Amount {
        /// The output.
        output: u32,
        /// Its amount, satoshis.
        amount: u64,
    },
    /// Not `OP_RETURN` followed by pushes of data.
    #[error("output {0} is not OP_RETURN followed by one or more pushes of data and nothing else")]
    NotData(u32),
}

/// What an output pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The `scriptPubKey`: whom it pays.
    pub script: Bytes,
    /// Amount, satoshis.
    pub amount: u64,
}

fn at(tx: &Tx, output: u32) -> Result<&TxOut, OutputError> {
    let outputs = &tx.inner().output;
    let found = usize::try_from(output).ok().and_then(|at| outputs.get(at));
    found.ok_or(OutputError::Missing { output, count: outputs.len() })
}

/// What an output pays, and to which script.
///
/// # Errors
/// [`OutputError::Missing`], [`OutputError::Amount`].
pub fn payment(tx: &Tx, output: u32) -> Result<Payment, OutputError> {
    let TxOut { value, script_pubkey } = at(tx, output)?;
    let amount = value.to_sat();
    if amount > MAX_MONEY {
        return Err(OutputError::Amount { output, amount });
    }
    Ok(Payment { script: Bytes::copy_from_slice(script_pubkey.as_bytes()), amount })
}

/// The payload of an `OP_RETURN` output; see [`pushed_data`].
///
/// # Errors
/// [`OutputError::Missing`], [`OutputError::NotData`].
pub fn data(tx: &Tx, output: u32) -> Result<Bytes, OutputError> {
    let script = &at(tx, output)?.script_pubkey;
    pushed_data(script.as_bytes()).map(Bytes::from).ok_or(OutputError::NotData(output))
}

/// The payload of a script: `OP_RETURN`, then one or more pushes of data (opcodes `0x00` to `0x4e`), whose bytes
/// are put together in their order; `None` for every other script. Opcodes that push small numbers (`OP_1NEGATE`,
/// `OP_1` to `OP_16`) push no data, and a push that is cut short makes the whole script unreadable.
///
/// Where the limits between pushes matter, the script itself is what [`payment`] gives.
#[must_use]
pub fn pushed_data(script: &[u8]) -> Option<Vec<u8>> {
    let mut instructions = Script::from_bytes(script).instructions();
    if instructions.next()?.ok()? != Instruction::Op(OP_RETURN) {
        return None;
    }
    let mut data = None;
    for instruction in instructions {
        let Instruction::PushBytes(bytes) = instruction.ok()? else { return None };
        data.get_or_insert_with(Vec::new).extend_from_slice(bytes.as_bytes());
    }
    data
}

/// The address that a script pays, as this network writes it. `None` where the script has no address (bare public
/// keys, data, anything unusual) or the network is not one of Bitcoin's. For display: proven is the script.
#[must_use]
pub fn address(chain: &ChainId, script: &[u8]) -> Option<String> {
    let params = NetworkParams::by_chain(chain)?;
    let network = match params.name.as_str() {
        "mainnet" => Network::Bitcoin,
        "testnet3" => Network::Testnet,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        "regtest" => Network::Regtest,
        _ => return None,
    };
    Address::from_script(Script::from_bytes(script), network).ok().map(|found| found.to_string())
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;

    use super::*;

    #[test]
    fn a_payload_is_what_is_pushed_after_op_return() {
        let cases: [(&[u8], Option<&[u8]>); 14] = [
            (&hex!("6a03616263"), Some(b"abc")),
            (&hex!("6a4c03616263"), Some(b"abc")),
            (&hex!("6a4d0300616263"), Some(b"abc")),
            (&hex!("6a4e03000000616263"), Some(b"abc")),
            (&hex!("6a026162020063"), Some(b"ab\0c")),
            (&hex!("6a00"), Some(b"")),
            (&hex!("6a0001610000"), Some(b"a")),
            // Nothing pushed, numbers pushed, another opcode, a push that is cut short.
            (&hex!("6a"), None),
            (&hex!("6a51"), None),
            (&hex!("6a5d0161"), None),
            (&hex!("6a0161ac"), None),
            (&hex!("6a0461"), None),
            (&hex!("0161"), None),
            (&[], None),
        ];
        for (script, expected) in cases {
            assert_eq!(pushed_data(script).as_deref(), expected, "{}", hex::encode(script));
        }
    }

    #[test]
    fn addresses_follow_the_network() {
        // BIP173's example of a pay-to-witness-public-key-hash script.
        let script = hex!("0014751e76e8199196d454941c45d1b3a323f1433bd6");
        let shown = |params: NetworkParams| address(&params.chain_id(), &script).unwrap();
        assert_eq!(shown(NetworkParams::mainnet()), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
        let test = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
        for params in
            [NetworkParams::testnet3(), NetworkParams::testnet4(), NetworkParams::signet()]
        {
            assert_eq!(shown(params), test);
        }
        assert!(shown(NetworkParams::regtest()).starts_with("bcrt1q"));
        let elsewhere = "bip122:12345678901234567890123456789012".parse().unwrap();
        assert_eq!(address(&elsewhere, &script), None);
        // A bare public key has no address.
        let key = [&[33][..], &[2; 33], &[0xac]].concat();
        assert_eq!(address(&NetworkParams::mainnet().chain_id(), &key), None);
    }
}
