use super::*;

fn vote(height: u64, round: u32, kind: VoteKind, hash: u8) -> Signed {
    Signed { height, round, kind, hash: B256::repeat_byte(hash) }
}

/// A guard's file in a directory of its own.
fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("votes");
    (dir, path)
}

#[test]
fn the_same_again_is_fine_and_anything_else_is_not_in_any_life() {
    use VoteKind::{Precommit, PrecommitNil, Prevote, PrevoteNil, Proposal};
    let (_dir, path) = file();
    let allowed = [
        vote(7, 0, Prevote, 1),
        vote(7, 0, Precommit, 1),
        vote(7, 2, PrevoteNil, 0),
        vote(7, 1, Proposal, 9),
    ];
    let refused = [
        vote(7, 0, Prevote, 2),
        vote(7, 0, PrevoteNil, 0),
        vote(7, 0, PrecommitNil, 0),
        vote(7, 2, Prevote, 1),
        vote(7, 1, Prevote, 1), // an earlier round than the last
        vote(6, 0, Prevote, 1),
        vote(6, 9, Precommit, 1),
        vote(7, 1, Proposal, 8),
    ];
    let mut record = Record::open(&path).expect("opened");
    for signed in allowed {
        record.allow(signed).expect("allowed");
    }
    for life in 0..3 {
        for signed in allowed {
            record.allow(signed).expect("the same again");
        }
        for signed in refused {
            assert!(record.allow(signed).is_err(), "life {life}: {signed:?}");
        }
        record = Record::open(&path).expect("opened again");
    }
    assert_eq!(Guard::last_height(&path).expect("read"), Some(7));
    record.allow(vote(7, 2, Precommit, 1)).expect("the next step");
    record.allow(vote(8, 0, PrevoteNil, 0)).expect("the next height");
    assert!(record.allow(vote(7, 3, Prevote, 1)).is_err());
}

#[test]
fn a_record_cut_short_was_not_signed_and_damage_elsewhere_is_told() {
    let (_dir, path) = file();
    assert_eq!(Guard::last_height(&path).expect("read"), None);
    let mut record = Record::open(&path).expect("opened");
    for height in 1..=3 {
        record.allow(vote(height, 0, VoteKind::Prevote, 1)).expect("allowed");
    }
    let whole = std::fs::read(&path).expect("read");
    for length in 2 * RECORD..3 * RECORD {
        std::fs::write(&path, &whole[..length]).expect("written");
        let mut record = Record::open(&path).expect("opened");
        assert_eq!(record.height, 2, "cut to {length}");
        record.allow(vote(3, 0, VoteKind::Prevote, 2)).expect("not signed before");
        assert_eq!(Guard::last_height(&path).expect("read"), Some(3));
    }
    let mut damaged = whole;
    damaged[RECORD + 3] ^= 1;
    std::fs::write(&path, damaged).expect("written");
    let error = Record::open(&path).expect_err("damaged").to_string();
    assert!(error.contains("record 1 of 3"), "{error}");
}

#[test]
fn the_file_stays_small() {
    let (_dir, path) = file();
    let mut record = Record::open(&path).expect("opened");
    record.records = MOST_RECORDS - 1;
    for round in 0..4 {
        record.allow(vote(5, round, VoteKind::Prevote, 1)).expect("allowed");
    }
    let length = std::fs::metadata(&path).expect("there").len();
    assert_eq!(length, 4 * RECORD as u64);
    let mut again = Record::open(&path).expect("opened");
    assert!(again.allow(vote(5, 0, VoteKind::Prevote, 2)).is_err());
    again.allow(vote(5, 0, VoteKind::Prevote, 1)).expect("the same");
}
