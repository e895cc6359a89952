//! What can be ended, and what is handed in, over a contract and a source in memory.

use core::time::Duration;
use std::{path::Path, sync::Mutex};

use alloy_primitives::{Address, U256, hex};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall as _, SolInterface as _};
use async_trait::async_trait;
use grid_adapters::{AdapterError, Material, ProofRequest, SourceHeader, SourceTip};
use grid_core::{
    CompatHeader, Family, Level,
    api::{AccountInfo, GridTip, Locator},
    bitcoin::spv::BlockTxs,
    guarantee::{GuaranteeParams, Status},
    modules::abi::{
        GUARANTEE,
        Guarantee::{self, GuaranteeCalls as Calls},
    },
    proof::Inclusion,
};

use super::{look::Ending, *};
use crate::{
    attest::{AttestConfig, Attester, Collector},
    clock::Clock,
    config::{LaneConfig, SubmitConfig},
    crew::Crew,
    main_chain::{Receipt, TransportError},
    metrics::Metrics,
    source::ChainSource,
    status::Board,
    store::{RelayerRow, Store},
    submit::Submitter,
};

const ID: B256 = B256::repeat_byte(0x1d);
const OWN_BLOCK: B256 = B256::repeat_byte(0xb1);
const HEIGHT: u64 = 100;
const DEADLINE: u64 = 106;

/// What the contract would take, and everything that was sent.
#[derive(Debug, Default)]
struct State {
    confirmed: u64,
    settles: bool,
    settles_in: bool,
    claims: bool,
    ended: bool,
    sent: Vec<Bytes>,
    /// Milliseconds since the start; only the tests let it pass.
    time: u64,
    /// What the source says; `None` where it cannot be asked.
    payment: Option<Place>,
    searches: usize,
}

/// Where a source has the payment.
#[derive(Debug, Clone, Copy)]
enum Place {
    Nowhere,
    /// In a block that the source has left.
    Left,
    In(B256),
}

/// The main chain with its contract, and the source.
#[derive(Debug, Default, Clone)]
struct World(Arc<Mutex<State>>);

fn chain() -> ChainId {
    ChainId::bip122(&B256::repeat_byte(0xcc))
}

fn info(confirmed: u64) -> ChainInfo {
    let block = |height| BlockRef { height, hash: B256::ZERO };
    ChainInfo {
        id: chain(),
        key: chain().key().0,
        family: Family::Bitcoin,
        security: Security::ProofOfWork,
        level: Level::L3,
        measured: false,
        median_interval: None,
        status: "active".into(),
        rule: String::new(),
        first_height: 0,
        base: block(0),
        tracked: block(confirmed + 5),
        confirmed: Some(block(confirmed)),
        tracked_headers: 0,
        tracked_bytes: 0,
        sync: None,
        attesters: None,
        submitters: Vec::new(),
    }
}

fn material(block: B256) -> Material {
    let coinbase = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff025800ffffffff0100f2052a01000000015100000000";
    let payment = "01000000010101010101010101010101010101010101010101010101010101010101010101000000000151ffffffff010700000000000000015100000000";
    let txs = [coinbase, payment].map(|text| hex::decode(text).unwrap());
    let proof = BlockTxs::new(&txs).unwrap().prove(1).unwrap();
    let header = CompatHeader {
        chain: chain().key().0,
        height: HEIGHT + 1,
        blockHash: block,
        parentHash: B256::ZERO,
        time: 0,
        txRoot: B256::ZERO,
        receiptsRoot: B256::ZERO,
        stateRoot: B256::ZERO,
        indexRoot: B256::ZERO,
    };
    Material { header, inclusion: Inclusion::BitcoinTx(proof) }
}

impl World {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    /// Leases end when a test says so, however slow the machine is.
    fn clock(&self) -> Clock {
        let world = self.clone();
        Clock::of(move || {
            let time = 1_000_000 + world.0.lock().unwrap().time;
            (time, Duration::from_millis(time))
        })
    }

    fn answer(&self, call: Calls) -> Result<Bytes, String> {
        let state = self.0.lock().unwrap();
        let taken =
            |takes: bool| if takes && !state.ended { Ok(Bytes::new()) } else { Err("no".into()) };
        let unit = U256::from(10).pow(U256::from(18));
        Ok(match call {
            Calls::params(_) => {
                let json = serde_json::to_vec(&GuaranteeParams::default()).unwrap();
                Guarantee::paramsCall::abi_encode_returns(&json.into())
            }
            Calls::pool(_) => Guarantee::poolCall::abi_encode_returns(&Guarantee::poolReturn {
                free: unit * U256::from(950),
                locked: unit * U256::from(60),
                cover: unit * U256::from(50),
                shares: unit,
            }),
            Calls::totals(_) => {
                Guarantee::totalsCall::abi_encode_returns(&Guarantee::totalsReturn {
                    deposited: unit,
                    withdrawn: unit,
                    premiums: unit,
                    paid: unit * U256::from(3),
                })
            }
            Calls::openOf(_) => {
                let ids = if state.ended { Vec::new() } else { vec![ID] };
                let cover = U256::ZERO;
                Guarantee::openOfCall::abi_encode_returns(&Guarantee::openOfReturn { ids, cover })
            }
            Calls::guaranteeOf(_) => {
                let status = if state.ended { Status::Settled } else { Status::Guaranteed };
                Guarantee::guaranteeOfCall::abi_encode_returns(&Guarantee::guaranteeOfReturn {
                    status: status as u8,
                    chain: chain().key().0,
                    txid: B256::repeat_byte(7),
                    blockHash: OWN_BLOCK,
                    height: HEIGHT,
                    deadline: DEADLINE,
                    cover: unit * U256::from(50),
                    premium: unit,
                    beneficiary: Address::ZERO,
                    payer: Address::ZERO,
                })
            }
            Calls::settle(_) => return taken(state.settles),
            Calls::settleIn(_) => return taken(state.settles_in),
            Calls::claim(_) => return taken(state.claims),
            other => panic!("the relayer has no reason to ask {other:?}"),
        }
        .into())
    }
}

#[async_trait]
impl MainChain for World {
    async fn view(&self) -> Result<MainView, MainError> {
        let (hash, index_root) = (B256::ZERO, B256::ZERO);
        let tip = GridTip { chain_id: 7, height: 1, hash, time_ms: 0, index_root };
        let chains = vec![info(self.0.lock().unwrap().confirmed)];
        Ok(MainView { tip, base_fee: 1_000, chains })
    }

    async fn locator(&self, _: &ChainId) -> Result<Locator, MainError> {
        Err(TransportError::Unreachable("not asked".into()).into())
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        let nonce = self.0.lock().unwrap().sent.len() as u64;
        let balance = U256::from(u128::MAX);
        Ok(AccountInfo { address: *address, nonce, pending_nonce: nonce, balance })
    }

    async fn send(&self, raw: &Bytes) -> Result<(), MainError> {
        self.set(|state| state.sent.push(raw.clone()));
        Ok(())
    }

    async fn receipt(&self, _: &B256) -> Result<Option<Receipt>, MainError> {
        let success = self.0.lock().unwrap().ended;
        Ok(Some(Receipt { block: 1, success, gas_used: 0, gas_price: 0 }))
    }

    async fn call(
        &self,
        _: &Address,
        to: &Address,
        input: &Bytes,
    ) -> Result<Result<Bytes, String>, MainError> {
        assert_eq!(*to, GUARANTEE);
        Ok(self.answer(Calls::abi_decode(input).unwrap()))
    }
}

struct Source(World, ChainId);

fn unable() -> AdapterError {
    AdapterError::Invalid("not asked".into())
}

#[async_trait]
impl SourceChain for Source {
    fn id(&self) -> &ChainId {
        &self.1
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        Err(unable())
    }

    async fn headers(&self, _: u64, _: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        Err(unable())
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        let mut state = self.0.0.lock().unwrap();
        state.searches += 1;
        let endpoint = "http://node".into();
        match state.payment {
            None => Err(unable()),
            Some(Place::Nowhere) => Err(AdapterError::NotIncluded { endpoint, what: "it".into() }),
            Some(Place::Left) => {
                let block = OWN_BLOCK.to_string();
                Err(AdapterError::Stale { endpoint, block, height: HEIGHT })
            }
            Some(Place::In(block)) => Ok(material(block)),
        }
    }
}

async fn ending(world: &World, memory: &mut Memory) -> Option<Ending> {
    let chain = info(world.0.lock().unwrap().confirmed);
    let source: Arc<dyn SourceChain> = Arc::new(Source(world.clone(), chain.id.clone()));
    let params = GuaranteeParams::default();
    let look = Look { contract: Contract(world), params: &params, chain: &chain, source: &source };
    let seen = look.all(memory, &Pulse::new("test")).await.unwrap();
    assert_eq!(seen.open.len(), 1);
    seen.open.into_iter().next().unwrap().1
}

#[tokio::test]
async fn a_confirmed_payment_is_settled_by_its_own_block_and_no_source_is_asked() {
    let (world, mut memory) = (World::default(), Memory::default());
    world.set(|state| (state.confirmed, state.settles) = (HEIGHT - 1, true));
    assert_eq!(ending(&world, &mut memory).await, None, "nothing is confirmed");
    world.set(|state| state.confirmed = HEIGHT);
    assert_eq!(ending(&world, &mut memory).await, Some(Ending::Confirmed));
    assert_eq!(world.0.lock().unwrap().searches, 0);
}

#[tokio::test]
async fn a_lost_payment_is_looked_for_once_at_each_confirmed_height() {
    let (world, mut memory) = (World::default(), Memory::default());
    world.set(|state| (state.confirmed, state.payment) = (HEIGHT, Some(Place::Nowhere)));
    for _ in 0..3 {
        assert_eq!(ending(&world, &mut memory).await, None);
    }
    assert_eq!(world.0.lock().unwrap().searches, 1);
    // Mined again, not confirmed yet; then confirmed.
    let other = B256::repeat_byte(0xb2);
    world.set(|state| (state.confirmed, state.payment) = (HEIGHT + 1, Some(Place::In(other))));
    assert_eq!(ending(&world, &mut memory).await, None);
    world.set(|state| (state.confirmed, state.settles_in) = (HEIGHT + 2, true));
    let Some(Ending::MinedAgain(call)) = ending(&world, &mut memory).await else {
        panic!("it can be settled")
    };
    let call = Guarantee::settleInCall::abi_decode(&call).unwrap();
    assert_eq!((call.id, call.blockHash), (ID, other));
}

#[tokio::test]
async fn nobody_is_paid_before_the_source_has_said_that_the_payment_is_gone() {
    let (world, mut memory) = (World::default(), Memory::default());
    let over = DEADLINE + GuaranteeParams::default().grace + 1;
    world.set(|state| (state.confirmed, state.claims) = (over, true));
    assert_eq!(ending(&world, &mut memory).await, None, "the source does not answer");
    // The source is on the branch that the main chain has left.
    world.set(|state| state.payment = Some(Place::In(OWN_BLOCK)));
    assert_eq!(ending(&world, &mut memory).await, None);
    for gone in [Place::Nowhere, Place::Left] {
        memory.keep(|_| false);
        world.set(|state| state.payment = Some(gone));
        assert_eq!(ending(&world, &mut memory).await, Some(Ending::Lost), "{gone:?}");
    }
    // It came back too late.
    memory.keep(|_| false);
    world.set(|state| state.payment = Some(Place::In(B256::repeat_byte(0xb2))));
    assert_eq!(ending(&world, &mut memory).await, Some(Ending::Lost));
    world.set(|state| (state.confirmed, state.payment) = (over - 1, Some(Place::Nowhere)));
    assert_eq!(ending(&world, &mut memory).await, None, "the time is not over");
}

struct Bench {
    world: World,
    keeper: Keeper,
}

impl Bench {
    async fn new(owner: &str, folder: &Path, world: &World) -> Self {
        let store = Store::open_volatile(&folder.join("relayer.db")).await.unwrap();
        let (main, signer): (Arc<dyn MainChain>, _) =
            (Arc::new(world.clone()), PrivateKeySigner::random());
        let (metrics, board) = (Arc::new(Metrics::new().unwrap()), Board::default());
        let submit = SubmitConfig { stale_after: Duration::ZERO, ..SubmitConfig::default() };
        let (key, told) = (signer.clone(), metrics.clone());
        let submitter =
            Submitter::new(main.clone(), store.clone(), key, submit, told, board.clone());
        let config = AttestConfig::default();
        let attester = Arc::new(Attester::new([].into(), store.clone(), &[], &config));
        let collector = Collector::new(attester, &config, metrics.clone(), board.clone()).unwrap();
        let me = RelayerRow { owner: owner.into(), signer: signer.address(), started_at: 1 };
        let parts = Parts {
            main,
            store: store.clone(),
            submitter: Arc::new(submitter),
            collector: Arc::new(collector),
            lanes: Level::ALL.map(LaneConfig::of),
            submit,
            deadline: Duration::from_secs(1),
            board,
            metrics,
            crew: Crew::new(store, me, submit.lease, false),
            clock: world.clock(),
        };
        let source: Arc<dyn SourceChain> = Arc::new(Source(world.clone(), chain()));
        let shared = Arc::new(Shared::new(parts.clone(), vec![ChainSource::Headers(source)]));
        let keeper = Keeper::new(shared, parts, GuaranteeConfig { poll: Duration::ZERO });
        Self { world: world.clone(), keeper }
    }

    async fn round(&self) {
        let pulse = Pulse::new("test");
        self.keeper.round(&mut Memory::default(), &pulse).await.unwrap();
    }

    async fn plan(&self, ending: Ending) {
        let planned = item(ID, ending.call(ID));
        self.keeper.parts.store.plan(&planned, 1, Duration::ZERO).await.unwrap();
    }

    async fn stages(&self) -> Vec<Stage> {
        let rows = self.keeper.parts.store.unfinished(queue(), 9).await.unwrap();
        rows.iter().map(|row| row.stage).collect()
    }

    /// The main chain executes what was sent, and its submitter sees it.
    async fn is_included(&self) {
        self.world.set(|state| state.ended = true);
        let now = self.keeper.parts.clock.now_ms();
        self.keeper.parts.submitter.settle(now).await.unwrap();
        assert_eq!(self.stages().await, [Stage::Included]);
    }

    fn sent(&self) -> usize {
        self.world.0.lock().unwrap().sent.len()
    }
}

#[tokio::test]
async fn an_end_has_its_row_is_sent_once_and_is_done_when_the_main_chain_says_so() {
    let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
    let bench = Bench::new("a", folder.path(), &world).await;
    bench.round().await;
    assert_eq!((bench.stages().await, bench.sent()), (vec![], 0));
    world.set(|state| (state.confirmed, state.settles) = (HEIGHT, true));
    for _ in 0..3 {
        bench.round().await;
        assert_eq!((bench.stages().await, bench.sent()), (vec![Stage::Sent], 1));
    }
    // Another relayer on the same database leaves it alone.
    let other = Bench::new("b", folder.path(), &world).await;
    other.round().await;
    assert_eq!(other.sent(), 1);
    bench.is_included().await;
    bench.round().await;
    assert_eq!((bench.stages().await, bench.sent()), (vec![], 1));
}

#[tokio::test]
async fn a_row_whose_guarantee_has_ended_is_done_whoever_holds_the_queue() {
    let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
    let bench = Bench::new("a", folder.path(), &world).await;
    world.set(|state| (state.confirmed, state.settles) = (HEIGHT, true));
    bench.round().await;
    // The machine slept: another relayer has the queue now, and sends nothing again.
    let lease = u64::try_from(bench.keeper.parts.submit.lease.as_millis()).unwrap();
    world.set(|state| state.time += lease + 1);
    let other = Bench::new("b", folder.path(), &world).await;
    other.round().await;
    assert_eq!((other.stages().await, other.sent()), (vec![Stage::Sent], 1));
    bench.is_included().await;
    bench.round().await;
    assert_eq!((bench.stages().await, bench.sent()), (vec![], 1));
    let queue = bench.keeper.parts.crew.hold(queue(), world.clock().now_ms()).await.unwrap();
    assert_eq!(queue, None, "the other one still holds it");
}

#[tokio::test]
async fn a_way_that_has_changed_is_planned_anew() {
    let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
    let bench = Bench::new("a", folder.path(), &world).await;
    bench.plan(Ending::Lost).await;
    // The payment came back: it is settled, not claimed.
    world.set(|state| (state.confirmed, state.settles) = (HEIGHT, true));
    bench.round().await;
    assert_eq!((bench.stages().await, bench.sent()), (vec![Stage::Sent], 1));
    let raw = world.0.lock().unwrap().sent[0].clone();
    let settle = Ending::Confirmed.call(ID);
    assert!(raw.windows(settle.len()).any(|part| part == settle.as_ref()));
}

#[tokio::test]
async fn what_somebody_else_has_ended_or_cannot_be_ended_any_more_is_not_sent() {
    for ended in [true, false] {
        let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
        let bench = Bench::new("a", folder.path(), &world).await;
        bench.plan(Ending::Confirmed).await;
        world.set(|state| state.ended = ended);
        bench.round().await;
        assert_eq!((bench.stages().await, bench.sent()), (vec![], 0));
    }
}

#[tokio::test]
async fn exposure_and_capacity_are_shown() {
    let (world, folder) = (World::default(), tempfile::tempdir().unwrap());
    let bench = Bench::new("a", folder.path(), &world).await;
    bench.round().await;
    let text = bench.keeper.parts.metrics.render().unwrap();
    let id = chain();
    for line in [
        format!("grid_guarantee_open{{chain=\"{id}\"}} 1"),
        format!("grid_guarantee_due{{chain=\"{id}\"}} 0"),
        format!("grid_guarantee_cover{{chain=\"{id}\",limit=\"reorganisation\"}} 50"),
        format!("grid_guarantee_capacity{{chain=\"{id}\",limit=\"reorganisation\"}} 250"),
        format!("grid_guarantee_capacity{{chain=\"{id}\",limit=\"chain\"}} 500"),
        "grid_guarantee_pool{part=\"locked\"} 60".to_owned(),
        "grid_guarantee_paid 3".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} is missing in\n{text}");
    }
}
