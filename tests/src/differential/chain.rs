//! Headers as the generator makes them: a list in which every header knows its parent's place.
//!
//! What a child needs is found by walking, as Bitcoin Core does it. Nothing is judged here: a mistake
//! only makes headers that both sides refuse.

use alloy_primitives::{B256, U256};
use grid_core::bitcoin::{Header, NetworkParams, header::sha256d, rules::retarget, target};

/// How many hashes may be spent on one header.
const MOST_WORK: u32 = 1 << 10;

/// A header with its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) header: Header,
    pub(super) hash: B256,
    pub(super) height: u64,
    parent: Option<usize>,
}

/// All headers made so far.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) params: NetworkParams,
    nodes: Vec<Node>,
}

impl Chain {
    pub(super) fn new(params: NetworkParams) -> Self {
        let header = Header::parse(&params.genesis.0);
        let node = Node { header, hash: header.hash(), height: 0, parent: None };
        Self { params, nodes: vec![node] }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    /// Adds a header on top of `parent`, whatever it names as its parent.
    pub(super) fn push(&mut self, parent: usize, header: Header) -> usize {
        let (hash, height) = (header.hash(), self.nodes[parent].height + 1);
        self.nodes.push(Node { header, hash, height, parent: Some(parent) });
        self.nodes.len() - 1
    }

    /// The header and those below it, down to genesis.
    fn branch(&self, at: usize) -> impl Iterator<Item = &Node> {
        std::iter::successors(Some(&self.nodes[at]), |node| node.parent.map(|at| &self.nodes[at]))
    }

    /// The median of the last eleven times.
    pub(super) fn median_time(&self, at: usize) -> u32 {
        let mut times: Vec<u32> = self.branch(at).take(11).map(|node| node.header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The first header of the period that the header is in.
    pub(super) fn period_start(&self, at: usize) -> &Node {
        let first = self.nodes[at].height / self.params.interval() * self.params.interval();
        self.branch(at).find(|node| node.height == first).unwrap_or(&self.nodes[0])
    }

    /// The bits that a child of `at` with this time must have.
    pub(super) fn bits(&self, at: usize, time: u32) -> u32 {
        let (params, parent) = (&self.params, &self.nodes[at]);
        if !params.starts_period(parent.height + 1) {
            if !params.allow_min_difficulty {
                return parent.header.bits;
            }
            let limit = params.limit_bits();
            if u64::from(time) > u64::from(parent.header.time) + 2 * u64::from(params.spacing) {
                return limit;
            }
            let real =
                |node: &&Node| params.starts_period(node.height) || node.header.bits != limit;
            return self.branch(at).find(real).map_or(limit, |node| node.header.bits);
        }
        if params.no_retargeting {
            return parent.header.bits;
        }
        let first = self.period_start(at).header;
        let base = if params.bip94 { first.bits } else { parent.header.bits };
        retarget(params, first.time, parent.header.time, base)
    }
}

/// Looks for a nonce that meets the header's own bits. Bits that nothing meets, or that ask for too
/// much, leave the header as it is.
pub(super) fn mine(header: Header, pow_limit: &U256) -> Header {
    let Some(target) = target::valid(header.bits, pow_limit) else { return header };
    if target::work(&target) > U256::from(MOST_WORK) {
        return header;
    }
    search(header, |hash| hash <= target)
}

/// Looks for a nonce that does not meet the header's own bits.
pub(super) fn spoil(header: Header) -> Header {
    let target = target::decode(header.bits).target;
    search(header, |hash| hash > target)
}

fn search(header: Header, is_wanted: impl Fn(U256) -> bool) -> Header {
    let mut raw = header.to_bytes();
    let found = (header.nonce..header.nonce + 32 * MOST_WORK).find(|nonce| {
        raw[76..].copy_from_slice(&nonce.to_le_bytes());
        is_wanted(target::hash_number(&sha256d(&raw)))
    });
    Header { nonce: found.unwrap_or(header.nonce), ..header }
}
