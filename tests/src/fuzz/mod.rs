//! Fuzz targets: one function for each parser of bytes from outside.
//!
//! A target takes any bytes and must come back; what it asserts on the way must hold for all of them.
//! `tests/tests/fuzz.rs` runs each target briefly over real data and mutations of it; the programs
//! in `fuzz/` run them under libFuzzer.

mod consensus;
mod ethereum;
mod gossip;
mod headers;
mod light_client;
mod mutate;
mod p2p;
mod proof;
mod rpc;
mod seeds;
mod seeds_ethereum;
mod spv;

use std::path::Path;

pub use consensus::{commit_certificate, consensus_messages, decided_blocks, proposal_parts};
pub use ethereum::{execution_header, receipts, trie_nodes};
pub use gossip::{gossip_messages, grid_transaction};
pub use headers::headers;
pub use light_client::{
    light_client_conflict, light_client_json, light_client_ssz, light_client_store, sync_data,
};
pub use mutate::mutate;
pub use p2p::p2p_messages;
pub use proof::{block_proof, proof_binary, proof_json};
pub use rpc::rpc_request;
pub use spv::{block, merkle_block, transaction};

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its program in `fuzz/`.
    pub name: &'static str,
    /// Tries it on some bytes; panics where something does not hold.
    pub run: fn(&[u8]),
    /// Real inputs, from a folder of test data.
    pub seeds: fn(&Path) -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "headers", run: headers, seeds: seeds::headers },
    Target { name: "p2p_messages", run: p2p_messages, seeds: seeds::p2p_messages },
    Target { name: "merkle_block", run: merkle_block, seeds: seeds::merkle_blocks },
    Target { name: "transaction", run: transaction, seeds: seeds::transactions },
    Target { name: "block", run: block, seeds: seeds::blocks },
    Target { name: "block_proof", run: block_proof, seeds: seeds::block_proofs },
    Target { name: "proof_binary", run: proof_binary, seeds: seeds::binary_proofs },
    Target { name: "proof_json", run: proof_json, seeds: seeds::json_proofs },
    Target {
        name: "light_client_ssz",
        run: light_client_ssz,
        seeds: seeds_ethereum::light_client_ssz,
    },
    Target {
        name: "light_client_json",
        run: light_client_json,
        seeds: seeds_ethereum::light_client_json,
    },
    Target { name: "sync_data", run: sync_data, seeds: seeds_ethereum::sync_data },
    Target {
        name: "light_client_store",
        run: light_client_store,
        seeds: seeds_ethereum::light_client_stores,
    },
    Target {
        name: "light_client_conflict",
        run: light_client_conflict,
        seeds: seeds_ethereum::light_client_conflicts,
    },
    Target {
        name: "execution_header",
        run: execution_header,
        seeds: seeds_ethereum::execution_headers,
    },
    Target { name: "trie_nodes", run: trie_nodes, seeds: seeds_ethereum::trie_nodes },
    Target { name: "gossip_messages", run: gossip_messages, seeds: gossip::messages },
    Target { name: "grid_transaction", run: grid_transaction, seeds: gossip::transactions },
    Target { name: "consensus_messages", run: consensus_messages, seeds: consensus::seeds },
    Target { name: "proposal_parts", run: proposal_parts, seeds: consensus::seeds },
    Target { name: "decided_blocks", run: decided_blocks, seeds: consensus::seeds },
    Target {
        name: "commit_certificate",
        run: commit_certificate,
        seeds: consensus::certificate_seeds,
    },
    Target { name: "rpc_request", run: rpc_request, seeds: rpc::requests },
    Target { name: "receipts", run: receipts, seeds: seeds_ethereum::receipts },
];
