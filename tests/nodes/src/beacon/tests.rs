//! `grid-core`'s client follows the simulated chain, and refuses each fault with the right error.

use alloy_primitives::B256;
use grid_core::ethereum::sync::{
    self, Bootstrap, Format, NetworkConfig, Policy, Preset, SyncClient, SyncError,
    payload::ExecutionPayloadHeader,
};
use grid_core::ethereum::sync::{json, ssz};

use super::{
    Chain, ChainConfig, Fault,
    data::{self, Update},
    network::with_forks,
    tree,
    value::Value,
};

/// Slots of a period of the minimal preset.
const PERIOD: u64 = 64;

/// An execution block whose hash tells its number.
fn execution(number: u64) -> ExecutionPayloadHeader {
    ExecutionPayloadHeader {
        parent_hash: hash(number.wrapping_sub(1)),
        block_number: number,
        block_hash: hash(number),
        timestamp: number,
        extra_data: vec![7; (number % 33) as usize].into(),
        ..ExecutionPayloadHeader::default()
    }
}

fn hash(number: u64) -> B256 {
    sync::merkle::node(&B256::repeat_byte(5), &sync::merkle::uint(number))
}

/// A chain with a block in each slot up to `last`; each fork begins a given number of epochs in.
fn chain(epochs: &[u64], last: u64) -> Chain {
    let network = with_forks(Preset::MINIMAL, 0, epochs);
    let mut chain = Chain::new(ChainConfig { network, finality_lag: 2, seed: 1 });
    extend(&mut chain, 0..last + 1);
    chain
}

/// A block in each of the slots.
fn extend(chain: &mut Chain, slots: std::ops::Range<u64>) {
    for slot in slots {
        chain.add(slot, execution(slot));
    }
}

/// Fulu from the start.
fn fulu(last: u64) -> Chain {
    chain(&[0; 6], last)
}

fn format(version: grid_core::ethereum::sync::Fork) -> Format {
    Format::by_version(tree::name(version)).expect("a known name")
}

/// Decodes from both encodings, which must agree.
fn decoded<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    value: &Value,
    from_ssz: impl Fn(&[u8]) -> Result<T, E>,
    from_json: impl Fn(&serde_json::Value) -> Result<T, E>,
) -> T {
    let ssz = from_ssz(value.ssz()).expect("SSZ");
    assert_eq!(from_json(value.json()).expect("JSON"), ssz);
    ssz
}

fn read_update(network: &NetworkConfig, update: &Update) -> sync::Update {
    let format = format(update.version());
    decoded(
        &update.value(),
        |bytes| ssz::update(network, format, bytes),
        |value| json::update(network, format, value),
    )
}

fn read_bootstrap(network: &NetworkConfig, bootstrap: &data::Bootstrap) -> Bootstrap {
    let format = format(bootstrap.version());
    decoded(
        &bootstrap.value(),
        |bytes| ssz::bootstrap(network, format, bytes),
        |value| json::bootstrap(network, format, value),
    )
}

/// A client that starts at a slot's block; the clock is at the chain's head.
fn client(chain: &Chain, slot: u64) -> SyncClient {
    let root = chain.block(slot).expect("a block").root;
    let bootstrap = read_bootstrap(chain.network(), &chain.bootstrap(&root).expect("bootstrap"));
    let now = now(chain);
    let network = chain.network().clone();
    SyncClient::bootstrap(network, Policy::default(), &root, bootstrap, now).expect("a start")
}

/// Slots are seconds here.
fn now(chain: &Chain) -> u64 {
    chain.head().expect("blocks").header.slot
}

#[test]
fn a_client_follows_through_every_fork_and_period() {
    let chain = chain(&[0, 4, 8, 16, 24, 32, 40], 7 * PERIOD);
    let network = chain.network().clone();
    let mut client = client(&chain, 0);
    for period in 0..7 {
        let update = chain.best_update(period).expect("an update in each period");
        let change = client.process(read_update(&network, &update), now(&chain));
        let change = change.unwrap_or_else(|error| panic!("period {period}: {error}"));
        assert!(change.learned_committee, "period {period}");
        // The first period's best update still has the finality of genesis.
        assert_eq!(change.finalized, period > 0);
    }
    for (slot, forked) in [
        (8, "altair"),
        (40, "bellatrix"),
        (80, "capella"),
        (140, "deneb"),
        (200, "electra"),
        (270, "fulu"),
        (330, "gloas"),
    ] {
        let update = chain.update(slot).expect("signed");
        assert_eq!(tree::name(update.version()), forked);
        let format = format(update.version());
        let finality = decoded(
            &update.finality(),
            |bytes| ssz::finality_update(&network, format, bytes),
            |value| json::finality_update(&network, format, value),
        );
        assert_eq!(finality, read_update(&network, &update).to_finality_update());
        let optimistic = decoded(
            &update.optimistic(),
            |bytes| ssz::optimistic_update(&network, format, bytes),
            |value| json::optimistic_update(&network, format, value),
        );
        assert_eq!(optimistic.attested_header, finality.attested_header);
    }
    let newest = chain.newest_update().expect("signed");
    client.process(read_update(&network, &newest), now(&chain)).expect("newest");
    let exported = client.finalized().expect("not frozen");
    // From Gloas on, a header tells the execution block of the beacon block before it.
    assert_eq!(exported.beacon.slot, 7 * PERIOD - 3 * 8);
    assert_eq!(exported.execution_block_hash, hash(7 * PERIOD - 3 * 8 - 1));
}

#[test]
fn a_client_starts_at_any_block_of_any_fork() {
    let chain = chain(&[0, 1, 2, 3, 4, 5, 6], 60);
    for slot in 0..56 {
        let client = client(&chain, slot);
        let hash_of = |slot| if slot < 16 { B256::ZERO } else { hash(slot) };
        let expected = if slot >= 48 { hash(slot - 1) } else { hash_of(slot) };
        assert_eq!(client.finalized().expect("fresh").execution_block_hash, expected);
    }
}

#[test]
fn committees_rotate_and_share_members() {
    let chain = fulu(3 * PERIOD);
    let committees: Vec<_> = (0..4).map(|p| chain.committee(p).expect("known")).collect();
    for pair in committees.windows(2) {
        assert_ne!(pair[0], pair[1]);
        assert!(pair[0].pubkeys.iter().any(|key| pair[1].pubkeys.contains(key)));
    }
}

/// What the client says to the newest update with a fault.
fn refusal(fault: Fault) -> SyncError {
    let chain = fulu(60);
    let mut update = chain.newest_update().expect("signed");
    fault.apply(&chain, &mut update);
    let mut client = client(&chain, 0);
    let before = client.store().clone();
    let update = read_update(chain.network(), &update);
    let error = client.process(update, now(&chain)).expect_err("refused");
    assert_eq!(*client.store(), before, "{fault:?}");
    error
}

#[test]
fn each_fault_of_an_update_has_its_own_refusal() {
    let participants = 32;
    assert_eq!(refusal(Fault::Participation(0)), SyncError::NoParticipants);
    assert_eq!(refusal(Fault::SwappedCommittee), SyncError::NextCommitteeBranch);
    let forged = SyncError::Signature { slot: 60, participants };
    assert_eq!(refusal(Fault::ForkVersion), forged);
    assert_eq!(refusal(Fault::OtherGenesis), forged);
    assert_eq!(refusal(Fault::SwappedBranches), SyncError::FinalityBranch(40));
    let edited = SyncError::ExecutionBranch { which: "attested", slot: 59 };
    assert_eq!(refusal(Fault::EditedExecution), edited);
    assert_eq!(refusal(Fault::Signature), SyncError::SignatureEncoding);
    let future = SyncError::SlotOrder { now: 60, signature: 65, attested: 59, finalized: 40 };
    assert_eq!(refusal(Fault::Future(5)), future);
}

#[test]
fn branches_of_a_wrong_depth_are_not_even_decoded() {
    let chain = fulu(60);
    let network = chain.network();
    for fault in [Fault::DeepBranches, Fault::ShallowBranches] {
        let mut update = chain.newest_update().expect("signed");
        fault.apply(&chain, &mut update);
        let format = format(update.version());
        ssz::update(network, format, update.value().ssz()).expect_err("SSZ");
        json::update(network, format, update.value().json()).expect_err("JSON");
        let mut bootstrap = chain.bootstrap(&chain.block(8).expect("a block").root).expect("there");
        fault.apply_to_bootstrap(&chain, &mut bootstrap);
        ssz::bootstrap(network, format, bootstrap.value().ssz()).expect_err("SSZ");
        json::bootstrap(network, format, bootstrap.value().json()).expect_err("JSON");
    }
}

#[test]
fn a_bootstrap_with_a_fault_is_refused() {
    let chain = fulu(60);
    let root = chain.block(8).expect("a block").root;
    for (fault, expected) in [
        (Fault::SwappedCommittee, SyncError::CommitteeBranch),
        (Fault::SwappedBranches, SyncError::CommitteeBranch),
        (Fault::EditedExecution, SyncError::ExecutionBranch { which: "bootstrap", slot: 8 }),
    ] {
        let mut bootstrap = chain.bootstrap(&root).expect("there");
        fault.apply_to_bootstrap(&chain, &mut bootstrap);
        let bootstrap = read_bootstrap(chain.network(), &bootstrap);
        let network = chain.network().clone();
        let error = SyncClient::bootstrap(network, Policy::default(), &root, bootstrap, 60);
        assert_eq!(error.err(), Some(expected), "{fault:?}");
    }
}

#[test]
fn too_few_signers_move_nothing_that_is_exported() {
    let mut chain = fulu(20);
    chain.set_participants(21);
    extend(&mut chain, 21..60);
    let mut client = client(&chain, 0);
    let update = read_update(chain.network(), &chain.newest_update().expect("signed"));
    assert_eq!(update.sync_aggregate.participants(), 21);
    assert!(!client.process(update, now(&chain)).expect("valid").finalized);
    assert_eq!(client.finalized().expect("fresh").beacon.slot, 0);
    // The best update of the period is the newest one of those that two thirds signed.
    let best = chain.best_update(0).expect("there");
    assert_eq!(best.bits.iter().map(|byte| byte.count_ones()).sum::<u32>(), 32);
}

#[test]
fn a_period_without_finality_stops_the_client_and_a_shorter_one_does_not() {
    for (stalled, reached) in [(PERIOD / 2, true), (2 * PERIOD, false)] {
        let mut chain = fulu(40);
        chain.stall_finality(true);
        extend(&mut chain, 41..40 + stalled);
        chain.stall_finality(false);
        extend(&mut chain, 40 + stalled..300);
        let mut client = client(&chain, 0);
        let outcome = (0..5).try_for_each(|period| {
            let update = chain.best_update(period).expect("there");
            client.process(read_update(chain.network(), &update), now(&chain)).map(drop)
        });
        assert_eq!(outcome.is_ok(), reached, "{outcome:?}");
        if !reached {
            let skipped = SyncError::PeriodSkipped { signature: 2, store: 0, next_known: true };
            assert_eq!(outcome, Err(skipped));
        }
    }
}

#[test]
fn two_histories_signed_by_the_same_committees_freeze_the_client() {
    let chain = fulu(60);
    let mut fork = chain.fork_before(30);
    extend(&mut fork, 30..63);
    assert_eq!(fork.block(29).expect("shared").root, chain.block(29).expect("shared").root);
    let mut client = client(&chain, 0);
    let network = chain.network();
    let honest = chain.newest_update().expect("signed");
    client.process(read_update(network, &honest), 62).expect("honest");
    let other = fork.newest_update().expect("signed");
    let error = client.process(read_update(network, &other), 62).expect_err("a conflict");
    assert!(matches!(error, SyncError::Conflict { slot: 40, .. }), "{error}");
    assert_eq!(client.finalized(), Err(error));
}

#[test]
fn the_same_calls_give_the_same_chain() {
    let (first, second) = (fulu(70), fulu(70));
    assert_eq!(first.head().expect("blocks").root, second.head().expect("blocks").root);
    let signature = |chain: &Chain| chain.newest_update().expect("signed").signature;
    assert_eq!(signature(&first), signature(&second));
}

#[test]
fn an_orphaned_head_is_as_if_it_had_never_been() {
    let mut chain = fulu(70);
    let mut expected = fulu(65);
    chain.rewind(66);
    for chain in [&mut chain, &mut expected] {
        chain.add(72, execution(72));
        extend(chain, 73..140);
    }
    assert_eq!(chain.head().expect("blocks").root, expected.head().expect("blocks").root);
    for period in 0..2 {
        let best = |chain: &Chain| chain.best_update(period).expect("there").value().ssz().to_vec();
        assert_eq!(best(&chain), best(&expected), "period {period}");
    }
    let head = chain.head().expect("blocks").root;
    chain.rewind(chain.head().expect("blocks").finalized.slot);
    assert_eq!(chain.head().expect("blocks").root, head, "what is final stays");
}
