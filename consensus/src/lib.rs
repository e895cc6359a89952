//! The BFT engine behind one seam.
//!
//! [`run`] drives a [`Chain`] with Malachite, a Tendermint engine, until it is cancelled or fails. This
//! crate is the only one that knows the engine; above it there are block hashes, opaque bodies and
//! [`CommitCertificate`](grid_core::grid::CommitCertificate)s that anybody can check with grid-core alone.
//!
//! The engine calls itself alpha and is not audited (`docs/adr/0002-consensus-engine.md`), so its
//! decisions are checked by grid-core's rules before they are committed, and whatever looks wrong
//! ends the run: this crate never restarts an engine by itself.

mod app;
mod bus;
mod certificate;
mod chain;
mod codec;
mod config;
mod context;
mod desk;
mod engine;
mod error;
mod evidence;
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod home;
mod idle;
mod p2p;
mod pace;
mod parts;
mod sign;
mod solo;
mod status;
mod sync;

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

pub use bus::{Bus, BusPort, Script};
pub use chain::{Chain, ChainError, Head, MAX_BODY, Origin, ProposedBlock, Verdict};
pub use config::{EngineConfig, Net, Role};
pub use error::EngineError;
pub use grid_core::staking::Equivocation;
pub use p2p::peer_id;
pub use status::{EnginePeer, EngineStatus};

use app::{App, End, check_authority};
use desk::Desk;
use engine::Running;
use guard::Guard;
use home::{Home, Past};
use idle::Idle;
use sign::Keyring;

/// How long the engine's actors have to stop, and then a commit that is under way to finish.
const STOP_PATIENCE: Duration = Duration::from_millis(900);

/// The least time without a block that counts as standing still.
const STAGNATION: Duration = Duration::from_secs(60);

/// Runs the engine over `chain` until `cancel` fires (`Ok`, within two seconds) or something fails.
///
/// Dropping the future instead stops the engine at once, as a crash would: nothing is lost that was
/// promised, and the next run continues.
///
/// # Errors
/// Every failure of engine, log or chain ends the run with an [`EngineError`]; the engine is stopped
/// by then. Start it again only after looking at the reason.
pub async fn run(
    config: EngineConfig,
    chain: Arc<dyn Chain>,
    cancel: CancellationToken,
) -> Result<(), EngineError> {
    let mut stage = Stage::Begin;
    loop {
        stage = match life(&config, &chain, &cancel, stage).await? {
            End::Follow(height) => Stage::Follow(height),
            End::CaughtUp => Stage::Sure,
            End::Stopped | End::Died => return Ok(()),
        };
    }
}

/// What is known of this key's past when an engine starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What the files say.
    Begin,
    /// It may have signed for heights up to this one; sign nothing below the one after.
    Follow(u64),
    /// It signed nothing for the heights to come.
    Sure,
}

/// One engine, from start to end.
async fn life(
    config: &EngineConfig,
    chain: &Arc<dyn Chain>,
    cancel: &CancellationToken,
    stage: Stage,
) -> Result<End, EngineError> {
    let solo = config.net.is_solo();
    let chain_id = chain.chain_id();
    let home = Home::open(&config.home).await?;
    let (past, paths) = (home.past()?, home.paths());
    let desk = Desk::new(Arc::clone(chain), home);
    let head = desk.ask("read its head", 0, |chain, _| Ok(chain.head())).await?;
    let address = config.role.address();
    if solo {
        check_authority(&head, address)?;
    }
    let power = address.and_then(|address| head.next_validators.power(&address));
    if power.is_none() {
        info!(?address, "not a validator: following the chain");
    }
    let alone = solo || power.is_some_and(|power| head.next_validators.is_quorum(power));
    let follow = match stage {
        Stage::Follow(height) => Some(height),
        Stage::Begin => check_history(&head, past, alone)?,
        Stage::Sure => None,
    };
    let keyring = match &config.role {
        Role::Validator(key) if follow.is_none() => {
            let votes = &paths.votes;
            if stage == Stage::Sure {
                guard::mark(votes).map_err(|source| home::failed(votes, source))?;
            }
            let guard = Guard::open(votes).map_err(|source| home::failed(votes, source))?;
            Some(Keyring::new(chain_id, key.clone(), guard))
        }
        Role::Validator(_) => {
            warn!(until = follow, "this key may have signed these heights: following, not voting");
            None
        }
        Role::Full => None,
    };
    let in_doubt = keyring.is_some() && !alone && past.signed.is_none() && stage == Stage::Begin;

    let (channels, mut running) =
        engine::start(&config.moniker, &config.net, &paths, chain_id, keyring.as_ref()).await?;
    let seen = running.progress();
    let doubt = in_doubt.then(|| Box::pin(status::listen(seen.clone())) as _);
    let (block, empty) = (config.block_interval, config.empty_block_interval);
    let (progress, mut watched) = watch::channel(head.height.saturating_add(1));
    let app = App {
        desk: desk.clone(),
        keyring: keyring.clone(),
        chain_id,
        interval: block,
        timeouts: engine::timeouts(&config.net),
        solo,
        head,
        deciders: None,
        assembler: parts::Assembler::default(),
        judged: Vec::new(),
        doubt,
        ready: None,
        follow: follow.filter(|_| address.is_some()),
        idle: Idle::new(Arc::clone(chain), seen.clone(), block, empty),
        status: config.status.clone(),
        progress,
    };
    let limit = STAGNATION.max(block.max(empty).saturating_mul(10));
    let supervisor = Supervisor { cancel: cancel.clone(), solo, limit };
    let peers = status::report(channels.net_requests.clone(), seen, config.status.clone());
    let mut drive = Box::pin(app.drive(channels));
    let watching = supervisor.watch(drive.as_mut(), &mut running, &mut watched);
    let result = tokio::select! {
        result = watching => result,
        never = peers => match never {},
    };
    drop(drive);
    if matches!(result, Ok(End::Follow(_) | End::CaughtUp)) {
        engine::stop(&running.node(), STOP_PATIENCE).await;
    }
    drop(running);
    if timeout(STOP_PATIENCE, desk.idle()).await.is_err() {
        warn!("the chain is still busy; it finishes in the background");
    }
    let refusal = keyring.as_ref().and_then(|keyring| keyring.refusal());
    match (result, refusal) {
        (Err(EngineError::Died { height, .. }), Some(reason)) => Err(EngineError::Safety {
            height,
            reason: format!(
                "{reason}; the engine's log was lost or is wrong. Once the other validators have decided that height, the node can be started again"
            ),
        }),
        (result, _) => result,
    }
}

/// Waits for the end of an engine, whatever it is.
struct Supervisor {
    cancel: CancellationToken,
    solo: bool,
    /// How long a height may take before it counts as standing still.
    limit: Duration,
}

impl Supervisor {
    async fn watch(
        &self,
        mut drive: Pin<&mut impl Future<Output = Result<End, EngineError>>>,
        running: &mut Running,
        progress: &mut watch::Receiver<u64>,
    ) -> Result<End, EngineError> {
        let current = progress.clone();
        let died = |reason: String| EngineError::Died { height: *current.borrow(), reason };
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {
                    // The loop goes on answering while the actors stop, so that none of them is left
                    // waiting in the middle of something.
                    let node = running.node();
                    tokio::select! {
                        ended = drive.as_mut() => if let Err(error) = ended {
                            warn!(%error, "while stopping");
                        },
                        () = engine::stop(&node, STOP_PATIENCE) => {}
                    }
                    return Ok(End::Stopped);
                }
                ended = drive.as_mut() => {
                    return match ended? {
                        End::Died => {
                            Err(died("it asks no more questions; its log says why".to_owned()))
                        }
                        end => Ok(end),
                    };
                }
                reason = running.died() => return Err(died(reason)),
                height = engine::stagnation(progress, self.limit) => {
                    let stagnant = EngineError::Stagnant { height, seconds: self.limit.as_secs() };
                    if self.solo {
                        return Err(stagnant);
                    }
                    // Peers may be away; the engine goes on as soon as enough of them are back.
                    error!(%stagnant, "waiting for the other validators");
                }
            }
        }
    }
}

/// Whether the chain and the engine's log are those that this key signed with last. Where they are behind, deciding
/// again could mean to vote twice: with others there, the node follows until the height it signed for is past (given
/// back); alone, it must not go on.
fn check_history(head: &Head, past: Past, alone: bool) -> Result<Option<u64>, EngineError> {
    let next = head.height.saturating_add(1);
    let put_back = past.last > next;
    let log_lost = past.last == next && past.log != Some(next);
    if !put_back && !log_lost {
        return Ok(None);
    }
    if !alone {
        return Ok(Some(past.last));
    }
    let lost = if put_back { "the chain's data was" } else { "the engine's log was" };
    Err(EngineError::Safety {
        height: next,
        reason: format!(
            "this node signed at height {}, but the chain's head is at {}: {lost} put back, lost or replaced, and deciding those heights again would be an equivocation; restore the data, or, to begin a chain that nobody else has anew, remove the engine's home as well",
            past.last, head.height
        ),
    })
}
