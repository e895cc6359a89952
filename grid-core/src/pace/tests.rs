use proptest::prelude::*;

use super::*;

const BORDERS: [(u64, Level); 3] = [(5, Level::L0), (60, Level::L1), (300, Level::L2)];

/// The levels after each of these medians.
fn levels(start: Level, medians: &[u64]) -> Vec<Level> {
    let mut pace = Pace::new(start);
    (1..)
        .zip(medians)
        .map(|(number, median)| {
            pace.measured(number * MEASURE, *median);
            pace.level()
        })
        .collect()
}

/// Medians that do not tell on which side of a border a chain is.
fn around(border: u64) -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(border * 3 / 4 + 1..=border * 5 / 4, 1..60)
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

#[test]
fn a_level_is_left_by_two_medians_a_quarter_beyond_its_border() {
    use Level::{L0, L1, L2, L3};
    let table: &[(Level, &[u64], Level)] = &[
        (L3, &[12], L3),
        (L3, &[12, 12], L1),
        (L3, &[12, 416, 12], L3),
        (L3, &[226, 226, 226], L3),
        (L3, &[225, 225], L2),
        (L2, &[375, 375, 375], L2),
        (L2, &[376, 376], L3),
        (L1, &[4, 4, 4], L1),
        (L1, &[3, 3], L0),
        (L0, &[6, 6, 6], L0),
        (L0, &[7, 7], L1),
        // To the nearest that both mean, whichever came first.
        (L3, &[1, 200], L2),
        (L3, &[200, 1], L2),
        (L3, &[200, 1, 1], L0),
        (L0, &[u64::MAX, 7], L1),
        (L0, &[0, u64::MAX, 0, u64::MAX], L0),
        // Beyond the border above and below: no direction.
        (L2, &[1_000, 1, 1_000, 1], L2),
    ];
    for (start, medians, end) in table {
        assert_eq!(levels(*start, medians).last(), Some(end), "{start} {medians:?}");
    }
}

#[test]
fn the_borders_are_those_of_the_levels() {
    for (border, level) in BORDERS {
        assert_eq!((Level::of_interval(border), level.longest()), (level, Some(border)));
        assert_eq!(Level::of_interval(border + 1).faster(), Some(level));
    }
    assert_eq!(Level::of_interval(u64::MAX), Level::L3);
}

#[test]
fn a_stored_pace_that_is_cut_off_or_has_no_level_is_refused() {
    let mut pace = Pace::new(Level::L2);
    pace.measured(100, 7);
    let bytes = pace.encode();
    for length in (0..bytes.len()).filter(|length| *length != 1) {
        assert!(Pace::decode(&bytes[..length]).is_err(), "{length} bytes");
    }
    assert!(Pace::decode(&[4]).is_err());
    assert_eq!(Pace::decode(&[2]), Ok(Pace::new(Level::L2)));
}

proptest! {
    #[test]
    fn around_a_border_no_level_is_left_for_the_other_side_and_back(
        start in level(),
        (border, medians) in prop::sample::select(BORDERS.map(|one| one.0).to_vec())
            .prop_flat_map(|border| (Just(border), around(border))),
    ) {
        let mut levels = levels(start, &medians);
        levels.insert(0, start);
        levels.dedup();
        prop_assert!(levels.len() <= 2, "{border}: {levels:?} by {medians:?}");
        let near = [border, border + 1].map(Level::of_interval);
        prop_assert!(levels.len() == 1 || !near.contains(&start), "{levels:?}");
    }

    /// Between two changes in opposite directions across one border lie medians on both far sides of it, two in a row each.
    #[test]
    fn a_change_back_needs_two_medians_on_the_far_side(
        start in level(), medians in prop::collection::vec(0u64..700, 1..60),
    ) {
        let levels = levels(start, &medians);
        let mut level = start;
        for (at, next) in levels.into_iter().enumerate() {
            if next < level {
                let border = level.faster().unwrap().longest().unwrap();
                prop_assert!(at > 0 && medians[at - 1..=at].iter().all(|m| m * 4 <= border * 3));
            } else if next > level {
                let border = level.longest().unwrap();
                prop_assert!(at > 0 && medians[at - 1..=at].iter().all(|m| m * 4 > border * 5));
            }
            level = next;
        }
    }

    #[test]
    fn a_steady_chain_comes_to_its_level_and_stays(start in level(), median in any::<u64>()) {
        let levels = levels(start, &[median; 9]);
        let settled = levels[1];
        prop_assert!(levels[1..].iter().all(|level| *level == settled));
        prop_assert_eq!(levels[0], start);
        let far = BORDERS.iter().all(|(border, _)| {
            let four = u128::from(median) * 4;
            let border = u128::from(*border);
            four <= border * 3 || four > border * 5
        });
        prop_assert!(!far || settled == Level::of_interval(median));
    }

    #[test]
    fn what_was_cut_off_and_what_was_forgotten_leaves_no_trace(
        start in level(),
        first in prop::collection::vec(0u64..700, 0..20),
        second in prop::collection::vec(0u64..700, 0..20),
        cut in 0u64..2_100,
        base in 0u64..2_100,
    ) {
        let measure = |pace: &mut Pace, from: u64, medians: &[u64]| {
            for (number, median) in (from / MEASURE + 1..).zip(medians) {
                pace.measured(number * MEASURE, *median);
            }
        };
        let mut pace = Pace::new(start);
        measure(&mut pace, 0, &first);
        pace.forget_below(base.min(cut));
        let count = first.len() as u64 * MEASURE;
        let cut = cut.min(count);
        prop_assert_eq!(pace.cut_back(cut), cut / MEASURE * MEASURE < count);
        measure(&mut pace, cut, &second);
        let kept = usize::try_from(cut / MEASURE).unwrap();
        let all = [&first[..kept], &second[..]].concat();
        let mut straight = Pace::new(start);
        measure(&mut straight, 0, &all);
        prop_assert_eq!(pace.level(), straight.level());
        prop_assert_eq!(pace.last(), straight.last());
        straight.forget_below(base);
        pace.forget_below(base);
        prop_assert_eq!(Pace::decode(&pace.encode()), Ok(pace.clone()));
        prop_assert_eq!(&pace, &straight);
        // One at the base or below it, and those above.
        let most = (all.len() as u64 * MEASURE).saturating_sub(base).div_ceil(MEASURE) + 1;
        prop_assert!(pace.list.len() as u64 <= most, "{}", pace.list.len());
    }
}
