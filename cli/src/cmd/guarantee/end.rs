//! Ending a guarantee: `grid guarantee settle` and `claim`.

use alloy_primitives::{B256, Bytes, U256, utils::format_ether};
use alloy_sol_types::SolCall as _;
use eyre::{Result, WrapErr as _, ensure, eyre};
use grid_core::{
    guarantee::Status,
    modules::abi::{GUARANTEE, Guarantee},
};
use tokio::time::{Duration, Instant, sleep};

use super::{Contract, POLL, payment};
use crate::{
    args::{BlockArg, ClaimArgs, EndArgs},
    cmd::send::{self, Call},
    home::Home,
    output::Output,
};

/// A call that ends a guarantee.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) input: Bytes,
    /// What it does, for people.
    pub(super) message: String,
}

impl Ending {
    pub(super) fn call(&self) -> Call {
        Call { to: GUARANTEE, value: U256::ZERO, input: self.input.clone() }
    }

    /// Settles a guarantee by its own block, or, where that is lost, by the block that holds the payment now.
    pub(super) async fn settlement(
        home: &Home,
        contract: &Contract,
        id: B256,
        block: &BlockArg,
    ) -> Result<Self> {
        let (found, chain) = contract.guarantee(id).await?;
        need_open(id, found.status)?;
        let own = Bytes::from(Guarantee::settleCall { id }.abi_encode());
        let Some(reason) = contract.rpc.refusal(GUARANTEE, &own).await? else {
            let message = format!("settled: its block {} is confirmed", found.height);
            return Ok(Self { input: own, message });
        };
        let payment = payment::find(home, Some(&chain.id), found.txid, block)
            .await
            .wrap_err_with(|| format!("its own block does not settle it: {reason}"))?;
        ensure!(payment.block != found.blockHash, "it cannot be settled now: {reason}");
        let message = format!("settled: the payment was mined again in block {}", payment.height);
        let (block, payment) = (payment.block, payment.proof.into());
        let other = Guarantee::settleInCall { id, blockHash: block, payment };
        Ok(Self { input: other.abi_encode().into(), message })
    }

    /// Has the beneficiary paid.
    pub(super) async fn claim(contract: &Contract, id: B256) -> Result<Self> {
        let (found, _) = contract.guarantee(id).await?;
        need_open(id, found.status)?;
        let message = format!("paid {} GRID to {}", format_ether(found.cover), found.beneficiary);
        Ok(Self { input: Guarantee::claimCall { id }.abi_encode().into(), message })
    }
}

fn need_open(id: B256, status: u8) -> Result<()> {
    match Status::from_code(status.into()) {
        Some(status) if status != Status::Guaranteed => {
            eyre::bail!("guarantee {id} is {status} already")
        }
        _ => Ok(()),
    }
}

/// Tries again as long as the command waits and the guarantee is open.
async fn due<F: Future<Output = Result<Ending>>>(
    contract: &Contract,
    id: B256,
    wait: Duration,
    attempt: impl Fn() -> F,
) -> Result<Ending> {
    let deadline = Instant::now() + wait;
    loop {
        need_open(id, contract.guarantee(id).await?.0.status)?;
        let tried = async {
            let ending = attempt().await?;
            match contract.rpc.refusal(GUARANTEE, &ending.input).await? {
                Some(reason) => Err(eyre!("it cannot be ended now: {reason}")),
                None => Ok(ending),
            }
        };
        match tried.await {
            Err(_) if Instant::now() < deadline => sleep(POLL).await,
            outcome => return outcome,
        }
    }
}

pub(super) async fn settle(
    home: &Home,
    contract: &Contract,
    args: &EndArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let attempt = || Ending::settlement(home, contract, args.id, &args.block);
    let ending = due(contract, args.id, *args.wait, attempt).await?;
    let sending = (args.sending.dry_run, out);
    send::perform(&contract.rpc, &signer, ending.call(), ending.message, sending).await
}

pub(super) async fn claim(
    home: &Home,
    contract: &Contract,
    args: &ClaimArgs,
    out: Output,
) -> Result<()> {
    let signer = send::signer(home, &args.key)?;
    let ending = due(contract, args.id, *args.wait, || Ending::claim(contract, args.id)).await?;
    let sending = (args.sending.dry_run, out);
    send::perform(&contract.rpc, &signer, ending.call(), ending.message, sending).await
}
