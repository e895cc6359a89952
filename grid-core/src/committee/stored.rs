//! The client in the main chain's state: beside the header tree a handful of values, each written
//! only when it changed.

use alloy_primitives::B256;

use super::{
    CommitteeClient,
    anchors::Anchors,
    error::StoredError,
    finality::Finality,
    pending::Pending,
    prover::{CommitteeParams, Prover},
};
use crate::{
    ChainKey,
    ethereum::sync::{KeyCache, Parts},
    header_tree::{HeaderTree, TreeKind, TreeMeta},
};

/// Version, flags, start and checkpoint; the range of pending headers follows.
const META: u8 = 0;
/// The wanted hashes.
const ANCHORS: u8 = 1;
/// The evidence of a conflict.
const CONFLICT: u8 = 2;
/// The light client's head.
const HEAD: u8 = 3;
/// The last period's committee; the current and the next one follow.
const COMMITTEES: [u8; 3] = [4, 5, 6];
/// A remembered proof, by slot or height.
const PROOF: u8 = 7;
/// A chunk of pending headers, by number.
const PENDING: u8 = 8;

const VERSION: u8 = 1;
const META_BYTES: usize = 2 + 2 * 32;
const STARTED: u8 = 1;
const PROVEN: u8 = 2;
const MAY_LEAVE: u8 = 4;

/// The name of a value among a client's: a kind, and a number for those of which there are several.
fn name(kind: u8, number: Option<u64>) -> Vec<u8> {
    let mut name = vec![kind];
    name.extend(number.into_iter().flat_map(u64::to_be_bytes));
    name
}

/// A value by its name; `None` for one that is to be removed.
type Value = (Vec<u8>, Option<Vec<u8>>);

/// Reads a value by its name.
pub(super) type Read<'a, E> = dyn FnMut(&[u8]) -> Result<Option<Vec<u8>>, E> + 'a;

impl CommitteeClient {
    /// The values beside the header tree, by name. `read` gives
    /// what is stored, to tell which proofs are not remembered any more.
    ///
    /// # Errors
    /// What `read` fails with.
    pub(crate) fn values<E>(&mut self, read: &mut Read<'_, E>) -> Result<Vec<Value>, E> {
        let Finality { prover, anchors, conflict, .. } = &self.finality;
        let (start, checkpoint) = prover.trusted();
        let parts = prover.to_parts();
        let flags = [
            (STARTED, parts.is_some()),
            (PROVEN, self.finality.proven),
            (MAY_LEAVE, self.finality.may_leave),
        ];
        let flags = flags.iter().filter(|(_, set)| *set).fold(0, |all, (flag, _)| all | flag);
        let mut meta = vec![VERSION, flags];
        meta.extend([start, checkpoint].into_iter().flatten());
        meta.extend(self.pending.encode_range());
        let mut values = vec![
            (name(META, None), Some(meta)),
            (name(ANCHORS, None), filled(anchors.encode())),
            (name(CONFLICT, None), conflict.as_ref().map(|conflict| prover.encode(conflict))),
        ];
        if let Some(parts) = parts {
            let stored = read(&name(HEAD, None))?.unwrap_or_default();
            let kept = |slot: &u64| parts.proofs.iter().any(|(other, _)| other == slot);
            let slots = prover.proofs(&stored).unwrap_or_default();
            let gone = slots.into_iter().filter(|slot| !kept(slot));
            values.extend(gone.map(|slot| (name(PROOF, Some(slot)), None)));
            values.push((name(HEAD, None), Some(parts.head)));
            let committees = COMMITTEES.into_iter().zip(parts.committees);
            values.extend(committees.map(|(kind, bytes)| (name(kind, None), filled(bytes))));
            let proofs = parts.proofs.into_iter();
            values.extend(proofs.map(|(slot, proof)| (name(PROOF, Some(slot)), Some(proof))));
        }
        let chunks = self.pending.dirty_chunks().into_iter();
        values.extend(chunks.map(|(chunk, bytes)| (name(PENDING, Some(chunk)), bytes)));
        Ok(values)
    }

    /// Reads a client back.
    ///
    /// # Errors
    /// [`StoredError`] where a value is missing or malformed, or what `read` fails with.
    pub(crate) fn load<E: From<StoredError>>(
        chain: ChainKey,
        params: CommitteeParams<'_>,
        tree: (&TreeMeta, Vec<(u64, Vec<u8>)>),
        read: &mut Read<'_, E>,
    ) -> Result<Self, E> {
        let (meta, chunks) = tree;
        let tree = HeaderTree::from_chunks(TreeKind::Ethereum { chain }, meta, chunks)
            .map_err(StoredError::from)?;
        let meta = read(&name(META, None))?.unwrap_or_default();
        let (flags, start, checkpoint, range) =
            decode_meta(&meta).ok_or(StoredError::Part("light client record"))?;
        let started = flags & STARTED != 0;
        let mut finality = Finality::new(Prover::load(params, (start, checkpoint), started, read)?);
        (finality.proven, finality.may_leave) = (flags & PROVEN != 0, flags & MAY_LEAVE != 0);
        finality.anchors = Anchors::decode(&read(&name(ANCHORS, None))?.unwrap_or_default())?;
        if let Some(bytes) = read(&name(CONFLICT, None))? {
            finality.conflict = Some(finality.prover.decode(&bytes)?);
        }
        let pending = Pending::decode(range, |chunk| read(&name(PENDING, Some(chunk))))?;
        Ok(Self { chain, finality, pending, tree, keys: KeyCache::new() })
    }
}

/// An empty value is not stored.
fn filled(bytes: Vec<u8>) -> Option<Vec<u8>> {
    (!bytes.is_empty()).then_some(bytes)
}

/// Reads the parts of a prover; `proofs` tells the numbers of the proofs that belong to a head.
pub(super) fn read_parts<E: From<StoredError>>(
    proofs: impl FnOnce(&[u8]) -> Result<Vec<u64>, StoredError>,
    read: &mut Read<'_, E>,
) -> Result<Parts, E> {
    let head = read(&name(HEAD, None))?.unwrap_or_default();
    let mut parts = Parts { head, ..Parts::default() };
    for (kind, committee) in COMMITTEES.into_iter().zip(&mut parts.committees) {
        *committee = read(&name(kind, None))?.unwrap_or_default();
    }
    for slot in proofs(&parts.head)? {
        let proof = read(&name(PROOF, Some(slot)))?.ok_or(StoredError::Part("proof"))?;
        parts.proofs.push((slot, proof));
    }
    Ok(parts)
}

/// Flags, start, checkpoint, and the range of pending headers.
fn decode_meta(bytes: &[u8]) -> Option<(u8, B256, B256, &[u8])> {
    let (fixed, range) = bytes.split_first_chunk::<META_BYTES>()?;
    let ([version, flags], hashes) = fixed.split_first_chunk::<2>()?;
    let ([start, checkpoint], []) = hashes.as_chunks::<32>() else { return None };
    (*version == VERSION).then_some((*flags, start.into(), checkpoint.into(), range))
}
