//! Inclusions in binary form.

use alloy_sol_types::{SolValue, sol};

use super::{CodecError, TaggedWire, invalid, optional, read};
use crate::{
    bitcoin::spv::{IndexedTx, TxProof, TxsProof, WitnessProof},
    proof::types::{Inclusion, OutputRef},
};

sol! {
    struct BitcoinTxBody { bytes raw; uint64 index; bytes32[] branch; bytes coinbase; bytes32[] coinbaseBranch; }
    struct TransactionBody { uint64 index; bytes[] nodes; }
    struct ReceiptBody { uint64 index; bytes[] nodes; uint64[] log; }
    struct AccountBody { address account; bytes[] nodes; }
    struct StorageBody { address account; bytes[] accountNodes; bytes32 slot; bytes[] storageNodes; }
    struct BitcoinOutputBody { uint32 output; BitcoinTxBody tx; }
    struct BitcoinWitnessBody {
        bytes raw; uint64 index; bytes32[] branch; bytes32[] witnessBranch;
        bytes coinbase; bytes32[] coinbaseBranch; bytes32 reservedValue;
    }
    struct IndexedTxWire { uint64 index; bytes raw; }
    struct OutputWire { uint64 index; uint32 output; }
    struct BitcoinTxsBody {
        uint8 depth; IndexedTxWire[] transactions; bytes coinbase; bytes32[] nodes;
        OutputWire[] payments; OutputWire[] data;
    }
}

pub(super) fn encode(inclusion: &Inclusion) -> TaggedWire {
    let (kind, body) = match inclusion.clone() {
        Inclusion::BitcoinTx(proof) => (0, BitcoinTxBody::from(proof).abi_encode()),
        Inclusion::Transaction { index, nodes } => {
            (1, TransactionBody { index, nodes }.abi_encode())
        }
        Inclusion::Receipt { index, nodes, log } => {
            let log = log.into_iter().collect();
            (2, ReceiptBody { index, nodes, log }.abi_encode())
        }
        Inclusion::Account { address, nodes } => {
            (3, AccountBody { account: address, nodes }.abi_encode())
        }
        Inclusion::Storage { address: account, account_nodes, slot, storage_nodes } => {
            let wire = StorageBody {
                account,
                accountNodes: account_nodes,
                slot,
                storageNodes: storage_nodes,
            };
            (4, wire.abi_encode())
        }
        Inclusion::HeaderOnly {} => (5, Vec::new()),
        Inclusion::BitcoinPayment { output, tx } => {
            (6, BitcoinOutputBody { output, tx: tx.into() }.abi_encode())
        }
        Inclusion::BitcoinData { output, tx } => {
            (7, BitcoinOutputBody { output, tx: tx.into() }.abi_encode())
        }
        Inclusion::BitcoinWitness(proof) => (8, BitcoinWitnessBody::from(proof).abi_encode()),
        Inclusion::BitcoinTxs { txs, payments, data } => {
            (9, BitcoinTxsBody::from((txs, payments, data)).abi_encode())
        }
    };
    TaggedWire { kind, body: body.into() }
}

pub(super) fn decode(TaggedWire { kind, body }: &TaggedWire) -> Result<Inclusion, CodecError> {
    let part = "inclusion";
    Ok(match kind {
        0 => Inclusion::BitcoinTx(read::<BitcoinTxBody>(part, body)?.into()),
        1 => {
            let TransactionBody { index, nodes } = read(part, body)?;
            Inclusion::Transaction { index, nodes }
        }
        2 => {
            let ReceiptBody { index, nodes, log } = read(part, body)?;
            Inclusion::Receipt { index, nodes, log: optional("log of the inclusion", log)? }
        }
        3 => {
            let AccountBody { account, nodes } = read(part, body)?;
            Inclusion::Account { address: account, nodes }
        }
        4 => {
            let StorageBody { account, accountNodes, slot, storageNodes } = read(part, body)?;
            let (account_nodes, storage_nodes) = (accountNodes, storageNodes);
            Inclusion::Storage { address: account, account_nodes, slot, storage_nodes }
        }
        6 => {
            let BitcoinOutputBody { output, tx } = read(part, body)?;
            Inclusion::BitcoinPayment { output, tx: tx.into() }
        }
        7 => {
            let BitcoinOutputBody { output, tx } = read(part, body)?;
            Inclusion::BitcoinData { output, tx: tx.into() }
        }
        8 => Inclusion::BitcoinWitness(read::<BitcoinWitnessBody>(part, body)?.into()),
        9 => several(read(part, body)?),
        5 if body.is_empty() => Inclusion::HeaderOnly {},
        5 => return Err(invalid(part, &"a header needs no inclusion body")),
        kind => return Err(CodecError::Kind { part, kind: *kind }),
    })
}

impl From<TxProof> for BitcoinTxBody {
    fn from(proof: TxProof) -> Self {
        let TxProof { raw, index, branch, coinbase, coinbase_branch } = proof;
        Self { raw, index, branch, coinbase, coinbaseBranch: coinbase_branch }
    }
}

impl From<BitcoinTxBody> for TxProof {
    fn from(wire: BitcoinTxBody) -> Self {
        let BitcoinTxBody { raw, index, branch, coinbase, coinbaseBranch } = wire;
        Self { raw, index, branch, coinbase, coinbase_branch: coinbaseBranch }
    }
}

impl From<WitnessProof> for BitcoinWitnessBody {
    fn from(proof: WitnessProof) -> Self {
        Self {
            raw: proof.raw,
            index: proof.index,
            branch: proof.branch,
            witnessBranch: proof.witness_branch,
            coinbase: proof.coinbase,
            coinbaseBranch: proof.coinbase_branch,
            reservedValue: proof.reserved_value,
        }
    }
}

impl From<BitcoinWitnessBody> for WitnessProof {
    fn from(wire: BitcoinWitnessBody) -> Self {
        Self {
            raw: wire.raw,
            index: wire.index,
            branch: wire.branch,
            witness_branch: wire.witnessBranch,
            coinbase: wire.coinbase,
            coinbase_branch: wire.coinbaseBranch,
            reserved_value: wire.reservedValue,
        }
    }
}

impl From<(TxsProof, Vec<OutputRef>, Vec<OutputRef>)> for BitcoinTxsBody {
    fn from((txs, payments, data): (TxsProof, Vec<OutputRef>, Vec<OutputRef>)) -> Self {
        let TxsProof { depth, transactions, coinbase, nodes } = txs;
        let transaction = |IndexedTx { index, raw }| IndexedTxWire { index, raw };
        let transactions = transactions.into_iter().map(transaction).collect();
        let outputs = |list: Vec<OutputRef>| list.into_iter().map(Into::into).collect();
        let (payments, data) = (outputs(payments), outputs(data));
        Self { depth, transactions, coinbase, nodes, payments, data }
    }
}

fn several(wire: BitcoinTxsBody) -> Inclusion {
    let BitcoinTxsBody { depth, transactions, coinbase, nodes, payments, data } = wire;
    let transaction = |IndexedTxWire { index, raw }| IndexedTx { index, raw };
    let transactions = transactions.into_iter().map(transaction).collect();
    let outputs = |list: Vec<OutputWire>| list.into_iter().map(Into::into).collect();
    let txs = TxsProof { depth, transactions, coinbase, nodes };
    Inclusion::BitcoinTxs { txs, payments: outputs(payments), data: outputs(data) }
}

impl From<OutputRef> for OutputWire {
    fn from(OutputRef { index, output }: OutputRef) -> Self {
        Self { index, output }
    }
}

impl From<OutputWire> for OutputRef {
    fn from(OutputWire { index, output }: OutputWire) -> Self {
        Self { index, output }
    }
}
