//! Writing a decided block: everything it changes, in one transaction.

use alloy_eips::eip2718::Encodable2718 as _;
use grid_core::{
    grid::{CommitCertificate, ValidatorSet},
    transition::{ExecutedBlock, IndexEvent},
};
use redb::{ReadableTable as _, WriteTransaction};

use super::{Store, StoreError, accumulator, tables};

impl Store {
    /// Commits the block that continues the stored chain: block, certificate, receipts, post-state and
    /// index. Durable when it returns; on an error nothing has changed.
    ///
    /// # Errors
    /// [`StoreError`] where the block does not continue the chain or the database fails.
    pub fn commit(
        &self,
        executed: &ExecutedBlock,
        certificate: &CommitCertificate,
    ) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        check_next(&write, executed, certificate)?;
        let bytes = tables::encode_certificate(certificate);
        write.open_table(tables::CERTIFICATES)?.insert(certificate.height, bytes.as_slice())?;
        write_block(&write, executed)?;
        prune_bodies(&write, executed.block.header.number)?;
        write.commit()?;
        Ok(())
    }

    /// Writes the genesis block into an empty database.
    pub(super) fn commit_genesis(&self, genesis: &ExecutedBlock) -> Result<(), StoreError> {
        let write = self.begin_write()?;
        {
            let mut meta = write.open_table(tables::META)?;
            meta.insert(tables::META_SCHEMA, tables::SCHEMA.to_be_bytes().as_slice())?;
            meta.insert(tables::META_GENESIS, genesis.hash.as_slice())?;
        }
        // A table exists once it was opened for writing; readers rely on all of them.
        drop(write.open_table(tables::CERTIFICATES)?);
        drop(write.open_table(tables::RECEIPTS)?);
        drop(write.open_table(tables::TRANSACTIONS)?);
        drop(write.open_table(tables::HEADERS)?);
        drop(write.open_table(tables::HEADER_HEIGHTS)?);
        drop(write.open_table(tables::MMR_NODES)?);
        drop(write.open_table(tables::RANGES)?);
        drop(write.open_table(tables::BODIES)?);
        write_block(&write, genesis)?;
        write.commit()?;
        Ok(())
    }
}

fn check_next(
    write: &WriteTransaction,
    executed: &ExecutedBlock,
    certificate: &CommitCertificate,
) -> Result<(), StoreError> {
    let header = &executed.block.header;
    let refuse = |reason: String| {
        Err(StoreError::NotNext { height: header.number, hash: executed.hash, reason })
    };
    if certificate.block_hash != executed.hash || certificate.height != header.number {
        return refuse(format!(
            "its certificate is for block {} ({})",
            certificate.height, certificate.block_hash
        ));
    }
    let head = write
        .open_table(tables::META)?
        .get(tables::META_HEAD)?
        .and_then(|value| value.value().try_into().ok().map(u64::from_be_bytes))
        .ok_or_else(|| StoreError::value("meta", "no head height"))?;
    if head.checked_add(1) != Some(header.number) {
        return refuse(format!("the newest stored block is {head}"));
    }
    let parent = write
        .open_table(tables::BLOCK_HEIGHTS)?
        .get(&header.parent_hash.0)?
        .map(|height| height.value());
    if parent != Some(head) {
        return refuse(format!("its parent {} is not the newest stored block", header.parent_hash));
    }
    Ok(())
}

fn write_block(write: &WriteTransaction, executed: &ExecutedBlock) -> Result<(), StoreError> {
    let height = executed.block.header.number;
    let rlp = alloy_rlp::encode(&executed.block);
    write.open_table(tables::BLOCKS)?.insert(height, rlp.as_slice())?;
    write.open_table(tables::BLOCK_HEIGHTS)?.insert(&executed.hash.0, height)?;
    write_transactions(write, executed)?;
    write_state(write, executed)?;
    write_index(write, executed)?;
    write_validators(write, height, &executed.next_validators)?;
    write.open_table(tables::META)?.insert(tables::META_HEAD, height.to_be_bytes().as_slice())?;
    Ok(())
}

fn write_transactions(
    write: &WriteTransaction,
    executed: &ExecutedBlock,
) -> Result<(), StoreError> {
    let transactions = &executed.block.body.transactions;
    if transactions.is_empty() {
        return Ok(());
    }
    let height = executed.block.header.number;
    let receipts = tables::encode_receipts(&executed.senders, &executed.receipts);
    write.open_table(tables::RECEIPTS)?.insert(height, receipts.as_slice())?;
    let mut places = write.open_table(tables::TRANSACTIONS)?;
    for (transaction, index) in transactions.iter().zip(0u32..) {
        places.insert(&transaction.trie_hash().0, (height, index))?;
    }
    Ok(())
}

fn write_state(write: &WriteTransaction, executed: &ExecutedBlock) -> Result<(), StoreError> {
    let mut values = write.open_table(tables::VALUES)?;
    for (key, value) in &executed.diff {
        match value {
            Some(value) => values.insert(key.as_slice(), value.as_slice())?,
            None => values.remove(key.as_slice())?,
        };
    }
    let mut nodes = write.open_table(tables::TREE_NODES)?;
    for (key, node) in &executed.tree.nodes {
        nodes.insert(key.as_slice(), node.as_slice())?;
    }
    // Values are proven against the newest state only, so what only older ones need can go.
    for key in &executed.tree.stale {
        nodes.remove(key.as_slice())?;
    }
    Ok(())
}

fn write_index(write: &WriteTransaction, executed: &ExecutedBlock) -> Result<(), StoreError> {
    if executed.index_events.is_empty() {
        return Ok(());
    }
    let mut writer = accumulator::Writer::new(write)?;
    for event in &executed.index_events {
        match event {
            IndexEvent::Appended { header, .. } => writer.append(header)?,
            IndexEvent::Reverted { chain, from, .. } => writer.cut_back(*chain, *from)?,
            _ => {}
        }
    }
    writer.finish(&executed.entries)
}

fn write_validators(
    write: &WriteTransaction,
    height: u64,
    next: &ValidatorSet,
) -> Result<(), StoreError> {
    let json = serde_json::to_vec(next).map_err(|error| StoreError::value("validators", error))?;
    let mut validators = write.open_table(tables::VALIDATORS)?;
    let newest = match validators.last()? {
        Some((_, stored)) => stored.value() == json.as_slice(),
        None => false,
    };
    if !newest {
        validators.insert(height.saturating_add(1), json.as_slice())?;
    }
    Ok(())
}

/// Proposals at or below a committed height have served their purpose.
fn prune_bodies(write: &WriteTransaction, height: u64) -> Result<(), StoreError> {
    let end = [u8::MAX; 32];
    write.open_table(tables::BODIES)?.retain_in(..=(height, &end), |_, _| false)?;
    Ok(())
}
