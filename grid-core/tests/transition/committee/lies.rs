//! What a relayer may try.

use super::*;
use crate::support::beacon::Says;

/// A started world with one wanted hash, and the run that is asked for.
fn asked() -> (World, Vec<Header>) {
    let mut world = World::new(Beacon::new(Fork::Electra)).started();
    let headers = execution(&world.beacon.start, 10, 1);
    world.submit(&[world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9]))], &[]);
    (world, headers)
}

#[test]
fn headers_that_do_not_link_to_what_is_final_are_refused() {
    let (mut world, headers) = asked();
    let mut edited = headers.clone();
    edited[4].state_root = B256::repeat_byte(9);
    let mut swapped = headers.clone();
    swapped.swap(3, 4);
    let mut skipped = headers.clone();
    skipped.remove(5);
    let mut renumbered = headers.clone();
    renumbered[9].number += 1;
    for run in [edited, swapped, skipped, renumbered] {
        assert!(world.refused(&[], &run).contains("not the child"));
    }
    let longer = execution(&world.beacon.start, 11, 1);
    let branch = execution(&headers[3], 6, 2);
    let elsewhere: Vec<Header> = headers[..4].iter().cloned().chain(branch).collect();
    for run in [&headers[..9], &longer, &elsewhere, &headers[2..5]] {
        assert!(world.refused(&[], run).contains("not proven final"));
    }
    assert!(world.refused(&[], &[]).contains("no headers"));
    world.submit(&[], &headers);
    assert_eq!(world.confirmed(), place(&headers[9]));
}

#[test]
fn updates_that_break_a_rule_are_refused() {
    let (mut world, headers) = asked();
    let more = execution(&headers[9], 5, 1);
    let says = world.beacon.says(CHECKPOINT + 15, hash(&more[4]));
    let few = world.beacon.update(&Says { signers: 5, ..says });
    assert!(world.refused(&[few.into()], &more).contains("5 of 8 members"));
    let enough = Says { signers: 6, ..says };

    let mut fork = world.beacon.clone();
    fork.version = [1, 2, 3, 4].into();
    let foreign = fork.update(&enough);
    assert!(world.refused(&[foreign.into()], &[]).contains("signature"));
    let good = world.beacon.update(&enough);
    let mut other_hash = good.clone();
    other_hash.finalized_header.execution_block_hash = B256::repeat_byte(1);
    assert!(world.refused(&[other_hash.into()], &[]).contains("execution branch"));
    let mut other_block = good.clone();
    other_block.finalized_header = world.beacon.header(CHECKPOINT + 14, hash(&more[3]), B256::ZERO);
    assert!(world.refused(&[other_block.into()], &[]).contains("finality branch"));
    let mut other_next = good.clone();
    other_next.next_sync_committee = Some(world.beacon.committee(1_501, 5));
    assert!(world.refused(&[other_next.into()], &[]).contains("committee"));
    let future = world.beacon.finalizes(world.beacon.network.slot_at(u64::MAX / 4_000), B256::ZERO);
    assert!(!world.refused(&[future], &[]).is_empty());
    let skips = world.beacon.teaches(CHECKPOINT + 3 * PERIOD, hash(&more[4]));
    assert!(world.refused(&[skips], &[]).contains("period"));
    let without = world.beacon.finalizes(CHECKPOINT + PERIOD + 1, hash(&more[4]));
    assert!(world.refused(&[without], &[]).contains("without the committee after it"));
    let mut unproven = good.clone();
    unproven.finality_branch = Default::default();
    unproven.finalized_header = Default::default();
    assert!(world.refused(&[unproven.into()], &[]).contains("advances neither"));

    // All or nothing: what comes before a refused part does not count either.
    let mut edited = more.clone();
    edited[4].gas_used = 1;
    assert!(world.refused(&[good.clone().into()], &edited).contains("not"));
    assert_eq!(world.status().finalized_slot, CHECKPOINT + 10);
    let all: Vec<Header> = headers.into_iter().chain(more.clone()).collect();
    world.submit(&[good.into()], &all);
    assert_eq!(world.confirmed(), place(&more[4]));
}

#[test]
fn too_much_of_anything_is_refused_before_it_is_read() {
    let (mut world, headers) = asked();
    let update = world.beacon.finalizes(CHECKPOINT + 12, B256::repeat_byte(2));
    let many = vec![update; 17];
    assert!(world.refused(&many, &[]).contains("at most 16"));
    let header = headers[9].clone();
    assert!(world.refused(&[], &vec![header; 1_025]).contains("at most 1024"));
    let call = |data: Vec<Bytes>| {
        LightClients::submitFinalityCall { chain: world.key.0, data, headers: vec![] }
            .abi_encode()
            .into()
    };
    for (data, reason) in [
        (vec![Bytes::new()], "starts with nothing"),
        (vec![Bytes::from_static(&[9])], "starts with 9"),
        (vec![vec![1; 40_000].into()], "at most"),
        (vec![vec![2; 600].into()], "not the SSZ encoding"),
    ] {
        let found = world.reason(&call(data)).unwrap();
        assert!(found.contains(reason), "{found}");
    }
}

#[test]
fn bootstraps_and_other_chains_evidence_are_no_way_in() {
    let (mut world, headers) = asked();
    let second = world.beacon.bootstrap(CHECKPOINT + 10, hash(&headers[9]));
    assert!(world.refused(&[second.into()], &[]).contains("only the governor"));
    let attested = LightClients::submitAttestedHeadersCall {
        chain: world.key.0,
        headers: rlp(&headers),
        signatures: vec![],
    };
    let reason = world.reason(&attested.abi_encode().into()).unwrap();
    assert!(reason.contains("light-client data"), "{reason}");
    let stranger = Wallet::new(9);
    let context = transition::CallContext {
        from: stranger.address,
        to: Some(LIGHT_CLIENTS),
        input: world.restart(CHECKPOINT + 10, hash(&headers[9])),
        ..Default::default()
    };
    let outcome = transition::call(&world.chain.state, &context, &world.chain.parent.header);
    assert!(outcome.unwrap().reverted.unwrap().contains("only the governor"));
}

#[test]
fn a_client_that_fell_behind_needs_the_governor() {
    let policy = Policy { max_checkpoint_age: 5_000, ..Policy::default() };
    let mut world = World::under(Beacon::new(Fork::Electra), policy).started();
    let headers = execution(&world.beacon.start, 30, 1);
    let update = world.beacon.teaches(CHECKPOINT + 10, hash(&headers[9]));
    world.submit(&[update], &headers[5..10]);
    world.chain.time_ms += 5_000_000;
    world.chain.step(vec![]);
    let later = world.beacon.finalizes(CHECKPOINT + 20, hash(&headers[19]));
    assert!(world.refused(&[later], &[]).contains("newer checkpoint"));
    // What was proven stays true: its headers may still come.
    world.submit(&[], &headers[..5]);
    assert_eq!(world.confirmed(), place(&headers[9]));

    let slot = CHECKPOINT + 5_000;
    let old = world.restart(CHECKPOINT + 10, hash(&headers[9]));
    assert!(world.reason(&old).unwrap().contains("newer checkpoint"));
    let restart = world.restart(slot, hash(&headers[29]));
    assert!(world.call(restart).receipts[0].status());
    let status = world.status();
    assert_eq!((status.finalized_slot, status.wanted), (slot, vec![hash(&headers[29])]));
    world.submit(&[], &headers[10..]);
    assert_eq!(world.confirmed(), place(&headers[29]));
    let back = world.restart(slot - PERIOD, hash(&headers[20]));
    assert!(world.reason(&back).unwrap().contains("already"));
}

#[test]
fn a_client_that_never_started_can_be_restarted_higher_up() {
    let mut world = World::new(Beacon::new(Fork::Electra));
    let headers = execution(&world.beacon.start, 20, 1);
    let restart = world.restart(CHECKPOINT + 20, hash(&headers[19]));
    assert!(world.call(restart).receipts[0].status());
    assert_eq!(world.confirmed(), None);
    world.submit(&[], &headers[10..]);
    assert_eq!(world.confirmed(), None);
    world.submit(&[], &headers[..10]);
    assert_eq!(world.confirmed(), place(&headers[19]));
}

#[test]
fn records_that_do_not_fit_are_refused() {
    let beacon = Beacon::new(Fork::Electra);
    let good = beacon.record(Policy::default());
    good.validate().unwrap();
    let json = serde_json::to_vec(&good).unwrap();
    assert_eq!(ChainRecord::from_json(&json).unwrap(), good);
    for policy in [
        Policy { allow_force_update: true, ..Policy::default() },
        Policy { export_optimistic: true, ..Policy::default() },
    ] {
        let error = beacon.record(policy).validate().unwrap_err().to_string();
        assert!(error.contains("proven finality only"), "{error}");
    }
    let attested = ChainRecord { security: Security::Attested, ..good };
    assert!(attested.validate().unwrap_err().to_string().contains("does not fit its client"));
    let mut network = beacon.network.clone();
    network.preset.committee_size = 12;
    let bad = Beacon { network, ..beacon }.record(Policy::default());
    assert!(bad.validate().unwrap_err().to_string().contains("power of two"));
    let (params, _) = crate::support::regtest();
    let rule = grid_core::confirm::ConfirmationRule::Final;
    let bitcoin = crate::support::bitcoin_record(&params, rule, 4_032);
    let error = bitcoin.validate().unwrap_err().to_string();
    assert!(error.contains("a client that proves finality"), "{error}");
}
