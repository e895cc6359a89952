//! The payment that a guarantee is for, as the source shows it.

use alloy_primitives::B256;
use eyre::{Result, bail};
use grid_adapters::ProofRequest;
use grid_core::{
    ChainId,
    bitcoin::spv::TxProof,
    proof::{Inclusion, facts::BitcoinFact},
};

use crate::{
    args::{BlockArg, PaymentArgs},
    btc,
    config::ChainKind,
    home::Home,
    sources,
};

/// A payment in a block, with what shows it.
#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) chain: ChainId,
    /// Internal byte order, as the block's hash.
    pub(super) txid: B256,
    pub(super) height: u64,
    pub(super) block: B256,
    pub(super) proof: TxProof,
}

/// The payment that a command names.
pub(super) async fn named(home: &Home, args: &PaymentArgs) -> Result<Payment> {
    find(home, args.on.as_ref(), btc::txid(&args.txid)?, &args.block).await
}

/// A payment in the block where the source has it now.
pub(super) async fn find(
    home: &Home,
    on: Option<&ChainId>,
    txid: B256,
    block: &BlockArg,
) -> Result<Payment> {
    let block_hash = block.block.as_deref().map(btc::block_hash).transpose()?;
    let source = sources::choose(home, &home.config()?, ChainKind::Bitcoin, on)?;
    let request = ProofRequest::Bitcoin { facts: vec![BitcoinFact::Tx { txid }], block_hash };
    let material = source.proof_material(request).await?;
    let Inclusion::BitcoinTx(proof) = material.inclusion else {
        bail!("the source shows something else than a transaction");
    };
    let (height, block) = (material.header.height, material.header.blockHash);
    Ok(Payment { chain: source.id().clone(), txid, height, block, proof })
}
