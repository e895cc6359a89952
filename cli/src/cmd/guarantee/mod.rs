//! `grid guarantee`: cover for payments that are not confirmed yet, over JSON-RPC.

mod end;
mod explain;
mod keep;
mod list;
mod payment;
mod pool;
mod request;

use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use eyre::{OptionExt as _, Result, WrapErr as _, eyre};
use grid_core::{
    api::ChainInfo,
    guarantee::{GuaranteeParams, Status},
    modules::abi::{GUARANTEE, Guarantee},
};
use serde::Serialize;
use tokio::time::Duration;

use super::send::{self, Call};
use crate::{
    args::{GuaranteeCommand, SendingArgs},
    btc,
    home::Home,
    main_chain::GridRpc,
    output::Output,
};

/// How often `--wait` tries again.
const POLL: Duration = Duration::from_millis(500);

pub(super) async fn run(home: &Home, command: &GuaranteeCommand, out: Output) -> Result<()> {
    let contract = Contract { rpc: GridRpc::of(home)? };
    contract.rpc.tip().await?;
    match command {
        GuaranteeCommand::Quote(args) => request::quote(home, &contract, args, out).await,
        GuaranteeCommand::Request(args) => request::run(home, &contract, args, out).await,
        GuaranteeCommand::List(args) => list::run(home, &contract, args, out).await,
        GuaranteeCommand::Explain(args) => explain::run(home, &contract, args, out).await,
        GuaranteeCommand::Settle(args) => end::settle(home, &contract, args, out).await,
        GuaranteeCommand::Claim(args) => end::claim(home, &contract, args, out).await,
        GuaranteeCommand::Keep(args) => Box::pin(keep::run(home, &contract, args, out)).await,
        GuaranteeCommand::Underwrite(args) => pool::underwrite(home, &contract, args, out).await,
        GuaranteeCommand::Leave(args) => pool::leave(home, &contract, args, out).await,
        GuaranteeCommand::Withdraw(args) => pool::withdraw(home, &contract, args, out).await,
        GuaranteeCommand::Terms(args) => pool::terms(home, &contract, args, out).await,
    }
}

/// The guarantee contract of the main chain.
#[derive(Debug)]
struct Contract {
    rpc: GridRpc,
}

/// A guarantee, hashes as Bitcoin's tools display them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: B256,
    status: String,
    chain: String,
    txid: String,
    block: String,
    height: u64,
    deadline: u64,
    cover: U256,
    premium: U256,
    beneficiary: Address,
    payer: Address,
}

impl Contract {
    /// Asks one of its views.
    async fn read<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        self.rpc.view(GUARANTEE, call).await
    }

    async fn params(&self) -> Result<GuaranteeParams> {
        let json = self.read(&Guarantee::paramsCall {}).await?;
        serde_json::from_slice(&json).wrap_err("the node's rules of guarantees are malformed")
    }

    /// A guarantee as the contract has it, with its chain.
    async fn guarantee(&self, id: B256) -> Result<(Guarantee::guaranteeOfReturn, ChainInfo)> {
        let found = self.read(&Guarantee::guaranteeOfCall { id }).await?;
        Status::from_code(found.status.into()).ok_or_else(|| {
            eyre!("there is no guarantee {id}; `grid guarantee list` has the open ones")
        })?;
        let chains = self.rpc.chains().await?;
        let chain = chains.into_iter().find(|chain| chain.key == found.chain);
        Ok((found, chain.ok_or_eyre("the node does not list the guarantee's chain")?))
    }

    async fn shown(&self, id: B256) -> Result<Shown> {
        let (found, chain) = self.guarantee(id).await?;
        Ok(Shown::new(id, &found, &chain))
    }

    /// Sends a call, waits for its block and says what came of it.
    async fn perform<C: SolCall>(
        &self,
        signer: &PrivateKeySigner,
        (value, call): (U256, &C),
        message: String,
        (sending, out): (SendingArgs, Output),
    ) -> Result<()> {
        let call = Call { to: GUARANTEE, value, input: call.abi_encode().into() };
        send::perform(&self.rpc, signer, call, message, (sending.dry_run, out)).await
    }
}

impl Shown {
    fn new(id: B256, found: &Guarantee::guaranteeOfReturn, chain: &ChainInfo) -> Self {
        let status = Status::from_code(found.status.into());
        Self {
            id,
            status: status.map_or_else(|| "unknown".into(), |status| status.to_string()),
            chain: chain.id.to_string(),
            txid: btc::display(found.txid),
            block: btc::display(found.blockHash),
            height: found.height,
            deadline: found.deadline,
            cover: found.cover,
            premium: found.premium,
            beneficiary: found.beneficiary,
            payer: found.payer,
        }
    }
}
