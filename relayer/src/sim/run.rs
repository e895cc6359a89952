//! One seed: rough times, healing, and what must hold afterwards.

use core::time::Duration;

use grid_core::{Level, api::BlockRef};

use super::{
    failure::{Broken, Failure, header},
    faults::Rates,
    plant::{self, Plant},
    text,
    world::World,
};
use crate::store::ChainRow;

/// Steps of a rough time.
const ROUGH_STEPS: u32 = 36;

/// Steps in which a healed world comes to rest.
const HEALING_STEPS: u32 = 300;

/// Steps in which chains beside a dead one come to rest.
const BESIDE_STEPS: u32 = 150;

/// Virtual time of a quiet step.
const QUIET: Duration = Duration::from_millis(1_000);

/// What a seed went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How often each kind of thing happened.
    pub counts: std::collections::BTreeMap<&'static str, u64>,
    /// Virtual time, seconds.
    pub seconds: u64,
}

/// Runs one seed on a runtime of its own.
///
/// # Errors
/// The report of the invariant that does not hold.
pub fn run(seed: u64) -> Result<Summary, Box<Failure>> {
    run_with(seed, None)
}

/// As [`run`], with a planted bug.
///
/// # Errors
/// The report of the invariant that does not hold.
pub fn run_with(seed: u64, bug: Option<Plant>) -> Result<Summary, Box<Failure>> {
    plant::plant(bug);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text);
    let world = World::new(seed, 1 + seed % 3, 1, 1);
    let ended = runtime.and_then(|runtime| Ok((runtime, world?)));
    let (runtime, mut world) = ended.map_err(|error| {
        let broken = Broken::from(error);
        let (counts, events) = Default::default();
        Failure { seed, plant: bug, phase: "the beginning", broken, at: 0, counts, events }
    })?;
    let mut phase = "rough times";
    let outcome = runtime.block_on(phases(&mut world, &mut phase));
    plant::plant(None);
    let counts = world.faults.journal.counts();
    let at = world.faults.time.passed();
    match outcome {
        Ok(()) => Ok(Summary { counts, seconds: at / 1_000 }),
        Err(broken) => {
            let events = world.faults.journal.newest(broken.chain.as_deref());
            Err(Box::new(Failure { seed, plant: bug, phase, broken, at, counts, events }))
        }
    }
}

async fn phases(world: &mut World, phase: &mut &'static str) -> Result<(), Broken> {
    for _ in 0..2 {
        *phase = "rough times";
        rough(world).await?;
        *phase = "healing";
        heal(world).await?;
    }
    *phase = "a dead source beside others";
    dead(world).await?;
    *phase = "healing";
    heal(world).await?;
    if world.main.tally().useful == 0 || world.faults.journal.count("killed") == 0 {
        return Err(Broken::new(
            "a seed is worth its time",
            "something is submitted, and somebody killed",
            format!(
                "{:?}, killed {} times",
                world.main.tally(),
                world.faults.journal.count("killed")
            ),
        ));
    }
    Ok(())
}

async fn rough(world: &mut World) -> Result<(), Broken> {
    world.faults.set(Rates::ROUGH);
    for _ in 0..ROUGH_STEPS {
        disturb(world);
        world.step().await?;
        let dice = &world.faults.dice;
        world.pass(Duration::from_millis(100 + dice.below(1_500)));
    }
    Ok(())
}

/// Something happens on the chains, to the clock, to the relayer.
fn disturb(world: &World) {
    let World { faults, main, .. } = world;
    let dice = &faults.dice;
    for one in &world.chains {
        match dice.below(12) {
            0..=4 => one.source.extend(1 + dice.below(3)),
            5 => one.source.reorganise(1 + dice.below(6), 1 + dice.below(9)),
            6 => one.source.extend(dice.below(40)),
            _ => {}
        }
    }
    for source in &world.finals {
        match dice.below(12) {
            0..=3 => source.extend(1 + dice.below(4)),
            4 => source.extend(dice.below(90)),
            5..=6 => source.finalise(),
            _ => {}
        }
    }
    match dice.below(80) {
        0 | 1 => main.forget_mempool(),
        2 => main.use_nonce(&world.relayers[0].signer.address()),
        3 | 4 => main.mark(),
        5 => main.set_back(),
        6 => main.halt(true),
        7..=16 => main.halt(false),
        17 | 18 => {
            let millis = i64::try_from(dice.below(7_200_000)).unwrap_or(0) - 3_600_000;
            faults.time.jump(millis);
            faults.note("clock", "set", format!("{millis} ms ahead"));
        }
        19..=21 => {
            let one = usize::try_from(dice.below(world.chains.len() as u64)).unwrap_or(0);
            let level = Level::ALL[usize::try_from(dice.below(4)).unwrap_or(0)];
            main.set_level(world.chains[one].source.id(), level);
        }
        _ => {}
    }
    if dice.once_in(8) {
        faults.light_fuse(1 + dice.below(120));
    }
    if !dice.once_in(4) {
        main.mine();
    }
}

/// One quiet step: a source that is beside the main chain's branch grows until its branch is longer.
async fn quiet_step(world: &mut World) -> Result<(), Broken> {
    for one in &world.chains {
        let (tip, tracked) = (one.source.tip_now(), world.main.tracked(one.source.id()));
        if let Some(tracked) = tracked.filter(|tracked| *tracked != tip) {
            one.source.extend((tracked.height + 1).saturating_sub(tip.height));
        }
    }
    world.step().await?;
    world.main.mine();
    world.pass(QUIET);
    Ok(())
}

/// Heals everything and checks that the relayer catches up, and that nothing is left over.
pub(super) async fn heal(world: &mut World) -> Result<(), Broken> {
    world.faults.set(Rates::default());
    world.faults.set_dead(None);
    world.faults.light_fuse(0);
    world.main.halt(false);
    world.faults.note("world", "heals", "");
    for _ in 0..HEALING_STEPS {
        quiet_step(world).await?;
        if world.in_sync() && world.unfinished().await?.is_empty() && world.live().await?.is_empty()
        {
            return at_rest(world);
        }
    }
    let behind = world.tips().find(|(_, tip, tracked)| *tracked != Some(*tip));
    let (left, live) = (world.unfinished().await?, world.live().await?);
    let Some((id, tip, tracked)) = behind else {
        let expected = "no open item and no open nonce";
        let found = format!("items {left:?}, nonces {live:?}");
        return Err(Broken::new("nothing is left over after healing", expected, found));
    };
    let items = left.iter().filter(|item| item.chain == *id);
    let left: Vec<String> =
        items.map(|item| format!("{} {} ({:?})", item.key, item.stage, item.reason)).collect();
    let open = if left.is_empty() { "no open item".into() } else { left.join(", ") };
    let says = |row: ChainRow| match row.reason {
        Some(reason) => format!("its relayer says {}: {reason}", row.state),
        None => format!("its relayer says {}", row.state),
    };
    let rows: Vec<String> = world.rows(id).await?.into_iter().map(says).collect();
    let expected = format!(
        "the main chain's best {}, the source's tip, {HEALING_STEPS} quiet steps after healing",
        header(tip)
    );
    let found = format!("{}; {open}; {}", best(tracked), rows.join(", "));
    Err(Broken::new("a healed world converges", expected, found).of(id))
}

/// What the main chain has of a chain, in a report.
fn best(tracked: Option<BlockRef>) -> String {
    let none = || String::from("the main chain without the chain");
    tracked.map_or_else(none, |tracked| format!("the main chain's best {}", header(tracked)))
}

/// What must hold when nothing is under way.
fn at_rest(world: &World) -> Result<(), Broken> {
    for one in &world.chains {
        let id = one.source.id();
        for height in 0..=one.source.tip_now().height {
            let lost = one.source.at(height).filter(|header| !world.main.has(id, *header));
            if let Some(lost) = lost {
                let expected = format!("{} of the source on the main chain", header(lost));
                let found = format!("{} without it", best(world.main.tracked(id)));
                return Err(Broken::new("no header is lost", expected, found).of(id));
            }
        }
    }
    Ok(())
}

/// A source that never answers again delays nobody else.
async fn dead(world: &mut World) -> Result<(), Broken> {
    let count = world.chains.len() as u64;
    let number = usize::try_from(world.faults.dice.below(count)).unwrap_or(0);
    let Some(id) = world.chains.get(number).map(|one| one.source.id().clone()) else {
        return Ok(());
    };
    world.faults.set_dead(Some(id.clone()));
    world.faults.note(&id, "dies", "its source never answers again");
    for one in &world.chains {
        one.source.extend(30);
    }
    for source in &world.finals {
        source.extend(30);
        source.finalise();
    }
    for _ in 0..BESIDE_STEPS {
        world.step().await?;
        world.main.mine();
        world.pass(QUIET);
        if world.tips().all(|(other, tip, tracked)| *other == id || tracked == Some(tip)) {
            return Ok(());
        }
    }
    let late = world.tips().find(|(other, tip, tracked)| **other != id && *tracked != Some(*tip));
    let Some((late, tip, tracked)) = late else { return Ok(()) };
    let expected = format!("the main chain's best {}, the source's tip", header(tip));
    let found = format!("{} after {BESIDE_STEPS} steps in which {id} was dead", best(tracked));
    Err(Broken::new("a broken chain delays no other", expected, found).of(late))
}
