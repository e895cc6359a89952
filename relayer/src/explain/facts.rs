//! What the answer is made of.

use alloy_primitives::B256;
use grid_core::{
    ChainId,
    api::{BlockRef, ChainInfo},
};

use crate::{
    status::{Holder, MainStatus, WalletStatus},
    store::{Carried, ChainState, Item, Lease, Pause, Stage},
};

/// All that is known about what was asked, at one moment. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) now: u64,
    /// What was asked for.
    pub(crate) asked: String,
    /// The chain, where it could be told.
    pub(crate) chain: Option<ChainId>,
    /// The header's height, where it could be told.
    pub(crate) height: Option<u64>,
    /// The header's hash, where one was asked for: it may be off the active branch.
    pub(crate) hash: Option<B256>,
    /// The main chain as last seen.
    pub(crate) main: MainStatus,
    /// The chain on the main chain, where it is registered.
    pub(crate) info: Option<ChainInfo>,
    /// Whether the main chain's list of chains is known at all.
    pub(crate) registry_known: bool,
    /// Hash of the header that the index holds at the height.
    pub(crate) indexed: Option<B256>,
    /// The Grid block that put the height into the index, if it is a recent one.
    pub(crate) indexed_in: Option<u64>,
    /// The chain as this relayer follows it; `None` where no source is configured.
    pub(crate) follow: Option<Follow>,
    /// The submitting key.
    pub(crate) wallet: WalletStatus,
    /// The unit of work that carries the header.
    pub(crate) work: Option<Work>,
    /// A transaction that was asked for.
    pub(crate) transaction: Option<Carried>,
}

/// A chain with a source.
#[derive(Debug, Clone)]
pub(crate) struct Follow {
    pub(crate) state: ChainState,
    pub(crate) reason: Option<String>,
    /// Next look at a chain that is not active.
    pub(crate) next_at: u64,
    pub(crate) pause: Option<Pause>,
    /// The source's tip as last seen.
    pub(crate) tip: Option<BlockRef>,
    /// The hash at the height on the source's active chain, asked for just now.
    pub(crate) active: Option<B256>,
    /// The height from which the sources disagree so much that nothing is relayed.
    pub(crate) held_from: Option<u64>,
    /// The relayer of this database that works on the chain.
    pub(crate) holder: Option<Holder>,
    /// Unfinished items of the chain.
    pub(crate) open: u64,
}

impl Default for Follow {
    fn default() -> Self {
        Self {
            state: ChainState::Active,
            reason: None,
            next_at: 0,
            pause: None,
            tip: None,
            active: None,
            held_from: None,
            holder: None,
            open: 0,
        }
    }
}

/// An item and what decides how it goes on.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) item: Item,
    pub(crate) lease: Option<Lease>,
    /// An unfinished item that has to go first.
    pub(crate) before: Option<Before>,
    /// Its newest transaction.
    pub(crate) newest: Option<Carried>,
}

/// An item that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Before {
    pub(crate) key: String,
    pub(crate) stage: Stage,
}
