//! Finality that contradicts itself, and what the governor can do.

use super::*;

/// A started world with ten headers confirmed.
fn ten() -> (World, Vec<Header>) {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 10, 1);
    let update = world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9]));
    world.submit(&[update], &headers);
    (world, headers)
}

/// A frozen chain: evidence in state, out of the index, deaf to submissions.
fn assert_frozen(world: &mut World, block: &ExecutedBlock, sides: (B256, B256)) {
    let event = event::<LightClients::ConflictingFinality>(block);
    assert_eq!((event.known, event.other), sides);
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    assert_eq!(query::entries(&world.chain.state).unwrap(), []);
    let read = LightClients::conflictCall { chain: world.key.0 }.abi_encode();
    let evidence = crate::read(&world.chain, LIGHT_CLIENTS, read).output;
    assert!(!LightClients::conflictCall::abi_decode_returns(&evidence).unwrap().is_empty());
    let first = world.beacon.first();
    assert!(world.refused(&[first], &[]).contains("is frozen"));
    world.chain.step(vec![]);
}

#[test]
fn two_final_blocks_of_one_slot_freeze_the_chain() {
    let (mut world, headers) = ten();
    let other = execution(&headers[8], 1, 2);
    let update = world.beacon.finalizes(CHECKPOINT + 10, hash(&other[0]));
    let SyncData::FinalityUpdate(proof) = &update else { unreachable!() };
    let other_root = proof.finalized_header.beacon.root();
    let known = world.status().finalized_root;
    let block = world.submit(&[update], &[]);
    assert_frozen(&mut world, &block, (known, other_root));
    assert_eq!(world.confirmed(), place(&headers[9]));
}

#[test]
fn a_final_block_beside_the_tracked_ones_freezes_the_chain() {
    // Below the tip, at its height, above it, and by a run in two pieces.
    for (fork_at, count, pieces) in [(3, 2, 1), (8, 1, 1), (4, 20, 1), (4, 20, 2)] {
        let (mut world, headers) = ten();
        let branch = execution(&headers[fork_at], count, 2);
        let last = branch.last().unwrap();
        world.submit(&[world.beacon.finalizes(CHECKPOINT + 20, hash(last))], &[]);
        assert_eq!(world.record_status(), ChainStatus::Active);
        let middle = if pieces == 2 { 12 } else { 0 };
        if pieces == 2 {
            world.submit(&[], &branch[middle..]);
        }
        let run = if pieces == 2 { &branch[..middle] } else { &branch[..] };
        let block = world.submit(&[], run);
        assert_frozen(&mut world, &block, (hash(&headers[9]), hash(last)));
        assert_eq!(world.confirmed(), place(&headers[9]));
    }
}

#[test]
fn finality_that_goes_back_freezes_the_chain() {
    let (mut world, headers) = ten();
    let update = world.beacon.finalizes(CHECKPOINT + 20, hash(&headers[6]));
    let block = world.submit(&[update], &[]);
    assert_frozen(&mut world, &block, (hash(&headers[9]), hash(&headers[6])));
}

#[test]
fn a_run_that_passes_beside_a_final_block_freezes_the_chain() {
    let (mut world, headers) = ten();
    let honest = execution(&headers[9], 5, 1);
    let other = execution(&headers[9], 9, 2);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 15, hash(&honest[4]))], &[]);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 20, hash(&other[8]))], &[]);
    let block = world.submit(&[], &other);
    assert_frozen(&mut world, &block, (hash(&honest[4]), hash(&other[8])));
}

#[test]
fn the_governor_restarts_on_the_branch_that_it_trusts() {
    let (mut world, headers) = ten();
    let other = execution(&headers[5], 30, 2);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 20, hash(&other[29]))], &other);
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    // Resumed alone it stays shut.
    let resume = crate::status(world.key, ChainStatus::Active);
    let tx = world.wallet.tx(world.nonce, grid_core::modules::abi::REGISTRY, 0, 5_000_000, resume);
    world.nonce += 1;
    assert!(world.chain.step(vec![tx]).receipts[0].status());
    let reason = world.refused(&[world.beacon.first()], &[]);
    assert!(reason.contains("must restart"), "{reason}");

    // The other branch was the true one: the index is cut back to where it leaves.
    let restart = world.restart(CHECKPOINT + 20, hash(&other[29]));
    assert!(world.call(restart).receipts[0].status());
    assert_eq!(world.record_status(), ChainStatus::Active);
    assert_eq!(world.confirmed(), place(&headers[9]));
    world.submit(&[], &other[2..]);
    let block = world.submit(&[], &other[..2]);
    let reverted = event::<LightClients::IndexReverted>(&block);
    assert_eq!((reverted.fromHeight, reverted.depth), (1_007, 4));
    assert_eq!(world.confirmed(), place(&other[29]));
    // From then on it binds again.
    let more = execution(&headers[9], 40, 1);
    let update = world.beacon.teaches(CHECKPOINT + 30, hash(&more[39]));
    world.submit(&[update], &more);
    assert_eq!(world.record_status(), ChainStatus::Frozen);
}

#[test]
fn a_shorter_branch_that_the_governor_trusts_wins_too() {
    let (mut world, headers) = ten();
    let other = execution(&headers[5], 2, 2);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 20, hash(&other[1]))], &other);
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    let restart = world.restart(CHECKPOINT + 20, hash(&other[1]));
    assert!(world.call(restart).receipts[0].status());
    world.submit(&[], &other);
    assert_eq!(world.confirmed(), place(&other[1]));
}

#[test]
fn a_restart_on_the_tracked_branch_goes_on_where_it_was() {
    let (mut world, headers) = ten();
    let other = execution(&headers[5], 30, 2);
    world.submit(&[world.beacon.finalizes(CHECKPOINT + 20, hash(&other[29]))], &other);
    let restart = world.restart(CHECKPOINT + 8, hash(&headers[7]));
    assert!(world.call(restart).receipts[0].status());
    assert_eq!(world.status().wanted, Vec::<B256>::new());
    let more = execution(&headers[9], 3, 1);
    let data = [
        world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9])),
        world.beacon.finalizes(CHECKPOINT + 13, hash(&more[2])),
    ];
    world.submit(&data, &more);
    assert_eq!(world.confirmed(), place(&more[2]));
}

#[test]
fn a_frozen_chain_disturbs_no_other() {
    let beacon = Beacon::new(Fork::Electra);
    let (params, bitcoin) = crate::support::regtest();
    let other = crate::support::bitcoin_record(&params, crate::depth(1), 4_032);
    let records = vec![beacon.record(Policy::default()), other];
    let mut world = World::beside(beacon, records).started();
    let start = hash(&world.beacon.start);
    world.submit(&[world.beacon.teaches(CHECKPOINT + 10, start)], &[]);
    let stray = execution(&world.beacon.start, 1, 3);
    let false_one = world.input(&[world.beacon.finalizes(CHECKPOINT + 10, hash(&stray[0]))], &[]);
    let headers = crate::support::mine(&params.genesis.0, 5, 1);
    let txs = vec![
        world.wallet.tx(world.nonce, LIGHT_CLIENTS, 0, 20_000_000, false_one),
        world.wallet.submit(world.nonce + 1, bitcoin, &headers),
    ];
    let block = world.chain.step(txs);
    assert!(block.receipts.iter().all(|receipt| receipt.status()));
    assert_eq!(world.record_status(), ChainStatus::Frozen);
    let range = query::accumulator(&world.chain.state, bitcoin).unwrap().unwrap();
    assert_eq!(range.tip_height(), Some(5));
    assert_eq!(query::entries(&world.chain.state).unwrap().len(), 1);
}

#[test]
fn the_policy_may_refuse_instead_of_freezing() {
    let policy = Policy { freeze_on_conflict: false, ..Policy::default() };
    let mut world = World::under(Beacon::new(Fork::Electra), policy).started();
    assert_eq!(world.status().loosened, ["freeze_on_conflict"]);
    let headers = execution(&world.beacon.start, 10, 1);
    let update = world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9]));
    world.submit(&[update], &headers);
    let other = execution(&headers[3], 9, 2);
    let update = world.beacon.finalizes(CHECKPOINT + 20, hash(&other[8]));
    assert!(world.refused(&[update], &other).contains("contradicts itself"));
    let twice = world.beacon.finalizes(CHECKPOINT + 10, hash(&other[8]));
    assert!(world.refused(&[twice], &[]).contains("conflict"));
    assert_eq!(world.record_status(), ChainStatus::Active);
}
