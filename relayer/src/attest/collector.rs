//! The asking side: collects the signatures that a submission needs.

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use alloy_primitives::{Address, B256};
use futures::{StreamExt as _, stream::FuturesUnordered};
use grid_adapters::{Endpoint, EndpointError, Limits, RpcError, http::JsonService};
use grid_core::{
    ChainId,
    api::BlockRef,
    ethereum::attest::{AttesterSet, MAX_ATTESTERS, digest},
    grid::RecoverableSignature,
};
use thiserror::Error;

use super::{AttestAnswer, AttestConfig, AttestRequest, AttestedChain, Attester};
use crate::{
    metrics::Metrics,
    status::{AttestationStatus, Board, MissingSignature},
};

/// How long the others have for one header. Longer than an attester gives its own sources.
const DEADLINE: Duration = Duration::from_secs(4);

/// Bounds of one exchange: an answer of 64 signatures has 9 kB.
const LIMITS: Limits = Limits {
    timeout: Duration::from_millis(3_500),
    connect_timeout: Duration::from_millis(1_500),
    max_body: 16 * 1024,
    max_batch: 1,
};

/// Most characters of another attester's words that are repeated.
const MAX_WORDS: usize = 60;

/// Too few attesters sign a header.
#[derive(Debug, Clone, Error)]
#[error(
    "chain {chain}: header {} has {} of {} signatures that it needs: {}",
    status.block.height, status.signed.len(), status.threshold, reasons(&status.missing)
)]
pub struct Shortfall {
    /// Chain.
    pub chain: ChainId,
    /// Who signed, and why the others did not.
    pub status: Box<AttestationStatus>,
    /// The height that enough attesters say they have reached, where it is below the header's.
    pub reached: Option<u64>,
}

fn reasons(missing: &[MissingSignature]) -> String {
    let one = |missing: &MissingSignature| format!("{}: {}", missing.attester, missing.reason);
    if missing.is_empty() {
        return "no other attester is configured ([[chain.attester]])".into();
    }
    missing.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[derive(Debug)]
struct Peer {
    name: String,
    service: JsonService,
}

/// What is known of the header that was last collected for.
#[derive(Debug)]
struct Kept {
    block: BlockRef,
    signed: BTreeMap<Address, RecoverableSignature>,
    peers: BTreeSet<String>,
}

/// Collects signatures from this relayer's own keys and from other attesters.
pub struct Collector {
    attester: Arc<Attester>,
    peers: RwLock<BTreeMap<ChainId, Arc<[Peer]>>>,
    /// So that a header which is one signature short costs the others nothing in the next round.
    kept: Mutex<BTreeMap<ChainId, Kept>>,
    metrics: Arc<Metrics>,
    board: Board,
}

impl core::fmt::Debug for Collector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Collector").field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// What one peer's answer comes to.
enum Reply {
    Signed(Vec<(Address, RecoverableSignature)>),
    Refused { label: &'static str, reason: String, reached: Option<u64> },
}

impl Collector {
    /// A collector that asks the peers of the configuration.
    ///
    /// # Errors
    /// When the machine can't do HTTP(S).
    pub fn new(
        attester: Arc<Attester>,
        config: &AttestConfig,
        metrics: Arc<Metrics>,
        board: Board,
    ) -> Result<Self, EndpointError> {
        let (peers, kept) = (RwLock::default(), Mutex::default());
        let collector = Self { attester, peers, kept, metrics, board };
        for (chain, attested) in &config.chains {
            collector.set_peers(chain, Some(attested))?;
        }
        Ok(collector)
    }

    /// Whom to ask for signatures of a chain from now on.
    ///
    /// # Errors
    /// When the machine can't do HTTP(S); the same are asked as before then.
    pub fn set_peers(
        &self,
        chain: &ChainId,
        attested: Option<&AttestedChain>,
    ) -> Result<(), EndpointError> {
        let peer = |endpoint: &Endpoint| {
            let name = endpoint.section().to_owned();
            let service = JsonService::new(endpoint.clone().with_limits(LIMITS))?;
            Ok(Peer { name, service })
        };
        let endpoints = attested.map_or(&[][..], |attested| attested.peers.as_slice());
        let known = endpoints.iter().map(peer).collect::<Result<Arc<[Peer]>, EndpointError>>()?;
        for peer in known.iter() {
            self.metrics.attest_peer(chain, &peer.name);
        }
        self.peers.write().unwrap_or_else(PoisonError::into_inner).insert(chain.clone(), known);
        Ok(())
    }

    fn peers(&self, chain: &ChainId) -> Arc<[Peer]> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(chain).cloned().unwrap_or_default()
    }

    /// Signatures over `block` by as many attesters of `set` as the main chain asks for, in rising order
    /// of their addresses. Own keys go first; the others are asked at the same time and only as long as
    /// signatures are missing.
    ///
    /// # Errors
    /// [`Shortfall`] with every missing attester's reason.
    pub async fn collect(
        &self,
        chain: &ChainId,
        set: &AttesterSet,
        block: BlockRef,
        now: u64,
    ) -> Result<Vec<RecoverableSignature>, Shortfall> {
        let mut tally = self.resume(chain, set, block);
        tally.own(&self.attester, chain, now).await;
        if !tally.enough() {
            self.ask_all(chain, &mut tally).await;
        }
        let (signed, peers) = (tally.signed.clone(), tally.peers.clone());
        self.with_kept(|kept| kept.insert(chain.clone(), Kept { block, signed, peers }));
        let status = tally.status();
        self.metrics.attest_missing(chain, status.missing_signatures());
        self.board.attested(chain, status.clone());
        if tally.enough() {
            return Ok(tally.signed.into_values().collect());
        }
        let (reached, status) = (tally.reached(), Box::new(status));
        Err(Shortfall { chain: chain.clone(), reached, status })
    }

    fn with_kept<R>(&self, change: impl FnOnce(&mut BTreeMap<ChainId, Kept>) -> R) -> R {
        change(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn resume<'a>(&self, chain: &ChainId, set: &'a AttesterSet, block: BlockRef) -> Tally<'a> {
        let mut tally = Tally::new(chain, set, block);
        self.with_kept(|kept| {
            if let Some(kept) = kept.get(chain).filter(|kept| kept.block == block) {
                tally.take(kept.signed.iter().map(|(address, signature)| (*address, *signature)));
                tally.peers.clone_from(&kept.peers);
            }
        });
        tally
    }

    async fn ask_all(&self, chain: &ChainId, tally: &mut Tally<'_>) {
        let peers = self.peers(chain);
        let block = tally.block;
        let request =
            AttestRequest { chain: chain.clone(), height: block.height, hash: block.hash };
        let (request, digest, set) = (&request, tally.digest, tally.set);
        let mut waiting: BTreeSet<&str> = peers
            .iter()
            .map(|peer| &*peer.name)
            .filter(|name| !tally.peers.contains(*name))
            .collect();
        let mut asked: FuturesUnordered<_> =
            peers
                .iter()
                .filter(|peer| waiting.contains(&*peer.name))
                .map(|peer| async move {
                    (&*peer.name, ask(&peer.service, request, &digest, set).await)
                })
                .collect();
        let deadline = tokio::time::sleep(DEADLINE);
        tokio::pin!(deadline);
        while !tally.enough() {
            let (name, reply) = tokio::select! {
                Some(answered) = asked.next() => answered,
                () = &mut deadline => break,
                else => break,
            };
            waiting.remove(name);
            match reply {
                Reply::Signed(signed) => {
                    self.metrics.attest_request(chain, name, "signed");
                    tally.take(signed);
                    tally.peers.insert(name.to_owned());
                }
                Reply::Refused { label, reason, reached } => {
                    self.metrics.attest_request(chain, name, label);
                    tally.heights.extend(reached);
                    tally.missing(name, reason);
                }
            }
        }
        if !tally.enough() {
            for name in waiting {
                self.metrics.attest_request(chain, name, "slow");
                tally.missing(name, format!("no answer within {} s", DEADLINE.as_secs()));
            }
        }
    }
}

/// A collection in progress.
struct Tally<'a> {
    set: &'a AttesterSet,
    block: BlockRef,
    digest: B256,
    signed: BTreeMap<Address, RecoverableSignature>,
    peers: BTreeSet<String>,
    heights: Vec<u64>,
    missing: Vec<MissingSignature>,
}

impl<'a> Tally<'a> {
    fn new(chain: &ChainId, set: &'a AttesterSet, block: BlockRef) -> Self {
        Self {
            set,
            block,
            digest: digest(chain.key(), block.height, &block.hash),
            signed: BTreeMap::new(),
            peers: BTreeSet::new(),
            heights: Vec::new(),
            missing: Vec::new(),
        }
    }

    fn enough(&self) -> bool {
        self.signed.len() >= usize::try_from(self.set.threshold()).unwrap_or(usize::MAX)
    }

    /// Counts signatures that were checked already.
    fn take(&mut self, signed: impl IntoIterator<Item = (Address, RecoverableSignature)>) {
        let registered =
            |(address, _): &(Address, _)| self.set.attesters().binary_search(address).is_ok();
        self.signed.extend(signed.into_iter().filter(registered));
    }

    fn missing(&mut self, attester: &str, reason: String) {
        self.missing.push(MissingSignature { attester: attester.into(), reason });
    }

    async fn own(&mut self, attester: &Attester, chain: &ChainId, now: u64) {
        let listed = |address: &Address| self.set.attesters().binary_search(address).is_ok();
        let own = attester.addresses();
        let Some(first) = own.first() else {
            return self.missing("own key", "this relayer has no attester key".into());
        };
        if !own.iter().any(listed) {
            let reason = format!("{first} is not among the chain's attesters");
            return self.missing("own key", reason);
        }
        match attester.sign(chain, self.block, now).await {
            Ok(signatures) => match check(&signatures, &self.digest, None) {
                Ok(signed) => self.take(signed),
                Err(reason) => self.missing("own key", reason),
            },
            Err(error) => self.missing("own key", error.to_string()),
        }
    }

    /// The highest height that the threshold of attesters has, as far as they say.
    fn reached(&self) -> Option<u64> {
        let here = core::iter::repeat_n(self.block.height, self.signed.len());
        let mut heights: Vec<u64> = here.chain(self.heights.iter().copied()).collect();
        heights.sort_unstable_by(|a, b| b.cmp(a));
        let last = usize::try_from(self.set.threshold()).ok()?.checked_sub(1)?;
        heights.get(last).copied().filter(|height| *height < self.block.height)
    }

    fn status(&self) -> AttestationStatus {
        AttestationStatus {
            threshold: self.set.threshold(),
            attesters: u32::try_from(self.set.attesters().len()).unwrap_or(u32::MAX),
            block: self.block,
            signed: self.signed.keys().copied().collect(),
            missing: self.missing.clone(),
        }
    }
}

/// Signatures with their signers; `set` where only its members count.
fn check(
    signatures: &[RecoverableSignature],
    digest: &B256,
    set: Option<&AttesterSet>,
) -> Result<Vec<(Address, RecoverableSignature)>, String> {
    if signatures.len() > MAX_ATTESTERS {
        return Err(format!("{} signatures, at most {MAX_ATTESTERS}", signatures.len()));
    }
    let one = |signature: &RecoverableSignature| {
        let signer = signature.recover(digest).ok_or_else(|| "a malformed signature".to_owned())?;
        if set.is_some_and(|set| set.attesters().binary_search(&signer).is_err()) {
            return Err(format!("a signature by {signer}, which is no attester of this chain"));
        }
        Ok((signer, *signature))
    };
    signatures.iter().map(one).collect()
}

/// Asks one peer and checks what it says.
async fn ask(
    service: &JsonService,
    request: &AttestRequest,
    digest: &B256,
    set: &AttesterSet,
) -> Reply {
    let refused = |label, reason, reached| Reply::Refused { label, reason, reached };
    let answer = match service.post::<_, AttestAnswer>("attest", request).await {
        Ok(answer) => answer,
        Err(error) => {
            let label = match &error {
                RpcError::Timeout { .. } => "slow",
                RpcError::Unauthorized { .. } => "unauthorized",
                RpcError::NotJson { .. } | RpcError::Status { .. } | RpcError::TooLarge { .. } => {
                    "garbage"
                }
                _ => "unreachable",
            };
            return refused(label, error.to_string(), None);
        }
    };
    let label = answer.label();
    match answer {
        AttestAnswer::Signed { signatures } if signatures.is_empty() => {
            refused("garbage", "answered with no signature".into(), None)
        }
        AttestAnswer::Signed { signatures } => match check(&signatures, digest, Some(set)) {
            Ok(signed) => Reply::Signed(signed),
            Err(reason) => refused("garbage", format!("answered with {reason}"), None),
        },
        AttestAnswer::Unknown => refused(label, "does not attest this chain".into(), None),
        AttestAnswer::Behind { head } => {
            let reason = format!("its head is {}", head.height);
            refused(label, reason, Some(head.height))
        }
        AttestAnswer::Disagree { hash } => {
            refused(label, format!("its sources have {hash} at that height"), None)
        }
        AttestAnswer::Conflict { hash } => {
            refused(label, format!("it signed {hash} as final at that height"), None)
        }
        AttestAnswer::Unable { reason } => {
            let words: String =
                reason.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
            refused(label, format!("its sources do not answer ({words})"), None)
        }
        AttestAnswer::Busy => refused(label, "asked too often".into(), None),
    }
}
