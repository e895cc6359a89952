//! Members in memory whose chains the tests decide.

use std::sync::Arc;

use bitcoin::{Network, blockdata::constants::genesis_block, consensus::serialize};

use super::*;
use crate::{
    SourceKind,
    bitcoin::{
        header,
        testing::{Raw, grow, regtest},
    },
};

/// A node that shows whatever chain it is given.
struct Shown {
    id: ChainId,
    chain: Mutex<Vec<Raw>>,
    /// Most headers in an answer.
    most: usize,
    branches: Mutex<Vec<crate::Branch>>,
}

impl Shown {
    fn new(chain: Vec<Raw>, most: usize) -> Arc<Self> {
        let id = NetworkParams::regtest().chain_id();
        Arc::new(Self { id, chain: Mutex::new(chain), most, branches: Mutex::default() })
    }

    fn show(&self, chain: &[Raw]) {
        *self.chain.lock().unwrap() = chain.to_vec();
    }
}

fn tip_of(chain: &[Raw]) -> SourceTip {
    let height = chain.len() as u64 - 1;
    SourceTip { height, hash: header::hash(chain.last().unwrap()) }
}

#[async_trait]
impl SourceChain for Shown {
    fn id(&self) -> &ChainId {
        &self.id
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        Ok(tip_of(&self.chain.lock().unwrap()))
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        let chain = self.chain.lock().unwrap();
        let raws = chain.iter().skip(usize::try_from(from).unwrap()).take(count.min(self.most));
        let heights = from..u64::MAX;
        Ok(heights.zip(raws).map(|(at, raw)| header::normalise(self.id.key(), at, raw)).collect())
    }

    async fn proof_material(&self, _: ProofRequest) -> Result<Material, AdapterError> {
        Err(AdapterError::Invalid("headers only".into()))
    }

    fn view(&self) -> SourceView {
        let branches = self.branches.lock().unwrap().clone();
        SourceView { branches, ..SourceView::default() }
    }
}

fn quorum(nodes: &[&Arc<Shown>], agree: usize) -> Quorum {
    let member = |(number, node): (usize, &&Arc<Shown>)| {
        let source: Arc<dyn SourceChain> = (*node).clone();
        Member::new(format!("rpc[{number}]"), SourceKind::Rpc, source)
    };
    let members = nodes.iter().enumerate().map(member).collect();
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    Quorum::new(members, agree, params, &start).unwrap()
}

#[tokio::test]
async fn the_most_work_wins_whatever_the_number() {
    let common = regtest(20);
    let (short, long) = (grow(&common, 5, 1_000), grow(&common, 6, 2_000_000));
    let [a, b, c] = [&short, &short, &long].map(|chain| Shown::new(chain.clone(), 2_000));
    let quorum = quorum(&[&a, &b, &c], 1);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&long));
    let served = quorum.headers(15, 100).await.unwrap();
    assert_eq!(served.iter().map(|header| header.raw.to_vec()).collect::<Vec<_>>(), long[15..]);
    let view = quorum.view();
    let disagreement = view.disagreement.unwrap();
    assert_eq!((disagreement.height, disagreement.held), (21, false));
    let said: Vec<_> = disagreement.votes.iter().map(|vote| vote.members.join(" ")).collect();
    assert_eq!(said, ["rpc[2]", "rpc[0] rpc[1]"]);
    assert_eq!(view.branches.len(), 1);
    let branch = &view.branches[0];
    assert_eq!((branch.fork, branch.headers.len()), (tip_of(&common), 5));
    assert_eq!(branch.members, ["rpc[0]", "rpc[1]"]);
    assert!(view.members[2].work.unwrap() > view.members[0].work.unwrap());
}

#[tokio::test]
async fn with_agreement_required_the_chain_stands_still_until_it_is_back() {
    let common = regtest(20);
    let (one, other) = (grow(&common, 4, 1_000), grow(&common, 3, 2_000_000));
    let (a, b) = (Shown::new(one.clone(), 2_000), Shown::new(other, 2_000));
    let quorum = quorum(&[&a, &b], 2);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&common));
    assert!(quorum.view().disagreement.unwrap().held);
    assert_eq!(quorum.headers(19, 100).await.unwrap().len(), 2, "nothing above the fork");
    b.show(&one[..24]);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&one[..24]), "as far as both go");
    let view = quorum.view();
    assert_eq!(view.disagreement, None);
    assert_eq!(view.competing_blocks(), 3, "the branch that was left is remembered");
}

/// Less than a disagreement, and still nobody's business: evidence for a branch that too few have would
/// make the main chain follow it.
#[tokio::test]
async fn with_agreement_required_no_branch_of_more_work_is_told_of() {
    let common = regtest(20);
    let (one, other) = (grow(&common, 4, 1_000), grow(&common, 1, 2_000_000));
    let (a, b) = (Shown::new(one.clone(), 2_000), Shown::new(other.clone(), 2_000));
    let quorum = quorum(&[&a, &b], 2);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&common));
    assert_eq!(quorum.view().disagreement, None, "a single block excludes nothing yet");
    assert_eq!(quorum.view().branches, []);
    b.show(&one);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&one));
    let view = quorum.view();
    assert_eq!(view.branches.len(), 1, "the one that lost is known then");
    assert_eq!(view.branches[0].headers[0].raw[..], other[21]);
}

#[tokio::test]
async fn nothing_is_handed_out_before_enough_have_been_heard() {
    let chain = regtest(5);
    let (a, b) = (Shown::new(chain.clone(), 2_000), Shown::new(chain[..=3].to_vec(), 2_000));
    let quorum = quorum(&[&a, &b], 2);
    assert_eq!(quorum.headers(2, 100).await.unwrap().len(), 2, "without a question for the tip");
}

#[tokio::test]
async fn a_race_of_single_blocks_is_no_disagreement_and_the_first_stays() {
    let common = regtest(10);
    let (one, other) = (grow(&common, 1, 1_000), grow(&common, 1, 2_000_000));
    let (a, b) = (Shown::new(common.clone(), 2_000), Shown::new(other.clone(), 2_000));
    let quorum = quorum(&[&a, &b], 1);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&other));
    a.show(&one);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&other), "of equal work the first seen");
    assert_eq!(quorum.view().disagreement, None);
    assert_eq!(quorum.view().competing_blocks(), 1);
    a.show(&grow(&one, 1, 5));
    assert_eq!(quorum.tip().await.unwrap().height, 12);
}

#[tokio::test]
async fn an_invalid_chain_is_refused_with_its_rule_and_the_others_go_on() {
    let good = regtest(30);
    let honest = Shown::new(good.clone(), 2_000);
    for (change, rule) in [
        ((|next| next.time -= 60_000) as fn(&mut bitcoin::block::Header), "time-too-old"),
        (|next| next.version = bitcoin::block::Version::from_consensus(1), "bad-version"),
        (|next| next.bits = bitcoin::CompactTarget::from_consensus(0x207f_fffe), "bad-diffbits"),
    ] {
        let longer = grow(&good, 1, 77);
        let mut bad: bitcoin::block::Header =
            bitcoin::consensus::deserialize(longer.last().unwrap()).unwrap();
        change(&mut bad);
        while bad.validate_pow(bad.target()).is_err() {
            bad.nonce += 1;
        }
        let mut lie = good.clone();
        lie.push(serialize(&bad).try_into().unwrap());
        let liar = Shown::new(grow(&lie, 50, 3), 2_000);
        let quorum = quorum(&[&liar, &honest], 1);
        assert_eq!(quorum.tip().await.unwrap(), tip_of(&good));
        let error = quorum.view().members[0].last_error.clone().unwrap();
        assert!(matches!(error, AdapterError::InvalidHeader { .. }), "{error:?}");
        assert!(error.to_string().contains(rule), "{error}");
    }
}

#[tokio::test]
async fn another_network_shares_nothing() {
    let mut other = genesis_block(Network::Regtest).header;
    other.time += 1;
    while other.validate_pow(other.target()).is_err() {
        other.nonce += 1;
    }
    let foreign = grow(&[serialize(&other).try_into().unwrap()], 40, 0);
    let quorum = quorum(&[&Shown::new(foreign, 2_000)], 1);
    let error = quorum.tip().await.unwrap_err();
    assert!(matches!(error, AdapterError::Unrelated { base: 0, .. }), "{error:?}");
}

#[tokio::test]
async fn a_long_chain_is_served_from_its_start_and_reorganised_deeply() {
    let long = regtest(16_200);
    let node = Shown::new(long.clone(), 777);
    let quorum = quorum(&[&node], 1);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&long));
    assert!(quorum.state().verified.base() > 8_000, "the settled part has left the light client");
    let mut served = Vec::new();
    while served.len() < long.len() {
        let part = quorum.headers(served.len() as u64, 1_999).await.unwrap();
        assert!(!part.is_empty());
        served.extend(part);
    }
    for (height, (header, raw)) in served.iter().zip(&long).enumerate() {
        assert_eq!((header.compat.height, &header.raw[..]), (height as u64, &raw[..]));
    }
    let other = grow(&long[..=16_200 - 4_032], 4_033, 5_000_000);
    node.show(&other);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&other));
    node.show(&long[..9_000]);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&long[..9_000]), "known, whatever its work");
    assert!(quorum.headers(9_000, 5).await.unwrap().is_empty());
    let history = grow(&long[..=9_000], 10, 7_000_000);
    node.show(&history);
    let error = quorum.tip().await.unwrap_err();
    assert!(matches!(error, AdapterError::LowWork { .. }), "{error:?}");
}

#[tokio::test]
async fn branches_that_a_node_has_left_are_verified_too() {
    let chain = regtest(12);
    let stale = grow(&chain[..=9], 2, 900_000);
    let id = NetworkParams::regtest().chain_id();
    let headers: Vec<SourceHeader> = (10..)
        .zip(&stale[10..])
        .map(|(height, raw)| header::normalise(id.key(), height, raw))
        .collect();
    let node = Shown::new(chain.clone(), 2_000);
    let fork = tip_of(&chain[..=9]);
    *node.branches.lock().unwrap() =
        vec![crate::Branch { fork, headers: headers.clone(), members: Vec::new() }];
    let quorum = quorum(&[&node], 1);
    assert_eq!(quorum.tip().await.unwrap(), tip_of(&chain));
    let view = quorum.view();
    assert_eq!(view.branches, [crate::Branch { fork, headers, members: Vec::new() }]);
    assert_eq!(view.disagreement, None, "nobody is on it");
}
