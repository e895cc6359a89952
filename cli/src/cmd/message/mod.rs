//! `grid message`: messages between the main chain and other chains, over JSON-RPC.

mod explain;
mod list;
mod send;

use alloy_primitives::B256;
use eyre::Result;
use grid_core::ChainId;

use crate::{args::MessageCommand, home::Home, main_chain::GridRpc, output::Output};

pub(super) async fn run(home: &Home, command: &MessageCommand, out: Output) -> Result<()> {
    let rpc = GridRpc::of(home)?;
    let own = ChainId::eip155(rpc.tip().await?.chain_id);
    match command {
        MessageCommand::Send(args) => send::run(home, (&rpc, &own), args, out).await,
        MessageCommand::List => list::run((&rpc, &own), out).await,
        MessageCommand::Explain(args) => explain::run((&rpc, &own), args, out).await,
    }
}

/// The chains that messages can name: the main chain itself and the registered ones.
async fn chains(rpc: &GridRpc, own: &ChainId) -> Result<Vec<(B256, ChainId)>> {
    let registered = rpc.chains().await?.into_iter().map(|chain| (chain.key, chain.id));
    Ok(std::iter::once((own.key().0, own.clone())).chain(registered).collect())
}
