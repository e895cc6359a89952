//! Why light-client data is refused. Each variant is one rule.

use alloy_primitives::B256;
use thiserror::Error;

use super::conflict::Premise;

/// Why bytes or text are not light-client data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More than an object of any fork has.
    #[error("light-client object has {found} bytes, at most {most} are taken")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// The most that are taken.
        most: usize,
    },
    /// Not the SSZ of the object in this format and preset.
    #[error("not the SSZ encoding of {what}: {reason}")]
    Ssz {
        /// The object.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// Not the JSON of the object.
    #[error("not the beacon API's JSON of {what}: {reason}")]
    Json {
        /// The object.
        what: &'static str,
        /// What the decoder says.
        reason: String,
    },
    /// The first byte of [`super::SyncData`] names no object.
    #[error(
        "light-client data starts with {}; expected 0 for a bootstrap, 1 for an update, 2 for a finality update",
        .0.map_or_else(|| "nothing".to_owned(), |kind| kind.to_string())
    )]
    Kind(Option<u8>),
    /// A version that no fork has.
    #[error(
        "unknown data version {0:?}; known are altair, bellatrix, capella, deneb, electra, fulu, gloas"
    )]
    Version(String),
    /// A list of another length than the format or the preset has.
    #[error("{what} has {found} elements, expected {expected}")]
    Length {
        /// The list.
        what: &'static str,
        /// Elements found.
        found: usize,
        /// Elements expected.
        expected: usize,
    },
    /// A field that the header's fork does not have is not zero.
    // {capella,deneb}/sync-protocol.md: is_valid_light_client_header
    #[error("header of slot {slot} has {what}, which its fork does not know")]
    ForeignField {
        /// The header's slot.
        slot: u64,
        /// The field.
        what: &'static str,
    },
}

/// Why a bootstrap or an update is refused, or the client does not go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The bootstrap is for another block.
    #[error("bootstrap header has root {found}, trusted is {trusted}")]
    UntrustedBootstrap {
        /// Root of the bootstrap's header.
        found: B256,
        /// The trusted root.
        trusted: B256,
    },
    /// The bootstrap's committee is not the one in the header's state.
    #[error("the bootstrap's committee branch does not lead to the state root of its header")]
    CommitteeBranch,
    /// Nobody signed.
    #[error("no member of the sync committee signed")]
    NoParticipants,
    /// A header's execution block is not in its body.
    #[error("execution branch of the {which} header (slot {slot}) does not lead to its body root")]
    ExecutionBranch {
        /// Which header.
        which: &'static str,
        /// Its slot.
        slot: u64,
    },
    /// Slots are not in the order of the protocol.
    #[error(
        "slots must satisfy now {now} >= signature {signature} > attested {attested} >= finalized {finalized}"
    )]
    SlotOrder {
        /// The current slot.
        now: u64,
        /// The signature's slot.
        signature: u64,
        /// The attested header's slot.
        attested: u64,
        /// The finalized header's slot.
        finalized: u64,
    },
    /// The signature is from a period whose committee is not known.
    #[error(
        "update is signed in period {signature}, the store is in {store} and {} its next committee; fetch the update of period {store}",
        if *next_known { "knows" } else { "does not know" }
    )]
    PeriodSkipped {
        /// Period of the signature.
        signature: u64,
        /// Period of the store's finalized header.
        store: u64,
        /// Whether the store knows its next committee.
        next_known: bool,
    },
    /// Nothing new.
    #[error(
        "update attests slot {attested}, which is not newer than the finalized slot {finalized}, and teaches no committee"
    )]
    Irrelevant {
        /// The attested header's slot.
        attested: u64,
        /// The store's finalized slot.
        finalized: u64,
    },
    /// A finalized header without its proof, or one for genesis.
    #[error(
        "a finalized header (slot {0}) without a finality branch, or of genesis, must be empty"
    )]
    UnexpectedFinalizedHeader(u64),
    /// The finalized header is not the one in the attested state.
    #[error("finality branch of slot {0} does not lead to the attested state root")]
    FinalityBranch(u64),
    /// A next committee without its proof, or the proof without it.
    #[error("the next sync committee must come with its branch, and the branch with it")]
    UnexpectedCommittee,
    /// The next committee is not the one in the attested state.
    #[error("next committee's branch does not lead to the attested state root")]
    NextCommitteeBranch,
    /// The next committee differs from the known one of the same period.
    #[error("next committee of period {0} is not the one that is already known")]
    NextCommitteeMismatch(u64),
    /// The aggregate's bits do not fit the committee.
    #[error("aggregate has {bits} bits for a committee of {members}")]
    BitCount {
        /// Bits found.
        bits: usize,
        /// Members of the committee.
        members: usize,
    },
    /// A participant's key is not a point of the group.
    #[error("public key of committee member {0} is not valid")]
    PublicKey(usize),
    /// The signature is not a point of the group, or infinity.
    #[error("the aggregate signature is not a valid point")]
    SignatureEncoding,
    /// The signature is not by the participants over this header.
    #[error(
        "the aggregate signature of slot {slot} is not by its {participants} participants, or is for another network or fork"
    )]
    Signature {
        /// The signature's slot.
        slot: u64,
        /// Participants.
        participants: usize,
    },
    /// The trusted or stored header is too old to be safe. Policy `max_checkpoint_age`.
    #[error(
        "header of slot {slot} is {age} s old, at most {most} s are safe; give a newer checkpoint from a source you trust"
    )]
    StaleCheckpoint {
        /// Its slot.
        slot: u64,
        /// Its age in seconds.
        age: u64,
        /// The greatest age.
        most: u64,
    },
    /// The clock is behind the chain. Policy `check_clock`.
    #[error("the clock says slot {now}, before the finalized slot {finalized}; set the clock")]
    ClockBehind {
        /// Slot by the clock.
        now: u64,
        /// The finalized slot.
        finalized: u64,
    },
    /// A period change that would lose the next committee. Policy `require_next_committee`.
    #[error("update enters period {0} without the committee after it; fetch the full update")]
    RotationWithoutNext(u64),
    /// Force updates are off. Policy `allow_force_update`.
    #[error("force updates are off; set allow_force_update to leave the chain's finality")]
    ForceUpdateOff,
    /// Two finalities exclude each other. Policy `freeze_on_conflict`.
    #[error(
        "finality conflicts at slot {slot}: {known} is known, {other} is signed as well; frozen"
    )]
    Conflict {
        /// The slot.
        slot: u64,
        /// What is known.
        known: B256,
        /// What the other update proves.
        other: B256,
    },
    /// Evidence, or a stored proof, that fewer than two thirds signed.
    #[error("{participants} of {members} members signed, two thirds are needed")]
    FewParticipants {
        /// Members that signed.
        participants: usize,
        /// Members of the committee.
        members: usize,
    },
    /// Evidence whose parts are not about one thing, agree, or come with other committees.
    #[error("the two updates of the evidence do not contradict each other")]
    NoConflict,
    /// Evidence that rests on something its reader does not know.
    #[error("the evidence rests on {0:?}, which is not known here")]
    Premise(Premise),
    /// A stored client whose parts do not prove each other.
    #[error("the stored light client is not the one that was stored: {0}; delete its file")]
    Stored(&'static str),
    /// An update before any bootstrap, or a bootstrap that nobody said to trust.
    #[error(
        "nothing to start from yet; give the bootstrap first, and the block root that you trust"
    )]
    NotStarted,
    /// The optimistic header is not exported. Policy `export_optimistic`.
    #[error("optimistic headers may be reorganised; set export_optimistic to use them")]
    OptimisticOff,
}

impl SyncError {
    /// Whether the same data may be accepted later, or by a client that has caught up.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::SlotOrder { .. } | Self::PeriodSkipped { .. } | Self::ClockBehind { .. }
        )
    }
}
