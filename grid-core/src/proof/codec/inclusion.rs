//! Inclusions in binary form.

use alloy_sol_types::{SolValue, sol};

use super::{CodecError, TaggedWire, invalid, optional, read};
use crate::{
    bitcoin::spv::{IndexedTx, TxProof, TxsProof, WitnessProof},
    proof::{
        ethereum::{EthereumProof, EthereumRef, ancestor::AncestorProof},
        types::{Inclusion, OutputRef},
    },
};

sol! {
    struct BitcoinTxBody { bytes raw; uint64 index; bytes32[] branch; bytes coinbase; bytes32[] coinbaseBranch; }
    struct EthereumBody { TaggedWire[] facts; bytes[] nodes; bytes[] receipts; bytes[] codes; }
    struct AncestorBody { bytes ancestor; bytes[] nodes; EthereumBody facts; }
    struct ReceiptFact { uint64 index; uint64[] log; }
    struct LogsFact { address account; bytes32[] topic; }
    struct CodeFact { address account; bool withBytes; }
    struct StorageFact { address account; bytes32 slot; }
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
        Inclusion::Ethereum(proof) => (1, EthereumBody::from(proof).abi_encode()),
        Inclusion::EthereumAncestor(AncestorProof { ancestor, nodes, facts }) => {
            (14, AncestorBody { ancestor, nodes, facts: facts.into() }.abi_encode())
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
        1 => Inclusion::Ethereum(facts(read(part, body)?)?),
        14 => {
            let AncestorBody { ancestor, nodes, facts: wire } = read(part, body)?;
            Inclusion::EthereumAncestor(AncestorProof { ancestor, nodes, facts: facts(wire)? })
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

impl From<EthereumProof> for EthereumBody {
    fn from(EthereumProof { facts, nodes, receipts, codes }: EthereumProof) -> Self {
        Self { facts: facts.iter().map(TaggedWire::from).collect(), nodes, receipts, codes }
    }
}

fn facts(wire: EthereumBody) -> Result<EthereumProof, CodecError> {
    let EthereumBody { facts, nodes, receipts, codes } = wire;
    let facts = facts.iter().map(fact).collect::<Result<_, _>>()?;
    Ok(EthereumProof { facts, nodes, receipts, codes })
}

/// A fact has the number of its claim.
impl From<&EthereumRef> for TaggedWire {
    fn from(fact: &EthereumRef) -> Self {
        let (kind, body) = match *fact {
            EthereumRef::Transaction { index } => (1, index.abi_encode()),
            EthereumRef::Receipt { index, log } => {
                let log = log.into_iter().collect();
                (2, ReceiptFact { index, log }.abi_encode())
            }
            EthereumRef::Account { address } => (3, address.abi_encode()),
            EthereumRef::Storage { address: account, slot } => {
                (4, StorageFact { account, slot }.abi_encode())
            }
            EthereumRef::Code { address: account, bytes } => {
                (10, CodeFact { account, withBytes: bytes }.abi_encode())
            }
            EthereumRef::TransactionCount { count } => (11, count.abi_encode()),
            EthereumRef::Logs { address: account, topic } => {
                let topic = topic.into_iter().collect();
                (12, LogsFact { account, topic }.abi_encode())
            }
        };
        Self { kind, body: body.into() }
    }
}

fn fact(TaggedWire { kind, body }: &TaggedWire) -> Result<EthereumRef, CodecError> {
    let part = "fact";
    Ok(match kind {
        1 => EthereumRef::Transaction { index: read(part, body)? },
        2 => {
            let ReceiptFact { index, log } = read(part, body)?;
            EthereumRef::Receipt { index, log: optional("log of a fact", log)? }
        }
        3 => EthereumRef::Account { address: read(part, body)? },
        4 => {
            let StorageFact { account, slot } = read(part, body)?;
            EthereumRef::Storage { address: account, slot }
        }
        10 => {
            let CodeFact { account, withBytes } = read(part, body)?;
            EthereumRef::Code { address: account, bytes: withBytes }
        }
        11 => EthereumRef::TransactionCount { count: read(part, body)? },
        12 => {
            let LogsFact { account, topic } = read(part, body)?;
            EthereumRef::Logs { address: account, topic: optional("topic of a fact", topic)? }
        }
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
