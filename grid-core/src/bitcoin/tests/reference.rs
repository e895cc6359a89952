//! The client against the plainest client there is: every branch a whole list of headers, every
//! look-up a walk over it, every number computed anew.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256};
use proptest::{prelude::*, sample::Index};

use super::{NOW_MS, fast};
use crate::{
    bitcoin::{BitcoinClient, Header, NetworkParams, target, testing::mine},
    light_client::ClientError,
};

/// All headers ever accepted with their hashes, in order.
struct Reference {
    params: NetworkParams,
    headers: Vec<(B256, Header)>,
}

impl Reference {
    fn new(params: &NetworkParams) -> Self {
        let genesis = Header::parse(&params.genesis.0);
        Self { params: params.clone(), headers: vec![(genesis.hash(), genesis)] }
    }

    fn knows(&self, hash: &B256) -> bool {
        self.headers.iter().any(|(own, _)| own == hash)
    }

    /// From genesis to the header of that hash; empty if it is unknown.
    fn branch(&self, hash: &B256) -> Vec<Header> {
        let mut branch = Vec::new();
        let mut hash = *hash;
        while let Some((_, header)) = self.headers.iter().find(|(own, _)| *own == hash) {
            branch.push(*header);
            hash = header.prev;
        }
        branch.reverse();
        branch
    }

    fn work(&self, hash: &B256) -> U256 {
        let own = |header: &Header| target::work(&target::decode(header.bits).target);
        self.branch(hash).iter().map(own).fold(U256::ZERO, |sum, work| sum + work)
    }

    /// Hash and work of the first seen of those with the most work.
    fn tip(&self) -> (B256, U256) {
        let works: Vec<U256> = self.headers.iter().map(|(hash, _)| self.work(hash)).collect();
        let most = works.iter().max().expect("never empty");
        let at = works.iter().position(|work| work == most).expect("just found");
        (self.headers[at].0, *most)
    }

    /// Core's `GetNextWorkRequired` over a whole chain.
    fn next_bits(&self, chain: &[Header], time: u32) -> u32 {
        let params = &self.params;
        let interval = (params.timespan / params.spacing) as usize;
        let limit = target::encode(&params.pow_limit);
        let last = chain[chain.len() - 1];
        if !chain.len().is_multiple_of(interval) {
            if !params.allow_min_difficulty {
                return last.bits;
            }
            if u64::from(time) > u64::from(last.time) + 2 * u64::from(params.spacing) {
                return limit;
            }
            let mut at = chain.len() - 1;
            while at > 0 && !at.is_multiple_of(interval) && chain[at].bits == limit {
                at -= 1;
            }
            return chain[at].bits;
        }
        if params.no_retargeting {
            return last.bits;
        }
        let first = chain[chain.len() - interval];
        let wanted = i64::from(params.timespan);
        let taken = i64::from(last.time) - i64::from(first.time);
        let taken = taken.max(wanted / 4).min(wanted * 4);
        let base = if params.bip94 { first.bits } else { last.bits };
        let scaled = target::decode(base).target * U256::from(taken) / U256::from(wanted);
        target::encode(&scaled.min(params.pow_limit))
    }

    fn median(chain: &[Header]) -> u32 {
        let mut times: Vec<u32> = chain.iter().rev().take(11).map(|header| header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// The name of the first broken rule, or nothing for a valid header.
    fn broken(&self, header: &Header, now: u64) -> Option<&'static str> {
        let limit = self.params.pow_limit;
        let compact = target::decode(header.bits);
        let usable = !compact.negative && !compact.overflow && !compact.target.is_zero();
        let hash = U256::from_le_bytes(header.hash().0);
        if !usable || compact.target > limit || hash > compact.target {
            return Some("high-hash");
        }
        let chain = self.branch(&header.prev);
        let Some(last) = chain.last() else { return Some("prev-blk-not-found") };
        let height = chain.len() as u64;
        let starts = height.is_multiple_of(u64::from(self.params.timespan / self.params.spacing));
        let version = header.version;
        let old = (version < 2 && height >= self.params.bip34_height)
            || (version < 3 && height >= self.params.bip66_height)
            || (version < 4 && height >= self.params.bip65_height);
        let warped = self.params.bip94 && starts && header.time + 600 < last.time;
        [
            (header.bits != self.next_bits(&chain, header.time), "bad-diffbits"),
            (header.time <= Self::median(&chain), "time-too-old"),
            (warped, "time-timewarp-attack"),
            (u64::from(header.time) > now + 7_200, "time-too-new"),
            (old, "bad-version"),
        ]
        .into_iter()
        .find_map(|(broken, name)| broken.then_some(name))
    }
}

/// What is wrong with a header on purpose.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Bits,
    Version,
    Time,
    Early,
    Late,
    Orphan,
    Proof,
}

#[derive(Debug, Clone)]
struct Step {
    /// The header to build on: one of all, or the newest.
    parent: Option<Index>,
    /// Seconds after the parent, and what is wrong, for each header of the run.
    headers: Vec<(i64, Fault)>,
    salt: u64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        30 => Just(Fault::None),
        1 => Just(Fault::Bits),
        1 => Just(Fault::Version),
        1 => Just(Fault::Time),
        1 => Just(Fault::Early),
        1 => Just(Fault::Late),
        1 => Just(Fault::Orphan),
        1 => Just(Fault::Proof),
    ];
    // Around the two spacings of 6 s after which the least difficulty is allowed, and back in time.
    let gap = prop_oneof![4 => -5..20i64, 4 => 4..9i64, 1 => Just(12i64), 1 => Just(13i64), 1 => Just(700i64), 1 => -700..-500i64];
    let headers = proptest::collection::vec((gap, fault), 1..9);
    let parent = prop_oneof![2 => Just(None), 1 => any::<Index>().prop_map(Some)];
    let step = (parent, headers, any::<u64>()).prop_map(|(parent, headers, salt)| Step {
        parent,
        headers,
        salt,
    });
    proptest::collection::vec(step, 1..14)
}

/// A header on top of `chain`, valid but for its fault and its time.
fn build(reference: &Reference, chain: &[Header], gap: i64, fault: Fault, salt: u64) -> Header {
    let last = chain[chain.len() - 1];
    let now = u32::try_from(NOW_MS / 1000).expect("fits");
    let time = match fault {
        Fault::Time => Reference::median(chain),
        Fault::Early => Reference::median(chain) + 1,
        Fault::Late => now + 7_201,
        _ => u32::try_from(i64::from(last.time) + gap)
            .expect("fits")
            .max(Reference::median(chain) + 1),
    };
    let bits = reference.next_bits(chain, time);
    let bits = if matches!(fault, Fault::Bits) { bits - 1 } else { bits };
    let version = if matches!(fault, Fault::Version) { 1 } else { 4 };
    let prev = if matches!(fault, Fault::Orphan) { B256::repeat_byte(7) } else { last.hash() };
    let merkle_root = crate::hash::leaf(&salt.to_be_bytes());
    let mut header = mine(Header { version, prev, merkle_root, time, bits, nonce: 0 });
    while matches!(fault, Fault::Proof)
        && target::hash_number(&header.hash()) <= target::decode(bits).target
    {
        header.nonce += 1;
    }
    header
}

/// Feeds one run to both; they must take as many headers and give the same reason for the next.
fn feed(client: &mut BitcoinClient, reference: &mut Reference, run: &[Header]) {
    let raw: Vec<[u8; 80]> = run.iter().map(Header::to_bytes).collect();
    let accepted = client.accept_all(&raw, NOW_MS);
    let (mut added, mut known, mut broken) = (0, 0, None);
    for header in run {
        if reference.knows(&header.hash()) {
            known += 1;
            continue;
        }
        broken = reference.broken(header, NOW_MS / 1000);
        if broken.is_some() {
            break;
        }
        reference.headers.push((header.hash(), *header));
        added += 1;
    }
    assert_eq!((accepted.added, accepted.known), (added, known), "{:?}", accepted.rejected);
    let found = accepted.rejected.map(|error| match error {
        // Within a run an unknown parent shows as a gap.
        ClientError::Header(error) => {
            error.to_string().replace("non-continuous headers", "prev-blk-not-found")
        }
        error => error.to_string(),
    });
    match broken {
        Some(name) => assert!(
            found.as_ref().is_some_and(|text| text.starts_with(name)),
            "{found:?}, expected {name}"
        ),
        None => assert_eq!(found, None),
    }
}

fn agree(client: &BitcoinClient, reference: &Reference) {
    let tree = client.tree();
    let (tip, work) = reference.tip();
    assert_eq!((tree.len(), tree.tip().hash()), (reference.headers.len(), tip));
    assert_eq!(tree.tip().weight(), work);
    let best = reference.branch(&tip);
    for (height, header) in (0u64..).zip(&best) {
        assert_eq!(tree.best_at(height).and_then(|found| found.bitcoin()), Some(*header));
    }
    assert!(tree.best_at(best.len() as u64).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_client_equals_the_plainest_client(
        bip94 in any::<bool>(),
        min_difficulty in any::<bool>(),
        reload in any::<bool>(),
        steps in steps(),
    ) {
        let params = fast(bip94, min_difficulty);
        let mut reference = Reference::new(&params);
        let (unlimited, mut store) = (u64::MAX, BTreeMap::new());
        let mut client =
            BitcoinClient::from_genesis(params.clone()).expect("usable").with_max_behind(unlimited);
        for Step { parent, headers, salt } in steps {
            let parent = parent.map_or(reference.headers.len() - 1, |at| at.index(reference.headers.len()));
            let mut chain = reference.branch(&reference.headers[parent].0);
            let mut run = Vec::new();
            for (gap, fault) in headers {
                let header = build(&reference, &chain, gap, fault, salt);
                chain.push(header);
                run.push(header);
            }
            feed(&mut client, &mut reference, &run);
            // Again: what was taken is known now, what was refused is refused for the same reason.
            feed(&mut client, &mut reference, &run);
            agree(&client, &reference);
            if reload {
                let changed = client.tree_mut().dirty_chunks();
                store.extend(changed.into_iter().filter_map(|(at, bytes)| Some((at, bytes?))));
                let bytes: usize = store.values().map(Vec::len).sum();
                prop_assert_eq!(client.tree().stored_bytes(), bytes as u64);
                let meta = client.tree().meta();
                client = BitcoinClient::load(params.clone(), &meta, store.clone())
                    .expect("what was stored can be read")
                    .with_max_behind(unlimited);
                agree(&client, &reference);
            }
        }
    }
}
