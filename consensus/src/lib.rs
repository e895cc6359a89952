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
mod certificate;
mod chain;
mod codec;
mod config;
mod context;
mod desk;
mod engine;
mod error;
mod evidence;
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

pub use chain::{Chain, ChainError, Head, MAX_BODY, Origin, ProposedBlock, Verdict};
pub use config::{EngineConfig, Net, Role};
pub use error::EngineError;
pub use grid_core::staking::Equivocation;
pub use p2p::peer_id;
pub use status::{EnginePeer, EngineStatus};

use app::{App, check_authority};
use desk::Desk;
use engine::Running;
use home::Home;
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
    let EngineConfig { home, moniker, block_interval, empty_block_interval, net, role, status } =
        config;
    let solo = net == Net::Solo;
    let chain_id = chain.chain_id();
    let keyring = match role {
        Role::Validator(key) => Some(Keyring::new(chain_id, key)),
        Role::Full => None,
    };
    let address = keyring.as_ref().map(|keyring| keyring.address().0);
    let home = Home::open(&home).await?;
    let last_proposal = home.last_proposal();
    let paths = home.paths();
    let desk = Desk::new(Arc::clone(&chain), home);
    let head = desk.ask("read its head", 0, |chain, _| Ok(chain.head())).await?;
    if solo {
        check_authority(&head, address)?;
    }
    check_history(&head, last_proposal)?;
    if address.is_none_or(|address| head.next_validators.power(&address).is_none()) {
        info!(?address, "not a validator: following the chain");
    }

    let (channels, mut running) =
        engine::start(&moniker, &net, &paths, chain_id, keyring.as_ref()).await?;
    let (progress, mut watched) = watch::channel(head.height.saturating_add(1));
    let app = App {
        desk: desk.clone(),
        keyring,
        chain_id,
        interval: block_interval,
        solo,
        head,
        deciders: None,
        assembler: parts::Assembler::default(),
        judged: Vec::new(),
        idle: Idle::new(chain, running.progress(), block_interval, empty_block_interval),
        status: status.clone(),
        progress,
    };
    let slowest = block_interval.max(empty_block_interval);
    let supervisor = Supervisor { cancel, solo, limit: STAGNATION.max(slowest.saturating_mul(10)) };
    let peers = status::report(channels.net_requests.clone(), running.progress(), status);
    let mut drive = Box::pin(app.drive(channels));
    let watching = supervisor.watch(drive.as_mut(), &mut running, &mut watched);
    let result = tokio::select! {
        result = watching => result,
        never = peers => match never {},
    };
    drop(drive);
    drop(running);
    if timeout(STOP_PATIENCE, desk.idle()).await.is_err() {
        warn!("the chain is still busy; it finishes in the background");
    }
    result
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
        mut drive: Pin<&mut impl Future<Output = Result<(), EngineError>>>,
        running: &mut Running,
        progress: &mut watch::Receiver<u64>,
    ) -> Result<(), EngineError> {
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
                    return Ok(());
                }
                ended = drive.as_mut() => {
                    ended?;
                    return Err(died("it asks no more questions; its log says why".to_owned()));
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

/// A chain that is far behind what this node proposed has been put back or replaced: going on would
/// sign again for heights that were signed before.
fn check_history(head: &Head, last_proposal: u64) -> Result<(), EngineError> {
    let next = head.height.saturating_add(1);
    if last_proposal <= next {
        return Ok(());
    }
    Err(EngineError::Safety {
        height: next,
        reason: format!(
            "this node proposed a block at height {last_proposal}, but the chain's head is at {}: the chain's data was put back or replaced, and deciding those heights again would be an equivocation; restore the data, or, to begin a chain that nobody else has anew, remove the engine's home as well",
            head.height
        ),
    })
}
