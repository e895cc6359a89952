//! Offering transfers as fast as they are taken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, U256};
use eyre::{Result, WrapErr as _, bail};
use grid_relayer::{Refusal, TransportError};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    blocks::{self, Run},
    target::Target,
    wallet::{GRID, Signed, Wallet},
};
use crate::args::BenchChainArgs;

/// How many transfers are on their way to each node at once.
const TASKS_PER_NODE: usize = 4;
/// How long a refused transfer waits before it is offered again.
const RETRY: Duration = Duration::from_millis(50);
/// How long nothing may go forward.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// What an account of the load needs, GRID.
const ACCOUNT_FUNDS: u64 = 1_000;

/// Signed transfers, in the order of each account's nonces.
#[derive(Debug)]
pub(super) struct Load {
    by_account: Vec<Vec<Signed>>,
}

/// When transfers were offered: hash → moment, and height of the newest block then.
pub(super) type Offered = Mutex<HashMap<B256, (Instant, u64)>>;

/// What the tasks of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: Arc<Target>,
    pub(super) offered: Offered,
    /// Height of the newest block that was seen.
    pub(super) height: tokio::sync::watch::Sender<u64>,
    /// One permit for each transfer that may wait.
    pub(super) window: Semaphore,
}

impl Load {
    /// Signs all transfers; `nonces` are the accounts' next ones.
    pub(super) fn sign(
        chain_id: u64,
        wallets: &[Wallet],
        nonces: &[u64],
        args: &BenchChainArgs,
    ) -> Result<Self> {
        let mut by_account = vec![Vec::new(); wallets.len()];
        for number in 0..args.transfers {
            let at = usize::try_from(number % args.accounts)?;
            let (Some(wallet), Some(nonce), Some(queue)) =
                (wallets.get(at), nonces.get(at), by_account.get_mut(at))
            else {
                bail!("account {at} has no wallet");
            };
            // Most receivers are new, as in the worst case: every transfer adds a leaf to the state's tree.
            let to = Address::left_padding_from(&(0x6e0_0000_0000 + number).to_be_bytes());
            let nonce = nonce.saturating_add(queue.len() as u64);
            queue.push(wallet.transfer(chain_id, nonce, to, U256::from(1))?);
        }
        Ok(Self { by_account })
    }

    fn len(&self) -> usize {
        self.by_account.iter().map(Vec::len).sum()
    }

    /// Offers everything and waits until blocks have it.
    pub(super) async fn run(self, target: Arc<Target>, args: &BenchChainArgs) -> Result<Run> {
        let count = self.len();
        let first = target.height().await?;
        let shared = Arc::new(Shared {
            offered: Mutex::new(HashMap::with_capacity(count)),
            height: tokio::sync::watch::Sender::new(first),
            window: Semaphore::new(args.window as usize),
            target,
        });
        let tasks = TASKS_PER_NODE.saturating_mul(shared.target.len()).min(self.by_account.len());
        // Every task ends at the same time, however many accounts it has.
        let whole =
            args.rate.map(|rate| Duration::from_secs_f64(count as f64 / f64::from(rate.get())));
        let mut parts = vec![Vec::new(); tasks];
        for (account, queue) in self.by_account.into_iter().enumerate() {
            if let Some(part) = parts.get_mut(account % tasks) {
                part.push(queue);
            }
        }
        let mut senders = JoinSet::new();
        let began_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        for (node, part) in parts.into_iter().enumerate() {
            let own = part.iter().map(Vec::len).sum::<usize>().max(1);
            let pause = whole.map(|whole| whole / u32::try_from(own).unwrap_or(u32::MAX));
            senders.spawn(offer(shared.clone(), node, part, pause));
        }
        let watched = blocks::watch(&shared, first, count, began_ms);
        let sent = async {
            while let Some(done) = senders.join_next().await {
                done.wrap_err("a sender was interrupted")??;
            }
            Ok(())
        };
        tokio::try_join!(watched, sent).map(|(run, ())| run)
    }
}

/// Offers the transfers of some accounts to one node, in turn.
async fn offer(
    shared: Arc<Shared>,
    node: usize,
    accounts: Vec<Vec<Signed>>,
    pause: Option<Duration>,
) -> Result<()> {
    let mut next = tokio::time::Instant::now();
    let longest = accounts.iter().map(Vec::len).max().unwrap_or(0);
    for round in 0..longest {
        for one in accounts.iter().filter_map(|account| account.get(round)) {
            if let Some(pause) = pause {
                tokio::time::sleep_until(next).await;
                next += pause;
            }
            let permit = tokio::time::timeout(PATIENCE, shared.window.acquire())
                .await
                .wrap_err("the blocks take none of the waiting transfers")??;
            // The watcher gives it back when a block has the transfer.
            permit.forget();
            place(&shared, node, one).await?;
        }
    }
    Ok(())
}

/// Offers one transfer until it is taken.
async fn place(shared: &Shared, node: usize, one: &Signed) -> Result<()> {
    let started = Instant::now();
    loop {
        let height = *shared.height.borrow();
        let mark = (Instant::now(), height);
        shared.offered.lock().unwrap_or_else(PoisonError::into_inner).insert(one.hash, mark);
        match shared.target.send(node, one).await {
            Ok(()) => return Ok(()),
            Err(TransportError::Server { data, .. })
                if Refusal::of(data.as_ref()) == Refusal::AlreadyKnown =>
            {
                return Ok(());
            }
            Err(error) if started.elapsed() > PATIENCE => {
                return Err(error).wrap_err_with(|| {
                    format!("transfer {} was not taken in {} s", one.hash, PATIENCE.as_secs())
                });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Gives every account what its transfers need, from account 0.
pub(super) async fn fund(target: &Arc<Target>, chain_id: u64, wallets: &[Wallet]) -> Result<()> {
    let Some((bank, others)) = wallets.split_first() else { return Ok(()) };
    let each = U256::from(ACCOUNT_FUNDS) * GRID;
    let mut poor = Vec::new();
    for wallet in others {
        if target.account(wallet.address()).await?.balance < each {
            poor.push(wallet.address());
        }
    }
    let account = target.account(bank.address()).await?;
    let needed = each * U256::from(poor.len().saturating_add(1));
    if account.balance < needed {
        bail!(
            "the benchmark's account {} has {} GRID and needs {}; give it to the chain at genesis, for example `grid localnet --fund {}=10000000`",
            bank.address(),
            account.balance / GRID,
            needed / GRID,
            bank.address()
        );
    }
    let mut last = None;
    for (to, nonce) in poor.into_iter().zip(account.nonce..) {
        let one = bank.transfer(chain_id, nonce, to, each)?;
        let started = Instant::now();
        while let Err(error) = target.send(0, &one).await {
            if started.elapsed() > PATIENCE {
                return Err(error).wrap_err("an account of the load cannot be funded");
            }
            tokio::time::sleep(RETRY).await;
        }
        last = Some(to);
    }
    let started = Instant::now();
    while let Some(address) = last {
        if target.account(address).await?.balance >= each {
            break;
        }
        if started.elapsed() > PATIENCE {
            bail!("the accounts of the load are not funded after {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(RETRY).await;
    }
    Ok(())
}
