//! The whole relayer, with its timers and its HTTP server, over in-memory chains.

use core::{net::SocketAddr, time::Duration};
use std::sync::Arc;

use alloy_primitives::Address;
use alloy_signer_local::PrivateKeySigner;
use grid_core::{ChainId, Level, ethereum::attest::AttesterSet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::{
    ChainSource, Relayer, RelayerConfig, RelayerError, RelayerHandle, Status,
    clock::now_ms,
    sim::{Faults, Rates, SimMain, SimSource},
    store::{RelayerRow, StoreError},
};

const SOON: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

struct Bench {
    faults: Arc<Faults>,
    main: Arc<SimMain>,
    sources: Vec<Arc<SimSource>>,
    folder: tempfile::TempDir,
    signer: PrivateKeySigner,
}

impl Bench {
    fn new(chains: u64) -> Self {
        let faults = Faults::new(1);
        let signer = PrivateKeySigner::random();
        let attesters = AttesterSet::new(1, vec![signer.address()]).unwrap();
        let main = Arc::new(SimMain::new(faults.clone(), attesters));
        let source = |n| Arc::new(SimSource::new(ChainId::eip155(31_337 + n), 20, faults.clone()));
        let sources: Vec<_> = (0..chains).map(source).collect();
        for source in &sources {
            main.register(source.id(), source.at(0).unwrap(), Level::L0);
        }
        let folder = tempfile::tempdir().unwrap();
        Self { faults, main, sources, folder, signer }
    }

    fn config(&self, http: Option<SocketAddr>, poll: Duration) -> RelayerConfig {
        let database = self.folder.path().join("relayer.db");
        let mut config = RelayerConfig::new(database, self.signer.clone());
        config.attesters = vec![self.signer.clone()];
        config.http = http;
        for lane in &mut config.lanes {
            (lane.poll, lane.batch) = (poll, 10);
            lane.max_backoff = Duration::from_secs(1);
        }
        config.submit.poll = POLL;
        config
    }

    async fn start(&self, http: Option<SocketAddr>) -> Result<RelayerHandle, RelayerError> {
        self.start_with(http, POLL).await
    }

    async fn start_with(
        &self,
        http: Option<SocketAddr>,
        poll: Duration,
    ) -> Result<RelayerHandle, RelayerError> {
        let sources = self.sources.iter().map(|s| ChainSource::Headers(s.clone())).collect();
        let (config, cancel) = (self.config(http, poll), CancellationToken::new());
        Relayer::start(config, sources, self.main.clone(), cancel).await
    }

    /// Makes blocks until both tips of every chain are equal.
    async fn sync(&self) {
        let deadline = tokio::time::Instant::now() + SOON;
        while !self.sources.iter().all(|s| self.main.tracked(s.id()) == Some(s.tip_now())) {
            let tracked = |s: &Arc<SimSource>| (self.main.tracked(s.id()), s.tip_now());
            let late = || self.sources.iter().map(tracked).collect::<Vec<_>>();
            assert!(tokio::time::Instant::now() < deadline, "not in sync in time: {:?}", late());
            self.main.mine();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: grid\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn headers_flow_and_the_server_tells() {
    let bench = Bench::new(2);
    let relayer = bench.start(Some(any_port())).await.unwrap();
    relayer.wait_ready(SOON).await.unwrap();
    bench.sync().await;
    bench.sources[0].reorganise(5, 7);
    bench.sync().await;
    let address = relayer.http_addr().unwrap();
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(address, path).await, (200, "ok\n".into()), "{path}");
    }
    let (code, text) = get(address, "/metrics").await;
    assert_eq!(code, 200);
    let id = bench.sources[0].id().clone();
    assert!(text.contains(&format!("grid_reorgs_total{{chain=\"{id}\"}} 1")), "{text}");
    assert!(text.contains(&format!("grid_reorg_depth{{chain=\"{id}\"}} 5")), "{text}");
    let (code, json) = get(address, "/v1/status").await;
    let status: Status = serde_json::from_str(&json).unwrap();
    assert_eq!((code, status.ready, status.chains.len()), (200, true, 2));
    assert!(status.problems.is_empty(), "{:?}", status.problems);
    // The round after the last block marks what the main chain shows.
    let deadline = tokio::time::Instant::now() + SOON;
    while !relayer.store().unfinished(&id, 9).await.unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "items are not finished in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let done = relayer.store().items(&id, crate::store::Stage::Done, 9).await.unwrap();
    let (code, json) = get(address, &format!("/v1/events?key={}", done[0].key)).await;
    assert!(code == 200 && json.contains("included"), "{json}");
    assert_eq!(get(address, "/v1/items?chain=nonsense").await.0, 400);
    assert_eq!(get(address, "/v1/nothing").await.0, 404);
    let begun = std::time::Instant::now();
    relayer.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// With a poll of an hour everything comes from news: of sources, of settled transactions, and of visits that left
/// something to do.
#[tokio::test]
async fn lanes_that_sleep_are_woken() {
    let mut bench = Bench::new(3);
    // In a level of its own.
    let id = ChainId::eip155(99);
    let slow = Arc::new(SimSource::new(id.clone(), 5, bench.faults.clone()));
    bench.main.register(&id, slow.at(0).unwrap(), Level::L3);
    bench.sources.push(slow);
    // More than the budget of a round.
    bench.sources[0].extend(180);
    let relayer = bench.start_with(None, Duration::from_secs(3_600)).await.unwrap();
    bench.sync().await;
    for round in 0..6 {
        // News of several chains at once, while other visits are under way.
        for source in &bench.sources {
            source.extend(1 + round % 3);
        }
        bench.sources[1].reorganise(2, 3);
        if round == 4 {
            bench.faults.set(Rates { fail: 8, ..Rates::default() });
        }
        bench.sync().await;
        bench.faults.set(Rates::default());
    }
    relayer.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_names_the_setting() {
    let bench = Bench::new(1);
    let taken = std::net::TcpListener::bind(any_port()).unwrap();
    let error = bench.start(Some(taken.local_addr().unwrap())).await.unwrap_err().to_string();
    assert!(error.contains("relayer.listen") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn two_sources_of_one_chain_are_refused() {
    let mut bench = Bench::new(1);
    bench.sources.push(bench.sources[0].clone());
    let error = bench.start(None).await.unwrap_err();
    assert!(matches!(error, RelayerError::DuplicateSource(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_chain_delays_no_other_and_a_stop_does_not_wait_for_it() {
    let bench = Bench::new(2);
    let hanging = Faults::new(2);
    let id = ChainId::eip155(99);
    let source = Arc::new(SimSource::new(id.clone(), 5, hanging.clone()));
    bench.main.register(&id, source.at(0).unwrap(), Level::L0);
    // Its first call never returns.
    hanging.light_fuse(1);
    let mut with_it = Bench { sources: bench.sources.clone(), ..bench };
    with_it.sources.push(source);
    let relayer = with_it.start(None).await.unwrap();
    with_it.sources.pop();
    for _ in 0..5 {
        with_it.sources[0].extend(1);
        with_it.sync().await;
    }
    assert_eq!(with_it.faults.journal.count("call fails"), 0);
    let begun = std::time::Instant::now();
    relayer.stop().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

/// How they do is the other relayer's to say: what was seen of them last would stand for ever.
#[tokio::test]
async fn nothing_is_said_of_the_sources_of_a_chain_that_was_left_to_another_relayer() {
    const LEASE: Duration = Duration::from_secs(3);
    let bench = Bench::new(2);
    let mut config = bench.config(Some(any_port()), POLL);
    config.submit.lease = LEASE;
    let pool = |source: &Arc<SimSource>| ChainSource::Headers(Arc::new(source.pool().unwrap()));
    let sources = bench.sources.iter().map(pool).collect();
    let relayer =
        Relayer::start(config, sources, bench.main.clone(), CancellationToken::new()).await;
    let relayer = relayer.unwrap();
    let address = relayer.http_addr().unwrap();
    // Made of the status at each look.
    let shown = async || {
        let text = get(address, "/metrics").await.1;
        let of = |source: &Arc<SimSource>| {
            text.matches(&format!("grid_source_up{{chain=\"{}\"", source.id())).count()
        };
        let mut series: Vec<_> = bench.sources.iter().map(of).collect();
        series.sort_unstable();
        series
    };
    let other =
        RelayerRow { owner: "other".into(), signer: Address::repeat_byte(7), started_at: 1 };
    let join = async || {
        let (store, now) = (relayer.store(), now_ms());
        // It is not to seem dead where this loop is slow.
        store.beat(&other, now, SOON).await?;
        for source in &bench.sources {
            store.hold_chain("other", source.id(), now, SOON, Duration::ZERO).await?;
        }
        Ok::<_, StoreError>(())
    };
    let deadline = tokio::time::Instant::now() + SOON;
    let mut alone = true;
    loop {
        let series = shown().await;
        alone &= series != [3, 3];
        if !alone {
            if series == [0, 3] {
                break;
            }
            // A slow database is asked again.
            let _ = join().await;
        }
        assert!(tokio::time::Instant::now() < deadline, "alone: {alone}, shown: {series:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    relayer.stop().await.unwrap();
}
