//! A running relayer over in-memory chains takes other settings over.

use core::time::Duration;
use std::sync::Arc;

use alloy_signer_local::PrivateKeySigner;
use grid_core::{ChainId, Level, ethereum::attest::AttesterSet};
use tokio_util::sync::CancellationToken;

use crate::{
    ChainSource, Relayer, RelayerConfig, RelayerHandle,
    attest::AttestedChain,
    sim::{Faults, SimMain, SimSource, Tally},
};

const SOON: Duration = Duration::from_secs(60);
const FAST: Duration = Duration::from_millis(50);

struct Bench {
    main: Arc<SimMain>,
    faults: Arc<Faults>,
    config: RelayerConfig,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let faults = Faults::new(1);
        let signer = PrivateKeySigner::random();
        let attesters = AttesterSet::new(1, vec![signer.address()]).unwrap();
        let main = Arc::new(SimMain::new(faults.clone(), attesters));
        let folder = tempfile::tempdir().unwrap();
        let mut config = RelayerConfig::new(folder.path().join("relayer.db"), signer.clone());
        config.attesters = vec![signer];
        config.submit.poll = FAST;
        for lane in &mut config.lanes {
            lane.poll = FAST;
        }
        Self { main, faults, config, _folder: folder }
    }

    fn source(&self, n: u64) -> Arc<SimSource> {
        let source = Arc::new(SimSource::new(ChainId::eip155(n), 20, self.faults.clone()));
        self.main.register(source.id(), source.at(0).unwrap(), Level::L0);
        source
    }

    async fn start(&self, sources: &[Arc<SimSource>]) -> RelayerHandle {
        let sources = sources.iter().map(|source| ChainSource::Headers(source.clone())).collect();
        self.start_with(sources).await
    }

    async fn start_with(&self, sources: Vec<ChainSource>) -> RelayerHandle {
        let cancel = CancellationToken::new();
        Relayer::start(self.config.clone(), sources, self.main.clone(), cancel).await.unwrap()
    }

    /// Makes blocks until the main chain has all of a source.
    async fn sync(&self, source: &SimSource) {
        self.until(|| self.main.tracked(source.id()) == Some(source.tip_now())).await;
    }

    async fn until(&self, mut done: impl FnMut() -> bool) {
        let deadline = tokio::time::Instant::now() + SOON;
        while !done() {
            assert!(tokio::time::Instant::now() < deadline, "not in time");
            self.main.mine();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_get_other_sources_come_and_go_without_a_pause_for_the_others() {
    let bench = Bench::new();
    let steady = bench.source(1);
    // Its first call never returns: a visit of it lasts until its deadline.
    let hanging = Faults::new(2);
    hanging.light_fuse(1);
    let stuck = Arc::new(SimSource::new(ChainId::eip155(2), 20, hanging));
    bench.main.register(stuck.id(), stuck.at(0).unwrap(), Level::L0);
    let relayer = bench.start(&[steady.clone(), stuck]).await;
    bench.sync(&steady).await;
    let control = relayer.control();
    let attested = AttestedChain::default();

    let sound = bench.source(2);
    control.put_chain(ChainSource::Headers(sound.clone()), Some(&attested)).await.unwrap();
    bench.sync(&sound).await;

    let new = bench.source(3);
    control.put_chain(ChainSource::Headers(new.clone()), Some(&attested)).await.unwrap();
    bench.sync(&new).await;

    control.remove_chain(new.id()).await;
    let last = new.tip_now();
    new.extend(5);
    steady.extend(5);
    bench.sync(&steady).await;
    assert_eq!(bench.main.tracked(new.id()), Some(last), "nobody brings its headers any more");
    let status = relayer.status().await.unwrap();
    let gone = status.chains.iter().find(|chain| chain.id == *new.id()).unwrap();
    assert_eq!(gone.reason.as_deref(), Some("registered, but no source is configured"));
    relayer.stop().await.unwrap();
}

#[tokio::test]
async fn a_lane_takes_another_pace_at_once() {
    let mut bench = Bench::new();
    for lane in &mut bench.config.lanes {
        lane.poll = Duration::from_secs(3_600);
    }
    let source = bench.source(1);
    // A pool tells nobody of new headers: without the lane's own look nothing happens.
    let pool = ChainSource::Headers(Arc::new(source.pool().unwrap()));
    let relayer = bench.start_with(vec![pool]).await;
    bench.sync(&source).await;
    source.extend(1);
    let mut lanes = bench.config.lanes;
    for lane in &mut lanes {
        lane.poll = FAST;
    }
    relayer.control().set_lanes(lanes);
    bench.sync(&source).await;
    relayer.stop().await.unwrap();
}

#[tokio::test]
async fn a_dry_run_says_what_it_would_sign_and_signs_nothing() {
    let mut bench = Bench::new();
    bench.config.submit.dry_run = true;
    let source = bench.source(1);
    let relayer = bench.start(std::slice::from_ref(&source)).await;
    relayer.wait_ready(SOON).await.unwrap();
    let status = relayer.status().await.unwrap();
    assert!(status.dry_run);
    let reason = status.chains[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("dry run: signatures for header"), "{reason}");
    assert_eq!((bench.main.waiting(), bench.main.tally()), (0, Tally::default()));
    relayer.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_file_of_settings_a_reload_says_so() {
    let bench = Bench::new();
    let relayer = bench.start(&[]).await;
    assert!(relayer.reload().await.unwrap_err().contains("without a file of settings"));
    relayer.stop().await.unwrap();
}
