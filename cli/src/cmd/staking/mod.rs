//! `grid staking`: delegates, stakes and the epoch, over JSON-RPC.

pub(super) mod act;
mod status;

use alloy_primitives::Address;
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr as _};
use grid_core::{
    modules::abi::{STAKING, Staking},
    staking::StakingParams,
};

use crate::{args::StakingCommand, home::Home, main_chain::GridRpc, output::Output};

pub(super) async fn run(home: &Home, command: &StakingCommand, out: Output) -> Result<()> {
    let contract = Contract { rpc: GridRpc::of(home)? };
    contract.rpc.tip().await?;
    match command {
        StakingCommand::Status(args) => status::run(home, &contract, args, out).await,
        StakingCommand::Register(args) => act::register(home, &contract, args, out).await,
        StakingCommand::Delegate(args) => act::delegate(home, &contract, args, out).await,
        StakingCommand::Undelegate(args) => act::undelegate(home, &contract, args, out).await,
        StakingCommand::Withdraw(args) => act::withdraw(home, &contract, args, out).await,
        StakingCommand::Unjail(args) => act::unjail(home, &contract, args, out).await,
    }
}

/// The staking contract of the main chain.
#[derive(Debug)]
struct Contract {
    rpc: GridRpc,
}

impl Contract {
    /// Asks one of its views.
    async fn read<C: SolCall>(&self, call: &C) -> Result<C::Return> {
        self.rpc.view(STAKING, call).await
    }

    async fn params(&self) -> Result<StakingParams> {
        let json = self.read(&Staking::paramsCall {}).await?;
        serde_json::from_slice(&json).wrap_err("the node's staking rules are malformed")
    }

    /// What a holder took back from a delegate and has not withdrawn: epochs and amounts, oldest first. Looks back
    /// a little further than the unbonding period.
    async fn waiting(
        &self,
        params: &StakingParams,
        now: u64,
        delegate: Address,
        holder: Address,
    ) -> Result<Vec<(u64, alloy_primitives::U256)>> {
        let mut found = Vec::new();
        for epoch in params.oldest(now).saturating_sub(LOOK_BACK)..=now {
            let tokens = self.read(&Staking::waitingOfCall { delegate, holder, epoch }).await?;
            if !tokens.is_zero() {
                found.push((epoch, tokens));
            }
        }
        Ok(found)
    }
}

/// For how many epochs beyond the unbonding period forgotten withdrawals are looked for.
const LOOK_BACK: u64 = 8;
