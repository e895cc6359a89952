//! Puts the parts together and runs them.

mod tasks;

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
};

use grid_core::ChainId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    attest::{AttestService, Attester, Collector},
    clock::{Clock, now_ms},
    config::RelayerConfig,
    crew::{self, Crew},
    error::RelayerError,
    http::{Routes, Server},
    lane::{Parts, Shared},
    main_chain::MainChain,
    metrics::Metrics,
    problem::{self, Look, MAIN_SILENT},
    reload::{Change, Control, Reload},
    source::ChainSource,
    status::{Board, SourceStatus, Status},
    store::{Left, Mark, RelayerRow, Store, StoreError},
    submit::Submitter,
    supervise::{Pulses, Supervisor},
};

/// How long a start waits for a database server that is away, and between two tries.
const DATABASE_AWAY: Duration = Duration::from_secs(60);
const DATABASE_LOOK: Duration = Duration::from_secs(1);

/// A lane is late after three rounds and the main chain's deadline.
pub(crate) const LATE: Duration = Duration::from_secs(45);

/// Starts relayers.
#[derive(Debug)]
pub struct Relayer;

/// What tasks, server and handle share.
pub(crate) struct Inner {
    store: Store,
    board: Board,
    metrics: Arc<Metrics>,
    attest: AttestService,
    main: Arc<dyn MainChain>,
    shared: Arc<Shared>,
    pulses: OnceLock<Pulses>,
    reload: OnceLock<Arc<dyn Reload>>,
    crew: Crew,
    /// How far times in stages were read.
    stages: tokio::sync::Mutex<Mark>,
    started_at: u64,
}

/// A running relayer.
pub struct RelayerHandle {
    inner: Arc<Inner>,
    http: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    supervisor: JoinHandle<Vec<&'static str>>,
    cancel: CancellationToken,
}

impl core::fmt::Debug for RelayerHandle {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RelayerHandle").field("http", &self.http).finish_non_exhaustive()
    }
}

impl Relayer {
    /// Opens the database, takes the HTTP address and starts every task. Neither a source nor the main
    /// chain has to be reachable: what works is relayed, the rest shows in [`RelayerHandle::status`].
    ///
    /// # Errors
    /// When the database or the HTTP address cannot be used, or two sources are of one chain.
    pub async fn start(
        config: RelayerConfig,
        sources: Vec<ChainSource>,
        main: Arc<dyn MainChain>,
        cancel: CancellationToken,
    ) -> Result<RelayerHandle, RelayerError> {
        let mut ids = BTreeSet::new();
        for source in &sources {
            let id = source.chain().id().clone();
            if !ids.insert(id.clone()) {
                return Err(RelayerError::DuplicateSource(id));
            }
        }
        let http = config.http.map(|address| Server::bind(address, Routes::Read)).transpose()?;
        let admin = config.admin.clone();
        let admin = admin.map(|admin| Server::bind(admin.listen, Routes::Admin(admin.token)));
        let admin = admin.transpose()?;
        let addresses = [&http, &admin].map(|server| server.as_ref().map(Server::address));
        let store = Box::pin(patiently(&cancel, || Store::open(&config.database))).await?;
        let clock = Clock::default();
        let metrics = Arc::new(Metrics::new()?);
        metrics.initialise(&ids);
        if let Some(endpoints) = &config.endpoints {
            endpoints.register(metrics.registry())?;
        }
        metrics.configured(config.settings());
        let board = Board::new(&ids);
        let submitter = Arc::new(Submitter::new(
            main.clone(),
            store.clone(),
            config.signer.clone(),
            config.submit,
            metrics.clone(),
            board.clone(),
        ));
        let mut keys = config.attesters.clone();
        if config.submit.dry_run {
            // Nobody gets a signature.
            keys.clear();
        }
        let keys = keys.into();
        let me = RelayerRow {
            owner: crew::owner(config.name.as_deref()),
            signer: config.signer.address(),
            started_at: now_ms(),
        };
        let crew = Crew::new(store.clone(), me, config.submit.lease, config.submit.dry_run);
        // Before anything else: the others must not take this key for a dead one's.
        patiently(&cancel, || crew.beat(&ids, now_ms())).await?;
        let stages = patiently(&cancel, || store.mark(now_ms())).await?.into();
        let attester = Arc::new(Attester::new(keys, store.clone(), &sources, &config.attest));
        let collector =
            Collector::new(attester.clone(), &config.attest, metrics.clone(), board.clone())?;
        let attest = AttestService::new(attester, &config.attest.tokens, metrics.clone());
        let parts = Parts {
            main: main.clone(),
            store: store.clone(),
            submitter: submitter.clone(),
            collector: Arc::new(collector),
            lanes: config.lanes,
            submit: config.submit,
            deadline: config.round,
            board: board.clone(),
            metrics: metrics.clone(),
            crew: crew.clone(),
            clock: clock.clone(),
        };
        let shared = Arc::new(Shared::new(parts.clone(), sources));
        let inner = Arc::new(Inner {
            store,
            board,
            metrics: metrics.clone(),
            attest,
            main,
            shared: shared.clone(),
            pulses: OnceLock::new(),
            reload: OnceLock::new(),
            crew,
            stages,
            started_at: now_ms(),
        });
        let mut specs = tasks::all(&config, &inner, &shared, &submitter, &clock);
        specs.extend(tasks::carrier(&shared, &parts, &config.messages));
        specs.extend(config.guarantee.map(|guarantee| tasks::keeper(&shared, parts, guarantee)));
        specs.extend(http.into_iter().chain(admin).map(|server| server.task(inner.clone())));
        let supervisor = Supervisor::new(specs, metrics, cancel.clone());
        // Set once, right here.
        let _ = inner.pulses.set(supervisor.pulses());
        let supervisor = tokio::spawn(supervisor.run(config.drain));
        tracing::info!(
            database = %config.database, address = %submitter.address(),
            chains = ids.len(), "relayer started"
        );
        let [http, admin] = addresses;
        Ok(RelayerHandle { inner, http, admin, supervisor, cancel })
    }
}

/// Tries until it works, as long as a database that is away may take.
async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
    cancel: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<T, StoreError> {
    let deadline = tokio::time::Instant::now() + DATABASE_AWAY;
    loop {
        let error = match attempt().await {
            Err(error) if error.is_transient() => error,
            done => return done,
        };
        if tokio::time::Instant::now() >= deadline || cancel.is_cancelled() {
            return Err(error);
        }
        tracing::warn!(%error, "waiting for the database");
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(DATABASE_LOOK) => {}
        }
    }
}

impl Inner {
    pub(crate) fn pulses(&self) -> Pulses {
        self.pulses.get().cloned().unwrap_or_else(Pulses::none)
    }

    pub(crate) const fn attest(&self) -> &AttestService {
        &self.attest
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn main(&self) -> &Arc<dyn MainChain> {
        &self.main
    }

    pub(crate) const fn board(&self) -> &Board {
        &self.board
    }

    pub(crate) fn collector(&self) -> &Collector {
        self.shared.collector()
    }

    /// Reads the settings again, where the program that started the relayer can.
    pub(crate) async fn reload(&self) -> Result<Vec<Change>, String> {
        match self.reload.get() {
            Some(reload) => reload.reload().await,
            None => Err("this relayer was started without a file of settings".into()),
        }
    }

    /// What keeps `/readyz` from saying yes.
    pub(crate) fn not_ready(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let main = self.board.main();
        if now_ms().saturating_sub(main.seen_at) > MAIN_SILENT {
            let why = main.error.unwrap_or_else(|| "no answer yet".into());
            problems.push(format!("main chain: {why}"));
        }
        if let Some(trouble) = self.store.trouble() {
            problems.push(format!("database: {trouble}"));
        }
        for chain in self.board.unvisited() {
            problems.push(format!("chain {chain}: no round yet"));
        }
        for task in self.pulses().late() {
            problems.push(format!("task {task}: late"));
        }
        for task in self.pulses().stuck() {
            problems.push(format!("task {task}: no progress"));
        }
        self.metrics.ready.set(i64::from(problems.is_empty()));
        problems
    }

    pub(crate) async fn status(&self) -> Result<Status, StoreError> {
        let now = now_ms();
        let counts = self.store.counts().await?;
        let mut chains = self.board.chains(&counts, now);
        let mut holders = self.crew.holders(now).await?;
        let mut disagreements = self.store.disagreements().await?;
        for chain in &mut chains {
            chain.holder = holders.remove(&chain.id);
            chain.last_disagreement = disagreements.remove(&chain.id);
        }
        let ready = self.not_ready().is_empty();
        let (mut main, wallet) = (self.board.main(), self.board.known_wallet());
        main.nodes = self.main.endpoints().into_iter().map(SourceStatus::node).collect();
        let (late, stuck) = (self.pulses().late(), self.pulses().stuck());
        let problems = problem::problems(&Look {
            now,
            database: self.store.trouble(),
            main: &main,
            wallet: wallet.as_ref(),
            chains: &chains,
            late: &late,
            stuck: &stuck,
        });
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            name: self.crew.name().into(),
            started_at: self.started_at,
            now,
            ready,
            dry_run: self.shared.dry_run(),
            problems,
            main,
            wallet: self.board.wallet(),
            chains,
            tasks: self.pulses().status(),
        })
    }

    /// Notes how long items were in the stages that they have left since the last look.
    async fn observe_stages(&self, now: u64) -> Result<(), StoreError> {
        let mut mark = self.stages.lock().await;
        let (left, next) = self.store.left_stages(*mark, now).await?;
        for Left { chain, stage, after } in left {
            self.metrics.stage_left(chain.as_str(), stage, after);
        }
        *mark = next;
        Ok(())
    }

    pub(crate) async fn render_metrics(
        &self,
    ) -> Result<Result<String, prometheus::Error>, StoreError> {
        let status = self.status().await?;
        self.observe_stages(status.now).await?;
        self.metrics.observe(&status.main, &status.wallet, &status.chains);
        self.metrics.messages(&self.board.ids(), &self.store.message_counts().await?);
        self.metrics.store_bytes.set(i64::try_from(self.store.bytes()).unwrap_or(i64::MAX));
        Ok(self.metrics.render())
    }
}

impl RelayerHandle {
    /// One snapshot of everything; the same as `GET /v1/status`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn status(&self) -> Result<Status, StoreError> {
        self.inner.status().await
    }

    /// Where the HTTP server listens.
    #[must_use]
    pub const fn http_addr(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where administration listens.
    #[must_use]
    pub const fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Changes the relayer while it runs.
    #[must_use]
    pub fn control(&self) -> Control {
        Control::new(self.inner.clone())
    }

    /// Says how settings are read again; the first answer counts.
    pub fn on_reload(&self, reload: Arc<dyn Reload>) {
        let _ = self.inner.reload.set(reload);
    }

    /// Reads the settings again and applies what can change at once.
    ///
    /// # Errors
    /// What is wrong with the settings; nothing was changed then.
    pub async fn reload(&self) -> Result<Vec<Change>, String> {
        self.inner.reload().await
    }

    /// Chains that had no round yet.
    #[must_use]
    pub fn unvisited(&self) -> Vec<ChainId> {
        self.inner.board.unvisited()
    }

    /// Returns once `/readyz` would say yes.
    ///
    /// # Errors
    /// [`RelayerError::NotReady`] with what is missing, when `limit` has passed.
    pub async fn wait_ready(&self, limit: Duration) -> Result<(), RelayerError> {
        const LOOK: Duration = Duration::from_millis(20);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let problems = self.inner.not_ready();
            if problems.is_empty() {
                return Ok(());
            }
            if tokio::time::Instant::now() >= deadline {
                let problems = problems.join("; ");
                return Err(RelayerError::NotReady { seconds: limit.as_secs(), problems });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Stops every task, waits for them within the drain time, and closes the database.
    ///
    /// # Errors
    /// None so far; the signature leaves room for a failing shutdown.
    pub async fn stop(self) -> Result<(), RelayerError> {
        self.cancel.cancel();
        self.join().await
    }

    /// Returns after the token was cancelled, when every task has ended and the database is closed.
    ///
    /// # Errors
    /// None so far; the signature leaves room for a failing shutdown.
    pub async fn join(self) -> Result<(), RelayerError> {
        match self.supervisor.await {
            Ok(late) if late.is_empty() => {}
            Ok(late) => {
                tracing::warn!(tasks = late.join(", "), "tasks aborted after the drain time")
            }
            Err(error) => tracing::error!(%error, "the supervisor ended unexpectedly"),
        }
        self.inner.crew.let_go().await;
        self.inner.store.close().await;
        tracing::info!("relayer stopped");
        Ok(())
    }
}
