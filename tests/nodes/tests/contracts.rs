//! `contracts/`: the Solidity light client of a Grid chain against grid-core, by forge.
//!
//! The cases are made here, judged by grid-core, written to a file that is not kept, and judged again by the contract:
//! good blocks, and blocks with one thing wrong, chosen by a seeded generator.

use std::{fs, path::Path, process::Command};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, hex};
use alloy_sol_types::SolValue as _;
use grid_core::grid::{
    CommitCertificate, Extension, RecoverableSignature, Validator, ValidatorSet, VoteKind,
    light::{LightBlock, LightPolicy, LightUpdate, TrustedState},
    vote_digest,
};
use grid_test_nodes::programs;
use k256::ecdsa::SigningKey;
use serde_json::{Value, json};

const CHAIN_ID: u64 = 7_357;
const START_MS: u64 = 1_700_000_000_000;
const NOW: u64 = START_MS / 1_000 + 500;
/// Random cases, besides the chosen ones.
const RANDOM: usize = 160;

/// `SplitMix64`: enough to choose what to break.
struct Rng(u64);

impl Rng {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit as u64).unwrap()
    }
}

/// Keys in the order of their addresses.
fn keys(count: u8) -> Vec<SigningKey> {
    let mut keys: Vec<_> =
        (1..=count).map(|seed| SigningKey::from_slice(&[seed; 32]).unwrap()).collect();
    keys.sort_by_key(Address::from_private_key);
    keys
}

fn set(keys: &[SigningKey]) -> ValidatorSet {
    let member = |(at, key): (usize, &SigningKey)| Validator {
        account: Address::from_private_key(key),
        power: 100 + at as u64,
    };
    ValidatorSet::new(keys.iter().enumerate().map(member).collect()).unwrap()
}

fn sign(keys: &[SigningKey], height: u64, round: u32, hash: B256) -> CommitCertificate {
    let digest = vote_digest(VoteKind::Precommit, CHAIN_ID, height, round, hash);
    let one = |key: &SigningKey| {
        let made = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        RecoverableSignature::from(Signature::from(made))
    };
    let signatures = keys.iter().map(one).collect();
    CommitCertificate { height, round, block_hash: hash, signatures }
}

fn header(height: u64, parent: B256, sets: [&ValidatorSet; 2]) -> Header {
    let time_ms = START_MS + height * 1_000;
    let extension = Extension {
        version: 1,
        timeMs: time_ms,
        indexRoot: B256::repeat_byte(0x1d),
        validatorsHash: sets[0].hash(),
        nextValidatorsHash: sets[1].hash(),
        collectionHash: B256::repeat_byte(0xc0),
        extra: Bytes::new(),
    };
    Header {
        parent_hash: parent,
        number: height,
        timestamp: time_ms / 1_000,
        gas_limit: 60_000_000,
        gas_used: 21_000,
        base_fee_per_gas: Some(1_000_000_000),
        extra_data: extension.abi_encode().into(),
        ..Header::default()
    }
}

/// A step: what is trusted, what is shown, and who signs it.
#[derive(Clone)]
struct Step {
    start: TrustedState,
    header: Header,
    signers: Vec<SigningKey>,
    set: ValidatorSet,
    next: Option<ValidatorSet>,
    round: u32,
}

impl Step {
    /// From a header decided by `old` to one `distance` above it that `new` decides.
    fn new(old: &[SigningKey], new: &[SigningKey], distance: u64) -> Self {
        let (from, to) = (set(old), set(new));
        let first = header(10, B256::repeat_byte(9), [&from, &from]);
        let rlp = alloy_rlp::encode(&first);
        let start = TrustedState::new(CHAIN_ID, &rlp, from).unwrap();
        let parent = if distance == 1 { start.block_hash } else { B256::repeat_byte(0x77) };
        let header = header(10 + distance, parent, [&to, &to]);
        Self { start, header, signers: new.to_vec(), set: to, next: None, round: 0 }
    }

    fn block(&self) -> LightBlock {
        let hash = self.header.hash_slow();
        LightBlock {
            header: alloy_rlp::encode(&self.header).into(),
            certificate: sign(&self.signers, self.header.number, self.round, hash),
            validators: self.set.clone(),
            next_validators: self.next.clone(),
        }
    }

    fn update(&self) -> LightUpdate {
        use alloy_sol_types::SolValue as _;
        LightUpdate::abi_decode(&self.block().to_abi()).unwrap()
    }

    fn extension(&mut self, change: impl FnOnce(&mut Extension)) {
        let mut extension = Extension::abi_decode(&self.header.extra_data).unwrap();
        change(&mut extension);
        self.header.timestamp = extension.timeMs / 1_000;
        self.header.extra_data = extension.abi_encode().into();
    }
}

fn trusted(state: &TrustedState) -> Vec<u8> {
    let set = state.validators.hash();
    (state.chain_id, state.height, state.block_hash, state.time_ms, set).abi_encode()
}

/// A case with grid-core's verdict.
fn case(name: &str, start: &TrustedState, update: &LightUpdate, policy: LightPolicy) -> Value {
    let list = start.validators.as_slice().to_vec();
    let verdict = LightBlock::from_abi(&update.abi_encode())
        .and_then(|block| start.follow(&block, &policy, NOW * 1_000));
    let state =
        (start.chain_id, start.height, start.block_hash, start.time_ms, start.validators.hash());
    json!({
        "name": name,
        "good": verdict.is_ok(),
        "measured": name.contains("validators"),
        "now": NOW,
        "period": policy.trusting_period_ms,
        "drift": policy.clock_drift_ms,
        "trusted": hex::encode_prefixed(trusted(start)),
        "call": hex::encode_prefixed((state, list, update.clone()).abi_encode_params()),
        "commitment": verdict.as_ref().map_or(B256::ZERO, |state| state.commitment()),
        "reason": verdict.err().map(|error| error.to_string()),
    })
}

const fn policy() -> LightPolicy {
    LightPolicy { trusting_period_ms: 1_000_000, clock_drift_ms: 5_000, max_headers: 64 }
}

/// A name, and what it does to a good step.
type Change = (&'static str, fn(&mut Step));

/// Steps that are good, and the neighbours of each bound.
fn chosen(all: &[SigningKey]) -> Vec<Value> {
    let mut cases = Vec::new();
    let mut add = |name: &str, step: &Step| {
        cases.push(case(name, &step.start, &step.update(), policy()));
    };
    for count in [4, 21] {
        let own = &all[..count];
        let quorum = &own[count / 3..];
        let with = |step: Step| Step { signers: quorum.to_vec(), ..step };
        add(&format!("{count} validators, next block"), &with(Step::new(own, own, 1)));
        add(&format!("{count} validators, skipping"), &with(Step::new(own, own, 9)));
        let mut step = with(Step::new(own, own, 1));
        step.next = Some(set(&all[1..=count]));
        let next = step.next.as_ref().unwrap().hash();
        step.extension(|extension| extension.nextValidatorsHash = next);
        add(&format!("{count} validators, handing over to others"), &step);
        let step = Step { next: None, ..step };
        add("a hand-over without the next set", &step);
        let changed = Step::new(own, &all[count / 2..count / 2 + count], 9);
        add(&format!("{count} validators, skipping to a set that half of them are in"), &changed);
    }
    for shift in 0..6 {
        let step = Step::new(&all[..6], &all[shift..shift + 6], 9);
        add(&format!("{shift} of six replaced"), &step);
    }
    for missing in 0..6 {
        let step = Step::new(&all[..6], &all[..6], 1);
        add(
            &format!("{missing} of six do not sign"),
            &Step { signers: all[missing..6].to_vec(), ..step },
        );
    }
    let base = Step::new(&all[..4], &all[..4], 1);
    let mut late = base.clone();
    late.start.time_ms = NOW * 1_000 - 1_000_000;
    late.header.parent_hash = late.start.block_hash;
    add("just expired", &late);
    late.start.time_ms += 1;
    add("just before it expires", &late);
    for (name, time_ms) in [
        ("as far ahead as the drift", NOW * 1_000 + 5_000),
        ("further ahead than the drift", NOW * 1_000 + 5_001),
        ("time stands still", base.start.time_ms),
    ] {
        let mut step = base.clone();
        step.extension(|extension| extension.timeMs = time_ms);
        add(name, &step);
    }
    let changes: [Change; 8] = [
        ("another parent", |step| step.header.parent_hash.0[0] ^= 1),
        ("the same height again", |step| step.header.number = step.start.height),
        ("another set is named", |step| step.extension(|one| one.validatorsHash.0[0] ^= 1)),
        ("version two", |step| step.extension(|one| one.version = 2)),
        ("extra bytes", |step| step.extension(|one| one.extra = vec![7; 256].into())),
        ("too many extra bytes", |step| step.extension(|one| one.extra = vec![7; 257].into())),
        ("the two times differ", |step| step.header.timestamp += 1),
        ("a great height", |step| step.header.number = u64::MAX),
    ];
    for (name, change) in changes {
        let mut step = base.clone();
        change(&mut step);
        add(name, &step);
    }
    cases
}

/// Breaks one thing of a good update, or nothing that counts.
fn mutate(rng: &mut Rng, all: &[SigningKey], step: &Step) -> (&'static str, LightUpdate) {
    let mut update = step.update();
    let mut signatures: Vec<[u8; 65]> = update.signatures.as_chunks::<65>().0.to_vec();
    let at = rng.below(signatures.len());
    let name = match rng.below(13) {
        0 => {
            signatures.drain(..rng.below(signatures.len()));
            "signatures left out"
        }
        1 => {
            signatures.insert(at, signatures[at]);
            "a signature twice"
        }
        2 => {
            let other = rng.below(signatures.len());
            signatures.swap(at, other);
            "signatures swapped"
        }
        3 => {
            signatures[at][rng.below(65)] ^= 1 << rng.below(8);
            "a bit of a signature"
        }
        4 => {
            // n - s, and the other parity: the same signature in its other form.
            let order = U256::from_str_radix(
                "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
                16,
            );
            let s = U256::from_be_slice(&signatures[at][32..64]);
            signatures[at][32..64].copy_from_slice(&(order.unwrap() - s).to_be_bytes::<32>());
            signatures[at][64] = 55 - signatures[at][64];
            "a high s"
        }
        5 => {
            signatures[at][64] -= 27;
            "v of 0 or 1"
        }
        6 => {
            let hash = step.header.hash_slow();
            let stranger = &all[all.len() - 1..];
            let theirs = sign(stranger, step.header.number, 0, hash).signatures;
            signatures[at] = *theirs[0].as_bytes();
            "a stranger's signature"
        }
        7 => {
            update.round += 1;
            "another round"
        }
        8 => {
            let mut bytes = update.header.to_vec();
            let byte = rng.below(bytes.len());
            bytes[byte] ^= 1 << rng.below(8);
            update.header = bytes.into();
            "a bit of the header"
        }
        9 => {
            let member = rng.below(update.validators.len());
            update.validators[member].power += 1;
            "a power"
        }
        10 => {
            let member = rng.below(update.validators.len());
            update.validators.remove(member);
            "a validator left out"
        }
        11 => {
            update.next = step.start.validators.as_slice().to_vec();
            "a next set"
        }
        _ => "nothing",
    };
    update.signatures = signatures.concat().into();
    (name, update)
}

fn random(all: &[SigningKey], rng: &mut Rng) -> Vec<Value> {
    let one = |_| {
        let count = 1 + rng.below(8);
        let shift = rng.below(count);
        let distance = if shift == 0 { 1 } else { 2 } + rng.below(2) as u64;
        let mut step = Step::new(&all[..count], &all[shift..shift + count], distance);
        step.round = u32::try_from(rng.below(3)).unwrap();
        let (name, update) = mutate(rng, all, &step);
        case(name, &step.start, &update, policy())
    };
    (0..RANDOM).map(one).collect()
}

fn conflict(all: &[SigningKey]) -> Value {
    let step = Step::new(&all[..4], &all[..4], 1);
    let mut fork = step.clone();
    fork.extension(|extension| extension.indexRoot = B256::ZERO);
    let text = |bytes: Vec<u8>| hex::encode_prefixed(bytes);
    json!({
        "now": NOW,
        "trusted": text(trusted(&step.start)),
        "set": text(step.start.validators.as_slice().to_vec().abi_encode()),
        "one": text(step.block().to_abi()),
        "other": text(fork.block().to_abi()),
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_contract_judges_as_grid_core_does() {
    let all = keys(40);
    let mut cases = chosen(&all);
    cases.extend(random(&all, &mut Rng(0x6772_6964)));
    let good = cases.iter().filter(|case| case["good"] == true).count();
    assert!(good > 20 && cases.len() - good > 60, "{good} of {} are good", cases.len());

    let folder = tempfile::tempdir().unwrap();
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contracts");
    for part in ["src", "test"] {
        copy(&contracts.join(part), &folder.path().join(part));
    }
    fs::copy(contracts.join("foundry.toml"), folder.path().join("foundry.toml")).unwrap();
    let fixtures = folder.path().join("fixtures");
    fs::create_dir(&fixtures).unwrap();
    let shared = json!({ "count": cases.len(), "conflict": conflict(&all) });
    fs::write(fixtures.join("all.json"), shared.to_string()).unwrap();
    for (at, case) in cases.iter().enumerate() {
        fs::write(fixtures.join(format!("{at}.json")), case.to_string()).unwrap();
    }
    let output = Command::new(programs::forge().unwrap())
        .args(["test", "--offline", "-vv", "--root"])
        .arg(folder.path())
        .arg("--use")
        .arg(programs::solc().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // Gas of the measured cases, for the table in contracts/README.md.
    for line in text.lines().filter(|line| line.contains("validators")) {
        println!("{}", line.trim());
    }
    // The light client and the mailbox.
    assert!(text.contains(" 2 passed") && text.contains(" 8 passed"), "{text}");
}
