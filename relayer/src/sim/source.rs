//! A source in memory.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::keccak256;
use alloy_sol_types::SolValue as _;
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, Material, Member, Pool, ProofRequest, SourceChain, SourceHeader, SourceKind,
    SourceTip,
};
use grid_core::{ChainId, CompatHeader, api::BlockRef};
use tokio::sync::watch;

use super::{
    blocks,
    faults::{Answer, Asked, Faults},
    text,
};

/// A chain whose active branch can be extended and reorganised.
#[derive(Debug)]
pub struct SimSource {
    id: ChainId,
    active: Mutex<Vec<CompatHeader>>,
    blocks: AtomicU64,
    asked: AtomicU64,
    faults: Arc<Faults>,
    /// Counts the changes of `active`.
    changes: watch::Sender<u64>,
    /// The change that [`SourceChain::changed`] has told last.
    told: AtomicU64,
}

impl SimSource {
    /// A chain of `length` blocks above its genesis.
    #[must_use]
    pub fn new(id: ChainId, length: u64, faults: Arc<Faults>) -> Self {
        let source = Self {
            id,
            active: Mutex::default(),
            blocks: 0.into(),
            asked: 0.into(),
            faults,
            changes: watch::Sender::default(),
            told: 0.into(),
        };
        source.grow(1 + length);
        source
    }

    fn with<R>(&self, change: impl FnOnce(&mut Vec<CompatHeader>) -> R) -> R {
        change(&mut self.active.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The chain's id, without the trait in scope.
    #[must_use]
    pub const fn id(&self) -> &ChainId {
        &self.id
    }

    fn grow(&self, count: u64) {
        self.with(|active| {
            for _ in 0..count {
                // Each is different from every earlier one.
                let name = self.blocks.fetch_add(1, Ordering::Relaxed);
                blocks::push(&self.id, active, name);
            }
        });
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Adds blocks.
    pub fn extend(&self, count: u64) {
        if count > 0 {
            self.grow(count);
            self.faults.note(&self.id, "grows", format!("to {}", self.tip_now().height));
        }
    }

    /// Replaces the newest `depth` blocks (never the genesis) by `added` other ones.
    pub fn reorganise(&self, depth: u64, added: u64) {
        self.with(|active| {
            let depth = usize::try_from(depth).unwrap_or(usize::MAX);
            active.truncate(active.len().saturating_sub(depth).max(1));
        });
        self.grow(added);
        let what = format!("{depth} blocks replaced by {added}, tip {}", self.tip_now().height);
        self.faults.note(&self.id, "reorganised", what);
    }

    /// Becomes a chain of the same length that shares nothing with the old one.
    pub fn replace_genesis(&self) {
        let length = self.with(|active| core::mem::take(active).len());
        self.grow(u64::try_from(length).unwrap_or(u64::MAX));
    }

    /// The active header at a height.
    #[must_use]
    pub fn at(&self, height: u64) -> Option<BlockRef> {
        self.with(|active| blocks::at(active, height))
    }

    /// The active tip.
    #[must_use]
    pub fn tip_now(&self) -> BlockRef {
        self.with(|active| blocks::tip(active))
    }

    /// Questions so far.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The chain through three endpoints of which two must agree; the last of them lies.
    ///
    /// # Errors
    /// Never with these numbers.
    pub fn pool(self: &Arc<Self>) -> Result<Pool, String> {
        let member = |number: usize| {
            let endpoint = Endpoint { chain: self.clone(), lies: number == 2 };
            Member::new(format!("endpoint {number}"), SourceKind::Rpc, Arc::new(endpoint))
        };
        Pool::new((0..3).map(member).collect(), 2).map_err(text)
    }

    async fn answer(&self, method: &'static str, asked: Asked) -> Result<Answer, AdapterError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.faults.answer(&self.id, method, asked).await {
            Answer::Fails => Err(blocks::timed_out(&self.id)),
            answer => Ok(answer),
        }
    }

    async fn tell_tip(&self, asked: Asked) -> Result<SourceTip, AdapterError> {
        let answer = self.answer("tip", asked).await?;
        let mut tip = self.tip_now();
        match answer {
            Answer::Stale(blocks) => {
                tip = self.at(tip.height.saturating_sub(blocks)).unwrap_or(tip);
            }
            Answer::MadeUp => {
                tip = BlockRef { height: tip.height + 3, hash: keccak256(tip.hash) };
            }
            _ => {}
        }
        Ok(SourceTip { height: tip.height, hash: tip.hash })
    }

    async fn tell_headers(
        &self,
        from: u64,
        count: usize,
        asked: Asked,
    ) -> Result<Vec<SourceHeader>, AdapterError> {
        let answer = self.answer("headers", asked).await?;
        let mut headers = self.with(|active| blocks::range(active, from, count));
        let last = from.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)).saturating_sub(1);
        self.faults.note(&self.id, "asked", format_args!("for headers {from} to {last}"));
        match answer {
            Answer::Short => headers.truncate(headers.len().div_ceil(2)),
            Answer::Reordered => headers.reverse(),
            Answer::Doubled => {
                if let Some(first) = headers.first().cloned() {
                    headers.insert(0, first);
                    headers.truncate(count);
                }
            }
            Answer::Stale(blocks) => {
                let keep = headers.len().saturating_sub(usize::try_from(blocks).unwrap_or(0));
                headers.truncate(keep);
            }
            Answer::MadeUp => make_up(&mut headers),
            Answer::Good | Answer::Fails => {}
        }
        Ok(headers)
    }
}

/// Other headers in the same places, linked with each other.
fn make_up(headers: &mut [SourceHeader]) {
    let mut parent = None;
    for header in headers {
        header.compat.blockHash = keccak256(header.compat.blockHash);
        header.compat.parentHash = parent.unwrap_or(header.compat.parentHash);
        header.raw = header.compat.abi_encode().into();
        parent = Some(header.compat.blockHash);
    }
}

#[async_trait]
impl SourceChain for SimSource {
    fn id(&self) -> &ChainId {
        &self.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.tell_tip(Asked::Alone).await
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.tell_headers(from, count, Asked::Alone).await
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(blocks::no_material())
    }

    async fn changed(&self) {
        let told = self.told.load(Ordering::Relaxed);
        if let Ok(now) = self.changes.subscribe().wait_for(|changes| *changes != told).await {
            self.told.store(*now, Ordering::Relaxed);
        }
    }
}

/// One of several endpoints of a chain.
#[derive(Debug)]
struct Endpoint {
    chain: Arc<SimSource>,
    lies: bool,
}

impl Endpoint {
    const fn asked(&self) -> Asked {
        Asked::Pooled { lies: self.lies }
    }
}

#[async_trait]
impl SourceChain for Endpoint {
    fn id(&self) -> &ChainId {
        &self.chain.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.chain.tell_tip(self.asked()).await
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        self.chain.tell_headers(from, count, self.asked()).await
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(blocks::no_material())
    }
}
