//! Messages in Bitcoin blocks, and proofs of them.

use alloy_primitives::{Address, B256, Bytes, hex};
use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime, consensus::serialize, hashes::Hash as _, opcodes::all::OP_RETURN,
    script::PushBytesBuf, transaction::Version,
};
use grid_core::{
    ChainId, ChainKey, CompatHeader,
    bitcoin::{spv::BlockTxs, tx::Tx},
    message::BitcoinNote,
    mmr::{self, Mmr, append_with_nodes},
    proof::{self, CrossChainProof, Inclusion},
    transition::{ExecutedBlock, IndexEvent},
};

use super::CHAIN_ID;

/// What is to be paid.
pub const SCRIPT: [u8; 22] = hex!("0014aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
/// Whose output every message spends.
pub const SENDER_SCRIPT: [u8; 3] = hex!("5152ae");
/// How much is to be paid.
pub const AMOUNT: u64 = 50_000;

pub fn own() -> B256 {
    ChainId::eip155(CHAIN_ID).key().0
}

/// The confirmed headers of a chain, as its index has them.
#[derive(Default)]
pub struct Index(pub Vec<CompatHeader>);

impl Index {
    pub fn follow(&mut self, block: &ExecutedBlock, key: ChainKey) {
        for event in &block.index_events {
            match event {
                IndexEvent::Appended { chain, header } if *chain == key => {
                    self.0.push(header.clone());
                }
                IndexEvent::Reverted { chain, from, .. } if *chain == key => {
                    self.0.retain(|header| header.height < *from);
                }
                _ => {}
            }
        }
    }

    pub fn prove(
        &self,
        block: &ExecutedBlock,
        id: &ChainId,
        height: u64,
        inclusion: Inclusion,
    ) -> CrossChainProof {
        let (mut range, mut nodes) = (Mmr::new(), Vec::new());
        for header in &self.0 {
            nodes.extend(append_with_nodes(&mut range, header.leaf()).into_iter().map(|n| n.1));
        }
        let at = self.0.iter().position(|header| header.height == height).unwrap();
        let branch = mmr::prove(&nodes, range.count(), at as u64).unwrap();
        let header = alloy_rlp::encode(&block.block.header);
        let place = block.entries.iter().position(|entry| entry.chain == id.key().0).unwrap();
        let segment = proof::build::segment(branch, &block.entries, place, header.into()).unwrap();
        let anchor = proof::Anchor::BlockHash { hash: block.hash };
        proof::build::assemble(self.0[at].clone(), id.clone(), inclusion, segment, anchor).unwrap()
    }
}

pub fn output(sats: u64, script: &[u8]) -> TxOut {
    TxOut { value: Amount::from_sat(sats), script_pubkey: ScriptBuf::from_bytes(script.to_vec()) }
}

pub fn raw_tx(spends: (B256, u32), outputs: Vec<TxOut>) -> Vec<u8> {
    let input = TxIn {
        previous_output: OutPoint { txid: Txid::from_byte_array(spends.0.0), vout: spends.1 },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::MAX,
        witness: Witness::new(),
    };
    serialize(&Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: outputs,
    })
}

pub fn note(nonce: u64, recipient: Address, payload: &[u8], ordered: bool, deadline: u32) -> TxOut {
    let destination = own()[..8].try_into().unwrap();
    let payload = Bytes::copy_from_slice(payload);
    let data = BitcoinNote { ordered, destination, nonce, deadline, recipient, payload }.encode();
    let script = ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(PushBytesBuf::try_from(data).unwrap())
        .into_script();
    TxOut { value: Amount::ZERO, script_pubkey: script }
}

/// The transaction whose output the sender spends.
pub fn funding() -> Vec<u8> {
    raw_tx((B256::repeat_byte(9), 0), vec![output(100_000, &SENDER_SCRIPT)])
}

/// A block of a coinbase for a height of one digit, and transactions.
pub fn block_txs(height: u8, txs: &[Vec<u8>]) -> BlockTxs {
    let coinbase = format!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff02{:02x}00ffffffff0100f2052a01000000015100000000",
        0x50 + height
    );
    let raw: Vec<_> =
        [hex::decode(coinbase).unwrap()].into_iter().chain(txs.iter().cloned()).collect();
    BlockTxs::new(&raw).unwrap()
}

/// A transaction of the sender's.
pub fn spend(outputs: Vec<TxOut>) -> Vec<u8> {
    raw_tx((Tx::from_stripped(&funding()).unwrap().id(), 0), outputs)
}
