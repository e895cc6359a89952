//! Delegated proof of stake: who decides blocks, what they earn, what they lose.
//!
//! - A **delegate** is named by the address of its signing key. Its owner puts in a self-bond, anybody may
//!   add a stake. Stakes of one delegate are one [`Pool`]: holders have shares, rewards raise what a share is worth and
//!   slashing lowers it, so neither touches more than one value, however many holders there are.
//! - Time is counted in **epochs** of a fixed number of blocks. The set of validators is fixed during an epoch; at its
//!   end [`elect`] makes the next one from the state alone.
//! - A stake that leaves waits in a pool of its epoch until the unbonding period is over. It stood behind
//!   the set of that epoch, so evidence about that epoch or an earlier one slashes it as if it had stayed.
//! - Two votes of one validator for one height and round ([`Equivocation`]) cost a part of the whole pool, once an
//!   epoch, whoever reports it. Absence, counted from commit certificates, costs the seat only.
//!
//! # Conservation
//! All stakes, waiting stakes and the reserve are the balance of the contract's own account, to the last unit. Nothing is
//! minted: rewards come from the reserve and from fees. What is slashed is burned and counted like base fees, but
//! for the reporter's share. So balances plus burned stay the genesis supply. Every division rounds down in favour of
//! the pool or the reserve, where the rest stays.
//!
//! Whoever calls a function here that fails undoes what it wrote: the transition does so for every call.
//!
//! # Bounds
//! A call touches a fixed number of values (evidence: one a waiting epoch). The end of an epoch reads at most
//! [`MAX_CANDIDATES`] delegates and writes those of one set.

mod attendance;
mod election;
mod epoch;
mod error;
mod evidence;
mod genesis;
mod ops;
mod params;
mod pool;
mod punish;
mod records;
#[cfg(test)]
mod tests;

pub use attendance::RECENT;
pub use election::{Candidate, elect};
pub use error::StakingError;
pub use evidence::{Equivocation, EquivocationError, SignedVote};
pub use genesis::{GenesisDelegate, StakingGenesis};
pub use params::{MAX_CANDIDATES, MAX_UNBONDING_EPOCHS, StakingParams};
pub use pool::Pool;
pub use records::Delegate;

pub(crate) use attendance::{attendance, counted_signers, is_counted, record_commit};
pub(crate) use epoch::end_block;
pub(crate) use genesis::apply as apply_genesis;
pub(crate) use ops::{
    Holder, delegate, fund, lower_commission, register, undelegate, unjail, withdraw,
};
pub(crate) use params::read as read_params;
pub(crate) use pool::mul_div;
pub(crate) use punish::{is_punished, report};
pub(crate) use records::{candidates, read_offenders, reserve, stake_of, waiting};
