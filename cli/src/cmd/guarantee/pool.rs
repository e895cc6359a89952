//! What underwriters and the governor do.

use alloy_primitives::{U256, utils::format_ether};
use eyre::{Result, ensure};
use grid_core::modules::abi::Guarantee;

use super::Contract;
use crate::{
    args::{ShareArgs, TermsArgs, UnderwriteArgs},
    cmd::{send, staking::act::shares_of},
    home::Home,
    output::Output,
    trust::rfc3339,
};

pub(super) async fn underwrite(
    home: &Home,
    contract: &Contract,
    args: &UnderwriteArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let message = format!(
        "put {} GRID into the pool; `grid guarantee list` shows what it is worth",
        format_ether(args.amount)
    );
    let call = (args.amount, &Guarantee::depositCall {});
    contract.perform(&signer, call, message, (args.sending, out)).await
}

pub(super) async fn leave(
    home: &Home,
    contract: &Contract,
    args: &ShareArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let holder = signer.address();
    let held = contract.read(&Guarantee::holdingCall { holder }).await?;
    ensure!(!held.shares.is_zero(), "{holder} has nothing in the pool");
    let shares = match args.amount {
        None => held.shares,
        Some(amount) => shares_of(amount, held.tokens, held.shares)?,
    };
    let params = contract.params().await?;
    let delay = params.withdraw_delay_secs.saturating_mul(1_000);
    let from = contract.rpc.tip().await?.time_ms.saturating_add(delay);
    let message = format!(
        "announced; take it out with `grid guarantee withdraw` for {} s from about {} on",
        params.withdraw_window_secs,
        rfc3339(from)
    );
    let call = (U256::ZERO, &Guarantee::leaveCall { shares });
    contract.perform(&signer, call, message, (args.sending, out)).await
}

pub(super) async fn withdraw(
    home: &Home,
    contract: &Contract,
    args: &ShareArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let holder = signer.address();
    let held = contract.read(&Guarantee::holdingCall { holder }).await?;
    ensure!(
        !held.leaving.is_zero(),
        "{holder} has announced nothing; announce it first with `grid guarantee leave`"
    );
    let now = contract.rpc.tip().await?.time_ms;
    ensure!(
        now <= held.untilMs,
        "the time to take it out ended at {}; announce it again with `grid guarantee leave`",
        rfc3339(held.untilMs)
    );
    ensure!(now >= held.fromMs, "it can be taken out from {} on", rfc3339(held.fromMs));
    let shares = match args.amount {
        None => held.leaving,
        Some(amount) => shares_of(amount, held.tokens, held.shares)?,
    };
    let message = String::from("took it out of the pool");
    let call = (U256::ZERO, &Guarantee::withdrawCall { shares });
    contract.perform(&signer, call, message, (args.sending, out)).await
}

pub(super) async fn terms(
    home: &Home,
    contract: &Contract,
    args: &TermsArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let chain = contract.rpc.chain(&args.chain).await?;
    let value = args.block_value.unwrap_or_default();
    let call = Guarantee::setTermsCall {
        chain: chain.key,
        attackerShare: args.attacker_share,
        spacing: args.spacing,
        blockValue: value,
    };
    let message = if args.close {
        format!("{} is closed for new guarantees", chain.id)
    } else {
        format!("{} has new terms: a block counts {} GRID", chain.id, format_ether(value))
    };
    contract.perform(&signer, (U256::ZERO, &call), message, (args.sending, out)).await
}
