//! Messages in `OP_RETURN` outputs.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, hex, keccak256};
use async_trait::async_trait;
use grid_core::{
    ChainKey,
    bitcoin::{output, tx::Tx},
    message::{BitcoinNote, MAGIC},
};
use serde::Deserialize;
use serde_json::json;

use super::{BitcoinSource, header, material::NOT_FOUND};
use crate::{
    AdapterError, RpcError,
    message::{MessageChain, Sighting, Wanted},
};

/// The part of `getblock` with verbosity 3 that is used.
#[derive(Debug, Deserialize)]
struct Spends {
    tx: Vec<SpendingTx>,
}

/// A transaction there, and in `getrawtransaction` with verbosity 2.
#[derive(Debug, Deserialize)]
struct SpendingTx {
    txid: String,
    vin: Vec<Spent>,
}

/// An input. That of a coinbase has none of these.
#[derive(Debug, Deserialize)]
struct Spent {
    txid: Option<String>,
    prevout: Option<Prevout>,
}

/// The output that an input spends, from what the node keeps to undo blocks.
#[derive(Debug, Deserialize)]
struct Prevout {
    height: u64,
    #[serde(rename = "scriptPubKey")]
    script: Script,
}

#[derive(Debug, Deserialize)]
struct Script {
    hex: String,
}

#[async_trait]
impl MessageChain for BitcoinSource {
    async fn messages(&self, block: B256, wanted: &Wanted) -> Result<Vec<Sighting>, AdapterError> {
        use crate::SourceChain as _;
        self.ensure_network().await?;
        let txs = self.noted(self.block(&block).await)?.txs;
        let mut noted = Vec::new();
        for (id, raw) in txs.stripped() {
            let notes = notes(raw, wanted.destination);
            // A coinbase spends nothing: nobody sent it.
            if !notes.is_empty() && Tx::from_stripped(raw).is_ok_and(|tx| !tx.is_coinbase()) {
                noted.push((*id, notes));
            }
        }
        if noted.is_empty() {
            return Ok(Vec::new());
        }
        // One question for all of them, however many there are.
        let senders = self.noted(self.senders(&block).await)?;
        let source = self.id().key();
        let mut found = Vec::new();
        for (tx, notes) in noted {
            let sender = *senders.get(&header::shown(&tx)).ok_or_else(|| self.no_undo(&tx))?;
            let message = |note: BitcoinNote| note.message(source, sender, wanted.destination);
            found.extend(notes.into_iter().filter_map(|(position, note)| {
                let message = message(note).ok()?;
                Some(Sighting { message, tx, position: position.into() })
            }));
        }
        Ok(found)
    }

    async fn evidence(&self, block: B256, tx: B256) -> Result<Bytes, AdapterError> {
        self.noted(self.spent(&block, &tx).await)
    }
}

/// The messages to a chain in a transaction, by the numbers of their outputs.
fn notes(raw: &[u8], destination: ChainKey) -> Vec<(u32, BitcoinNote)> {
    // Nearly every transaction ends here.
    if !raw.windows(MAGIC.len()).any(|window| window == MAGIC) {
        return Vec::new();
    }
    let Ok(tx) = Tx::from_stripped(raw) else { return Vec::new() };
    let note = |(number, out): (u32, &bitcoin::TxOut)| {
        let data = output::pushed_data(out.script_pubkey.as_bytes())?;
        let note = BitcoinNote::decode(&data).ok()?;
        note.is_for(destination).then_some((number, note))
    };
    (0u32..).zip(&tx.inner().output).filter_map(note).collect()
}

impl BitcoinSource {
    /// Who sent the transactions of a block, by their ids as people write them: `keccak256` of the script that the first input
    /// spends. It is not proven here; a delivery is refused where the node has lied.
    async fn senders(&self, block: &B256) -> Result<BTreeMap<String, B256>, AdapterError> {
        let params = json!([header::shown(block), 3]);
        let Spends { tx } = self.rpc.call_as("getblock", params).await?;
        let sender = |tx: SpendingTx| {
            let prevout = tx.vin.into_iter().next()?.prevout?;
            let script = hex::decode(prevout.script.hex).ok()?;
            Some((tx.txid, keccak256(script)))
        };
        Ok(tx.into_iter().filter_map(sender).collect())
    }

    /// The transaction that the first input of a transaction of a block spends, without witness.
    async fn spent(&self, block: &B256, tx: &B256) -> Result<Bytes, AdapterError> {
        let method = "getrawtransaction";
        let params = json!([header::shown(tx), 2, header::shown(block)]);
        let SpendingTx { vin, .. } = self.rpc.call_as(method, params).await?;
        let Some(Spent { txid: Some(spent), prevout }) = vin.into_iter().next() else {
            return Err(self.bad_answer(method, format!("no first input of {}", header::shown(tx))));
        };
        let hex: Result<String, _> = self.rpc.call_as(method, json!([spent, false])).await;
        let hex = match hex {
            // Without a transaction index the node finds it by its block.
            Err(RpcError::Server { code: NOT_FOUND, .. }) => {
                let height = prevout.ok_or_else(|| self.no_undo(tx))?.height;
                let home: String = self.rpc.call_as("getblockhash", json!([height])).await?;
                self.rpc.call_as(method, json!([spent, false, home])).await?
            }
            hex => hex?,
        };
        let raw = hex::decode(&hex).ok().and_then(|raw| Tx::strip(&raw).ok());
        let unusable = || self.bad_answer(method, "expected a transaction".into());
        raw.map(Bytes::from).ok_or_else(unusable)
    }

    fn no_undo(&self, tx: &B256) -> AdapterError {
        AdapterError::Unavailable {
            endpoint: self.rpc.endpoint().into(),
            what: format!("what transaction {} spends", header::shown(tx)),
            reason: "the node does not say it; use Bitcoin Core 25 or later that has not pruned the block".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use bitcoin::{
        Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
        absolute::LockTime, consensus::serialize, hashes::Hash as _, opcodes::all::OP_RETURN,
        script::PushBytesBuf, transaction::Version,
    };
    use grid_core::ChainId;

    use super::*;

    fn note(destination: ChainKey) -> BitcoinNote {
        BitcoinNote {
            ordered: false,
            destination: *destination.0.first_chunk().unwrap(),
            nonce: 4,
            deadline: 0,
            recipient: Address::repeat_byte(7),
            payload: Bytes::from_static(b"hi"),
        }
    }

    fn op_return(data: Vec<u8>) -> ScriptBuf {
        let data = PushBytesBuf::try_from(data).unwrap();
        ScriptBuf::builder().push_opcode(OP_RETURN).push_slice(data).into_script()
    }

    fn tx(scripts: Vec<ScriptBuf>) -> Vec<u8> {
        let input = TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([9; 32]), vout: 0 },
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let output = |script_pubkey| TxOut { value: Amount::ZERO, script_pubkey };
        serialize(&Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![input],
            output: scripts.into_iter().map(output).collect(),
        })
    }

    #[test]
    fn only_messages_to_the_chain_are_seen_with_their_places() {
        let [own, other] = [1, 2].map(|number| ChainId::eip155(number).key());
        let (good, foreign) = (note(own), note(other));
        let mut broken = good.encode();
        broken[4] = 9;
        let raw = tx(vec![
            op_return(b"GRID and something else".to_vec()),
            op_return(foreign.encode()),
            op_return(good.encode()),
            op_return(broken),
            ScriptBuf::from_bytes(good.encode()),
        ]);
        assert_eq!(notes(&raw, own), [(2, good)]);
        assert_eq!(notes(&raw, other), [(1, foreign)]);
        assert!(notes(&tx(vec![op_return(b"hello".to_vec())]), own).is_empty());
        assert!(notes(&raw[..raw.len() - 1], own).is_empty());
    }
}
