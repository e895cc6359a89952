//! Rounds over a mailbox and a node in memory.

use core::time::Duration;
use std::{path::Path, sync::Mutex};

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall as _, SolInterface as _};
use async_trait::async_trait;
use grid_adapters::{
    AdapterError, Material, ProofRequest, SourceChain, SourceHeader, SourceTip,
    message::{Sighting, Wanted},
};
use grid_core::{
    CompatHeader, Family, Level, Security,
    api::{AccountInfo, BlockRef, ChainInfo, GridTip, Locator},
    message::Route,
    modules::abi::{
        MAILBOX,
        Mailbox::{self, MailboxCalls as Calls},
    },
};

use super::{prove::ProveError, *};
use crate::{
    attest::{AttestConfig, Attester, Collector},
    clock::Clock,
    config::{LaneConfig, SubmitConfig},
    crew::Crew,
    main_chain::{HeaderId, MainChain, MainError, MainView, Receipt, TransportError},
    metrics::Metrics,
    status::Board,
    store::{MessageRow, MessageStage, RelayerRow, Store, sighting},
    submit::Submitter,
};

/// A block of a branch: its name, and the messages in it.
type Block = (u8, Vec<Sighting>);

/// What the node and the main chain say.
#[derive(Default)]
struct State {
    /// The node's blocks from height 0 on; without any it cannot be asked.
    branch: Vec<Block>,
    /// The blocks that the main chain has confirmed, from height 0 on.
    confirmed: Vec<u8>,
    suspended: bool,
    policy: u8,
    min_depth: u64,
    /// Seconds since 1970.
    time: u64,
    /// Blocks that were searched.
    searched: usize,
    /// Proofs that were asked for.
    proofs: usize,
}

#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

fn chain() -> ChainId {
    ChainId::bip122(&B256::repeat_byte(0xcc))
}

fn hash(height: u64, name: u8) -> B256 {
    let mut hash = B256::repeat_byte(name);
    hash.0[..8].copy_from_slice(&height.to_be_bytes());
    hash
}

fn header(height: u64, name: u8) -> CompatHeader {
    CompatHeader {
        chain: chain().key().0,
        height,
        blockHash: hash(height, name),
        parentHash: B256::ZERO,
        time: 0,
        txRoot: B256::ZERO,
        receiptsRoot: B256::ZERO,
        stateRoot: B256::ZERO,
        indexRoot: B256::ZERO,
    }
}

/// Blocks without messages.
fn blocks(name: u8, count: usize) -> Vec<Block> {
    vec![(name, Vec::new()); count]
}

impl World {
    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    fn info(&self) -> ChainInfo {
        let state = self.0.lock().unwrap();
        let block = |height: u64| BlockRef { height, hash: B256::ZERO };
        let tip = (state.confirmed.len() as u64).checked_sub(1);
        let status = if state.suspended { "suspended" } else { "active" };
        ChainInfo {
            id: chain(),
            key: chain().key().0,
            family: Family::Bitcoin,
            security: Security::ProofOfWork,
            level: Level::L3,
            measured: false,
            median_interval: None,
            status: status.into(),
            rule: String::new(),
            first_height: 0,
            base: block(0),
            tracked: block(tip.unwrap_or_default()),
            confirmed: tip.map(block),
            tracked_headers: 0,
            tracked_bytes: 0,
            sync: None,
            attesters: None,
            submitters: Vec::new(),
        }
    }
}

#[async_trait]
impl MainChain for World {
    async fn view(&self) -> Result<MainView, MainError> {
        let (hash, index_root) = (B256::ZERO, B256::ZERO);
        let time_ms = self.0.lock().unwrap().time * 1_000;
        let tip = GridTip { chain_id: 7, height: 1, hash, time_ms, index_root };
        Ok(MainView { tip, base_fee: 1_000, chains: vec![self.info()] })
    }

    async fn locator(&self, _: &ChainId) -> Result<Locator, MainError> {
        Err(TransportError::Unreachable("not asked".into()).into())
    }

    async fn header(&self, _: &ChainId, id: HeaderId) -> Result<Option<CompatHeader>, MainError> {
        let HeaderId::Height(height) = id else { panic!("asked by height") };
        let state = self.0.lock().unwrap();
        let name = state.confirmed.get(usize::try_from(height).unwrap());
        Ok(name.map(|name| header(height, *name)))
    }

    async fn account(&self, address: &Address) -> Result<AccountInfo, MainError> {
        let balance = U256::from(u128::MAX);
        Ok(AccountInfo { address: *address, nonce: 0, pending_nonce: 0, balance })
    }

    async fn send(&self, _: &Bytes) -> Result<(), MainError> {
        panic!("nothing can be proven here")
    }

    async fn receipt(&self, _: &B256) -> Result<Option<Receipt>, MainError> {
        Ok(None)
    }

    async fn call(
        &self,
        _: &Address,
        to: &Address,
        input: &Bytes,
    ) -> Result<Result<Bytes, String>, MainError> {
        assert_eq!(*to, MAILBOX);
        let state = self.0.lock().unwrap();
        let answer = match Calls::abi_decode(input).unwrap() {
            Calls::routeOf(_) => {
                Mailbox::routeOfCall::abi_encode_returns(&Mailbox::routeOfReturn {
                    policy: state.policy,
                    maxPayload: 64,
                    minDepth: state.min_depth,
                    mailbox: Address::ZERO,
                })
            }
            Calls::isListed(_) => Mailbox::isListedCall::abi_encode_returns(&false),
            Calls::messageOf(_) => {
                Mailbox::messageOfCall::abi_encode_returns(&Mailbox::messageOfReturn {
                    state: 0,
                    source: B256::ZERO,
                    destination: B256::ZERO,
                    height: 0,
                    blockHash: B256::ZERO,
                    anchor: 0,
                    gridHeight: 0,
                    brokenFrom: 0,
                    brokenAt: 0,
                    guarantee: B256::ZERO,
                    guaranteeStatus: 0,
                })
            }
            other => panic!("the relayer has no reason to ask {other:?}"),
        };
        Ok(Ok(answer.into()))
    }
}

struct Node(World, ChainId);

fn unable() -> AdapterError {
    AdapterError::Invalid("cannot be asked".into())
}

#[async_trait]
impl SourceChain for Node {
    fn id(&self) -> &ChainId {
        &self.1
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        let state = self.0.0.lock().unwrap();
        let (name, _) = state.branch.last().ok_or_else(unable)?;
        let height = state.branch.len() as u64 - 1;
        Ok(SourceTip { height, hash: hash(height, *name) })
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let state = self.0.0.lock().unwrap();
        let header = |(height, (name, _)): (u64, &Block)| SourceHeader {
            compat: header(height, *name),
            raw: Bytes::new(),
        };
        let all = (0..).zip(&state.branch).skip(usize::try_from(from).unwrap());
        Ok(all.take(count).map(header).collect())
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        self.0.set(|state| state.proofs += 1);
        Err(unable())
    }
}

#[async_trait]
impl MessageChain for Node {
    async fn messages(&self, block: B256, _: &Wanted) -> Result<Vec<Sighting>, AdapterError> {
        let mut state = self.0.0.lock().unwrap();
        state.searched += 1;
        let of = |(height, (name, found)): (u64, &Block)| {
            (hash(height, *name) == block).then(|| found.clone())
        };
        (0..).zip(&state.branch).find_map(of).ok_or_else(unable)
    }
}

struct Bench {
    world: World,
    store: Store,
    messages: Messages,
}

impl Bench {
    async fn new(folder: &Path) -> Self {
        let world = World::default();
        world.set(|state| (state.policy, state.confirmed) = (Route::OPEN, vec![1; 3]));
        let store = Store::open_volatile(&folder.join("relayer.db")).await.unwrap();
        let (main, signer): (Arc<dyn MainChain>, _) =
            (Arc::new(world.clone()), PrivateKeySigner::random());
        let (metrics, board) = (Arc::new(Metrics::new().unwrap()), Board::default());
        let submit = SubmitConfig::default();
        let (key, told) = (signer.clone(), metrics.clone());
        let submitter =
            Submitter::new(main.clone(), store.clone(), key, submit, told, board.clone());
        let config = AttestConfig::default();
        let attester = Arc::new(Attester::new([].into(), store.clone(), &[], &config));
        let collector = Collector::new(attester, &config, metrics.clone(), board.clone()).unwrap();
        let me = RelayerRow { owner: "me".into(), signer: signer.address(), started_at: 1 };
        let parts = Parts {
            main,
            store: store.clone(),
            submitter: Arc::new(submitter),
            collector: Arc::new(collector),
            lanes: Level::ALL.map(LaneConfig::of),
            submit,
            deadline: Duration::from_secs(30),
            board,
            metrics,
            crew: Crew::new(store.clone(), me, submit.lease, false),
            clock: Clock::default(),
        };
        let shared = Arc::new(Shared::new(parts.clone(), Vec::new()));
        let (senders, recipients) = (BTreeSet::new(), BTreeSet::new());
        let filter = Filter { senders, recipients, max_payload: 64 };
        let nodes: Vec<Arc<dyn MessageChain>> = vec![Arc::new(Node(world.clone(), chain()))];
        let source = MessageSource { chain: chain(), nodes, filter, lookback: 100 };
        let config = MessagesConfig { sources: vec![source], ..MessagesConfig::default() };
        let messages = Messages::new(shared, parts, &config);
        Self { world, store, messages }
    }

    /// One round, with a new view of the main chain.
    async fn round(&self) -> Result<(), ProveError> {
        self.messages.shared.settled(&BTreeSet::from([queue().clone()]));
        self.messages.round(&chain(), &self.messages.sources[&chain()]).await
    }

    /// The places of a message, lowest block first.
    async fn places(&self, number: u64) -> Vec<MessageRow> {
        let mut rows = self.store.message(&sighting(number).message.id()).await.unwrap();
        rows.sort_by_key(|row| row.block.height);
        rows
    }
}

#[tokio::test]
async fn messages_of_a_branch_that_replaced_confirmed_blocks_are_all_seen() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path()).await;
    let mut branch = blocks(1, 12);
    branch[9].1.push(sighting(1));
    bench.world.set(|state| (state.branch, state.confirmed) = (branch.clone(), vec![1; 9]));
    bench.round().await.unwrap();
    assert_eq!(bench.places(1).await[0].stage, MessageStage::Waiting);
    // Everything above 4 is replaced, and the main chain has confirmed more of the new branch than of the old one
    // before this relayer looks again.
    branch.truncate(5);
    branch.extend(blocks(2, 9));
    branch[6].1.extend([sighting(1), sighting(2)]);
    branch[13].1.push(sighting(3));
    let confirmed: Vec<u8> = branch.iter().map(|(name, _)| *name).take(12).collect();
    bench.world.set(|state| (state.branch, state.confirmed) = (branch, confirmed));
    bench.round().await.unwrap();
    let places = bench.places(1).await;
    assert_eq!(places.iter().map(|row| row.block.height).collect::<Vec<_>>(), [6, 9]);
    assert_eq!(places[1].stage, MessageStage::Orphaned);
    for number in [2, 3] {
        assert_eq!(bench.places(number).await.len(), 1, "message {number}");
    }
    // Nothing is searched twice without a reason.
    let before = bench.world.0.lock().unwrap().searched;
    bench.round().await.unwrap();
    assert_eq!(bench.world.0.lock().unwrap().searched, before);
}

#[tokio::test]
async fn nothing_is_searched_without_a_route_and_nothing_proven_that_its_lists_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path()).await;
    let mut branch = blocks(1, 3);
    branch[1].1.push(sighting(1));
    bench.world.set(|state| (state.branch, state.policy) = (branch, 0));
    bench.round().await.unwrap();
    assert_eq!(bench.world.0.lock().unwrap().searched, 0);
    bench.world.set(|state| state.policy = Route::OPEN | Route::LISTED_SENDERS);
    bench.round().await.unwrap();
    let row = bench.places(1).await.remove(0);
    assert!(row.reason.as_deref().is_some_and(|why| why.contains("route's list")), "{row:?}");
    assert_eq!((row.stage, row.attempt), (MessageStage::Waiting, 1));
    assert_eq!(bench.world.0.lock().unwrap().proofs, 0);
}

#[tokio::test]
async fn a_message_waits_for_the_routes_depth_and_for_its_chain_without_being_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path()).await;
    let mut branch = blocks(1, 3);
    branch[1].1.push(sighting(1));
    bench.world.set(|state| (state.branch, state.min_depth) = (branch, 2));
    bench.round().await.unwrap();
    bench.world.set(|state| (state.suspended, state.confirmed) = (true, vec![1; 4]));
    bench.round().await.unwrap();
    let row = bench.places(1).await.remove(0);
    assert_eq!((row.stage, row.attempt), (MessageStage::Waiting, 0));
    assert_eq!(bench.world.0.lock().unwrap().proofs, 0);
    // Deep enough; the node fails, what it lacks is the reason, and it is not asked again at once.
    bench.world.set(|state| state.suspended = false);
    for _ in 0..3 {
        bench.round().await.unwrap();
    }
    let row = bench.places(1).await.remove(0);
    assert!(row.reason.as_deref().is_some_and(|why| why.contains("cannot be asked")), "{row:?}");
    assert_eq!((row.attempt, bench.world.0.lock().unwrap().proofs), (1, 1));
}

#[tokio::test]
async fn what_is_known_comes_to_its_end_although_no_node_can_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path()).await;
    let (mut late, mut branch) = (sighting(1), blocks(1, 3));
    late.message.deadline = 50;
    let id = late.message.id();
    branch[2].1.push(late);
    bench.world.set(|state| (state.branch, state.min_depth) = (branch, 1));
    bench.round().await.unwrap();
    bench.world.set(|state| (state.branch, state.time) = (Vec::new(), 51));
    bench.world.set(|state| state.confirmed = vec![1; 4]);
    assert!(bench.round().await.is_err());
    let row = bench.store.message(&id).await.unwrap().remove(0);
    assert_eq!(row.stage, MessageStage::Expired);
    assert!(row.reason.is_some_and(|why| why.contains("its deadline, 50, was over")));
}
