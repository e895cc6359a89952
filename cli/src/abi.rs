//! Events in words: what a contract's ABI says about a log.
//!
//! Decoding is for people: a claim holds the log as it was emitted, and whoever gives another ABI reads it otherwise.

use std::{fs, path::Path};

use alloy_dyn_abi::{DynSolType, DynSolValue, EventExt as _, Specifier as _};
use alloy_json_abi::{Event, JsonAbi};
use alloy_primitives::{B256, hex};
use eyre::{Result, WrapErr as _, bail};
use grid_core::proof::{Claim, ProvenLog};
use serde::Serialize;

/// An ABI file larger than this is not read.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The events of a contract.
#[derive(Debug)]
pub(crate) struct Abi(Vec<Event>);

/// A log in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecodedEvent {
    /// `Transfer(address,address,uint256)`.
    pub(crate) event: String,
    /// Its parameters in their order.
    pub(crate) parameters: Vec<Parameter>,
}

/// A parameter of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parameter {
    name: String,
    r#type: String,
    /// Where it is true and the type is longer than 32 bytes may hold, the value is the hash of what was emitted.
    indexed: bool,
    value: String,
}

impl DecodedEvent {
    /// One line for the event, and one for each parameter.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let parameter = |Parameter { name, r#type, indexed, value }: &Parameter| {
            let indexed = if *indexed { " indexed" } else { "" };
            ("", format!("{}{indexed} {name} = {value}", r#type))
        };
        let head = [("event", self.event.clone())];
        head.into_iter().chain(self.parameters.iter().map(parameter)).collect()
    }
}

impl Abi {
    /// `event Transfer(address indexed from, …)`, or a file: a JSON ABI, or a compiler's output with one in `abi`.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.starts_with("event ") {
            let event = Event::parse(text).wrap_err_with(|| format!("{text:?} is not an event"))?;
            return Self::of(vec![event]);
        }
        let file = Path::new(text);
        let size = fs::metadata(file)
            .wrap_err_with(|| format!("{text:?} is neither an ABI file nor an event such as 'event Transfer(address indexed from, address indexed to, uint256 value)'"))?
            .len();
        if size > MAX_FILE {
            bail!("{text} has {size} bytes; an ABI has at most {MAX_FILE}");
        }
        let json = fs::read(file).wrap_err_with(|| format!("cannot read {text}"))?;
        Self::parse(&json).wrap_err_with(|| format!("{text} is not a contract's ABI in JSON"))
    }

    fn parse(json: &[u8]) -> Result<Self> {
        let mut json: serde_json::Value = serde_json::from_slice(json)?;
        if let Some(abi) = json.get_mut("abi") {
            json = abi.take();
        }
        let abi: JsonAbi = serde_json::from_value(json)?;
        Self::of(abi.events.into_values().flatten().collect())
    }

    /// Types must be known, so that a fault of the ABI does not look like one of a log.
    fn of(events: Vec<Event>) -> Result<Self> {
        if events.is_empty() {
            bail!("the ABI has no events");
        }
        for event in &events {
            let indexed = event.inputs.iter().filter(|input| input.indexed).count();
            if indexed > 3 + usize::from(event.anonymous) {
                bail!("event {} has {indexed} indexed parameters", event.signature());
            }
            event.resolve().wrap_err_with(|| format!("event {}", event.signature()))?;
        }
        Ok(Self(events))
    }

    /// The first topic of the only event.
    pub(crate) fn topic(&self) -> Result<B256> {
        match self.0.as_slice() {
            [event] if event.anonymous => bail!("an anonymous event has no topic of its own"),
            [event] => Ok(event.selector()),
            events => bail!("the ABI has {} events; name one as 'event …'", events.len()),
        }
    }

    /// The log in words. `None` where no event of the ABI begins with its first topic; the reason where one does and
    /// the log is not such an event all the same. Anonymous events have no topic to tell them by and are left out.
    pub(crate) fn decode(&self, log: &ProvenLog) -> Option<Result<DecodedEvent, String>> {
        let topic = log.topics.first()?;
        let named = |event: &&Event| !event.anonymous && event.selector() == *topic;
        let candidates: Vec<&Event> = self.0.iter().filter(named).collect();
        let mut outcomes = candidates.into_iter().map(|event| decode(event, log));
        let first = outcomes.next()?;
        Some(if first.is_ok() { first } else { outcomes.find(Result::is_ok).unwrap_or(first) })
    }
}

fn decode(event: &Event, log: &ProvenLog) -> Result<DecodedEvent, String> {
    let signature = event.signature();
    let refuse = |error: &dyn core::fmt::Display| format!("is not a {signature}: {error}");
    let found = event
        .decode_log_parts(log.topics.iter().copied(), &log.data)
        .map_err(|error| refuse(&error))?;
    let body = DynSolValue::Tuple(found.body.clone());
    if body.abi_encode_sequence().as_deref() != Some(&log.data) {
        return Err(refuse(&"its data is not the encoding of such parameters"));
    }
    let (mut indexed, mut body) = (found.indexed.into_iter(), found.body.into_iter());
    let mut parameters = Vec::with_capacity(event.inputs.len());
    for input in &event.inputs {
        let value = if input.indexed { indexed.next() } else { body.next() };
        let Some(value) = value else { return Err(refuse(&"it has too few values")) };
        let hashed = input.indexed && input.resolve().is_ok_and(|kind| !is_word(&kind));
        parameters.push(Parameter {
            name: input.name.clone(),
            r#type: input.ty.clone(),
            indexed: input.indexed,
            value: if hashed { format!("hash {}", show(&value)) } else { show(&value) },
        });
    }
    Ok(DecodedEvent { event: signature, parameters })
}

/// Whether a topic holds the value itself; of longer ones it holds the keccak256.
const fn is_word(kind: &DynSolType) -> bool {
    matches!(
        kind,
        DynSolType::Bool
            | DynSolType::Int(_)
            | DynSolType::Uint(_)
            | DynSolType::FixedBytes(_)
            | DynSolType::Address
            | DynSolType::Function
    )
}

fn show(value: &DynSolValue) -> String {
    let list = |values: &[DynSolValue], ends: [&str; 2]| {
        let values: Vec<String> = values.iter().map(show).collect();
        format!("{}{}{}", ends[0], values.join(", "), ends[1])
    };
    match value {
        DynSolValue::Bool(value) => value.to_string(),
        DynSolValue::Int(value, _) => value.to_string(),
        DynSolValue::Uint(value, _) => value.to_string(),
        DynSolValue::FixedBytes(word, size) => hex::encode_prefixed(&word[..(*size).min(32)]),
        DynSolValue::Address(address) => address.to_string(),
        DynSolValue::Function(function) => hex::encode_prefixed(function),
        DynSolValue::Bytes(bytes) => hex::encode_prefixed(bytes),
        // Escaped: a contract can emit control characters.
        DynSolValue::String(text) => format!("{text:?}"),
        DynSolValue::Array(values) | DynSolValue::FixedArray(values) => list(values, ["[", "]"]),
        DynSolValue::Tuple(values) => list(values, ["(", ")"]),
    }
}

/// All logs of a claim, in their order.
pub(crate) fn logs(claim: &Claim) -> Vec<&ProvenLog> {
    match claim {
        Claim::Ancestor { claim, .. } => logs(claim),
        own => own.facts().iter().flat_map(of_fact).collect(),
    }
}

fn of_fact(fact: &Claim) -> Vec<&ProvenLog> {
    match fact {
        Claim::Receipt { log, .. } => log.iter().collect(),
        Claim::Logs { logs, .. } => logs.iter().map(|placed| &placed.log).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};

    use super::*;

    const TRANSFER: &str =
        "event Transfer(address indexed from, address indexed to, uint256 value)";

    fn log(abi: &Abi, topics: &[B256], data: &[u8]) -> ProvenLog {
        let topics = [&[abi.0[0].selector()], topics].concat();
        let data = data.to_vec().into();
        ProvenLog { index: 0, address: Address::ZERO, topics, data }
    }

    fn values(decoded: &DecodedEvent) -> Vec<&str> {
        decoded.parameters.iter().map(|parameter| parameter.value.as_str()).collect()
    }

    #[test]
    fn a_transfer_is_told_in_words() {
        let abi = Abi::read(TRANSFER).unwrap();
        let (from, to) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let topics = [from, to].map(|address| address.into_word());
        let good = log(&abi, &topics, &U256::from(1_000).to_be_bytes::<32>());
        let decoded = abi.decode(&good).unwrap().unwrap();
        assert_eq!(decoded.event, "Transfer(address,address,uint256)");
        assert_eq!(values(&decoded), [from.to_string(), to.to_string(), "1000".into()]);
        assert_eq!(decoded.parameters[0].name, "from");
        assert_eq!(abi.topic().unwrap(), good.topics[0]);

        let mut other = good.clone();
        other.topics[0] = B256::ZERO;
        assert!(abi.decode(&other).is_none(), "another event");
        other.topics.clear();
        assert!(abi.decode(&other).is_none(), "no topic");
        // A token's id is indexed in ERC-721, with the same selector.
        let nft = Abi::read(&TRANSFER.replace("uint256 value", "uint256 indexed id")).unwrap();
        assert!(nft.decode(&good).unwrap().unwrap_err().contains("is not a Transfer"));
        for data in [&good.data[..31], &[&good.data[..], &[0; 32]].concat(), &[]] {
            let bad = ProvenLog { data: data.to_vec().into(), ..good.clone() };
            assert!(abi.decode(&bad).unwrap().is_err(), "{} bytes", data.len());
        }
    }

    #[test]
    fn indexed_texts_are_hashes_and_texts_are_escaped() {
        let abi = Abi::read("event Named(string indexed key, string name, uint8[2] indexed pair)")
            .unwrap();
        let hash = B256::repeat_byte(7);
        let text = DynSolValue::Tuple(vec![DynSolValue::String("a\u{1b}[2J".into())]);
        let log = log(&abi, &[hash, hash], &text.abi_encode_sequence().unwrap());
        let decoded = abi.decode(&log).unwrap().unwrap();
        let hash = format!("hash {hash}");
        assert_eq!(values(&decoded), [hash.as_str(), "\"a\\u{1b}[2J\"", hash.as_str()]);
    }

    #[test]
    fn files_are_abis_or_compiler_output() {
        let event = r#"{"type":"event","name":"E","anonymous":false,"inputs":[{"name":"a","type":"uint8","indexed":false}]}"#;
        for json in [format!("[{event}]"), format!("{{\"abi\":[{event}],\"bytecode\":\"0x\"}}")] {
            assert_eq!(Abi::parse(json.as_bytes()).unwrap().0[0].signature(), "E(uint8)");
        }
        let unknown = event.replace("uint8", "nothing8");
        for bad in ["", "{}", "[]", "[1]", &format!("[{unknown}]")] {
            assert!(Abi::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let many = "event E(bool indexed, bool indexed, bool indexed, bool indexed)";
        for bad in
            ["event", "event ", "event Transfer(", "event E(nothing8 a)", "no-such-file", many]
        {
            assert!(Abi::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hostile_data_is_refused_quickly() {
        // A list that says it has 2^64 entries, and entries without size.
        for kind in ["uint256[]", "uint8[0][]", "bytes", "string[][][]"] {
            let Ok(abi) = Abi::read(&format!("event E({kind} a)")) else { continue };
            let mut data = [0; 96];
            data[31] = 32;
            data[56..64].fill(0xff);
            assert!(abi.decode(&log(&abi, &[], &data)).unwrap().is_err(), "{kind}");
        }
    }
}
