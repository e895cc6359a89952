//! The events of a run, one round after the other, and what they came to.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use grid_test_nodes::{Lie, NodeError, wait_for};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{
    alerts::Alerts,
    check::Checker,
    deck::{Deck, Trouble},
    settings::Settings,
    world::{Chain, World},
};

/// How long the relayers may take until everything is in order again: the longest lease and the longest pause of a
/// chain, thirty seconds each, and a busy machine.
const RECOVERY: Duration = Duration::from_secs(120);
/// Time between two full checks of a long run.
const CHECK_EVERY: Duration = Duration::from_secs(300);
/// How long a full disk may go unnoticed while there is something to write: the pause of a chain that was halted, thirty
/// seconds, and the room in SQLite's write-ahead log, which is used again without growing, a thousand pages.
const NOTICED: Duration = Duration::from_secs(120);
/// SQLite's word for it.
const DISK_IS_FULL: &str = "database or disk is full";

/// A run.
#[derive(Debug)]
pub(crate) struct Storm {
    world: World,
    settings: Settings,
    dice: StdRng,
    deck: Deck,
    checker: Checker,
    summary: Summary,
    started: Instant,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    kills: u64,
    rounds: u64,
    /// Relayers that ended by themselves, without a database only, and were started again.
    ends: u64,
    troubles: BTreeMap<&'static str, u64>,
    checks: u64,
    slowest_recovery: Duration,
    headers: BTreeMap<Chain, u64>,
    transactions: u64,
    elapsed: Duration,
    /// What Prometheus saw.
    seen: Vec<String>,
}

impl Storm {
    pub(crate) fn new(world: World, settings: &Settings) -> Self {
        let mut dice = StdRng::seed_from_u64(settings.seed);
        Self {
            world,
            settings: *settings,
            deck: Deck::new(&mut dice),
            dice,
            checker: Checker::default(),
            summary: Summary::default(),
            started: Instant::now(),
        }
    }

    /// Rounds until there were enough of them, with a full check at the end.
    pub(crate) async fn run(mut self) -> Result<Summary, NodeError> {
        for relayer in &mut self.world.relayers {
            relayer.start()?;
        }
        let alerts = Alerts::start(&self.world).await?;
        let mut checked = Instant::now();
        while self.summary.rounds < Deck::ROUNDS
            || self.summary.kills < self.settings.kills
            || self.started.elapsed() < self.settings.time
        {
            self.round().await?;
            if checked.elapsed() > CHECK_EVERY {
                self.settle().await?;
                checked = Instant::now();
            }
        }
        self.settle().await?;
        self.summary.seen = alerts.stay_quiet().await?;
        self.summary.transactions = self.checker.transactions(&self.world).await?;
        self.summary.headers = self.checker.headers();
        self.summary.elapsed = self.started.elapsed();
        Ok(self.summary)
    }

    async fn round(&mut self) -> Result<(), NodeError> {
        let trouble = self.deck.draw(&mut self.dice);
        self.summary.rounds += 1;
        *self.summary.troubles.entry(trouble.kind()).or_default() += 1;
        let passed = self.started.elapsed().as_secs();
        println!("{passed:>5} s  round {}: {trouble}", self.summary.rounds);
        self.mine(8).await?;
        match &trouble {
            Trouble::Lies { bitcoin, ethereum, all } => {
                self.lie(Chain::Bitcoin, bitcoin, *all);
                self.lie(Chain::Ethereum, ethereum, *all);
            }
            Trouble::Cut => {
                let cut = self.any_relayer();
                self.world.relayers[cut].line.cut();
            }
            Trouble::FullDisk => self.full_disk().await?,
            Trouble::Database { killed } => self.database_away(*killed)?,
            Trouble::Reorganisations { bitcoin, ethereum } => {
                self.world.reorganise(Chain::Bitcoin, *bitcoin).await?;
                self.world.reorganise(Chain::Ethereum, *ethereum).await?;
            }
            Trouble::Calm => {}
        }
        for _ in 0..self.dice.gen_range(2..=3) {
            self.pause(900).await;
            let victim = self.any_relayer();
            self.kill(victim)?;
            self.mine(4).await?;
            self.pause(250).await;
            self.world.relayers[victim].start()?;
        }
        self.pause(900).await;
        self.heal(&trouble).await
    }

    /// Ends every trouble. Nobody but a relayer without its database may have ended by itself.
    async fn heal(&mut self, trouble: &Trouble) -> Result<(), NodeError> {
        self.world.node.check()?;
        for liar in self.world.liars.iter().flatten() {
            liar.lie(Lie::None);
        }
        if let (Trouble::Database { killed }, Some(server)) = (trouble, &mut self.world.postgres) {
            if *killed { server.start_again().await? } else { server.resume()? }
        }
        for relayer in &mut self.world.relayers {
            relayer.line.heal();
            let without = match trouble {
                Trouble::FullDisk => relayer.disk.is_some(),
                Trouble::Database { .. } => relayer.store.is_some(),
                _ => false,
            };
            if let Some(disk) = relayer.disk.as_ref().filter(|_| *trouble == Trouble::FullDisk) {
                disk.free()?;
            }
            if without && relayer.check_running().is_err() {
                self.summary.ends += 1;
                relayer.start()?;
            }
            relayer.check_running()?;
        }
        Ok(())
    }

    /// Takes the shared database away.
    fn database_away(&mut self, killed: bool) -> Result<(), NodeError> {
        match &mut self.world.postgres {
            Some(server) if killed => server.kill(),
            Some(server) => server.pause(),
            None => Ok(()),
        }
    }

    fn lie(&self, chain: Chain, lie: &Lie, all: bool) {
        let liars = self.world.liars(chain);
        for liar in liars.iter().take(if all { liars.len() } else { 1 }) {
            liar.lie(lie.clone());
        }
    }

    /// Fills the disk of a database, takes the other relayers away, so that there is something to write, and waits until
    /// the one without room says so.
    async fn full_disk(&mut self) -> Result<(), NodeError> {
        let Some(at) = self.world.relayers.iter().position(|relayer| relayer.disk.is_some()) else {
            return Ok(());
        };
        for other in (0..self.world.relayers.len()).filter(|other| *other != at) {
            self.kill(other)?;
        }
        let (world, relayer) = (&self.world, &self.world.relayers[at]);
        let complaints = || relayer.log().matches(DISK_IS_FULL).count();
        let before = complaints();
        relayer.disk.as_ref().map_or(Ok(()), grid_test_nodes::Disk::fill)?;
        wait_for("a complaint about the full disk", NOTICED, async || {
            world.mine(Chain::Bitcoin, 1).await.map_err(|error| error.to_string())?;
            if complaints() > before { Ok(()) } else { Err(relayer.log_tail()) }
        })
        .await?;
        for other in (0..self.world.relayers.len()).filter(|other| *other != at) {
            self.world.relayers[other].start()?;
        }
        Ok(())
    }

    fn any_relayer(&mut self) -> usize {
        self.dice.gen_range(0..self.world.relayers.len())
    }

    fn kill(&mut self, relayer: usize) -> Result<(), NodeError> {
        self.summary.kills += 1;
        self.world.relayers[relayer].kill()
    }

    /// New blocks of both chains, at most so many.
    async fn mine(&mut self, most: u64) -> Result<(), NodeError> {
        for chain in Chain::ALL {
            let blocks = self.dice.gen_range(0..=most);
            if blocks > 0 {
                self.world.mine(chain, blocks).await?;
            }
        }
        Ok(())
    }

    /// The moment of the next event is what is drawn here, nothing is waited for.
    async fn pause(&mut self, most_ms: u64) {
        let ms = self.dice.gen_range(0..most_ms);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Lets everything come to rest and checks all of it.
    async fn settle(&mut self) -> Result<(), NodeError> {
        let began = Instant::now();
        for chain in Chain::ALL {
            self.world.mine(chain, chain.depth() + 1).await?;
        }
        let world = &self.world;
        let rest = wait_for("rest", RECOVERY, async || Checker::at_rest(world).await).await;
        if rest.is_err() {
            self.world.node.check()?;
            for relayer in &world.relayers {
                println!("end of the log of {}:\n{}", relayer.name, relayer.log_tail());
            }
        }
        rest?;
        let recovery = began.elapsed();
        self.summary.slowest_recovery = recovery.max(self.summary.slowest_recovery);
        self.summary.checks += 1;
        self.checker.index(&self.world).await?;
        let passed = self.started.elapsed().as_secs();
        println!("{passed:>5} s  at rest after {recovery:.1?}, every header is there once");
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, rounds, ends, checks, transactions, .. } = self;
        let troubles: Vec<String> =
            self.troubles.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let headers: Vec<String> =
            self.headers.iter().map(|(chain, count)| format!("{count} of {chain:?}")).collect();
        writeln!(f, "\nkills              {kills} in {rounds} rounds")?;
        writeln!(f, "trouble            {}", troubles.join(", "))?;
        writeln!(f, "ended by itself    {ends}, without their database")?;
        writeln!(f, "headers            {}, each indexed once", headers.join(", "))?;
        writeln!(f, "transactions       {transactions} of all relayers, no nonce missing")?;
        writeln!(f, "checks             {checks} passed")?;
        writeln!(f, "slowest recovery   {:.1?}", self.slowest_recovery)?;
        for line in &self.seen {
            writeln!(f, "{line}")?;
        }
        write!(f, "time               {:.0?}", self.elapsed)
    }
}
