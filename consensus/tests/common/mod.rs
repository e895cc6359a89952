//! A chain small enough to see through: blocks are `parent ‖ time ‖ proposer ‖ salt`, files are its store.
//!
//! The salt differs at every build, so a node that builds twice for one decision is caught; every
//! certificate is written to a journal before its block is stored, as if it had left the machine, so
//! two decisions for one height are caught even if only one of them reached the store.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy_primitives::{Address, B256, Bytes, keccak256};
use grid_consensus::{
    Chain, ChainError, EngineConfig, EngineError, EngineStatus, Equivocation, Head, Net, Origin,
    ProposedBlock, Role, Verdict,
};
use grid_core::grid::{CommitCertificate, Validator, ValidatorSet};
use k256::ecdsa::SigningKey;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

mod cluster;
pub use cluster::Cluster;

pub const CHAIN_ID: u64 = 4711;

/// How long anything may take on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Writes the engine's log to the test's output, as `RUST_LOG` says.
pub fn log() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
    // Every test asks; the first one is heard.
    drop(logger.try_init());
}

/// The key of validator `number`.
pub fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number + 1; 32]).expect("a valid scalar")
}

pub fn address(number: u8) -> Address {
    Address::from_private_key(&key(number))
}

/// Validators 0 to `count - 1` with the same power.
pub fn validators(count: u8) -> ValidatorSet {
    let mut list: Vec<_> =
        (0..count).map(|at| Validator { account: address(at), power: 10 }).collect();
    list.sort_by_key(|validator| validator.account);
    ValidatorSet::new(list).expect("a good set")
}

/// See the module's documentation.
#[derive(Debug)]
pub struct FileChain {
    dir: PathBuf,
    /// Each set with the first height that it decides.
    sets: Vec<(u64, ValidatorSet)>,
    head: watch::Sender<Head>,
    /// Calls of `build`, `validate` and `commit` under way: never more than one.
    busy: AtomicUsize,
    /// Bytes that each body carries besides.
    padding: usize,
    /// Who waits for a block of its own, as if only its mempool had a transaction.
    waits: Mutex<Option<Address>>,
    work: Arc<Notify>,
    /// What the engine said of others.
    evidence: Mutex<Vec<Equivocation>>,
}

impl FileChain {
    pub fn open(dir: &Path, validators: ValidatorSet) -> Arc<Self> {
        Self::with_padding(dir, validators, 0)
    }

    pub fn with_padding(dir: &Path, validators: ValidatorSet, padding: usize) -> Arc<Self> {
        Self::with_sets(dir, vec![(1, validators)], padding)
    }

    /// A chain whose validators change: each set with the first height that it decides, from 1.
    pub fn with_sets(dir: &Path, sets: Vec<(u64, ValidatorSet)>, padding: usize) -> Arc<Self> {
        fs::create_dir_all(dir.join("bodies")).expect("a directory");
        fs::create_dir_all(dir.join("blocks")).expect("a directory");
        let genesis = Head {
            height: 0,
            hash: keccak256("genesis"),
            time_ms: now_ms(),
            next_validators: sets[0].1.clone(),
        };
        let (head, _) = watch::channel(genesis);
        let chain = Self {
            dir: dir.to_owned(),
            sets,
            head,
            busy: AtomicUsize::new(0),
            padding,
            waits: Mutex::default(),
            work: Arc::default(),
            evidence: Mutex::default(),
        };
        let top = (1..).take_while(|height| chain.block_file(*height).exists()).last();
        if let Some(height) = top {
            let (body, certificate) = chain.decided(height).expect("readable").expect("there");
            chain.head.send_replace(chain.head_of(height, certificate.block_hash, &body));
        }
        Arc::new(chain)
    }

    fn head_of(&self, height: u64, hash: B256, body: &[u8]) -> Head {
        let time_ms = u64::from_be_bytes(body[32..40].try_into().expect("8 bytes"));
        Head { height, hash, time_ms, next_validators: self.set(height + 1).clone() }
    }

    /// Who decides a height.
    pub fn set(&self, height: u64) -> &ValidatorSet {
        let (_, set) = self.sets.iter().rfind(|(first, _)| *first <= height).expect("from 1");
        set
    }

    /// From now on there is work, until a block of `proposer` is committed.
    pub fn wait_for_block_of(&self, proposer: Address) {
        *self.waits.lock().expect("not poisoned") = Some(proposer);
        self.work.notify_one();
    }

    /// What the engine told of validators that contradicted themselves.
    pub fn evidence(&self) -> Vec<Equivocation> {
        self.evidence.lock().expect("not poisoned").clone()
    }

    /// Who built the block of a height.
    pub fn builder(&self, height: u64) -> Address {
        let (body, _) = self.decided(height).expect("readable").expect("there");
        Address::from_slice(&body[40..60])
    }

    fn block_file(&self, height: u64) -> PathBuf {
        self.dir.join("blocks").join(height.to_string())
    }

    fn body_file(&self, height: u64, hash: B256) -> PathBuf {
        self.dir.join("bodies").join(format!("{height}-{hash}"))
    }

    fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        assert_eq!(self.busy.fetch_add(1, Ordering::SeqCst), 0, "two calls at once");
        let result = work();
        self.busy.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// All committed blocks by height; checks every certificate and every link.
    pub fn check(&self) -> BTreeMap<u64, B256> {
        let mut parent = keccak256("genesis");
        let mut blocks = BTreeMap::new();
        for height in 1..=self.head().height {
            let (body, certificate) = self.decided(height).expect("readable").expect("there");
            assert_eq!(certificate.height, height);
            assert_eq!(certificate.block_hash, keccak256(&body));
            assert_eq!(&body[..32], parent.as_slice(), "parent of {height}");
            certificate.verify(CHAIN_ID, self.set(height)).expect("a good certificate");
            parent = certificate.block_hash;
            blocks.insert(height, parent);
        }
        blocks
    }

    /// Block times in milliseconds, by height from 1.
    pub fn times(&self) -> Vec<u64> {
        (1..=self.head().height)
            .map(|height| self.decided(height).expect("readable").expect("there").0)
            .map(|body| u64::from_be_bytes(body[32..40].try_into().expect("8 bytes")))
            .collect()
    }

    /// What was ever decided for each height, in any life.
    pub fn journal(&self) -> BTreeMap<u64, Vec<String>> {
        let mut seen: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        let text = fs::read_to_string(self.dir.join("journal")).expect("a journal");
        // A killed writer may leave half a line at the end.
        for line in text.lines() {
            if let Some((height, hash)) = line.split_once(' ')
                && hash.len() == 66
            {
                let hashes = seen.entry(height.parse().expect("a height")).or_default();
                if !hashes.iter().any(|known| known == hash) {
                    hashes.push(hash.to_owned());
                }
            }
        }
        seen
    }
}

impl Chain for FileChain {
    fn chain_id(&self) -> u64 {
        CHAIN_ID
    }

    fn head(&self) -> Head {
        self.head.borrow().clone()
    }

    fn build(
        &self,
        height: u64,
        _round: u32,
        proposer: Address,
    ) -> Result<ProposedBlock, ChainError> {
        self.alone(|| {
            let head = self.head();
            assert_eq!(height, head.height + 1, "build on the head");
            let mut body = head.hash.to_vec();
            body.extend(now_ms().max(head.time_ms + 1).to_be_bytes());
            body.extend(proposer);
            body.extend(salt().to_be_bytes());
            body.resize(body.len() + self.padding, 0x5a);
            let hash = keccak256(&body);
            replace(&self.body_file(height, hash), &body)?;
            Ok(ProposedBlock { hash, body: body.into() })
        })
    }

    fn validate(
        &self,
        height: u64,
        _proposer: Address,
        hash: B256,
        body: Bytes,
        _origin: Origin,
    ) -> Result<Verdict, ChainError> {
        self.alone(|| {
            let head = self.head();
            if body.len() != 68 + self.padding || keccak256(&body) != hash {
                return Ok(Verdict::Invalid("not the block of that hash".to_owned()));
            }
            if height != head.height + 1 || &body[..32] != head.hash.as_slice() {
                return Ok(Verdict::Invalid("not on the head".to_owned()));
            }
            replace(&self.body_file(height, hash), &body)?;
            Ok(Verdict::Valid)
        })
    }

    fn body(&self, height: u64, hash: B256) -> Result<Option<Bytes>, ChainError> {
        let file = self.body_file(height, hash);
        if !file.exists() {
            return Ok(None);
        }
        fs::read(file).map(|body| Some(body.into())).map_err(ChainError::new)
    }

    fn commit(&self, certificate: CommitCertificate) -> Result<Head, ChainError> {
        self.alone(|| {
            let (height, hash) = (certificate.height, certificate.block_hash);
            let mut journal = OpenOptions::new()
                .create(true)
                .append(true)
                .open(self.dir.join("journal"))
                .map_err(ChainError::new)?;
            writeln!(journal, "{height} {hash}").map_err(ChainError::new)?;
            let body = self.body(height, hash)?.ok_or_else(|| ChainError::new("no body"))?;
            self.replace_certificate(certificate)?;
            let mut waits = self.waits.lock().expect("not poisoned");
            if *waits == Some(Address::from_slice(&body[40..60])) {
                *waits = None;
            }
            drop(waits);
            let head = self.head_of(height, hash, &body);
            self.head.send_replace(head.clone());
            Ok(head)
        })
    }

    fn replace_certificate(&self, certificate: CommitCertificate) -> Result<(), ChainError> {
        let text = serde_json::to_vec(&certificate).map_err(ChainError::new)?;
        replace(&self.block_file(certificate.height), &text)
    }

    fn decided(&self, height: u64) -> Result<Option<(Bytes, CommitCertificate)>, ChainError> {
        let Ok(text) = fs::read(self.block_file(height)) else {
            return Ok(None);
        };
        let certificate: CommitCertificate =
            serde_json::from_slice(&text).map_err(ChainError::new)?;
        let body = self.body(height, certificate.block_hash)?;
        Ok(body.map(|body| (body, certificate)))
    }

    fn has_work(&self) -> bool {
        self.waits.lock().expect("not poisoned").is_some()
    }

    fn work(&self) -> Arc<Notify> {
        Arc::clone(&self.work)
    }

    fn misbehaviour(&self, evidence: Vec<Equivocation>) {
        self.evidence.lock().expect("not poisoned").extend(evidence);
    }
}

/// An engine in a task of its own.
#[derive(Debug)]
pub struct Engine {
    pub task: JoinHandle<Result<(), EngineError>>,
    pub cancel: CancellationToken,
    pub status: watch::Sender<EngineStatus>,
}

impl Engine {
    pub fn start(home: &Path, chain: &Arc<FileChain>, number: u8, interval_ms: u64) -> Self {
        Self::with_net(home, chain, number, interval_ms, Net::Solo)
    }

    pub fn with_net(
        home: &Path,
        chain: &Arc<FileChain>,
        number: u8,
        interval_ms: u64,
        net: Net,
    ) -> Self {
        let role = Role::Validator(key(number));
        Self::run(home, chain, role, net, [interval_ms, interval_ms])
    }

    /// With the intervals of blocks with and without transactions.
    pub fn run(
        home: &Path,
        chain: &Arc<FileChain>,
        role: Role,
        net: Net,
        intervals_ms: [u64; 2],
    ) -> Self {
        log();
        let cancel = CancellationToken::new();
        let [block_interval, empty_block_interval] = intervals_ms.map(Duration::from_millis);
        let status = watch::Sender::default();
        let config = EngineConfig {
            home: home.to_owned(),
            moniker: format!("{role:?}"),
            block_interval,
            empty_block_interval,
            net,
            role,
            status: status.clone(),
        };
        let chain: Arc<dyn Chain> = Arc::<FileChain>::clone(chain);
        let task = tokio::spawn(grid_consensus::run(config, chain, cancel.clone()));
        Self { task, cancel, status }
    }

    /// Waits until the chain has `height`.
    pub async fn reach(&mut self, chain: &FileChain, height: u64) {
        let mut head = chain.head.subscribe();
        let reached = timeout(LIMIT, async {
            tokio::select! {
                head = head.wait_for(|head| head.height >= height) => drop(head.expect("open")),
                ended = &mut self.task => panic!("the engine ended: {ended:?}"),
            }
        });
        assert!(reached.await.is_ok(), "at height {} after {LIMIT:?}", chain.head().height);
    }

    /// Cancels and waits for the end.
    pub async fn stop(self) {
        self.cancel.cancel();
        let ended = timeout(Duration::from_secs(2), self.task).await.expect("stopped in time");
        ended.expect("no panic").expect("a clean end");
    }

    /// Ends the engine as a crash would.
    pub async fn drop_it(self) {
        self.task.abort();
        let _cancelled = self.task.await;
    }

    /// Waits for the failure that must come.
    pub async fn failure(self) -> EngineError {
        let ended = timeout(Duration::from_secs(30), self.task).await.expect("an end in time");
        ended.expect("no panic").expect_err("a failure")
    }
}

fn replace(file: &Path, content: &[u8]) -> Result<(), ChainError> {
    let draft = file.with_extension("new");
    fs::write(&draft, content)
        .and_then(|()| fs::rename(&draft, file))
        .map_err(|error| ChainError::with_source(format!("writing {}", file.display()), error))
}

fn now_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).expect("fits")
}

fn salt() -> u64 {
    u64::from(since_epoch().subsec_nanos()) ^ (u64::from(std::process::id()) << 32)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}
