//! A seeded simulation of planning, storing and submitting with virtual time.
//!
//! What runs is the relayer itself: its planner, lanes, store, submitter, and the pool of endpoints. Sources and the
//! main chain live in memory and misbehave as the seed says. Calls fail, hang, or take effect and then fail;
//! answers are old, short, out of order, doubled or made up; branches are reorganised; chains get other levels; the main chain halts, forgets its
//! mempool, is set back; clocks are set; the relayer is killed at any call and any statement of its
//! database, and started again on the same file. Afterwards everything heals and the invariants must hold:
//!
//! * no header is lost, and a healed world converges with nothing left over;
//! * nothing takes effect twice, and everything has its row before it takes effect;
//! * queues stay bounded, and no nonce stays open;
//! * no lie reaches the main chain;
//! * a source that never answers again delays no other chain.
//!
//! Nothing runs beside anything else and nothing reads a clock, so a failing seed is its own reproduction.
//! [`Plant`] switches on bugs that the seeds must find.

mod beside;
mod blocks;
mod call;
mod dice;
mod failure;
mod faults;
mod final_client;
mod final_source;
mod instance;
mod journal;
mod main_chain;
mod plant;
mod run;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod tree;
mod turns;
mod world;

pub use beside::{Trouble, beside};
pub use dice::Dice;
pub use failure::{Broken, Failure};
pub use faults::{Faults, Rates};
pub use final_source::SimFinal;
pub use journal::{Entry, Journal};
pub use main_chain::{SimMain, Tally};
pub use plant::Plant;
pub(crate) use plant::{planted, statement};
pub use run::{Summary, run, run_with};
pub use source::SimSource;
pub use time::VirtualTime;
pub use turns::{Turns, take_turns};
pub use world::{Followed, Process, World};

/// Makes a failure of any kind the seed's failure.
fn text(error: impl core::fmt::Display) -> String {
    error.to_string()
}
