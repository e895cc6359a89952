//! A client in several values, of which an update changes few: how the main chain's state has it. Its
//! committees, most of its bytes, change once a period.

use super::{
    bls::KeyCache,
    client::SyncClient,
    error::DecodeError,
    memory::Memory,
    network::NetworkConfig,
    policy::Policy,
    ssz::{self, GLOAS_HEADER, Part},
    store::{STORE_HEAD, Store},
    wire::Format,
};

/// First byte of the head.
const VERSION: u8 = 1;

/// All values of a client that took finality only: a best update that is not final is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Headers, counters, the slots of `proofs`, and the proof of the next committee.
    pub(crate) head: Vec<u8>,
    /// The last period's committee, the current and the next one; empty where not known.
    pub(crate) committees: [Vec<u8>; 3],
    /// The remembered proofs, by finalized slot.
    pub(crate) proofs: Vec<(u64, Vec<u8>)>,
}

impl Parts {
    /// The slots of the proofs that belong to a head.
    pub(crate) fn slots(head: &[u8]) -> Result<Vec<u64>, DecodeError> {
        cut(head).map(|[_, _, _, slots, _]| slots.chunks(8).map(ssz::number).collect())
    }
}

/// Version, exported header, store without its committees, slots, proof of the next committee.
fn cut(head: &[u8]) -> Result<[&[u8]; 5], DecodeError> {
    let refused = || DecodeError::Ssz { what: "stored light client", reason: "its head".into() };
    let (fixed, rest) = head.split_at_checked(FIXED).ok_or_else(refused)?;
    let parts =
        [Part::Fixed(1), Part::Fixed(GLOAS_HEADER), Part::Fixed(STORE_HEAD), Part::Fixed(1)];
    let [version, exported, store, count] = ssz::container("stored light client", fixed, parts)?;
    let slots = count.first().map_or(0, |count| usize::from(*count).saturating_mul(8));
    let (slots, taught) = rest.split_at_checked(slots).ok_or_else(refused)?;
    if version == [VERSION] {
        Ok([version, exported, store, slots, taught])
    } else {
        Err(refused())
    }
}

const FIXED: usize = 1 + GLOAS_HEADER + STORE_HEAD + 1;

impl SyncClient {
    /// The client in parts.
    pub(crate) fn to_parts(&self) -> Parts {
        let [proofs, taught, previous] = self.memory.encode();
        let proofs: Vec<(u64, Vec<u8>)> = proofs
            .chunks(ssz::gloas_finality_update_bytes(&self.network))
            // The attested header comes first; a header starts with its slot.
            .map(|proof| (ssz::number(slice(proof, GLOAS_HEADER, 8)), proof.to_vec()))
            .collect();
        let store = self.store.encode(&self.network);
        let committee = ssz::committee_bytes(&self.network);
        let mut head = vec![VERSION];
        ssz::write::header(&mut head, &self.exported);
        head.extend(slice(&store, 0, 2));
        head.push(0);
        head.extend(slice(&store, 3, STORE_HEAD.saturating_sub(3)));
        head.push(u8::try_from(proofs.len()).unwrap_or(u8::MAX));
        proofs.iter().for_each(|(slot, _)| head.extend(slot.to_le_bytes()));
        head.extend(taught);
        let next = self.store.next_sync_committee().map_or(0, |_| committee);
        let after = STORE_HEAD.saturating_add(committee);
        let current = slice(&store, STORE_HEAD, committee).to_vec();
        let next = slice(&store, after, next).to_vec();
        Parts { head, committees: [previous, current, next], proofs }
    }

    /// The client of [`Self::to_parts`].
    ///
    /// # Errors
    /// [`DecodeError`] where the parts are not those of one client.
    pub(crate) fn from_parts(
        network: NetworkConfig,
        policy: Policy,
        parts: &Parts,
    ) -> Result<Self, DecodeError> {
        let [_, exported, store, _, taught] = cut(&parts.head)?;
        let [previous, current, next] = &parts.committees;
        let proofs: Vec<u8> = parts.proofs.iter().flat_map(|(_, proof)| proof).copied().collect();
        Ok(Self {
            store: Store::decode(&network, &[store, current, next].concat())?,
            keys: KeyCache::new(),
            exported: ssz::header(&network, Format::Gloas, exported)?,
            memory: Memory::decode(&network, [&proofs, taught, previous])?,
            conflict: None,
            network,
            policy,
        })
    }
}

fn slice(bytes: &[u8], from: usize, len: usize) -> &[u8] {
    bytes.get(from..from.saturating_add(len)).unwrap_or_default()
}
