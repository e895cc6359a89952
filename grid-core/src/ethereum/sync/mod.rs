//! The sync-committee light client of Ethereum's beacon chain, as in the official consensus spec.
//!
//! A [`Store`] starts from a [`Bootstrap`] whose block root the operator trusts. Each [`Update`] is
//! signed by the sync committee that the store knows, and carries proofs of a finalized header and
//! of the next committee. [`Store`] is exactly the spec's algorithm; [`SyncClient`] puts the stricter
//! [`Policy`] on top, and alone decides what is exported. Time is an argument.
//!
//! Data of every fork is brought to one form when it is decoded (see [`wire`]), so a store never
//! needs an upgrade at a fork.
//!
//! Source: ethereum/consensus-specs, `specs/*/light-client/sync-protocol.md`, Altair to Gloas
//! (1.7.0-alpha.13). Comments name the function of the spec that a rule comes from.

pub mod audit;
pub mod bls;
pub mod client;
pub mod conflict;
pub mod data;
pub mod error;
pub mod file;
pub mod json;
mod memory;
pub mod merkle;
pub mod network;
mod parts;
pub mod payload;
pub mod policy;
pub mod rank;
pub mod shared;
pub mod ssz;
pub mod store;
mod stored;
pub mod types;
pub mod wire;

pub use bls::KeyCache;
pub use client::SyncClient;
pub use conflict::{Conflict, ConflictKind, Known, Premise};
pub use data::SyncData;
pub use error::{DecodeError, SyncError};
pub use network::{Fork, ForkActivation, NetworkConfig, NetworkConfigError, NetworkSpec, Preset};
pub(crate) use parts::Parts;
pub use policy::Policy;
pub use rank::is_better_update;
pub use shared::SharedKeys;
pub use store::{Change, Store};
pub use types::{
    BeaconBlockHeader, Bootstrap, FinalityUpdate, LightClientHeader, OptimisticUpdate,
    SyncAggregate, SyncCommittee, Update,
};
pub use wire::Format;

#[cfg(test)]
mod tests;
