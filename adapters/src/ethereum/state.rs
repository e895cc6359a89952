//! Accounts, storage slots and code by `eth_getProof` and `eth_getCode`, checked under the state root before use.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes};
use grid_core::{
    CompatHeader,
    ethereum::mpt,
    proof::ethereum::{EthereumEvidence, EthereumFact},
};
use serde::Deserialize;
use serde_json::json;

use super::EthereumSource;
use crate::{AdapterError, RpcError, rpc::Call};

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

/// What is asked of the state: slots by account, and the accounts whose code is wanted.
#[derive(Debug, Default)]
pub(super) struct StateQuery {
    slots: BTreeMap<Address, BTreeSet<B256>>,
    codes: BTreeSet<Address>,
}

impl StateQuery {
    pub(super) fn of(facts: &[EthereumFact]) -> Self {
        let mut query = Self::default();
        for fact in facts {
            match *fact {
                EthereumFact::Account { address } => {
                    query.slots.entry(address).or_default();
                }
                EthereumFact::Code { address, bytes } => {
                    query.slots.entry(address).or_default();
                    if bytes {
                        query.codes.insert(address);
                    }
                }
                EthereumFact::Storage { address, slot } => {
                    query.slots.entry(address).or_default().insert(slot);
                }
                _ => {}
            }
        }
        query
    }
}

impl EthereumSource {
    /// One call for each account, with all of its slots.
    pub(super) async fn state_evidence(
        &self,
        query: StateQuery,
        header: &CompatHeader,
        evidence: &mut EthereumEvidence,
    ) -> Result<(), AdapterError> {
        if query.slots.is_empty() {
            return Ok(());
        }
        self.require_depth(header.height).await?;
        let height = format!("{:#x}", header.height);
        let calls: Vec<Call> = query
            .slots
            .iter()
            .map(|(address, slots)| ("eth_getProof", json!([address, slots, height])))
            .collect();
        let answers = self.rpc.batch_as::<Option<StateProof>>(&calls).await?;
        for (answer, (address, slots)) in answers.into_iter().zip(&query.slots) {
            let proof = self.answered(answer, "state", *address, header)?;
            let nodes = mpt::normalize(proof.account_proof);
            let account = mpt::verify_account(header.stateRoot, *address, &nodes)
                .map_err(|error| self.unproven(header, &error))?;
            evidence.nodes.extend(nodes);
            if proof.storage_proof.len() != slots.len() {
                let found = proof.storage_proof.len();
                let reason = format!("expected the proofs of {} slots, got {found}", slots.len());
                return Err(self.bad_answer("eth_getProof", reason));
            }
            // Nodes answer with anything for the slots of an account that does not exist.
            for SlotProof { proof } in proof.storage_proof {
                evidence.nodes.extend(account.map(|_| mpt::normalize(proof)).unwrap_or_default());
            }
        }
        let calls: Vec<Call> =
            query.codes.iter().map(|address| ("eth_getCode", json!([address, height]))).collect();
        let answers = self.rpc.batch_as::<Option<Bytes>>(&calls).await?;
        for (answer, address) in answers.into_iter().zip(&query.codes) {
            let code = self.answered(answer, "code", *address, header)?;
            evidence.codes.insert(*address, code);
        }
        Ok(())
    }

    /// The header of the block that is meant: the followed head, or the canonical block at a height.
    pub(super) async fn state_header(
        &self,
        block: Option<u64>,
    ) -> Result<CompatHeader, AdapterError> {
        let Some(height) = block else { return Ok(self.head().await?.compat) };
        match self.by_number(height).await? {
            Some((_, header)) => Ok(header.compat),
            None => Err(self.not_found(format!("block {height}"), "; it is above the node's tip")),
        }
    }

    fn answered<T>(
        &self,
        answer: Result<Option<T>, RpcError>,
        part: &str,
        address: Address,
        header: &CompatHeader,
    ) -> Result<T, AdapterError> {
        let what = || format!("the {part} of {address} at block {}", header.height);
        match answer {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(self.not_found(what(), "")),
            Err(error @ RpcError::Server { .. }) => Err(self.absent(what(), error)),
            Err(error) => Err(error.into()),
        }
    }

    /// The node's proof does not lead to the header's state root: the block was replaced between two
    /// questions, or the node is wrong (anvil is, for its block 0).
    pub(super) fn unproven(&self, header: &CompatHeader, error: &mpt::MptError) -> AdapterError {
        AdapterError::Unproven {
            endpoint: self.rpc.endpoint().into(),
            height: header.height,
            root: header.stateRoot.to_string(),
            reason: error.to_string(),
        }
    }
}
