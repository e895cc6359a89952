//! Tables of compact targets and retargets with Bitcoin Core's answers.

use std::path::Path;

use alloy_primitives::U256;
use grid_core::bitcoin::{NetworkParams, rules, target};

use super::{Outcome, hexes};

/// Columns `nbits,target_hex,recompact,negative,overflow,valid_on_mainnet`; the target is empty where
/// Core's is meaningless.
pub(super) fn compact(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let limit = NetworkParams::mainnet().pow_limit;
    for row in hexes::rows(path)? {
        let bits = row.bits("nbits")?;
        let found = target::decode(bits);
        let label = |what| format!("{bits:08x} {what}");
        outcome.equal(label("negative"), &found.negative, &flag(row.get("negative")?)?);
        outcome.equal(label("overflow"), &found.overflow, &flag(row.get("overflow")?)?);
        let valid = target::valid(bits, &limit).is_some();
        outcome.equal(label("valid"), &valid, &flag(row.get("valid_on_mainnet")?)?);
        if !row.get("target_hex")?.is_empty() {
            outcome.equal(label("target"), &found.target, &row.big("target_hex")?);
        }
        if !row.get("recompact")?.is_empty() {
            // Core encodes the sign again; a target that a header may have is never negative.
            let sign = if found.negative { 0x0080_0000 } else { 0 };
            let again = target::encode(&found.target) | sign;
            outcome.equal(label("encoded again"), &again, &recompact(&row)?);
        }
    }
    Ok(())
}

fn recompact(row: &hexes::Row) -> Result<u32, String> {
    // The table was made without the sign: as Core's `GetCompact(false)`.
    let found = row.bits("recompact")?;
    Ok(if flag(row.get("negative")?)? { found | 0x0080_0000 } else { found })
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "1" | "true" | "True" => Ok(true),
        "0" | "false" | "False" => Ok(false),
        _ => Err(format!("is not a flag: {text}")),
    }
}

/// Columns `name,first_time,last_time,last_bits,expected_bits`: Core's `pow_tests.cpp`, mainnet.
pub(super) fn next_work(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let params = NetworkParams::mainnet();
    for row in hexes::rows(path)? {
        let (first, last) = (row.number("first_time")?, row.number("last_time")?);
        let found = rules::retarget(&params, first, last, row.bits("last_bits")?);
        outcome.equal(row.get("name")?, &found, &row.bits("expected_bits")?);
    }
    Ok(())
}

/// Columns `height,first_time,last_time,actual_timespan,old_bits,new_bits,clamped`: real retargets of
/// the network that the file's name begins with.
pub(super) fn retargets(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let network = name.split('_').next().unwrap_or_default();
    let params = NetworkParams::by_name(network).map_err(|error| error.to_string())?;
    let mut previous: Option<(u64, u32)> = None;
    for row in hexes::rows(path)? {
        let height: u64 = row.number("height")?;
        let (first, last) = (row.number("first_time")?, row.number("last_time")?);
        let (old, new) = (row.bits("old_bits")?, row.bits("new_bits")?);
        outcome.equal(height, &rules::retarget(&params, first, last, old), &new);
        if let Some((_, bits)) = previous.filter(|(at, _)| at + 2016 == height) {
            outcome.equal(format!("{height} old bits"), &old, &bits);
        }
        let span = i64::from(last) - i64::from(first);
        outcome.equal(format!("{height} timespan"), &row.number("actual_timespan")?, &span);
        let target = target::decode(new).target;
        outcome.equal(format!("{height} canonical"), &target::encode(&target), &new);
        outcome.equal(format!("{height} below the limit"), &(target > U256::ZERO), &true);
        previous = Some((height, new));
    }
    Ok(())
}
