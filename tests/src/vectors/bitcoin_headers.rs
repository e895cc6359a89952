//! Runs of real Bitcoin headers, through the light client with all its rules.

use std::path::Path;

use alloy_primitives::FixedBytes;
use grid_core::bitcoin::{
    BitcoinClient, Checkpoint, Header, HeaderVerifier, NetworkParams, header, rules::PeriodStart,
    target,
};

use super::{Outcome, hexes};

/// Files `network_first_last.bin`, or with more after the last height.
pub(super) fn segment(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let (params, first) = by_name(path)?;
    let headers = read(path)?;
    verified(&params, first, &headers, outcome);
    chain(&params, first, &headers, path, outcome)
}

/// The verifier takes a run from wherever it starts, and the same run with one bit flipped in the
/// middle not beyond that point.
fn verified(params: &NetworkParams, first: u64, headers: &[[u8; 80]], outcome: &mut Outcome) {
    let now_ms = newest(headers);
    let mut verifier = HeaderVerifier::new(params.clone(), first, now_ms);
    let taken = verifier.verify(headers).map_err(|bad| format!("{}: {}", bad.height, bad.error));
    outcome.case("the whole run", taken);
    outcome.equal("headers verified", &verifier.count(), &(headers.len() as u64));
    let mut changed = headers.to_vec();
    let middle = changed.len() / 2;
    changed[middle][40] ^= 1;
    let mut verifier = HeaderVerifier::new(params.clone(), first, now_ms);
    let refused = verifier.verify(&changed).map_or_else(|_| Ok(()), |()| Err("was taken".into()));
    outcome.case("the run with a changed root", refused);
    // Without difficulty the changed header may be good, and the next one then has no parent.
    outcome.equal("stopped there", &(verifier.count().abs_diff(middle as u64) <= 1), &true);
}

/// Chains with real proof of work on mainnet parameters, from genesis. `manifest.json` says whether
/// today's rules take them; without it they do.
pub(super) fn bip54(path: &Path, outcome: &mut Outcome) -> Result<(), String> {
    let headers = read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let manifest = path.with_file_name("manifest.json");
    if manifest.is_file() {
        let list = hexes::json(&manifest)?;
        let entry = list.as_array().and_then(|l| l.iter().find(|e| e["file"] == *name));
        if let Some(entry) = entry {
            let expected = entry["headers"].as_u64().unwrap_or_default();
            outcome.equal("number of headers", &(headers.len() as u64), &expected);
            if entry["consensus_valid_today"] != true {
                let mut inner = Outcome::default();
                chain(&NetworkParams::mainnet(), 0, &headers, path, &mut inner)?;
                let refused = if inner.failed > 0 { Ok(()) } else { Err("was taken".into()) };
                outcome.case("a chain that today's rules refuse", refused);
                return Ok(());
            }
        }
    }
    chain(&NetworkParams::mainnet(), 0, &headers, path, outcome)
}

/// The network and the first height that a file's name tells.
pub(super) fn by_name(path: &Path) -> Result<(NetworkParams, u64), String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut parts = stem.split('_');
    let network = parts.next().unwrap_or_default();
    let params = NetworkParams::by_name(network).map_err(|error| error.to_string())?;
    let first = parts.next().and_then(|part| part.parse().ok());
    Ok((params, first.ok_or("its name tells no first height")?))
}

fn read(path: &Path) -> Result<Vec<[u8; 80]>, String> {
    let bytes = hexes::bytes(path)?;
    header::split(&bytes).ok_or_else(|| format!("{} bytes are no whole headers", bytes.len()))
}

/// Feeds a chain to the light client, and checks that it refuses the same chain with one bit
/// flipped. Headers before the point from which all rules can be checked are checked for their links
/// and their proof of work.
fn chain(
    params: &NetworkParams,
    first: u64,
    headers: &[[u8; 80]],
    path: &Path,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let Some((skip, start)) = start(params, first, headers, path)? else {
        // The verifier has judged it; a light client starts where it knows what the rules look up.
        return Ok(());
    };
    for (index, pair) in headers.windows(2).take(skip).enumerate() {
        if header::sha256d(&pair[0]) != Header::parse(&pair[1]).prev {
            outcome.case(format!("header {}", first + index as u64 + 1), Err("no link".into()));
        }
    }
    for (index, raw) in headers.iter().take(skip + 1).enumerate() {
        let label = format!("header {}", first + index as u64);
        outcome.case(label, proof_of_work(params, raw));
    }
    let mut client =
        BitcoinClient::new(params.clone(), &start).map_err(|error| error.to_string())?;
    let now_ms = newest(headers);
    for (index, raw) in headers.iter().enumerate().skip(skip + 1) {
        let height = first + index as u64;
        if let Err(error) = client.accept(raw, now_ms) {
            outcome.case(format!("header {height}"), Err(error.to_string()));
            return Ok(());
        }
        outcome.passed(1);
    }
    let last = first + headers.len() as u64 - 1;
    outcome.equal("height of the tip", &client.tree().tip().height(), &last);
    if let Some(raw) = headers.last().filter(|_| headers.len() > skip + 1) {
        refuses_changes(&mut client, raw, now_ms, outcome);
    }
    Ok(())
}

/// Flips bits of a known header, one in each field: none may be taken.
fn refuses_changes(client: &mut BitcoinClient, raw: &[u8; 80], now_ms: u64, outcome: &mut Outcome) {
    for (field, at) in
        [("version", 0), ("parent", 4), ("root", 36), ("time", 68), ("bits", 74), ("nonce", 76)]
    {
        let mut changed = *raw;
        changed[at] ^= 1;
        // A change that by luck keeps the proof of work exists on networks without difficulty.
        let easy = proof_of_work(client.params(), &changed).is_ok() && field != "parent";
        let result = match client.accept(&changed, now_ms) {
            Err(_) => Ok(()),
            Ok(_) if easy => Ok(()),
            Ok(_) => Err(String::from("was taken")),
        };
        outcome.case(format!("last header with its {field} changed"), result);
    }
}

fn proof_of_work(params: &NetworkParams, raw: &[u8; 80]) -> Result<(), String> {
    let bits = Header::parse(raw).bits;
    let target = target::valid(bits, &params.pow_limit).ok_or("unusable target")?;
    let hash = target::hash_number(&header::sha256d(raw));
    if hash <= target { Ok(()) } else { Err(String::from("high-hash")) }
}

/// A Grid time at which no header of the run is from the future.
fn newest(headers: &[[u8; 80]]) -> u64 {
    let newest = headers.iter().map(|raw| Header::parse(raw).time).max().unwrap_or_default();
    u64::from(newest) * 1000
}

/// Where to start: the index of the header to trust, and the checkpoint; `None` where the run has no
/// header of which all is known that the rules look up.
fn start(
    params: &NetworkParams,
    first: u64,
    headers: &[[u8; 80]],
    path: &Path,
) -> Result<Option<(usize, Checkpoint)>, String> {
    if first == 0 {
        let genesis = Checkpoint::genesis(params);
        return match headers.first() {
            Some(raw) if *raw == genesis.header.0 => Ok(Some((0, genesis))),
            _ => Err(String::from("does not begin with the network's genesis header")),
        };
    }
    let interval = u64::from(params.timespan / params.spacing);
    let last = first + headers.len() as u64 - 1;
    // The first header with ten others before it, and either its period's start in the file (or in
    // the table of period starts beside it), or no period's end before the file's.
    for index in 10..headers.len() {
        let height = first + index as u64;
        let own = Header::parse(&headers[index]);
        let exception = params.allow_min_difficulty && own.bits == params.limit_bits();
        let starts = height - height % interval;
        let period = starts
            .checked_sub(first)
            .and_then(|at| headers.get(usize::try_from(at).ok()?))
            .copied()
            .or_else(|| period_start(path, &params.name, starts));
        let known = period.map(|raw| Header::parse(&raw)).or_else(|| {
            // Not asked for before the period's end.
            (starts + interval > last && starts != height).then_some(own)
        });
        let (Some(known), false) = (known, exception) else { continue };
        let previous = &headers[index - 10..index];
        return Ok(Some((
            index,
            Checkpoint {
                height,
                header: FixedBytes(headers[index]),
                chain_work: target::work(&target::decode(own.bits).target),
                previous_times: previous.iter().map(|raw| Header::parse(raw).time).collect(),
                period_start: PeriodStart { time: known.time, bits: known.bits },
                last_real_bits: None,
            },
        )));
    }
    Ok(None)
}

/// The first header of a period, from the tables of checkpoints in the same data.
fn period_start(path: &Path, network: &str, height: u64) -> Option<[u8; 80]> {
    let folder = path.parent()?.parent()?.join("checkpoints");
    let table = folder.join(format!("{network}_retarget_boundary_headers.csv"));
    let rows = hexes::rows(&table).ok()?;
    let row = rows.iter().find(|row| row.number::<u64>("height") == Ok(height))?;
    row.header().ok()
}
