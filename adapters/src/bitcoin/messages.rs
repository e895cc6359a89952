//! Messages in `OP_RETURN` outputs.

use alloy_primitives::{B256, Bytes, hex};
use async_trait::async_trait;
use bitcoin::hashes::Hash as _;
use grid_core::{
    ChainKey,
    bitcoin::{output, spv::BlockTxs, tx::Tx},
    message::{BitcoinNote, MAGIC, sender_of},
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

#[derive(Debug, Deserialize)]
struct SpendingTx {
    txid: String,
    vin: Vec<Spent>,
}

#[derive(Debug, Deserialize)]
struct Spent {
    prevout: Option<Prevout>,
}

#[derive(Debug, Deserialize)]
struct Prevout {
    height: u64,
}

#[async_trait]
impl MessageChain for BitcoinSource {
    async fn messages(&self, block: B256, wanted: &Wanted) -> Result<Vec<Sighting>, AdapterError> {
        use crate::SourceChain as _;
        self.ensure_network().await?;
        let txs = self.noted(self.block(&block).await)?.txs;
        let mut found = Vec::new();
        for (id, raw) in txs.stripped() {
            let notes = notes(raw, wanted.destination);
            let Some(tx) = notes.first().and_then(|_| Tx::from_stripped(raw).ok()) else {
                continue;
            };
            // A coinbase spends nothing: nobody sent it.
            if tx.is_coinbase() {
                continue;
            }
            let evidence = self.noted(self.spent(&block, &tx, &txs).await)?;
            let Ok(sender) = sender_of(&tx, &evidence) else {
                let reason = format!("not what {} spends", header::shown(id));
                return Err(self.bad_answer("getrawtransaction", reason));
            };
            let source = self.id().key();
            for (position, note) in notes {
                let Ok(message) = note.message(source, sender, wanted.destination) else {
                    continue;
                };
                let (evidence, position) = (evidence.clone(), position.into());
                found.push(Sighting { message, tx: *id, position, evidence });
            }
        }
        Ok(found)
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
    /// The transaction that the first input of a transaction of a block spends, without witness.
    async fn spent(&self, block: &B256, tx: &Tx, txs: &BlockTxs) -> Result<Bytes, AdapterError> {
        let input = tx.inner().input.first();
        let spent = input.map(|input| B256::new(input.previous_output.txid.to_byte_array()));
        let spent = spent.ok_or_else(|| self.bad_answer("getblock", "no input".into()))?;
        if let Some((_, raw)) = txs.stripped().find(|(id, _)| **id == spent) {
            return Ok(raw.clone());
        }
        let shown = header::shown(&spent);
        let hex: Result<String, _> =
            self.rpc.call_as("getrawtransaction", json!([shown, false])).await;
        let hex = match hex {
            // Without a transaction index the node finds it by its block.
            Err(RpcError::Server { code: NOT_FOUND, .. }) => {
                let home = self.home_of_spent(block, &tx.id()).await?;
                let params = json!([shown, false, header::shown(&home)]);
                self.rpc.call_as("getrawtransaction", params).await?
            }
            hex => hex?,
        };
        let raw = hex::decode(&hex).ok().and_then(|raw| Tx::strip(&raw).ok());
        let unusable = || self.bad_answer("getrawtransaction", "expected a transaction".into());
        raw.map(Bytes::from).ok_or_else(unusable)
    }

    /// The block of the output that the first input of a transaction spends: what the node keeps to undo blocks tells it.
    async fn home_of_spent(&self, block: &B256, txid: &B256) -> Result<B256, AdapterError> {
        let params = json!([header::shown(block), 3]);
        let Spends { tx } = self.rpc.call_as("getblock", params).await?;
        let id = header::shown(txid);
        let first =
            tx.into_iter().find(|tx| tx.txid == id).and_then(|tx| tx.vin.into_iter().next());
        let Some(height) = first.and_then(|spent| spent.prevout).map(|out| out.height) else {
            return Err(AdapterError::Unavailable {
                endpoint: self.rpc.endpoint().into(),
                what: format!("what transaction {id} spends"),
                reason: "the node keeps no undo data of its block and has no transaction index; use a node that \
                         is not pruned, of Bitcoin Core 25 or later, or set txindex=1"
                    .into(),
            });
        };
        let hash: String = self.rpc.call_as("getblockhash", json!([height])).await?;
        self.hash("getblockhash", &hash)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use bitcoin::{
        Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
        absolute::LockTime, consensus::serialize, opcodes::all::OP_RETURN, script::PushBytesBuf,
        transaction::Version,
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
