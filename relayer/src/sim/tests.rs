//! What single worlds show.

use core::time::Duration;

use super::*;
use crate::store::{ChainState, Stage};

async fn quiet(seed: u64, chains: u64) -> World {
    let mut world = World::new(seed, chains, 1, 1).unwrap();
    run::heal(&mut world).await.unwrap();
    world
}

async fn steps(world: &mut World, count: u32, time: Duration) {
    for _ in 0..count {
        world.step().await.unwrap();
        world.main.mine();
        world.pass(time);
    }
}

/// `cargo test -p grid-tests --test sim` runs hundreds; `GRID_SIM_SEEDS=100..200` others than these few.
#[test]
fn a_few_seeds_converge_without_loss() {
    let text = std::env::var("GRID_SIM_SEEDS").unwrap_or_else(|_| "0..4".into());
    let (from, to) = text.split_once("..").expect("GRID_SIM_SEEDS is from..to");
    let failures: Vec<String> = (from.parse().unwrap()..to.parse::<u64>().unwrap())
        .filter_map(|seed| run(seed).err())
        .map(|failure| failure.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn relayers_with_stores_of_their_own_take_turns() {
    let turns = take_turns(5, 900).await.unwrap();
    let (wasted, all) = turns.wasted();
    assert!(wasted * 50 < all, "{wasted} of {all}: {turns:?}");
}

#[tokio::test]
async fn a_header_at_the_tip_costs_two_questions_to_its_source() {
    // A chain of the fastest level that is asked without a pool.
    let mut world = quiet(4, 1).await;
    let source = world.chains[0].source.clone();
    assert!(!world.chains[0].pooled);
    let before = source.asked();
    for _ in 0..10 {
        source.extend(1);
        steps(&mut world, 2, Duration::from_millis(500)).await;
        assert!(world.in_sync());
    }
    let questions = source.asked() - before;
    // One tip and one header when it appears; the second round of each block asks for the tip only.
    assert!(questions <= 30, "{questions} questions for 10 headers");
}

#[tokio::test]
async fn a_source_on_a_foreign_branch_halts_and_the_others_go_on() {
    let mut world = quiet(1, 2).await;
    assert!(!world.chains[0].pooled);
    world.chains[0].source.replace_genesis();
    world.chains[1].source.extend(5);
    steps(&mut world, 12, Duration::from_secs(1)).await;
    let store = &world.relayers[0].instance.as_ref().unwrap().store;
    let row = store.chain(world.chains[0].source.id()).await.unwrap();
    assert_eq!(row.state, ChainState::Halted);
    assert!(row.reason.unwrap().contains("share no header"));
    let other = &world.chains[1].source;
    assert_eq!(world.main.tracked(other.id()), Some(other.tip_now()));
}

#[tokio::test]
async fn a_main_chain_that_was_wiped_gets_everything_again() {
    let mut world = quiet(11, 2).await;
    world.chains[0].source.extend(50);
    run::heal(&mut world).await.unwrap();
    world.main.wipe();
    assert!(!world.in_sync());
    run::heal(&mut world).await.unwrap();
}

/// The source leaves a range in its middle, and what is brought then stands on the middle. The main chain loses that range:
/// what stands on it is refused until it is parked, and the next range, which waits behind it, ends at the source's tip.
#[tokio::test]
async fn a_range_that_stands_on_what_was_lost_is_no_bridge() {
    let mut world = quiet(4, 1).await;
    let source = world.chains[0].source.clone();
    world.main.mark();
    source.reorganise(4, 6);
    run::heal(&mut world).await.unwrap();
    source.reorganise(3, 6);
    world.step().await.unwrap();
    world.main.set_back();
    source.extend(3);
    run::heal(&mut world).await.unwrap();
    assert_eq!(world.main.tracked(source.id()), Some(source.tip_now()));
}

#[tokio::test]
async fn a_chain_that_catches_up_leaves_room_for_one_at_its_tip() {
    // Both on the lane of one level.
    let mut world = quiet(4, 5).await;
    let level = world.chains[0].level;
    assert_eq!(world.chains[4].level, level);
    world.chains[0].source.extend(3_000);
    let live = world.chains[4].source.clone();
    for _ in 0..20 {
        live.extend(1);
        steps(&mut world, 1, Duration::from_millis(500)).await;
    }
    steps(&mut world, 2, Duration::from_millis(500)).await;
    assert_eq!(world.main.tracked(live.id()), Some(live.tip_now()));
    let slow = &world.chains[0].source;
    let caught_up = world.main.tracked(slow.id()).unwrap().height;
    assert!(caught_up > 200 && caught_up < slow.tip_now().height, "{caught_up}");
    let open = world.unfinished().await.unwrap();
    assert!(open.iter().filter(|item| item.stage == Stage::Planned).count() <= 8);
}

/// All kinds of trouble are in `cargo test -p grid-tests --test sim`.
#[tokio::test]
async fn a_chain_that_floods_does_not_move_the_latency_of_another_level() {
    let (quiet, before) = beside(1, Trouble::Nothing).await.unwrap();
    let (waits, slow) = beside(1, Trouble::Floods).await.unwrap();
    assert_eq!((waits, quiet.len()), (quiet, 10));
    assert!(slow > before, "{slow}");
}

#[tokio::test]
async fn a_chain_whose_level_changes_goes_on_in_the_other_lane() {
    let mut world = quiet(4, 1).await;
    let source = world.chains[0].source.clone();
    // Slow, with a backlog, then fast while submissions are under way.
    world.main.set_level(source.id(), grid_core::Level::L3);
    source.extend(200);
    steps(&mut world, 4, Duration::from_secs(30)).await;
    let slow = world.main.tracked(source.id()).unwrap().height;
    assert!(slow < source.tip_now().height && !world.unfinished().await.unwrap().is_empty());
    for level in grid_core::Level::ALL.into_iter().cycle().take(20) {
        world.main.set_level(source.id(), level);
        source.extend(1);
        steps(&mut world, 2, Duration::from_secs(1)).await;
    }
    world.main.set_level(source.id(), grid_core::Level::L0);
    run::heal(&mut world).await.unwrap();
    assert_eq!(world.main.tracked(source.id()), Some(source.tip_now()));
}

#[test]
fn a_report_names_the_invariant_the_chain_and_the_way_to_see_it_again() {
    // What gives each bug away: it asks again and again and submits nothing; what it wants to submit stands on nothing.
    for (bug, told) in [
        (Plant::SkippedHeader, "asked: for headers 2 to "),
        (Plant::IgnoredReorganisation, " whose parent is 0x"),
    ] {
        let failure = (0..9).find_map(|seed| run_with(seed, Some(bug)).err());
        let text = failure.expect("a planner with a bug is found").to_string();
        let again = format!("GRID_SIM_PLANT={bug:?} GRID_SIM_SEEDS=");
        for part in [
            "breaks an invariant: a healed world converges",
            &format!("planted:  {bug:?}"),
            "where:    eip155:",
            "s of virtual time",
            "expected: the main chain's best header ",
            "found:    the main chain's best header ",
            &again,
            "events of eip155:",
            told,
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}
