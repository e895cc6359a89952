//! JSON of the beacon API.

use alloy_primitives::{B256, Bytes, FixedBytes, U256};
use serde::{Deserialize, de};
use serde_json::Value;

use super::{
    error::DecodeError,
    merkle,
    network::NetworkConfig,
    payload::{ExecutionPayloadHeader, MAX_EXTRA_DATA_BYTES},
    types::{
        BeaconBlockHeader, Bootstrap, FinalityUpdate, LightClientHeader, OptimisticUpdate,
        PublicKeyBytes, SyncAggregate, SyncCommittee, Update,
    },
    wire::{self, Execution, Format},
};

/// The most bytes of one object's JSON. An update of mainnet has 58,000.
pub const MAX_JSON_BYTES: usize = 256 * 1024;

/// Numbers as the API writes them: decimal, in quotes. Plain numbers are read as well.
pub(super) mod quoted {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number<'a> {
        Plain(u64),
        #[serde(borrow)]
        Quoted(std::borrow::Cow<'a, str>),
    }

    pub(in super::super) fn serialize<S: Serializer>(
        number: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u64, D::Error> {
        match Number::deserialize(deserializer)? {
            Number::Plain(number) => Ok(number),
            Number::Quoted(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

/// A 256-bit number, decimal, in quotes or plain.
pub(super) fn quoted_u256<'de, D: de::Deserializer<'de>>(
    deserializer: D,
) -> Result<U256, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        _ => return Err(de::Error::custom("expected a decimal number")),
    };
    U256::from_str_radix(&text, 10).map_err(de::Error::custom)
}

#[derive(Deserialize)]
struct JsonHeader {
    beacon: BeaconBlockHeader,
    execution: Option<ExecutionPayloadHeader>,
    execution_block_hash: Option<B256>,
    #[serde(default)]
    execution_branch: Vec<B256>,
}

#[derive(Deserialize)]
struct JsonCommittee {
    pubkeys: Vec<PublicKeyBytes>,
    aggregate_pubkey: PublicKeyBytes,
}

#[derive(Deserialize)]
struct JsonAggregate {
    sync_committee_bits: Bytes,
    sync_committee_signature: FixedBytes<96>,
}

#[derive(Deserialize)]
struct JsonBootstrap {
    header: JsonHeader,
    current_sync_committee: JsonCommittee,
    current_sync_committee_branch: Vec<B256>,
}

/// An update of any of the three kinds; what a kind does not have is `None`.
#[derive(Deserialize)]
struct JsonUpdate {
    attested_header: JsonHeader,
    next_sync_committee: Option<JsonCommittee>,
    next_sync_committee_branch: Option<Vec<B256>>,
    finalized_header: Option<JsonHeader>,
    finality_branch: Option<Vec<B256>>,
    sync_aggregate: JsonAggregate,
    #[serde(with = "quoted")]
    signature_slot: u64,
}

/// Reads `{"version": …, "data": …}`: the format, and the object as it stands.
///
/// # Errors
/// [`DecodeError`] where it is too large, no JSON, or of an unknown version.
pub fn envelope(text: &[u8]) -> Result<(Format, Value), DecodeError> {
    #[derive(Deserialize)]
    struct Envelope {
        version: String,
        data: Value,
    }
    if text.len() > MAX_JSON_BYTES {
        return Err(DecodeError::TooLarge { found: text.len(), most: MAX_JSON_BYTES });
    }
    let envelope: Envelope = serde_json::from_slice(text).map_err(json("the answer"))?;
    Ok((Format::by_version(&envelope.version)?, envelope.data))
}

/// Decodes a bootstrap.
///
/// # Errors
/// [`DecodeError`] naming what does not fit the format or the preset.
pub fn bootstrap(
    network: &NetworkConfig,
    format: Format,
    value: &Value,
) -> Result<Bootstrap, DecodeError> {
    let raw = JsonBootstrap::deserialize(value).map_err(json("bootstrap"))?;
    let current_sync_committee = committee(network, raw.current_sync_committee)?;
    Ok(Bootstrap {
        header: header(network, format, raw.header)?,
        current_sync_committee,
        current_sync_committee_branch: branch(
            "current sync committee branch",
            &raw.current_sync_committee_branch,
            format.committee_depth(),
        )?,
    })
}

/// Decodes an update with its committee.
///
/// # Errors
/// [`DecodeError`] naming what does not fit the format or the preset.
pub fn update(
    network: &NetworkConfig,
    format: Format,
    value: &Value,
) -> Result<Update, DecodeError> {
    let what = "update";
    let raw = JsonUpdate::deserialize(value).map_err(json(what))?;
    let next = raw.next_sync_committee.ok_or_else(|| missing(what, "next_sync_committee"))?;
    let next_branch = raw
        .next_sync_committee_branch
        .ok_or_else(|| missing(what, "next_sync_committee_branch"))?;
    let finalized = raw.finalized_header.ok_or_else(|| missing(what, "finalized_header"))?;
    let finality = raw.finality_branch.ok_or_else(|| missing(what, "finality_branch"))?;
    let next = committee(network, next)?;
    Ok(Update {
        attested_header: header(network, format, raw.attested_header)?,
        next_sync_committee: (!next.is_default()).then_some(next),
        next_sync_committee_branch: branch(
            "next sync committee branch",
            &next_branch,
            format.committee_depth(),
        )?,
        finalized_header: header(network, format, finalized)?,
        finality_branch: branch("finality branch", &finality, format.finality_depth())?,
        sync_aggregate: aggregate(network, &raw.sync_aggregate)?,
        signature_slot: raw.signature_slot,
    })
}

/// Decodes a finality update.
///
/// # Errors
/// [`DecodeError`] naming what does not fit the format or the preset.
pub fn finality_update(
    network: &NetworkConfig,
    format: Format,
    value: &Value,
) -> Result<FinalityUpdate, DecodeError> {
    let what = "finality update";
    let raw = JsonUpdate::deserialize(value).map_err(json(what))?;
    let finalized = raw.finalized_header.ok_or_else(|| missing(what, "finalized_header"))?;
    let finality = raw.finality_branch.ok_or_else(|| missing(what, "finality_branch"))?;
    Ok(FinalityUpdate {
        attested_header: header(network, format, raw.attested_header)?,
        finalized_header: header(network, format, finalized)?,
        finality_branch: branch("finality branch", &finality, format.finality_depth())?,
        sync_aggregate: aggregate(network, &raw.sync_aggregate)?,
        signature_slot: raw.signature_slot,
    })
}

/// Decodes an optimistic update.
///
/// # Errors
/// [`DecodeError`] naming what does not fit the format or the preset.
pub fn optimistic_update(
    network: &NetworkConfig,
    format: Format,
    value: &Value,
) -> Result<OptimisticUpdate, DecodeError> {
    let raw = JsonUpdate::deserialize(value).map_err(json("optimistic update"))?;
    Ok(OptimisticUpdate {
        attested_header: header(network, format, raw.attested_header)?,
        sync_aggregate: aggregate(network, &raw.sync_aggregate)?,
        signature_slot: raw.signature_slot,
    })
}

fn json(what: &'static str) -> impl Fn(serde_json::Error) -> DecodeError {
    move |error| DecodeError::Json { what, reason: error.to_string() }
}

fn missing(what: &'static str, field: &str) -> DecodeError {
    DecodeError::Json { what, reason: format!("missing field {field}") }
}

fn header(
    network: &NetworkConfig,
    format: Format,
    raw: JsonHeader,
) -> Result<LightClientHeader, DecodeError> {
    let (found, expected) = (raw.execution_branch.len(), format.execution_depth());
    if found != expected {
        return Err(DecodeError::Length { what: "execution branch", found, expected });
    }
    let execution = match format {
        Format::Altair => Execution::None,
        Format::Gloas => {
            let hash = raw
                .execution_block_hash
                .ok_or_else(|| missing("header", "execution_block_hash"))?;
            let branch = branch("execution branch", &raw.execution_branch, expected)?;
            Execution::BlockHash(hash, Box::new(branch))
        }
        Format::Capella | Format::Deneb | Format::Electra => {
            let payload = raw.execution.ok_or_else(|| missing("header", "execution"))?;
            let found = payload.extra_data.len();
            if found > MAX_EXTRA_DATA_BYTES {
                let expected = MAX_EXTRA_DATA_BYTES;
                return Err(DecodeError::Length { what: "extra data", found, expected });
            }
            Execution::Payload(Box::new(payload), raw.execution_branch)
        }
    };
    wire::header(network, raw.beacon, execution)
}

fn committee(network: &NetworkConfig, raw: JsonCommittee) -> Result<SyncCommittee, DecodeError> {
    let (found, expected) = (raw.pubkeys.len(), network.preset.committee_size);
    if found != expected {
        return Err(DecodeError::Length { what: "sync committee", found, expected });
    }
    Ok(SyncCommittee { pubkeys: raw.pubkeys, aggregate_pubkey: raw.aggregate_pubkey })
}

fn aggregate(network: &NetworkConfig, raw: &JsonAggregate) -> Result<SyncAggregate, DecodeError> {
    let (found, expected) = (raw.sync_committee_bits.len(), network.preset.committee_size / 8);
    if found != expected {
        return Err(DecodeError::Length {
            what: "sync committee bits, in bytes,",
            found,
            expected,
        });
    }
    Ok(SyncAggregate {
        bits: raw.sync_committee_bits.to_vec(),
        signature: raw.sync_committee_signature,
    })
}

fn branch<const DEPTH: usize>(
    what: &'static str,
    nodes: &[B256],
    expected: usize,
) -> Result<[B256; DEPTH], DecodeError> {
    let found = nodes.len();
    let wrong = DecodeError::Length { what, found, expected };
    if found == expected { merkle::fill(nodes).ok_or(wrong) } else { Err(wrong) }
}
