//! Runs of headers: forwards, backwards, in pieces.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 5, ..ProptestConfig::default() })]

    /// Every block loads the client from the state anew, so this is a restart at every point as well.
    #[test]
    fn any_split_into_runs_ends_in_the_same_tree_and_index(
        cuts in proptest::collection::btree_set(1..80usize, 0..6),
        overlap in 0..4usize,
        second in 40..80usize,
    ) {
        let mut world = World::new(Beacon::new(Fork::Electra)).started();
        let headers = execution(&world.beacon.start, 80, 1);
        let first = world.beacon.teaches(CHECKPOINT + 20, hash(&headers[second - 1]));
        world.submit(&[first], &[]);
        // Downwards to the tip in pieces that overlap, then the rest.
        let cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < second).collect();
        let mut high = second;
        for cut in cuts.iter().rev().copied().chain([0]) {
            let end = (high + overlap).min(second);
            world.submit(&[], &headers[cut..end]);
            high = cut;
        }
        let last = world.beacon.finalizes(CHECKPOINT + 40, hash(&headers[79]));
        world.submit(&[last], &headers[second.saturating_sub(overlap)..]);

        let mut once = World::new(Beacon::new(Fork::Electra)).started();
        let data = [
            once.beacon.teaches(CHECKPOINT + 20, hash(&headers[second - 1])),
            once.beacon.finalizes(CHECKPOINT + 40, hash(&headers[79])),
        ];
        once.submit(&data, &headers);
        prop_assert_eq!(world.confirmed(), place(&headers[79]));
        let root = |world: &World| query::index_root(&world.chain.state).unwrap();
        prop_assert_eq!(root(&world), root(&once));
        prop_assert_eq!(world.status(), once.status());
    }
}

#[test]
fn a_gap_is_filled_backwards_and_enters_the_index_when_it_is_closed() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 150, 1);
    let update = world.beacon.teaches(CHECKPOINT + 30, hash(&headers[149]));
    world.submit(&[update], &headers[100..]);
    let status = world.status();
    assert_eq!((status.pending, status.wanted), (50, vec![hash(&headers[99])]));
    assert_eq!(status.lowest_pending.unwrap().height, 1_101);
    assert_eq!(status.missing_above.height, 1_000);
    world.submit(&[], &headers[40..100]);
    assert_eq!(world.status().wanted, [hash(&headers[39])]);
    assert_eq!(world.confirmed(), place(&world.beacon.start));
    world.submit(&[], &headers[..40]);
    assert_eq!(world.confirmed(), place(&headers[149]));
    let status = world.status();
    assert_eq!((status.pending, status.wanted), (0, vec![]));
    assert!(world.own_values().iter().all(|(key, _)| key[1] != 7 || key[34] != 8));
}

#[test]
fn finality_moves_on_while_a_gap_is_filled() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 60, 1);
    let at = |n: usize| hash(&headers[n]);
    world.submit(&[world.beacon.teaches(CHECKPOINT + 20, at(19))], &headers[10..20]);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 30, at(39))], &[]);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 40, at(59))], &[]);
    assert_eq!(world.status().wanted, [at(9), at(39), at(59)]);
    // The lowest gap first.
    assert!(world.refused(&[], &headers[45..60]).contains("not proven final"));
    assert!(world.refused(&[], &headers[20..40]).contains("not proven final"));
    world.submit(&[], &headers[..10]);
    assert_eq!(world.confirmed(), place(&headers[19]));
    assert!(world.refused(&[], &headers[45..60]).contains("lowest wanted"));
    // One run may pass several wanted hashes.
    world.submit(&[], &headers[15..60]);
    assert_eq!(world.confirmed(), place(&headers[59]));
}

#[test]
fn a_shorter_run_that_came_first_does_not_spoil_a_longer_one() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 30, 1);
    world.submit(&[world.beacon.teaches(CHECKPOINT + 20, hash(&headers[29]))], &headers[29..]);
    world.submit(&[], &headers);
    assert_eq!(world.confirmed(), place(&headers[29]));
}

#[test]
fn a_long_gap_is_indexed_over_several_blocks() {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 9_000, 1);
    let update = world.beacon.teaches(CHECKPOINT + 20, hash(&headers[8_999]));
    world.submit(&[update], &[]);
    for run in headers.chunks(900).rev() {
        let input = world.input(&[], run);
        let tx = world.wallet.tx(world.nonce, LIGHT_CLIENTS, 0, 50_000_000, input);
        world.nonce += 1;
        let made = world.chain.propose(vec![tx]).executed;
        assert!(made.receipts[0].status());
        world.chain.commit(&made);
    }
    assert_eq!(world.confirmed(), place(&headers[8_191]));
    // Finality moves on while the rest follows.
    let more = execution(&headers[8_999], 5, 1);
    let update = world.beacon.finalizes(CHECKPOINT + 30, hash(&more[4]));
    world.submit(&[update], &more);
    assert_eq!(world.confirmed(), place(&more[4]));
    assert_eq!(world.status().pending, 0);
}

#[test]
fn blocks_without_an_execution_block_ask_for_nothing() {
    // From Gloas on a slot without a payload repeats the hash of the one before.
    let mut world = World::new(Beacon::new(Fork::Gloas)).started();
    let headers = execution(&world.beacon.start, 5, 1);
    let start = hash(&world.beacon.start);
    world.submit(&[world.beacon.teaches(CHECKPOINT + 5, start)], &[]);
    assert_eq!(world.status().wanted, Vec::<B256>::new());
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 10, hash(&headers[4]))], &[]);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 12, hash(&headers[4]))], &[]);
    assert_eq!(world.status().wanted, [hash(&headers[4])]);
    world.submit(&[], &headers);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 14, hash(&headers[4]))], &[]);
    assert_eq!(world.status().wanted, Vec::<B256>::new());
    assert_eq!(world.confirmed(), place(&headers[4]));
}

#[test]
fn before_capella_committees_move_on_and_nothing_is_exported() {
    let mut world = World::new(Beacon::new(Fork::Bellatrix));
    let data = [
        world.beacon.first(),
        world.beacon.teaches(CHECKPOINT + 5, B256::repeat_byte(5)),
        world.beacon.teaches(CHECKPOINT + PERIOD, B256::repeat_byte(6)),
    ];
    world.submit(&data, &[]);
    let status = world.status();
    assert_eq!((status.period, status.wanted), (1_501, vec![]));
    assert_eq!(world.confirmed(), None);
}

#[test]
fn a_year_of_wanted_hashes_fits() {
    let mut world = World::new(Beacon::new(Fork::Electra));
    let headers = execution(&world.beacon.start, 320, 1);
    // A year in periods of 64 seconds, so the checkpoint lies that far back.
    world.beacon.network.genesis_time -= 320 * PERIOD;
    let mut world = World::new(world.beacon).started();
    for batch in (0..320usize).collect::<Vec<_>>().chunks(16) {
        let update = |n: &usize| {
            world.beacon.teaches(CHECKPOINT + *n as u64 * PERIOD + 9, hash(&headers[*n]))
        };
        let data: Vec<_> = batch.iter().map(update).collect();
        world.submit(&data, &[]);
    }
    // Close ones are thinned out; each header is under the newest.
    let wanted = world.status().wanted;
    assert_eq!(
        (wanted.first(), wanted.last()),
        (Some(&hash(&headers[0])), Some(&hash(&headers[319])))
    );
    assert!((64..=320).contains(&wanted.len()), "{}", wanted.len());
    world.submit(&[], &headers);
    assert_eq!(world.confirmed(), place(&headers[319]));
}
