//! `grid staking`.

use alloy_primitives::{Address, U256, utils::parse_ether};
use clap::{Args, Subcommand};

use super::SendingArgs;

/// `grid staking`.
#[derive(Debug, Subcommand)]
pub(crate) enum StakingCommand {
    /// The epoch, the delegates, who has a seat, who was present, and what an account has at stake.
    Status(StakingStatusArgs),
    /// Make a validator's key a delegate, with a self-bond.
    Register(RegisterArgs),
    /// Stake with a delegate.
    Delegate(DelegateArgs),
    /// Take a stake back; it can be withdrawn when the unbonding period is over.
    Undelegate(UndelegateArgs),
    /// Withdraw what was taken back and is free.
    Withdraw(WithdrawArgs),
    /// Let a delegate of this key out of jail, after its term.
    Unjail(UnjailArgs),
}

/// `grid staking status`.
#[derive(Debug, Args)]
pub(crate) struct StakingStatusArgs {
    /// Whose stakes to show; the key `user` of the home folder where absent.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) of: Option<Address>,
}

/// `grid staking register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    /// The self-bond in GRID, paid by the validator's key.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) bond: U256,
    /// What the owner keeps of all that the delegate earns, in hundredths of a percent. It can be lowered, never raised.
    #[arg(long, value_name = "PARTS", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(crate) commission: u16,
    /// Who owns the bond, gets the commission and may unjail; the key itself where absent. Better a key that is not on the
    /// validator's machine.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) owner: Option<Address>,
    /// The validator's key, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "validator")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid staking delegate`.
#[derive(Debug, Args)]
pub(crate) struct DelegateArgs {
    /// Address of the delegate.
    pub(crate) delegate: Address,
    /// How much, in GRID.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) amount: U256,
    /// The key that stakes, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid staking undelegate`.
#[derive(Debug, Args)]
pub(crate) struct UndelegateArgs {
    /// Address of the delegate.
    pub(crate) delegate: Address,
    /// How much, in GRID; everything where absent.
    #[arg(value_name = "GRID", value_parser = amount)]
    pub(crate) amount: Option<U256>,
    /// The key that staked, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid staking withdraw`.
#[derive(Debug, Args)]
pub(crate) struct WithdrawArgs {
    /// Address of the delegate.
    pub(crate) delegate: Address,
    /// The epoch in which the stake was taken back; where absent, the oldest with something to withdraw.
    #[arg(long, value_name = "EPOCH")]
    pub(crate) epoch: Option<u64>,
    /// The key that staked, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "user")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// `grid staking unjail`.
#[derive(Debug, Args)]
pub(crate) struct UnjailArgs {
    /// Address of the delegate; the key's own where absent.
    pub(crate) delegate: Option<Address>,
    /// The owner's key, by name in keys/ or as a file.
    #[arg(long, value_name = "NAME", default_value = "validator")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) sending: SendingArgs,
}

/// An amount of GRID: digits with at most 18 decimals, above zero.
pub(super) fn amount(text: &str) -> Result<U256, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err("an amount is a number of GRID, for example 1500 or 0.25".into());
    }
    let amount = parse_ether(text).map_err(|error| error.to_string())?;
    if amount.is_zero() { Err("an amount is above zero".into()) } else { Ok(amount) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_of_grid() {
        let unit = U256::from(10u64).pow(U256::from(18));
        assert_eq!(amount("1500"), Ok(unit * U256::from(1_500)));
        assert_eq!(amount("0.25"), Ok(unit / U256::from(4)));
        assert_eq!(amount("0.000000000000000001"), Ok(U256::ONE));
        for bad in ["", "0", "-1", "1e3", "1,5", "0.0000000000000000001", "1 GRID", "."] {
            assert!(amount(bad).is_err(), "{bad:?}");
        }
    }
}
