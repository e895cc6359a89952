//! Accounts and storage slots by `eth_getProof`, checked against the state root before use.

use alloy_primitives::{Address, B256, Bytes};
use grid_core::{CompatHeader, ethereum::mpt, proof::Inclusion};
use serde::Deserialize;
use serde_json::json;

use super::EthereumSource;
use crate::{AdapterError, Material, RpcError};

/// The nodes in an answer of `eth_getProof`; its values are not believed, so not read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StateProof {
    account_proof: Vec<Bytes>,
    #[serde(default)]
    storage_proof: Vec<SlotProof>,
}

#[derive(Debug, Deserialize)]
struct SlotProof {
    proof: Vec<Bytes>,
}

impl EthereumSource {
    pub(super) async fn account(
        &self,
        address: Address,
        block: Option<u64>,
    ) -> Result<Material, AdapterError> {
        let header = self.state_header(block).await?;
        let proof = self.state_proof(address, &[], &header).await?;
        let nodes = mpt::normalize(proof.account_proof);
        mpt::verify_account(header.stateRoot, address, &nodes)
            .map_err(|error| self.unproven(&header, &error))?;
        Ok(Material { header, inclusion: Inclusion::Account { address, nodes } })
    }

    pub(super) async fn storage(
        &self,
        address: Address,
        slot: B256,
        block: Option<u64>,
    ) -> Result<Material, AdapterError> {
        let header = self.state_header(block).await?;
        let proof = self.state_proof(address, &[slot], &header).await?;
        let [SlotProof { proof: storage_nodes }] = <[SlotProof; 1]>::try_from(proof.storage_proof)
            .map_err(|all| {
                let reason = format!("expected the proof of one slot, got {}", all.len());
                self.bad_answer("eth_getProof", reason)
            })?;
        let account_nodes = mpt::normalize(proof.account_proof);
        let storage_nodes = mpt::normalize(storage_nodes);
        let unproven = |error| self.unproven(&header, &error);
        let account = mpt::verify_account(header.stateRoot, address, &account_nodes)
            .map_err(unproven)?
            .ok_or_else(|| {
                let what = format!("an account {address} at block {}", header.height);
                self.not_found(what, "; prove its absence as an account")
            })?;
        mpt::verify_storage(account.storage_root, slot, &storage_nodes).map_err(unproven)?;
        let inclusion = Inclusion::Storage { address, account_nodes, slot, storage_nodes };
        Ok(Material { header, inclusion })
    }

    /// The header whose state is meant: the followed head, or the canonical block at a height.
    async fn state_header(&self, block: Option<u64>) -> Result<CompatHeader, AdapterError> {
        let Some(height) = block else { return Ok(self.head().await?.compat) };
        match self.by_number(height).await? {
            Some((_, header)) => Ok(header.compat),
            None => Err(self.not_found(format!("block {height}"), "; it is above the node's tip")),
        }
    }

    async fn state_proof(
        &self,
        address: Address,
        slots: &[B256],
        header: &CompatHeader,
    ) -> Result<StateProof, AdapterError> {
        let height = header.height;
        self.require_depth(height).await?;
        let what = || format!("the state of {address} at block {height}");
        let params = json!([address, slots, format!("{height:#x}")]);
        match self.rpc.call_as::<Option<StateProof>>("eth_getProof", params).await {
            Ok(Some(proof)) => Ok(proof),
            Ok(None) => Err(self.not_found(what(), "")),
            Err(error @ RpcError::Server { .. }) => Err(self.absent(what(), error)),
            Err(error) => Err(error.into()),
        }
    }

    /// The node's proof does not lead to the header's state root: the block was replaced between two
    /// questions, or the node is wrong (anvil is, for its block 0).
    fn unproven(&self, header: &CompatHeader, error: &mpt::MptError) -> AdapterError {
        AdapterError::Unproven {
            endpoint: self.rpc.endpoint().into(),
            height: header.height,
            root: header.stateRoot.to_string(),
            reason: error.to_string(),
        }
    }
}
