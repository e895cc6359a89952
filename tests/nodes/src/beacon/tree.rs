//! The fields of beacon states and bodies as leaves, and proofs of them.
//!
//! What the simulator does not model has the root of the spec's default value, from
//! `default-roots.json`, made with the official executable spec for the minimal preset. A light client
//! never looks at those leaves; networks of other sizes use them all the same.

use std::{collections::BTreeMap, sync::OnceLock};

use alloy_primitives::B256;
use grid_core::ethereum::sync::{Fork, merkle};
use serde_json::Value;

/// Name and root of each field of a container, in order.
type Fields = Vec<(String, B256)>;

/// Roots of the default values: of a fork, then of `state` and `body`.
fn defaults() -> &'static BTreeMap<String, BTreeMap<String, Fields>> {
    static DEFAULTS: OnceLock<BTreeMap<String, BTreeMap<String, Fields>>> = OnceLock::new();
    DEFAULTS.get_or_init(|| {
        let file: Value = serde_json::from_str(include_str!("default-roots.json"))
            .expect("the file in the source tree is JSON");
        serde_json::from_value(file).expect("the file in the source tree has this shape")
    })
}

/// The name of a fork, as the beacon API has it.
pub const fn name(fork: Fork) -> &'static str {
    match fork {
        Fork::Altair => "altair",
        Fork::Bellatrix => "bellatrix",
        Fork::Capella => "capella",
        Fork::Deneb => "deneb",
        Fork::Electra => "electra",
        Fork::Fulu => "fulu",
        Fork::Gloas => "gloas",
    }
}

/// A container's tree down to its fields.
#[derive(Debug, Clone)]
pub struct Tree {
    fields: &'static Fields,
    leaves: Vec<B256>,
    progressive: bool,
}

impl Tree {
    /// A `BeaconState` of default values.
    pub fn state(fork: Fork) -> Self {
        Self::new(fork, "state")
    }

    /// A `BeaconBlockBody` of default values.
    pub fn body(fork: Fork) -> Self {
        Self::new(fork, "body")
    }

    fn new(fork: Fork, container: &str) -> Self {
        let fields = &defaults()[name(fork)][container];
        let leaves = fields.iter().map(|(_, root)| *root).collect();
        Self { fields, leaves, progressive: fork >= Fork::Gloas }
    }

    fn index(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|(name, _)| name == field)
    }

    /// Replaces a field's root. Fields that this fork does not have are left out.
    pub fn set(&mut self, field: &str, root: B256) {
        if let Some(index) = self.index(field) {
            self.leaves[index] = root;
        }
    }

    /// The container's root.
    pub fn root(&self) -> B256 {
        if self.progressive { progressive_root(&self.leaves) } else { merkle::root(&self.leaves) }
    }

    /// The siblings of a field, lowest first; none for a field that the fork does not have.
    pub fn branch(&self, field: &str) -> Vec<B256> {
        let Some(index) = self.index(field) else { return Vec::new() };
        if self.progressive {
            progressive_branch(&self.leaves, index)
        } else {
            merkle::branch(&self.leaves, index)
        }
    }
}

/// `mix_in_active_fields` of a container in which every field is active.
fn active_fields(count: usize) -> B256 {
    let mut bits = B256::ZERO;
    (0..count).for_each(|field| bits.0[field / 8] |= 1 << (field % 8));
    bits
}

/// The first subtree of a progressive tree, filled to its size, and the leaves after it.
fn split(leaves: &[B256], size: usize) -> (Vec<B256>, &[B256]) {
    let (first, rest) = leaves.split_at(size.min(leaves.len()));
    let mut first = first.to_vec();
    first.resize(size, B256::ZERO);
    (first, rest)
}

/// EIP-7916: subtrees of 1, 4, 16, … leaves, each beside all that follow.
fn progressive(leaves: &[B256], size: usize) -> B256 {
    if leaves.is_empty() {
        return B256::ZERO;
    }
    let (first, rest) = split(leaves, size);
    merkle::node(&merkle::root(&first), &progressive(rest, size * 4))
}

/// Root of a `ProgressiveContainer` (EIP-7495) whose fields are all active.
pub fn progressive_root(leaves: &[B256]) -> B256 {
    merkle::node(&progressive(leaves, 1), &active_fields(leaves.len()))
}

/// The siblings of a field in [`progressive_root`], lowest first.
pub fn progressive_branch(leaves: &[B256], index: usize) -> Vec<B256> {
    let (mut above, mut size, mut index) = (vec![active_fields(leaves.len())], 1, index);
    let mut leaves = leaves.to_vec();
    while index >= size {
        let (first, rest) = split(&leaves, size);
        above.push(merkle::root(&first));
        index -= size;
        leaves = rest.to_vec();
        size *= 4;
    }
    let (first, rest) = split(&leaves, size);
    above.push(progressive(rest, size * 4));
    let mut siblings = merkle::branch(&first, index);
    siblings.extend(above.into_iter().rev());
    siblings
}
