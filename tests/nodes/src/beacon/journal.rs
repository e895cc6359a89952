//! Which execution block each slot carries, on disk: from it, a restart rebuilds the same chain.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use grid_core::ethereum::sync::payload::ExecutionPayloadHeader;

use super::{block::Block, chain::Chain, execution};
use crate::{NodeError, rpc::Rpc};

/// A file with a line `slot number hash` for each block.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

impl Journal {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Rebuilds the chain as far as the node still has the blocks; returns how many it has.
    pub(super) async fn replay(&self, rpc: &Rpc, chain: &mut Chain) -> Result<usize, NodeError> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let (mut kept, mut last) = (String::new(), None::<ExecutionPayloadHeader>);
        for line in text.lines() {
            let Some((slot, number, hash)) = parse(line) else { break };
            let block = match last.take() {
                Some(block) if block.block_hash == hash => block,
                _ => match execution::fetch(rpc, Some(number)).await {
                    Ok(block) => block,
                    // The node lost its newest blocks in a crash.
                    Err(NodeError::Unexpected { .. }) => break,
                    Err(error) => return Err(error),
                },
            };
            if block.block_hash != hash || chain.head().is_some_and(|h| h.header.slot >= slot) {
                break;
            }
            chain.add(slot, block.clone());
            last = Some(block);
            kept.push_str(line);
            kept.push('\n');
        }
        std::fs::write(&self.path, &kept)
            .map_err(NodeError::io(format!("writing {}", self.path.display())))?;
        Ok(kept.lines().count())
    }

    /// Notes the whole chain again, after a reorganisation.
    pub(super) fn rewrite(&self, chain: &Chain) -> Result<(), NodeError> {
        let text: String = chain.blocks().map(line).collect();
        std::fs::write(&self.path, text)
            .map_err(NodeError::io(format!("writing {}", self.path.display())))
    }

    /// Notes the newest block.
    pub(super) fn note(&self, chain: &Chain) -> Result<(), NodeError> {
        let Some(head) = chain.head() else { return Ok(()) };
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(line(head).as_bytes()))
            .map_err(NodeError::io(format!("writing {}", self.path.display())))
    }
}

fn line(block: &Block) -> String {
    let (slot, execution) = (block.header.slot, &block.execution);
    format!("{slot} {} {}\n", execution.block_number, execution.block_hash)
}

fn parse(line: &str) -> Option<(u64, u64, B256)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    Some((next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?))
}
