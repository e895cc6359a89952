use grid_core::bitcoin::{presync::Next, target};

use super::*;

/// A clock after all test headers.
const NOW_MS: u64 = 4_000_000_000_000;

/// `count` regtest headers on top of `below`; `salt` keeps branches apart.
fn branch(below: &[u8; 80], count: usize, salt: u8) -> Vec<[u8; 80]> {
    let mut at = Header::parse(below);
    let target = target::decode(at.bits).target;
    let next = |_| {
        let merkle_root = B256::repeat_byte(salt);
        at = Header { version: 4, prev: at.hash(), time: at.time + 1, merkle_root, ..at };
        while target::hash_number(&at.hash()) > target {
            at.nonce = at.nonce.wrapping_add(1);
        }
        at.to_bytes()
    };
    (0..count).map(next).collect()
}

fn chain(file: Option<HeaderFile>) -> Chain {
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    Chain::new(params, &start, None, file).unwrap()
}

fn genesis() -> [u8; 80] {
    NetworkParams::regtest().genesis.0
}

fn take(chain: &mut Chain, headers: &[[u8; 80]]) {
    for some in headers.chunks(MAX_HEADERS) {
        let accepted = chain.extend(some, NOW_MS);
        assert_eq!(accepted.rejected, None);
    }
}

/// The whole best chain, after checking that it is linked.
fn whole(chain: &Chain) -> Vec<[u8; 80]> {
    let best = chain.headers(0, usize::MAX).to_vec();
    for pair in best.windows(2) {
        assert_eq!(header::parent(&pair[1]), header::hash(&pair[0]));
    }
    assert_eq!(best.len() as u64, chain.tip().height + 1);
    best
}

#[test]
fn the_best_chain_follows_extensions_and_reorganisations() {
    let mut chain = chain(None);
    let one = branch(&genesis(), 50, 1);
    take(&mut chain, &one);
    assert_eq!(whole(&chain)[1..], one);
    // Shorter, equally long, then longer.
    let two = branch(&one[19], 31, 2);
    take(&mut chain, &two[..10]);
    take(&mut chain, &two[10..30]);
    assert_eq!(whole(&chain)[1..], one);
    assert_eq!(chain.find(&header::hash(&two[29])), Some((50, false)));
    take(&mut chain, &two[30..]);
    assert_eq!(whole(&chain)[1..], [&one[..20], &two].concat());
    assert_eq!(chain.find(&header::hash(&one[30])), Some((31, false)));
    assert_eq!(chain.find(&header::hash(&two[0])), Some((21, true)));
    // The branch that lost is told of.
    let branches = chain.branches();
    assert_eq!(branches.len(), 1);
    assert_eq!(branches[0].fork, SourceTip { height: 20, hash: header::hash(&one[19]) });
    let told: Vec<&[u8]> = branches[0].headers.iter().map(|header| &header.raw[..]).collect();
    assert_eq!(told, one[20..].iter().map(|raw| &raw[..]).collect::<Vec<_>>());
    take(&mut chain, &branch(&one[49], 2, 3));
    assert_eq!(whole(&chain)[..51], [&[genesis()], &one[..]].concat());
}

#[test]
fn headers_below_the_window_stay_readable_and_memory_does_not_grow() {
    let mut chain = chain(None);
    let window = usize::try_from(WINDOW).unwrap();
    let long = branch(&genesis(), 3 * window, 1);
    take(&mut chain, &long);
    assert!(chain.client.tree().len() <= 2 * window + MAX_HEADERS, "{}", chain.client.tree().len());
    assert_eq!(whole(&chain)[1..], long);
    assert_eq!(chain.headers(1, 3), &long[..3]);
    assert!(chain.headers(3 * WINDOW + 1, 1).is_empty());
    for height in [0, 1, 100, WINDOW, 3 * WINDOW] {
        let hash = header::hash(&chain.headers(height, 1)[0]);
        assert_eq!(chain.find(&hash), Some((height, true)), "{height}");
    }
    assert_eq!(chain.find(&B256::repeat_byte(7)), None);
    let locator = chain.locator(chain.tip().height);
    assert!(locator.len() < 32, "{}", locator.len());
    assert_eq!(locator[0], chain.tip().hash);
    assert_eq!(locator[9], header::hash(&long[long.len() - 10]));
    assert_eq!(locator.last(), Some(&header::hash(&genesis())));
}

#[test]
fn a_branch_of_too_little_work_goes_through_presync() {
    let mut chain = chain(None);
    let one = branch(&genesis(), 3_000, 1);
    take(&mut chain, &one);
    // A day of regtest blocks is 144: a fork 144 below the tip is not worth storing unseen.
    assert_eq!(chain.is_paid(&header::hash(&one[2_855])), Some(true));
    assert_eq!(chain.is_paid(&header::hash(&one[2_854])), Some(false));
    assert_eq!(chain.is_paid(&B256::repeat_byte(7)), None);
    let two = branch(&genesis(), 3_100, 2);
    let parent = header::hash(&genesis());
    assert!(!chain.is_worth(&two[..2_000]));
    assert!(chain.is_worth(&two[..2_856]));
    let mut presync = chain.presync(&parent, NOW_MS / 1_000).unwrap();
    let mut from = 0;
    let mut released = Vec::new();
    loop {
        let end = two.len().min(from + MAX_HEADERS);
        let step = presync.step(&two[from..end]).unwrap();
        released.extend(step.released);
        match step.next {
            Next::Request { after } if after == parent => from = 0,
            Next::Request { .. } => from = end,
            Next::Finished => break,
        }
    }
    take(&mut chain, &released);
    assert_eq!(whole(&chain)[1..], two);
}

#[test]
fn a_chain_without_the_network_s_work_is_never_stored() {
    let params = NetworkParams::regtest();
    let start = Checkpoint::genesis(&params);
    let needed = Some(U256::from(1_000));
    let chain = Chain::new(params, &start, needed, None).unwrap();
    let short = branch(&genesis(), 498, 1);
    assert_eq!(chain.is_paid(&header::hash(&genesis())), Some(false));
    assert!(!chain.is_worth(&short) && !chain.has_minimum_work());
    let mut idle = branch(&genesis(), 499, 1);
    assert!(chain.is_worth(&idle));
    // Work is counted only as far as it is proven.
    while Header::parse(&idle[498]).hash()[31] < 0x80 {
        idle[498][76] = idle[498][76].wrapping_add(1);
    }
    assert!(!chain.is_worth(&idle));
}

#[test]
fn a_restart_reads_the_file_and_cuts_what_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    let open = || Some(HeaderFile::open(&path, &genesis()).unwrap());
    let one = branch(&genesis(), 2_500, 1);
    let two = branch(&one[2_399], 200, 2);
    let mut first = chain(open());
    take(&mut first, &one);
    take(&mut first, &two);
    drop(first);
    let expected = [&[genesis()], &one[..2_400], &two].concat();
    assert!(std::fs::read(&path).unwrap() == expected.as_flattened());
    let mut again = chain(open());
    again.replay(NOW_MS, |_| {}).unwrap();
    assert!(whole(&again) == expected);
    drop(again);
    let mut bytes = expected.as_flattened().to_vec();
    // Another parent.
    bytes[80 * 2_300 + 4] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut cut = chain(open());
    cut.replay(NOW_MS, |_| {}).unwrap();
    assert_eq!(cut.tip().height, 2_299);
    // It goes on from there.
    take(&mut cut, &one[2_299..2_400]);
    take(&mut cut, &two);
    drop(cut);
    assert!(std::fs::read(&path).unwrap() == expected.as_flattened());
}
