//! `grid message`: messages between the main chain and other chains, over JSON-RPC.

mod explain;
mod list;
mod route;
mod send;

use alloy_primitives::B256;
use eyre::Result;
use grid_core::ChainId;
use grid_relayer::{http::MessageList, store::MessageRow};

use crate::{
    api::RelayerApi, args::MessageCommand, home::Home, main_chain::GridRpc, output::Output,
};

pub(super) async fn run(home: &Home, command: &MessageCommand, out: Output) -> Result<()> {
    let rpc = GridRpc::of(home)?;
    let own = ChainId::eip155(rpc.tip().await?.chain_id);
    match command {
        MessageCommand::Send(args) => send::run(home, (&rpc, &own), args, out).await,
        MessageCommand::List(args) => list::run(home, (&rpc, &own), args, out).await,
        MessageCommand::Explain(args) => explain::run(home, (&rpc, &own), args, out).await,
        MessageCommand::Route(args) => route::run(home, (&rpc, &own), args, out).await,
    }
}

/// What the relayer has seen; `None` where it does not answer.
async fn seen(home: &Home, what: &str) -> Option<Vec<MessageRow>> {
    let answer =
        RelayerApi::of(home).ok()?.get::<MessageList>(&format!("/v1/messages{what}")).await;
    Some(answer.ok()?.messages)
}

/// The chains that messages can name: the main chain itself and the registered ones.
async fn chains(rpc: &GridRpc, own: &ChainId) -> Result<Vec<(B256, ChainId)>> {
    let registered = rpc.chains().await?.into_iter().map(|chain| (chain.key, chain.id));
    Ok(std::iter::once((own.key().0, own.clone())).chain(registered).collect())
}
