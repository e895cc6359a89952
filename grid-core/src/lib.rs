//! Grid's pure core.
//!
//! Everything that decides whether a statement about a chain is true lives here: header rules, light
//! clients, Merkle structures, the index, proofs and the main chain's state transition. The crate
//! performs no IO and reads no clock: time and randomness are arguments, so the same input gives
//! the same output on every machine.
//!
//! What a relayer submits is evidence. The functions of this crate check it; nothing here believes it.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod api;
pub mod audit;
pub mod bitcoin;
pub mod chain;
pub mod committee;
pub mod compat;
pub mod confirm;
pub mod escrow;
pub mod ethereum;
pub mod follower;
pub mod genesis;
pub mod grid;
pub mod guarantee;
pub mod hash;
pub mod header_tree;
pub mod index;
pub mod light_client;
pub mod message;
pub mod mmr;
pub mod modules;
pub mod named;
pub mod pace;
pub mod proof;
pub mod risk;
pub mod staking;
pub mod state;
pub mod transition;
pub mod tree;

pub use chain::{ChainId, ChainKey, Family, Level, Security};
pub use compat::CompatHeader;
