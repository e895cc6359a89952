//! A chain of a fast level beside one of the slowest that is in trouble.

use core::time::Duration;

use grid_core::Level;

use super::{failure::Broken, run, world::World};

/// Steps of half a second.
const STEPS: u32 = 240;

/// Steps between two headers of the fast chain: twelve seconds.
const EVERY: u32 = 24;

/// What the slow chain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A header every ten minutes.
    Nothing,
    /// Its source never answers.
    Stalls,
    /// Another branch, up to six headers deep, with every look.
    Reorganises,
    /// Eighty headers a second: always more than its lane may submit.
    Floods,
    /// It is measured as another level with every minute, while it floods.
    Moves,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stalls, Self::Reorganises, Self::Floods, Self::Moves];

    fn happen(self, world: &World, step: u32) {
        let dice = &world.faults.dice;
        let slow = chain(world, Level::L3);
        match self {
            Self::Nothing | Self::Stalls => {}
            Self::Reorganises => slow.source.reorganise(1 + dice.below(6), 1 + dice.below(9)),
            Self::Floods => slow.source.extend(40),
            Self::Moves => {
                slow.source.extend(40);
                if step.is_multiple_of(120) {
                    let level = [Level::L2, Level::L3, Level::L0][(step / 120) as usize % 3];
                    world.main.set_level(slow.source.id(), level);
                }
            }
        }
    }
}

/// How long each header of the fast chain waited until the main chain had it, in milliseconds, and how many headers of the slow
/// chain the main chain has at the end.
///
/// # Errors
/// The invariant that does not hold.
pub async fn beside(seed: u64, trouble: Trouble) -> Result<(Vec<u64>, u64), Broken> {
    // One chain of each level.
    let mut world = World::new(seed, 4, 0, 1)?;
    run::heal(&mut world).await?;
    let slow = chain(&world, Level::L3).source.clone();
    let fast = chain(&world, Level::L1).source.clone();
    if trouble == Trouble::Stalls {
        slow.extend(1);
        world.faults.set_dead(Some(slow.id().clone()));
    }
    let (mut waits, mut since) = (Vec::new(), None);
    for step in 0..STEPS {
        if step.is_multiple_of(EVERY) {
            fast.extend(1);
            since = Some(world.faults.time.passed());
        }
        trouble.happen(&world, step);
        world.step().await?;
        world.main.mine();
        world.pass(Duration::from_millis(500));
        if world.main.tracked(fast.id()) == Some(fast.tip_now())
            && let Some(since) = since.take()
        {
            waits.push(world.faults.time.passed() - since);
        }
    }
    let tracked = world.main.tracked(slow.id()).map_or(0, |tip| tip.height);
    world.faults.set_dead(None);
    Ok((waits, tracked))
}

/// The chain that began with a level.
fn chain(world: &World, level: Level) -> &super::Followed {
    let found = world.chains.iter().find(|one| one.level == level);
    found.unwrap_or(&world.chains[0])
}
