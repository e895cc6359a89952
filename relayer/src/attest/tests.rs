//! Attesters and a collector over real HTTP on loopback.

use core::{net::SocketAddr, time::Duration};
use std::{path::Path, sync::Arc};

use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use axum::{Router, routing::post};
use grid_adapters::{
    Auth, Endpoint, RpcError, Secret,
    http::{JsonService, Limits},
};
use grid_core::{
    ChainId,
    api::BlockRef,
    ethereum::attest::{self, AttesterSet},
};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    ChainSource, Relayer, RelayerConfig, RelayerHandle, Status, Store,
    sim::{Faults, SimMain, SimSource},
    store::Journaled,
};

const SOON: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-long-token";

/// Attesters with a relayer and a source each. Every source makes the same blocks when it is told the same.
struct Bench {
    main: Arc<SimMain>,
    chain: ChainId,
    keys: Vec<PrivateKeySigner>,
    sources: Vec<Arc<SimSource>>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(attesters: usize, threshold: u32) -> Self {
        let faults = Faults::new(1);
        let chain = ChainId::eip155(31_337);
        let mut keys: Vec<_> = (0..attesters).map(|_| PrivateKeySigner::random()).collect();
        keys.sort_by_key(PrivateKeySigner::address);
        let addresses = keys.iter().map(PrivateKeySigner::address).collect();
        let set = AttesterSet::new(threshold, addresses).unwrap();
        let main = Arc::new(SimMain::new(faults.clone(), set));
        let source = |_| Arc::new(SimSource::new(chain.clone(), 5, faults.clone()));
        let sources: Vec<_> = (0..attesters).map(source).collect();
        main.register(&chain, sources[0].at(0).unwrap(), grid_core::Level::L0);
        let folder = tempfile::tempdir().unwrap();
        Self { main, chain, keys, sources, folder }
    }

    async fn start(&self, n: usize, follows_final: bool, peers: &[SocketAddr]) -> RelayerHandle {
        let key = self.keys[n].clone();
        let mut config = RelayerConfig::new(self.database(n), key.clone());
        config.attesters = vec![key];
        config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let peers = peers.iter().enumerate().map(|(m, peer)| endpoint(m, *peer, TOKEN)).collect();
        let attested = AttestedChain { follows_final, peers };
        config.attest.chains.insert(self.chain.clone(), attested);
        config.attest.tokens = vec![Secret::new(TOKEN)];
        for lane in &mut config.lanes {
            lane.poll = Duration::from_millis(50);
            lane.max_backoff = Duration::from_millis(200);
        }
        config.submit.poll = Duration::from_millis(50);
        let sources = vec![ChainSource::Headers(self.sources[n].clone())];
        let cancel = CancellationToken::new();
        Relayer::start(config, sources, self.main.clone(), cancel).await.unwrap()
    }

    fn database(&self, n: usize) -> std::path::PathBuf {
        self.folder.path().join(format!("{n}.db"))
    }

    fn tracked(&self) -> BlockRef {
        self.main.tracked(&self.chain).unwrap()
    }

    /// Makes blocks until the main chain tracks `block`.
    async fn reach(&self, block: BlockRef) {
        let deadline = tokio::time::Instant::now() + SOON;
        while self.tracked() != block {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?} is not {block:?}",
                self.tracked()
            );
            self.main.mine();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.main.check().unwrap();
    }

    /// Waits until the relayer's status is as wanted.
    async fn until(&self, relayer: &RelayerHandle, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let status = relayer.status().await.unwrap();
            if wanted(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "{status:#?}");
            self.main.mine();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn extend(&self, which: &[usize], blocks: u64) {
        which.iter().for_each(|n| self.sources[*n].extend(blocks));
    }
}

fn endpoint(m: usize, address: SocketAddr, token: &str) -> Endpoint {
    let auth = Auth::Bearer(Secret::new(token));
    let section = format!("chain[0].attester[{m}]");
    let url = format!("http://{address}/v1/attest");
    Endpoint::new(&url, &section).unwrap().with_auth(auth).unwrap()
}

fn client(address: SocketAddr, token: &str) -> JsonService {
    JsonService::new(endpoint(0, address, token).with_limits(Limits::default())).unwrap()
}

fn question(chain: &ChainId, block: BlockRef) -> AttestRequest {
    AttestRequest { chain: chain.clone(), height: block.height, hash: block.hash }
}

async fn ask(address: SocketAddr, chain: &ChainId, block: BlockRef) -> AttestAnswer {
    client(address, TOKEN).post("attest", &question(chain, block)).await.unwrap()
}

/// A server that answers every question with the same status and text, or never.
async fn liar(answer: Option<(u16, String)>) -> SocketAddr {
    let serve = move || {
        let answer = answer.clone();
        async move {
            let Some((status, text)) = answer else { return core::future::pending().await };
            (axum::http::StatusCode::from_u16(status).unwrap(), text)
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/attest", post(serve));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[test]
fn signatures_recover_to_the_attesters_in_rising_order() {
    let keys: Vec<_> = (0..5).map(|_| PrivateKeySigner::random()).collect();
    let chain = ChainId::eip155(31337).key();
    let last = BlockRef { height: 7, hash: B256::repeat_byte(9) };
    let digest = attest::digest(chain, last.height, &last.hash);
    let signers: Vec<_> = sign(&keys, chain, last)
        .unwrap()
        .iter()
        .map(|signature| signature.recover(&digest).unwrap())
        .collect();
    let mut expected: Vec<_> = keys.iter().map(PrivateKeySigner::address).collect();
    expected.sort();
    assert_eq!(signers, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_relayers_carry_a_chain_and_one_may_be_away() {
    let bench = Bench::new(3, 2);
    let a = bench.start(0, false, &[]).await;
    let b = bench.start(1, false, &[]).await;
    let peers = [a.http_addr().unwrap(), b.http_addr().unwrap()];
    let c = bench.start(2, false, &peers).await;
    bench.reach(bench.sources[2].tip_now()).await;
    bench.extend(&[0, 1, 2], 3);
    bench.reach(bench.sources[2].tip_now()).await;
    // The others submit too where the main chain knows their signature's sum; here they have no peers.
    let status = bench.until(&a, |status| status.chains[0].attestation.is_some()).await;
    let alone = status.chains[0].attestation.as_ref().unwrap();
    assert_eq!((alone.threshold, alone.attesters, alone.signed.len()), (2, 3, 1));
    b.stop().await.unwrap();
    for _ in 0..3 {
        bench.extend(&[0, 2], 1);
        bench.reach(bench.sources[2].tip_now()).await;
    }
    a.stop().await.unwrap();
    bench.extend(&[2], 1);
    let waits =
        |status: &Status| status.problems.iter().any(|p| p.text.contains("1 of 2 signatures"));
    let status = bench.until(&c, waits).await;
    let missing = &status.chains[0].attestation.as_ref().unwrap().missing;
    assert_eq!(missing.len(), 2, "{missing:?}");
    assert!(missing.iter().all(|m| m.attester.starts_with("chain[0].attester[")), "{missing:?}");
    assert_eq!(bench.tracked().height + 1, bench.sources[2].tip_now().height);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attesters_that_are_behind_are_asked_for_what_they_have() {
    let bench = Bench::new(3, 3);
    bench.extend(&[2], 4);
    bench.extend(&[1], 2);
    let a = bench.start(0, false, &[]).await;
    let b = bench.start(1, false, &[]).await;
    let peers = [a.http_addr().unwrap(), b.http_addr().unwrap()];
    let _c = bench.start(2, false, &peers).await;
    bench.reach(bench.sources[0].tip_now()).await;
    let behind = ask(peers[0], &bench.chain, bench.sources[2].tip_now()).await;
    assert_eq!(behind, AttestAnswer::Behind { head: bench.sources[0].tip_now() });
    bench.extend(&[0], 3);
    bench.reach(bench.sources[1].tip_now()).await;
    bench.extend(&[0, 1], 1);
    bench.extend(&[1], 1);
    bench.reach(bench.sources[2].tip_now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attesters_on_another_branch_hold_the_chain_and_are_named() {
    let bench = Bench::new(3, 2);
    let a = bench.start(0, false, &[]).await;
    let b = bench.start(1, false, &[]).await;
    let peers = [a.http_addr().unwrap(), b.http_addr().unwrap()];
    let c = bench.start(2, false, &peers).await;
    bench.reach(bench.sources[2].tip_now()).await;
    let before = bench.tracked();
    // The collector's own endpoint is alone with its branch.
    bench.extend(&[2], 2);
    bench.sources[2].reorganise(2, 2);
    bench.extend(&[0, 1], 2);
    let told =
        |status: &Status| status.problems.iter().any(|p| p.text.contains("its sources have 0x"));
    let status = bench.until(&c, told).await;
    assert_eq!(status.chains[0].state, crate::store::ChainState::Waiting);
    assert_eq!(bench.tracked(), before);
    // It comes back to the others' branch.
    bench.sources[2].reorganise(2, 0);
    let hash = bench.sources[0].tip_now();
    assert!(matches!(ask(peers[0], &bench.chain, hash).await, AttestAnswer::Signed { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lying_slow_and_broken_attesters_cost_a_counter_each() {
    let bench = Bench::new(2, 2);
    let stranger = PrivateKeySigner::random();
    let block = bench.sources[1].tip_now();
    let other = sign(&[stranger], bench.chain.key(), block).unwrap();
    let wrong = sign(&[bench.keys[0].clone()], bench.chain.key(), BlockRef { height: 1, ..block });
    let text = |signatures| serde_json::to_string(&AttestAnswer::Signed { signatures }).unwrap();
    let honest = bench.start(0, false, &[]).await;
    let peers = [
        liar(Some((200, text(other)))).await,
        liar(Some((200, text(wrong.unwrap())))).await,
        liar(Some((200, text(Vec::new())))).await,
        liar(Some((500, "<html>oops</html>".into()))).await,
        liar(Some((200, "x".repeat(100_000)))).await,
        liar(None).await,
        honest.http_addr().unwrap(),
    ];
    let relayer = bench.start(1, false, &peers).await;
    bench.reach(block).await;
    honest.stop().await.unwrap();
    bench.extend(&[0, 1], 1);
    let silent =
        |status: &Status| status.problems.iter().any(|p| p.text.contains("1 of 2 signatures"));
    let status = bench.until(&relayer, silent).await;
    assert_eq!(status.chains[0].attestation.as_ref().unwrap().missing.len(), peers.len());
    let address = relayer.http_addr().unwrap();
    let url = format!("http://{address}/metrics");
    let text = String::from_utf8(get(&url).await).unwrap();
    for (attester, outcome) in [
        (0, "garbage"),
        (1, "garbage"),
        (2, "garbage"),
        (3, "garbage"),
        (4, "garbage"),
        (5, "slow"),
    ] {
        let line = text.lines().find(|line| {
            line.starts_with("grid_attest_requests_total")
                && line.contains(&format!("attester[{attester}]"))
                && line.contains(&format!("\"{outcome}\""))
        });
        let count: u64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(count > 0, "{attester} {outcome}: {text}");
    }
    assert!(text.contains("grid_attest_missing_signatures{chain=\"eip155:31337\"} 1"), "{text}");
}

async fn get(url: &str) -> Vec<u8> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_final_height_is_never_signed_twice_not_even_after_a_restart() {
    for follows_final in [true, false] {
        let bench = Bench::new(2, 2);
        let attester = bench.start(0, follows_final, &[]).await;
        let old = bench.sources[0].tip_now();
        let address = attester.http_addr().unwrap();
        let first = ask(address, &bench.chain, old).await;
        let AttestAnswer::Signed { signatures } = &first else { panic!("{first:?}") };
        let digest = attest::digest(bench.chain.key(), old.height, &old.hash);
        assert_eq!(signatures[0].recover(&digest), Some(bench.keys[0].address()));
        attester.stop().await.unwrap();
        bench.sources[0].reorganise(2, 3);
        let new = bench.sources[0].at(old.height).unwrap();
        let again = bench.start(0, follows_final, &[]).await;
        let address = again.http_addr().unwrap();
        match (follows_final, ask(address, &bench.chain, new).await) {
            (true, answer) => assert_eq!(answer, AttestAnswer::Conflict { hash: old.hash }),
            // The newest blocks of a chain do change.
            (false, answer) => assert!(matches!(answer, AttestAnswer::Signed { .. }), "{answer:?}"),
        }
        // What was signed once is signed again, whatever became of it: it tells nobody anything new.
        assert_eq!(ask(address, &bench.chain, old).await, first);
        again.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_without_token_too_large_or_too_many_are_refused() {
    let bench = Bench::new(1, 1);
    let relayer = bench.start(0, true, &[]).await;
    let address = relayer.http_addr().unwrap();
    let block = bench.sources[0].tip_now();
    let right = question(&bench.chain, block);
    let wrong: Result<AttestAnswer, _> = client(address, "guess").post("attest", &right).await;
    assert!(matches!(wrong, Err(RpcError::Unauthorized { .. })), "{wrong:?}");
    let here = client(address, TOKEN);
    let large: Result<AttestAnswer, _> = here.post("attest", &"x".repeat(2_000)).await;
    assert!(matches!(large, Err(RpcError::Status { status: 413, .. })), "{large:?}");
    let nonsense: Result<AttestAnswer, _> = here.post("attest", &7).await;
    assert!(matches!(nonsense, Err(RpcError::Status { status: 400, .. })), "{nonsense:?}");
    let foreign = ask(address, &ChainId::eip155(5), block).await;
    assert_eq!(foreign, AttestAnswer::Unknown);
    let other = BlockRef { hash: B256::repeat_byte(7), ..block };
    assert_eq!(
        ask(address, &bench.chain, other).await,
        AttestAnswer::Disagree { hash: block.hash }
    );
    let mut busy = 0;
    for _ in 0..200 {
        let answer: AttestAnswer = here.post("attest", &right).await.unwrap();
        busy += u32::from(answer == AttestAnswer::Busy);
    }
    assert!(busy > 0, "200 questions at once and none refused");
}

#[tokio::test]
async fn without_tokens_nobody_is_answered() {
    let bench = Bench::new(1, 1);
    let mut config = RelayerConfig::new(bench.database(0), bench.keys[0].clone());
    config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let cancel = CancellationToken::new();
    let relayer = Relayer::start(config, Vec::new(), bench.main.clone(), cancel).await.unwrap();
    let right = question(&bench.chain, bench.sources[0].tip_now());
    let service = client(relayer.http_addr().unwrap(), TOKEN);
    let answer: Result<AttestAnswer, _> = service.post("attest", &right).await;
    assert!(matches!(answer, Err(RpcError::Status { status: 404, .. })), "{answer:?}");
}

#[derive(Debug, Clone)]
struct Signing {
    signer: u8,
    height: u64,
    hash: u8,
    final_head: bool,
}

fn signing() -> impl Strategy<Value = Signing> {
    (0_u8..2, 0_u64..4, 0_u8..3, any::<bool>())
        .prop_map(|(signer, height, hash, final_head)| Signing { signer, height, hash, final_head })
}

async fn journal_keeps_its_promise(path: &Path, signings: &[Signing]) {
    let chain = ChainId::eip155(1);
    let mut given: Vec<Signing> = Vec::new();
    let mut store = Store::open_volatile(path).await.unwrap();
    for (n, new) in signings.iter().enumerate() {
        if n % 7 == 6 {
            store.close().await;
            store = Store::open_volatile(path).await.unwrap();
        }
        let signer = Address::repeat_byte(new.signer);
        let block = BlockRef { height: new.height, hash: B256::repeat_byte(new.hash) };
        let verdict = store.journal(&signer, &chain, block, new.final_head, 1).await.unwrap();
        let same = |old: &&Signing| old.signer == new.signer && old.height == new.height;
        let bound = given.iter().filter(same).find(|old| old.final_head && old.hash != new.hash);
        match verdict {
            Journaled::Sign => {
                assert!(bound.is_none(), "{new:?} against {bound:?}");
                assert!(store.has_attested(&signer, &chain, block).await.unwrap());
                given.push(new.clone());
            }
            Journaled::Conflict(hash) => {
                assert_eq!(bound.map(|old| B256::repeat_byte(old.hash)), Some(hash));
            }
        }
    }
    // Old entries go, except those that a conflict is told by.
    store.prune(u64::MAX / 4, Duration::ZERO, 0, 1_000).await.unwrap();
    for old in given {
        let signer = Address::repeat_byte(old.signer);
        let other = BlockRef { height: old.height, hash: B256::repeat_byte(99) };
        let verdict = store.journal(&signer, &chain, other, false, 1).await.unwrap();
        assert!(!old.final_head || matches!(verdict, Journaled::Conflict(_)), "{old:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_journal_never_lets_two_headers_of_a_final_height_be_signed(
        signings in proptest::collection::vec(signing(), 1..40)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = folder.path().join("journal.db");
        runtime.block_on(journal_keeps_its_promise(&path, &signings));
    }
}
