//! Checkpoints: single headers and chain work at known heights.

use std::{collections::BTreeMap, path::Path};

use alloy_primitives::{B256, U256};
use grid_core::bitcoin::{Header, NetworkParams, header, rules, target};
use serde_json::value::RawValue;

use super::{Outcome, hexes};

/// Blocks of a retargeting period on every network that these files are about.
const INTERVAL: u64 = 2016;

fn network(path: &Path) -> Result<NetworkParams, String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let network = name.split('_').next().unwrap_or_default();
    NetworkParams::by_name(network).map_err(|error| error.to_string())
}

fn work(bits: u32) -> U256 {
    target::work(&target::decode(bits).target)
}

/// Columns `height,hash,header`: each header has the hash and its proof of work, links to the one a
/// height below where that is listed, and follows from its period where the period's ends are listed.
pub(super) fn headers(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let params = network(path)?;
    let mut known: BTreeMap<u64, [u8; 80]> = BTreeMap::new();
    for row in hexes::rows(path)? {
        let (height, raw) = (row.number::<u64>("height")?, row.header()?);
        outcome.case(format!("height {height}"), single(&params, &raw, &row.hash()?));
        known.insert(height, raw);
    }
    for (height, raw) in &known {
        let own = Header::parse(raw);
        let Some(parent) = height.checked_sub(1).and_then(|below| known.get(&below)) else {
            continue;
        };
        outcome.equal(format!("parent of {height}"), &own.prev, &header::sha256d(parent));
        let first = height.checked_sub(INTERVAL).and_then(|below| known.get(&below));
        if let (Some(first), true) = (first, height % INTERVAL == 0) {
            let (first, last) = (Header::parse(first), Header::parse(parent));
            let base = if params.bip94 { first.bits } else { last.bits };
            let bits = rules::retarget(&params, first.time, last.time, base);
            outcome.equal(format!("bits at {height}"), &own.bits, &bits);
        }
    }
    Ok(())
}

fn single(params: &NetworkParams, raw: &[u8; 80], hash: &B256) -> Result<(), String> {
    let found = header::sha256d(raw);
    if found != *hash {
        return Err(format!("hash is {found}"));
    }
    let target = target::valid(Header::parse(raw).bits, &params.pow_limit);
    match target {
        Some(target) if target::hash_number(hash) <= target => Ok(()),
        _ => Err(String::from("high-hash")),
    }
}

/// Columns `height,chainwork_hex`, and `hash,header` where the source has them. On networks where a
/// period has one difficulty, the work between two listed heights is computed and compared; elsewhere
/// it must grow by at least the least work of as many blocks.
pub(super) fn chain_work(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let params = network(path)?;
    let rows = hexes::rows(path)?;
    let bits = bits_by_period(path, &params.name)?;
    let least = work(params.limit_bits());
    let mut previous: Option<(u64, U256)> = None;
    for row in rows {
        let (height, total) = (row.number::<u64>("height")?, row.big("chainwork_hex")?);
        if row.get("header").is_ok() {
            outcome.case(format!("height {height}"), single(&params, &row.header()?, &row.hash()?));
        }
        // Below the first row: nothing, or the genesis block where the table begins above it.
        let below = if height == 0 { U256::ZERO } else { least };
        let (from, before) = previous.unwrap_or((0, below));
        let label = format!("chain work at {height}");
        if height == 0 {
            outcome.equal(label, &total, &least);
        } else if params.allow_min_difficulty {
            let grows = total >= before + least * U256::from(height - from);
            outcome.case(label, if grows { Ok(()) } else { Err(format!("{total} is too low")) });
        } else {
            match between(&bits, from, height) {
                Some(added) => outcome.equal(label, &total, &(before + added)),
                None => outcome.not_compared(1),
            }
        }
        previous = Some((height, total));
    }
    Ok(())
}

/// The work of the blocks above `from` up to `to`, from the bits of their periods.
fn between(bits: &BTreeMap<u64, u32>, from: u64, to: u64) -> Option<U256> {
    let mut sum = U256::ZERO;
    let mut at = from + 1;
    while at <= to {
        let period = at / INTERVAL;
        let end = to.min(period * INTERVAL + INTERVAL - 1);
        sum += work(*bits.get(&period)?) * U256::from(end - at + 1);
        at = end + 1;
    }
    Some(sum)
}

/// The bits of each period, from this table and the others of the network beside it.
fn bits_by_period(path: &Path, network: &str) -> Result<BTreeMap<u64, u32>, String> {
    let mut bits = BTreeMap::new();
    let folder = path.parent().ok_or("has no folder")?;
    let listed = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut files: Vec<_> = listed.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(&format!("{network}_")) || !name.ends_with(".csv") {
            continue;
        }
        for row in hexes::rows(&file)? {
            if let (Ok(height), Ok(raw)) = (row.number::<u64>("height"), row.header()) {
                bits.insert(height / INTERVAL, Header::parse(&raw).bits);
            }
        }
    }
    // Each network's first period has its genesis block's bits.
    let genesis = NetworkParams::by_name(network).map_err(|error| error.to_string())?.genesis;
    bits.insert(0, Header::parse(&genesis.0).bits);
    Ok(bits)
}

/// A list of (hash of a period's last block, target of the next period or 0).
pub(super) fn electrum(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let network = match name.split('_').nth(1).unwrap_or_default() {
        "testnet" => "testnet3",
        other => other,
    };
    // The targets are numbers of up to 68 digits, which only their text holds exactly.
    let text = hexes::text(path)?;
    let list: Vec<(String, &RawValue)> =
        serde_json::from_str(&text).map_err(|error| format!("is not a list of pairs: {error}"))?;
    let known = boundary_headers(path, network)?;
    for (index, (hash, target)) in list.iter().enumerate() {
        let next = (index as u64 + 1) * INTERVAL;
        let hash = hexes::displayed(hash)?;
        let target = U256::from_str_radix(target.get(), 10)
            .map_err(|_| format!("entry {index} has no target"))?;
        if !target.is_zero() {
            let again = target::decode(target::encode(&target)).target;
            outcome.equal(format!("target from {next}"), &again, &target);
        }
        match known.get(&(next - 1)) {
            Some(raw) => {
                outcome.equal(format!("hash at {}", next - 1), &header::sha256d(raw), &hash);
            }
            None => match known.get(&next) {
                // The header above names it as its parent.
                Some(raw) => {
                    outcome.equal(format!("parent at {next}"), &Header::parse(raw).prev, &hash)
                }
                None => outcome.not_compared(1),
            },
        }
        if let (Some(raw), false) = (known.get(&next), target.is_zero()) {
            let found = target::decode(Header::parse(raw).bits).target;
            outcome.equal(format!("target of {next}"), &found, &target);
        }
    }
    Ok(())
}

/// All headers of a network in the tables beside a file, and its runs of headers one folder over.
fn boundary_headers(path: &Path, network: &str) -> Result<BTreeMap<u64, [u8; 80]>, String> {
    let mut known = BTreeMap::new();
    let folder = path.parent().ok_or("has no folder")?;
    let mut files: Vec<_> = [Some(folder.to_owned()), folder.parent().map(|up| up.join("headers"))]
        .into_iter()
        .flatten()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with(&format!("{network}_")) {
            continue;
        }
        if name.ends_with(".csv") {
            for row in hexes::rows(&file)? {
                if let (Ok(height), Ok(raw)) = (row.number::<u64>("height"), row.header()) {
                    known.insert(height, raw);
                }
            }
        } else if let Ok((_, first)) = super::bitcoin_headers::by_name(&file) {
            let run = header::split(&hexes::bytes(&file)?).unwrap_or_default();
            known.extend((first..).zip(run));
        }
    }
    Ok(known)
}

/// `{ "…mainnet": { "height": "hash" }, … }`: compared with the headers that the data holds.
pub(super) fn core(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let json = hexes::json(path)?;
    for (name, heights) in json.as_object().ok_or("is not an object")? {
        let network = name.rsplit('_').next().unwrap_or_default();
        if NetworkParams::by_name(network).is_err() {
            continue;
        }
        let known = boundary_headers(path, network)?;
        for (height, hash) in heights.as_object().ok_or("a network is not an object")? {
            let hash = hexes::displayed(hash.as_str().ok_or("a hash is not a text")?)?;
            let at = height.parse().map_err(|_| format!("{height} is not a height"))?;
            match known.get(&at) {
                Some(raw) => {
                    outcome.equal(format!("{network} {at}"), &header::sha256d(raw), &hash);
                }
                None => outcome.not_compared(1),
            }
        }
    }
    Ok(())
}
