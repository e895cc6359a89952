//! Several relayers with stores of their own before one main chain.

use core::time::Duration;
use std::collections::VecDeque;

use super::{failure::Broken, main_chain::Tally, run, world::World};

/// Steps of the beginning: everybody begins at once, and gets on the main chain's list one after the other.
const BEGINNING: u32 = 240;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turns {
    /// What became of the transactions of the first two minutes.
    pub beginning: Tally,
    /// What became of all of them.
    pub tally: Tally,
    /// Useful transactions of each relayer's account: its nonce.
    pub each: Vec<u64>,
    /// Longest time that a header waited until the main chain had it, milliseconds.
    pub longest: u64,
}

impl Turns {
    /// Transactions after the beginning that waited for a block, and how many of them brought nothing.
    #[must_use]
    pub const fn wasted(&self) -> (u64, u64) {
        let ((before, all_before), (wasted, all)) = (self.beginning.wasted(), self.tally.wasted());
        (wasted - before, all - all_before)
    }
}

/// Lets five relayers take turns over three chains, and after the beginning for so many steps of half a second; one
/// of them crashes for good after a third of these.
///
/// # Errors
/// The invariant that does not hold.
pub async fn take_turns(seed: u64, steps: u32) -> Result<Turns, Broken> {
    let mut world = World::new(seed, 3, 0, 5)?;
    run::heal(&mut world).await?;
    let mut beginning = Tally::default();
    let mut waiting: Vec<VecDeque<(u64, u64)>> = vec![VecDeque::new(); world.chains.len()];
    let mut longest = 0;
    for step in 0..BEGINNING + steps {
        if step == BEGINNING {
            beginning = world.main.tally();
        }
        if step == BEGINNING + steps / 3 {
            world.kill(0).await;
            world.relayers[0].alive = false;
            world.faults.note("relayer", "crashes", "for good");
        }
        let now = world.faults.time.passed();
        for (number, (one, waiting)) in world.chains.iter().zip(&mut waiting).enumerate() {
            // A block every one, two and four seconds or so.
            if world.faults.dice.once_in(2 << number) {
                one.source.extend(1);
                waiting.push_back((one.source.tip_now().height, now));
            }
        }
        world.step().await?;
        if step % 2 == 1 {
            world.main.mine();
        }
        world.pass(Duration::from_millis(500));
        let now = world.faults.time.passed();
        for ((_, _, tracked), waiting) in world.tips().zip(&mut waiting) {
            let tracked = tracked.map_or(0, |tracked| tracked.height);
            while let Some((_, since)) = waiting.pop_front_if(|(height, _)| *height <= tracked) {
                longest = longest.max(now - since);
            }
        }
    }
    run::heal(&mut world).await?;
    let each = world.relayers.iter().map(|one| world.main.nonce(&one.signer.address())).collect();
    Ok(Turns { beginning, tally: world.main.tally(), each, longest })
}
