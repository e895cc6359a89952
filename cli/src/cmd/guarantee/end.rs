//! Ending a guarantee: `grid guarantee settle` and `claim`.

use alloy_primitives::{U256, utils::format_ether};
use alloy_sol_types::SolCall as _;
use eyre::{Result, WrapErr as _, ensure};
use grid_core::modules::abi::{GUARANTEE, Guarantee};

use super::{Contract, payment};
use crate::{
    args::{ClaimArgs, EndArgs},
    cmd::send,
    home::Home,
    output::Output,
};

/// Settles a guarantee by its own block, or, where that is lost, by the block that holds the payment now.
pub(super) async fn settle(
    home: &Home,
    contract: &Contract,
    args: &EndArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let id = args.id;
    let (found, chain) = contract.guarantee(id).await?;
    let own = Guarantee::settleCall { id };
    let refused = contract.rpc.refusal(GUARANTEE, &own.abi_encode().into()).await?;
    let Some(reason) = refused else {
        let message = format!("settled: its block {} is confirmed", found.height);
        return contract.perform(&signer, (U256::ZERO, &own), message, (args.sending, out)).await;
    };
    let payment = payment::find(home, Some(&chain.id), found.txid, &args.block)
        .await
        .wrap_err_with(|| format!("the payment's own block does not settle it: {reason}"))?;
    ensure!(payment.block != found.blockHash, "it cannot be settled now: {reason}");
    let message = format!("settled: the payment was mined again in block {}", payment.height);
    let other =
        Guarantee::settleInCall { id, blockHash: payment.block, payment: payment.proof.into() };
    contract.perform(&signer, (U256::ZERO, &other), message, (args.sending, out)).await
}

/// Has the beneficiary paid.
pub(super) async fn claim(
    home: &Home,
    contract: &Contract,
    args: &ClaimArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let (found, _) = contract.guarantee(args.id).await?;
    let message = format!("paid {} GRID to {}", format_ether(found.cover), found.beneficiary);
    let call = (U256::ZERO, &Guarantee::claimCall { id: args.id });
    contract.perform(&signer, call, message, (args.sending, out)).await
}
