//! A client in bytes: what is stored, and what the main chain has in its state.

use super::{
    bls::KeyCache,
    client::SyncClient,
    conflict::Conflict,
    error::{DecodeError, SyncError},
    memory::Memory,
    network::NetworkConfig,
    policy::Policy,
    ssz::{self, Part, write},
    store::{self, Store},
    types::Update,
    wire::Format,
};

/// First byte of a stored client.
const VERSION: u8 = 1;

impl SyncClient {
    /// Everything that must survive a restart: the store, the exported header, the proofs that are
    /// remembered, and the conflict that froze it. Network and policy are the operator's.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write::header(&mut out, &self.exported);
        let [proofs, taught, previous] = self.memory.encode();
        let conflict = self.conflict.as_ref().map(|conflict| conflict.encode(&self.network));
        let store = self.store.encode(&self.network);
        write::variable(&mut out, &[proofs, taught, previous, conflict.unwrap_or_default(), store]);
        out
    }

    /// Reads the bytes of [`Self::encode`]. Age and clock are for the caller to ask, who knows the time.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but bytes that encode the same again.
    pub fn decode(
        network: NetworkConfig,
        policy: Policy,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        let what = "light client";
        let parts = [
            Part::Fixed(1),
            Part::Fixed(ssz::GLOAS_HEADER),
            Part::Variable,
            Part::Variable,
            Part::Variable,
            Part::Variable,
            Part::Variable,
        ];
        let [version, exported, proofs, taught, previous, conflict, store] =
            ssz::container(what, bytes, parts)?;
        if version != [VERSION] {
            return Err(DecodeError::Ssz { what, reason: "unknown version".into() });
        }
        let conflict = match conflict {
            [] => None,
            _ => Some(Box::new(Conflict::decode(&network, conflict)?)),
        };
        Ok(Self {
            store: Store::decode(&network, store)?,
            keys: KeyCache::new(),
            exported: ssz::header(&network, Format::Gloas, exported)?,
            memory: Memory::decode(&network, [proofs, taught, previous])?,
            conflict,
            network,
            policy,
        })
    }

    /// Checks a decoded client as far as its parts prove each other: every remembered proof is signed
    /// by a committee of the store, the exported header and the next committee are what they prove.
    /// What came with the bootstrap, or was forced, is only as good as the place where it was stored.
    ///
    /// # Errors
    /// [`SyncError::Stored`], or the rule that a remembered proof breaks.
    pub fn verify_stored(&mut self) -> Result<(), SyncError> {
        let updates: Vec<Update> = self.memory.updates(self.store.next_sync_committee()).collect();
        for update in &updates {
            store::verify_proofs(&self.network, update)?;
            let period = self.network.preset.period(update.signature_slot);
            if let Some(committee) = self.committee_of(period).cloned() {
                store::verify_signature(&self.network, &committee, update, &mut self.keys)?;
            }
        }
        let headers = [&self.exported, self.store.finalized_header()];
        if !headers.iter().all(|header| header.is_valid(&self.network)) {
            return Err(SyncError::Stored("a header's execution block is not in its body"));
        }
        match self.memory.newest() {
            Some(proof) if proof.finalized_header != self.exported => {
                Err(SyncError::Stored("the exported header is not the last one that was proven"))
            }
            _ => Ok(()),
        }
    }
}
