//! Commands that send a transaction.

use alloy_primitives::{Address, U256, utils::format_ether};
use alloy_sol_types::SolCall;
use eyre::{Result, bail, ensure};
use grid_core::modules::abi::{STAKING, Staking};

use super::Contract;
use crate::{
    args::{DelegateArgs, RegisterArgs, SendingArgs, UndelegateArgs, UnjailArgs, WithdrawArgs},
    cmd::send::{self, Call},
    home::Home,
    output::Output,
};

pub(super) async fn register(
    home: &Home,
    contract: &Contract,
    args: &RegisterArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let delegate = signer.address();
    let owner = args.owner.unwrap_or(delegate);
    let call = Staking::registerCall { owner, commission: args.commission };
    let message = format!(
        "{delegate} is a delegate of {owner} with {} GRID; it may be elected at the epoch's end",
        format_ether(args.bond)
    );
    finish(contract, &signer, args.bond, &call, message, (args.sending, out)).await
}

pub(super) async fn delegate(
    home: &Home,
    contract: &Contract,
    args: &DelegateArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let call = Staking::delegateCall { delegate: args.delegate };
    let message = format!("staked {} GRID with {}", format_ether(args.amount), args.delegate);
    finish(contract, &signer, args.amount, &call, message, (args.sending, out)).await
}

pub(super) async fn undelegate(
    home: &Home,
    contract: &Contract,
    args: &UndelegateArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let (delegate, holder) = (args.delegate, signer.address());
    let held = contract.read(&Staking::stakeOfCall { delegate, holder }).await?;
    ensure!(!held.shares.is_zero(), "{holder} has no stake with {delegate}");
    let shares = match args.amount {
        None => held.shares,
        Some(amount) => shares_of(amount, held.tokens, held.shares)?,
    };
    let params = contract.params().await?;
    let epoch = contract.read(&Staking::epochCall {}).await?.number;
    let free_from = epoch.saturating_add(params.unbonding_epochs.into()).saturating_add(1);
    let message = format!(
        "took a stake back from {delegate}; withdraw it in epoch {free_from} or later (now {epoch}) with `grid staking withdraw {delegate}`"
    );
    let call = Staking::undelegateCall { delegate, shares };
    finish(contract, &signer, U256::ZERO, &call, message, (args.sending, out)).await
}

/// Shares that are worth an amount at least, as far as held.
pub(in crate::cmd) fn shares_of(amount: U256, tokens: U256, shares: U256) -> Result<U256> {
    ensure!(
        amount <= tokens,
        "the stake is worth {} GRID, less than {}",
        format_ether(tokens),
        format_ether(amount)
    );
    // Both numbers of the contract fit 128 bits.
    Ok((amount * shares).div_ceil(tokens).min(shares))
}

pub(super) async fn withdraw(
    home: &Home,
    contract: &Contract,
    args: &WithdrawArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let delegate = args.delegate;
    let epoch = match args.epoch {
        Some(epoch) => epoch,
        None => oldest_waiting(contract, delegate, signer.address()).await?,
    };
    let call = Staking::withdrawCall { delegate, epoch };
    let message = format!("withdrew what was taken back from {delegate} in epoch {epoch}");
    finish(contract, &signer, U256::ZERO, &call, message, (args.sending, out)).await
}

async fn oldest_waiting(contract: &Contract, delegate: Address, holder: Address) -> Result<u64> {
    let params = contract.params().await?;
    let now = contract.read(&Staking::epochCall {}).await?.number;
    match contract.waiting(&params, now, delegate, holder).await?.first() {
        Some((epoch, _)) => Ok(*epoch),
        None => bail!(
            "nothing that {holder} took back from {delegate} lately waits; name an older epoch with --epoch"
        ),
    }
}

pub(super) async fn unjail(
    home: &Home,
    contract: &Contract,
    args: &UnjailArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let delegate = args.delegate.unwrap_or_else(|| signer.address());
    let call = Staking::unjailCall { delegate };
    let message = format!("{delegate} is out of jail; it may be elected at the epoch's end");
    finish(contract, &signer, U256::ZERO, &call, message, (args.sending, out)).await
}

/// Sends a call, waits for its block and says what came of it.
async fn finish<C: SolCall>(
    contract: &Contract,
    signer: &alloy_signer_local::PrivateKeySigner,
    value: U256,
    call: &C,
    message: String,
    (sending, out): (SendingArgs, Output),
) -> Result<()> {
    let call = Call { to: STAKING, value, input: call.abi_encode().into() };
    send::perform(&contract.rpc, signer, call, message, (sending.dry_run, out)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_the_amount_and_never_exceed_what_is_held() {
        let shares = |amount: u64, tokens: u64, shares: u64| {
            shares_of(U256::from(amount), U256::from(tokens), U256::from(shares))
                .unwrap()
                .to::<u64>()
        };
        assert_eq!(shares(100, 100, 80), 80, "everything");
        assert_eq!(shares(1, 100, 80), 1, "rounded up");
        assert_eq!(shares(50, 100, 80), 40);
        assert!(shares_of(U256::from(101), U256::from(100), U256::from(80)).is_err());
        let most = U256::from(u128::MAX);
        assert_eq!(shares_of(most, most, most).unwrap(), most);
    }
}
