//! `grid prove eth-…`: facts about one block of an Ethereum chain.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use eyre::{Result, bail, eyre};
use grid_adapters::ProofRequest;
use grid_core::proof::{CrossChainProof, ethereum::EthereumFact};

use super::prove::{from_source, state_height, write};
use crate::{
    abi::{self, Abi},
    args::{ProveArgs, ProveCommand},
    config::ChainKind,
    eth::BlockRange,
    home::Home,
    main_chain::GridRpc,
    output::Output,
};

pub(super) async fn run(
    home: &Home,
    rpc: &GridRpc,
    command: &ProveCommand,
    out: Output,
) -> Result<()> {
    let (common, facts, at) = match command {
        ProveCommand::EthLogs { address, block, topic, event, common } => {
            let topic = match event {
                Some(event) => Some(Abi::read(event)?.topic()?),
                None => *topic,
            };
            let fact = EthereumFact::Logs { address: *address, topic };
            return logs(home, rpc, common, fact, block, out).await;
        }
        ProveCommand::EthLog { hash, index, abi, with_transaction, common } => {
            let abi = abi.as_deref().map(Abi::read).transpose()?;
            let facts = receipt(*hash, Some(*index), *with_transaction);
            let proof = prove(home, rpc, common, facts, None).await?;
            if let Some(abi) = abi {
                decodes(&abi, &proof)?;
            }
            return write(rpc, common, common.out.as_deref(), &proof, out).await;
        }
        ProveCommand::EthTx { hashes, common } => {
            let facts = hashes.iter().map(|hash| EthereumFact::Transaction { hash: *hash });
            (common, facts.collect(), None)
        }
        ProveCommand::EthReceipt { hash, log, with_transaction, common } => {
            (common, receipt(*hash, *log, *with_transaction), None)
        }
        ProveCommand::EthAccount { addresses, at, common } => {
            let facts = addresses.iter().map(|address| EthereumFact::Account { address: *address });
            (common, facts.collect(), at.at)
        }
        ProveCommand::EthStorage { address, slots, at, common } => {
            let slot = |slot| EthereumFact::Storage { address: *address, slot: B256::from(slot) };
            (common, slots.iter().copied().map(slot).collect(), at.at)
        }
        ProveCommand::EthCode { address, bytes, at, common } => {
            (common, vec![EthereumFact::Code { address: *address, bytes: *bytes }], at.at)
        }
        ProveCommand::EthCount { at, common } => {
            (common, vec![EthereumFact::TransactionCount {}], at.at)
        }
        ProveCommand::EthFacts { facts, at, common } => (common, facts.clone(), at.at),
        other => bail!("{other:?} is not about Ethereum"),
    };
    let proof = prove(home, rpc, common, facts, at).await?;
    write(rpc, common, common.out.as_deref(), &proof, out).await
}

fn receipt(hash: B256, log: Option<u64>, with_transaction: bool) -> Vec<EthereumFact> {
    let receipt = EthereumFact::Receipt { hash, log };
    let transaction = with_transaction.then_some(EthereumFact::Transaction { hash });
    transaction.into_iter().chain([receipt]).collect()
}

async fn prove(
    home: &Home,
    rpc: &GridRpc,
    common: &ProveArgs,
    facts: Vec<EthereumFact>,
    at: Option<u64>,
) -> Result<CrossChainProof> {
    let named = facts.iter().any(|fact| fact.transaction().is_some());
    let block = match at {
        None if named => None,
        at => Some(state_height(home, rpc, common, at).await?),
    };
    let request = ProofRequest::Ethereum { facts, block, via: None };
    from_source(home, rpc, ChainKind::Ethereum, common, request).await
}

/// One proof for each block.
async fn logs(
    home: &Home,
    rpc: &GridRpc,
    common: &ProveArgs,
    fact: EthereumFact,
    BlockRange(blocks): &BlockRange,
    out: Output,
) -> Result<()> {
    let several = blocks.start() != blocks.end();
    if several && common.out.is_none() {
        bail!("a range of blocks is one proof each: give --out FILE to name them");
    }
    for height in blocks.clone() {
        let proof = prove(home, rpc, common, vec![fact], Some(height)).await?;
        let file = common.out.as_deref();
        let numbered = file.filter(|_| several).map(|file| with_height(file, height));
        write(rpc, common, numbered.as_deref().or(file), &proof, out).await?;
    }
    Ok(())
}

/// `NAME.json` becomes `NAME-100.json`.
fn with_height(file: &Path, height: u64) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = match file.extension() {
        Some(extension) => format!("{stem}-{height}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{height}"),
    };
    file.with_file_name(name)
}

/// Every log must be an event of the ABI.
fn decodes(abi: &Abi, proof: &CrossChainProof) -> Result<()> {
    for log in abi::logs(&proof.claim) {
        match abi.decode(log) {
            Some(Ok(_)) => {}
            Some(Err(error)) => bail!("log {} {error}", log.index),
            None => {
                let topic = log.topics.first();
                let topic = topic.map_or_else(|| "none".to_owned(), ToString::to_string);
                return Err(eyre!(
                    "log {} is no event of the ABI: its first topic is {topic}",
                    log.index
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_height_stands_before_the_extension() {
        let named = |file: &str| with_height(Path::new(file), 100).display().to_string();
        assert_eq!(named("a/logs.json"), "a/logs-100.json");
        assert_eq!(named("logs"), "logs-100");
    }
}
