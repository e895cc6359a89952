//! Finality that contradicts itself: noticed, kept, and checked by others.

use super::*;

/// What a reader who knows the committees of the chain takes for granted.
fn reader(premise: &Premise) -> bool {
    let committee = |seed| committee(seed).root();
    match *premise {
        Premise::Committee { period: 0, root } => root == committee(1),
        Premise::Committee { period: 1, root } => root == committee(2),
        Premise::Finalized { slot: 16, root } => {
            root == update(FIRST).finalized_header.beacon.root()
        }
        _ => false,
    }
}

fn verify(conflict: &Conflict) -> Result<(), SyncError> {
    conflict.verify(&network(), &mut KeyCache::new(), reader)
}

/// Evidence survives its encoding, which has no other spelling that is longer or shorter.
fn read_back(conflict: &Conflict) -> Conflict {
    let bytes = conflict.encode(&network());
    let read = Conflict::decode(&network(), &bytes).expect("its own bytes");
    assert_eq!(read, *conflict);
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(Conflict::decode(&network(), &longer).is_err());
    assert!(Conflict::decode(&network(), &bytes[..bytes.len() - 1]).is_err());
    read
}

/// The evidence that a client has after an update that freezes it.
fn frozen(mut client: SyncClient, other: &Update, now: u64) -> Conflict {
    let before = client.store().clone();
    let error = client.process(other.clone(), now).expect_err("a conflict");
    let conflict = client.conflict().expect("kept").clone();
    assert_eq!(error, conflict.error());
    assert_eq!(*conflict.other, *other);
    assert_eq!(client.finalized(), Err(error.clone()));
    assert_eq!(client.process(update(Plan { attested: 33, ..FIRST }), now), Err(error));
    assert_eq!(*client.store(), before);
    conflict
}

const OTHER: Plan = Plan { attested: 31, tag: 8, next: None, ..FIRST };

#[test]
fn a_second_finality_at_a_slot_freezes_the_exports_and_proves_itself() {
    let conflict = frozen(client(Policy::default()), &update(OTHER), 40);
    assert_eq!((conflict.kind, conflict.slot()), (ConflictKind::Finality, 16));
    let first = Update::from(update(FIRST).to_finality_update());
    assert_eq!(conflict.known, Known::Proof(Box::new(first)));
    assert_eq!(verify(&read_back(&conflict)), Ok(()));

    let mut loose = client(Policy { freeze_on_conflict: false, ..Policy::default() });
    assert!(matches!(loose.process(update(OTHER), 40), Err(SyncError::Conflict { .. })));
    assert!(loose.finalized().is_ok() && loose.conflict().is_some());
}

#[test]
fn less_than_two_thirds_or_another_signature_is_no_conflict() {
    let weak = Plan { signers: 21, ..OTHER };
    assert!(client(Policy::default()).process(update(weak), 40).is_ok());
    let mut forged = update(OTHER);
    forged.sync_aggregate = update(FIRST).sync_aggregate;
    let mut client = client(Policy::default());
    assert!(matches!(client.process(forged, 40), Err(SyncError::Signature { .. })));
    assert!(matches!(client.process(update(OTHER), 31), Err(SyncError::SlotOrder { .. })));
    assert!(client.conflict().is_none());
}

#[test]
fn a_conflict_behind_the_finalized_header_is_noticed_while_its_proof_is_remembered() {
    let behind = |mut client: SyncClient| {
        client.process(update(Plan { attested: 46, finalized: 32, ..FIRST }), 50).expect("newer");
        client
    };
    // The spec finds nothing new in it.
    let conflict = frozen(behind(client(Policy::default())), &update(OTHER), 50);
    assert_eq!((conflict.slot(), verify(&conflict)), (16, Ok(())));
    let same = update(Plan { attested: 31, next: None, ..FIRST });
    let irrelevant = SyncError::Irrelevant { attested: 31, finalized: 32 };
    assert_eq!(behind(client(Policy::default())).process(same, 50), Err(irrelevant));
}

#[test]
fn a_conflict_in_the_period_before_is_noticed_too() {
    let second = Plan { attested: 80, finalized: 64, tag: 7, next: Some(4), signers: MEMBERS };
    let mut rotated = client(Policy::default());
    assert!(rotated.process(update(second), 90).expect("complete").rotated);
    let stored = SyncClient::decode(network(), Policy::default(), &rotated.encode());
    for client in [rotated, stored.expect("its own bytes")] {
        let conflict = frozen(client, &update(OTHER), 90);
        let periods: Vec<u64> = conflict.committees.iter().map(|(period, _)| *period).collect();
        assert_eq!((periods, verify(&read_back(&conflict))), (vec![0], Ok(())));
    }
}

#[test]
fn two_committees_sign_evidence_across_a_period() {
    // Attested in the next period, signed by its committee.
    let other = update(Plan { attested: 70, tag: 8, next: None, ..FIRST });
    let conflict = frozen(client(Policy::default()), &other, 80);
    let periods: Vec<u64> = conflict.committees.iter().map(|(period, _)| *period).collect();
    assert_eq!((periods, verify(&read_back(&conflict))), (vec![0, 1], Ok(())));
}

#[test]
fn another_finality_at_the_trusted_block_rests_on_the_checkpoint() {
    let client = client(Policy::default());
    let (store, exported) = (client.store().clone(), *client.finalized().expect("final"));
    let resumed = SyncClient::resume(network(), Policy::default(), store, exported, 40);
    let conflict = frozen(resumed.expect("young"), &update(OTHER), 40);
    assert_eq!(conflict.known, Known::Root(exported.beacon.root()));
    assert_eq!(verify(&read_back(&conflict)), Ok(()));
    let premise = Premise::Finalized { slot: 16, root: exported.beacon.root() };
    let nobody = |known: &Premise| *known != premise && reader(known);
    let refused = conflict.verify(&network(), &mut KeyCache::new(), nobody);
    assert_eq!(refused, Err(SyncError::Premise(premise)));
}

#[test]
fn another_next_committee_is_a_conflict_only_if_it_is_signed() {
    let other = update(Plan { attested: 31, next: Some(5), ..FIRST });
    let mut forged = other.clone();
    forged.sync_aggregate.signature = update(FIRST).sync_aggregate.signature;
    let mut untouched = client(Policy::default());
    let refused = Err(SyncError::NextCommitteeMismatch(0));
    assert_eq!(untouched.process(forged, 40), refused);
    assert!(untouched.conflict().is_none());

    let conflict = frozen(client(Policy::default()), &other, 40);
    let (known, other) = (committee(2).root(), committee(5).root());
    assert_eq!(conflict.error(), SyncError::Conflict { slot: 31, known, other });
    assert_eq!(conflict.known, Known::Proof(Box::new(update(FIRST))));
    assert_eq!(verify(&read_back(&conflict)), Ok(()));
}

#[test]
fn evidence_that_is_made_up_is_refused() {
    let good = frozen(client(Policy::default()), &update(OTHER), 40);
    let refuse = |change: &dyn Fn(&mut Conflict)| {
        let mut conflict = good.clone();
        change(&mut conflict);
        verify(&conflict).expect_err("refused")
    };
    let same = |c: &mut Conflict| c.known = Known::Proof(c.other.clone());
    assert_eq!(refuse(&same), SyncError::NoConflict);
    let elsewhere = update(Plan { finalized: 24, ..OTHER });
    assert_eq!(refuse(&|c| *c.other = elsewhere.clone()), SyncError::NoConflict);
    assert_eq!(refuse(&|c| c.kind = ConflictKind::NextCommittee), SyncError::NoConflict);
    assert_eq!(refuse(&|c| c.committees.clear()), SyncError::NoConflict);
    assert_eq!(refuse(&|c| c.committees.push((1, committee(2)))), SyncError::NoConflict);
    let strangers = Premise::Committee { period: 0, root: committee(9).root() };
    assert_eq!(refuse(&|c| c.committees[0].1 = committee(9)), SyncError::Premise(strangers));
    let weak = update(Plan { signers: 21, ..OTHER });
    let few = SyncError::FewParticipants { participants: 21, members: MEMBERS };
    assert_eq!(refuse(&|c| *c.other = weak.clone()), few);
    let unproven = |c: &mut Conflict| c.other.finality_branch[8] = B256::ZERO;
    assert_eq!(refuse(&unproven), SyncError::FinalityBranch(16));
    let unsigned = |c: &mut Conflict| c.other.sync_aggregate = update(FIRST).sync_aggregate;
    assert!(matches!(refuse(&unsigned), SyncError::Signature { .. }));
    let early = |c: &mut Conflict| c.other.signature_slot = 31;
    assert!(matches!(refuse(&early), SyncError::SlotOrder { .. }));
}
