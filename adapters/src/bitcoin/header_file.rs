//! Files of raw headers: 80 bytes each, one after the other, ascending height.
//!
//! A file is hashed on one thread and checked on another, so that two cores share the work.

use core::cmp::Ordering;
use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use alloy_primitives::{B256, U256};
use grid_core::bitcoin::{
    HeaderVerifier, NetworkParams,
    header::shown,
    multihash::hash_all,
    verify::{BadHeader, Unchecked},
};
use serde::Serialize;
use thiserror::Error;

/// Headers that are read, hashed and handed over at a time: 640 KB.
const BATCH: usize = 8_192;
/// Batches that may wait between the two threads.
const WAITING: usize = 4;

/// Why a file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeaderFileError {
    /// The operating system refuses.
    #[error("cannot read {}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a file of headers.
    #[error(
        "{} has {bytes} bytes; raw headers have 80 each, so {} are left over",
        file.display(),
        bytes % 80
    )]
    Length {
        /// The file.
        file: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Nothing to verify.
    #[error("{} is empty; expected raw headers of 80 bytes each", file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
}

/// What is in some files of headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderReport {
    /// Whether every header is good.
    pub valid: bool,
    /// The network's name.
    pub network: String,
    /// Height of the first header.
    pub start_height: u64,
    /// Good headers before the first bad one.
    pub count: u64,
    /// The last good header; with several branches, that of the branch of most work.
    pub tip: Option<BlockName>,
    /// Work from `start_height` up to the tip, both included: 64 hexadecimal digits, as Bitcoin Core
    /// shows it. From genesis on it is the chain work.
    pub chain_work: String,
    /// Period starts whose difficulty was computed again.
    pub retargets_checked: u64,
    /// Rules that could not be decided for want of headers below the first one, by Bitcoin Core's names.
    pub unchecked: Unchecked,
    /// Files that fork off from below the tip of those before them.
    pub branches: Vec<Branch>,
    /// The first bad header.
    pub first_bad: Option<FirstBad>,
}

/// A block by height and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockName {
    /// Height.
    pub height: u64,
    /// Hash as displayed.
    pub hash: String,
}

/// A file that forks off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The file.
    pub file: PathBuf,
    /// The last header that it shares with files before it.
    pub forks_from: BlockName,
    /// Its last good header.
    pub tip: BlockName,
    /// Work up to its tip, as in [`HeaderReport::chain_work`].
    pub chain_work: String,
}

/// The first bad header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FirstBad {
    /// Its file.
    pub file: PathBuf,
    /// Its height.
    pub height: u64,
    /// Its hash as displayed.
    pub hash: String,
    /// Bitcoin Core's name of the broken rule.
    pub rule: &'static str,
    /// What the rule asks for.
    pub expected: String,
    /// What the header has.
    pub found: String,
}

/// Verifies files of headers, each going on where the one before ended, or forking off from any header of
/// those before. `progress` is told how many headers are done, of how many.
///
/// # Errors
/// [`HeaderFileError`] where a file cannot be read. A bad header is part of the report.
pub fn verify_files(
    params: &NetworkParams,
    start_height: u64,
    now_ms: u64,
    files: &[PathBuf],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<HeaderReport, HeaderFileError> {
    let mut total = 0;
    for file in files {
        total += length(file)?;
    }
    let mut run = Run {
        verifier: HeaderVerifier::new(params.clone(), start_height, now_ms),
        before: Vec::new(),
        best: None,
        report: HeaderReport {
            valid: true,
            network: params.name.clone(),
            start_height,
            count: 0,
            tip: None,
            chain_work: String::new(),
            retargets_checked: 0,
            unchecked: Unchecked::default(),
            branches: Vec::new(),
            first_bad: None,
        },
        progress,
        total,
    };
    for file in files {
        if !run.file(file)? {
            break;
        }
    }
    Ok(run.finish())
}

/// A file that is done, and the verifier as it was before it.
struct Done {
    file: PathBuf,
    verifier: HeaderVerifier,
}

struct Run<'a> {
    verifier: HeaderVerifier,
    before: Vec<Done>,
    /// Work and tip of the best branch so far.
    best: Option<(U256, (u64, B256))>,
    report: HeaderReport,
    progress: &'a mut dyn FnMut(u64, u64),
    total: u64,
}

impl Run<'_> {
    /// Verifies a file; `false` if it has a bad header.
    fn file(&mut self, file: &Path) -> Result<bool, HeaderFileError> {
        let fork = self.fork_point(file)?;
        if let Some(verifier) = &fork {
            self.verifier = verifier.clone();
        }
        let start = self.verifier.clone();
        let bad = read(file, u64::MAX, |headers, hashes| {
            let outcome = self.verifier.verify_hashed(headers, hashes);
            let done = self.report.count + self.verifier.count() - start.count();
            (self.progress)(done, self.total);
            outcome
        })?;
        self.note(file, &start, fork.is_some());
        if let Some(bad) = bad {
            self.report.valid = false;
            self.report.first_bad = Some(FirstBad {
                file: file.into(),
                height: bad.height,
                hash: shown(&bad.hash),
                rule: bad.error.reject_name(),
                expected: bad.expected,
                found: bad.found,
            });
            return Ok(false);
        }
        self.before.push(Done { file: file.into(), verifier: start });
        Ok(true)
    }

    /// The verifier at the parent of a file's first header, if that is below the tip.
    fn fork_point(&self, file: &Path) -> Result<Option<HeaderVerifier>, HeaderFileError> {
        let Some((_, tip)) = self.verifier.tip() else { return Ok(None) };
        let mut parent = tip;
        read(file, 1, |headers, _| {
            parent = headers.first().map_or(tip, parent_of);
            Ok(())
        })?;
        if parent == tip {
            return Ok(None);
        }
        for done in &self.before {
            let Some(count) = position(done, &parent)? else { continue };
            let mut verifier = done.verifier.clone();
            read(&done.file, count, |headers, hashes| verifier.verify_hashed(headers, hashes))?;
            return Ok(Some(verifier));
        }
        Ok(None)
    }

    /// Adds what a file brought to the report.
    fn note(&mut self, file: &Path, start: &HeaderVerifier, forked: bool) {
        let (end, report) = (&self.verifier, &mut self.report);
        report.count += end.count() - start.count();
        report.retargets_checked += end.retargets() - start.retargets();
        add_difference(&mut report.unchecked, end.unchecked(), start.unchecked());
        let Some(tip) = end.tip() else { return };
        if let (true, Some(fork)) = (forked, start.tip()) {
            report.branches.push(Branch {
                file: file.into(),
                forks_from: name(fork),
                tip: name(tip),
                chain_work: hex_work(end.work()),
            });
        }
        if self.best.is_none_or(|(work, _)| end.work() > work) {
            self.best = Some((end.work(), tip));
        }
    }

    fn finish(mut self) -> HeaderReport {
        let (work, tip) = self.best.unzip();
        self.report.tip = tip.map(name);
        self.report.chain_work = hex_work(work.unwrap_or_default());
        self.report
    }
}

fn add_difference(sum: &mut Unchecked, end: Unchecked, start: Unchecked) {
    sum.parent += end.parent - start.parent;
    sum.bits += end.bits - start.bits;
    sum.median_time += end.median_time - start.median_time;
    sum.timewarp += end.timewarp - start.timewarp;
}

fn name((height, hash): (u64, B256)) -> BlockName {
    BlockName { height, hash: shown(&hash) }
}

fn hex_work(work: U256) -> String {
    format!("{work:064x}")
}

fn parent_of(header: &[u8; 80]) -> B256 {
    grid_core::bitcoin::Header::parse(header).prev
}

/// How many headers of a file lead up to the one with that hash, itself included.
fn position(done: &Done, hash: &B256) -> Result<Option<u64>, HeaderFileError> {
    let (mut seen, mut found) = (0, None);
    read(&done.file, u64::MAX, |_, hashes| {
        if found.is_none() {
            let at = hashes.iter().position(|own| own == hash);
            found = at.map(|at| seen + at as u64 + 1);
            seen += hashes.len() as u64;
        }
        Ok(())
    })?;
    Ok(found)
}

/// Headers in a file.
fn length(file: &Path) -> Result<u64, HeaderFileError> {
    let io = |source| HeaderFileError::Io { file: file.into(), source };
    let bytes = std::fs::metadata(file).map_err(io)?.len();
    match bytes.cmp(&0) {
        Ordering::Equal => Err(HeaderFileError::Empty { file: file.into() }),
        _ if bytes % 80 != 0 => Err(HeaderFileError::Length { file: file.into(), bytes }),
        _ => Ok(bytes / 80),
    }
}

/// Some headers of a file, with their hashes.
type Batch = (Vec<[u8; 80]>, Vec<B256>);

/// Reads up to `most` headers of a file and hands them over in batches, hashed; stops at the first
/// error of the receiver and returns it.
fn read(
    file: &Path,
    most: u64,
    mut take: impl FnMut(&[[u8; 80]], &[B256]) -> Result<(), Box<BadHeader>>,
) -> Result<Option<Box<BadHeader>>, HeaderFileError> {
    let count = length(file)?.min(most);
    let (sender, receiver): (SyncSender<Batch>, Receiver<Batch>) = sync_channel(WAITING);
    thread::scope(|scope| {
        let reader = scope.spawn(move || hash_file(file, count, &sender));
        let mut bad = None;
        while let (None, Ok((headers, hashes))) = (&bad, receiver.recv()) {
            bad = take(&headers, &hashes).err();
        }
        // The reader stops at its next hand-over.
        drop(receiver);
        match reader.join() {
            Ok(outcome) => outcome.map(|()| bad),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn hash_file(file: &Path, count: u64, to: &SyncSender<Batch>) -> Result<(), HeaderFileError> {
    let io = |source| HeaderFileError::Io { file: file.into(), source };
    let mut input = File::open(file).map_err(io)?;
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    while left > 0 {
        let mut headers = vec![[0; 80]; left.min(BATCH)];
        input.read_exact(headers.as_flattened_mut()).map_err(io)?;
        left -= headers.len();
        let hashes = hash_all(&headers);
        if to.send((headers, hashes)).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use grid_core::bitcoin::{Header, target};

    use super::*;

    const NOW_MS: u64 = 2_000_000_000_000;

    /// `count` regtest headers on top of `parent`.
    fn mined(parent: &[u8; 80], count: u8, salt: u8) -> Vec<[u8; 80]> {
        let mut at = Header::parse(parent);
        (0..count)
            .map(|step| {
                let merkle_root = B256::with_last_byte(step) | B256::repeat_byte(salt);
                at = Header { version: 4, prev: at.hash(), merkle_root, time: at.time + 600, ..at };
                let target = target::decode(at.bits).target;
                while target::hash_number(&at.hash()) > target {
                    at.nonce += 1;
                }
                at.to_bytes()
            })
            .collect()
    }

    fn report(start: u64, files: &[(&str, &[u8])]) -> Result<HeaderReport, HeaderFileError> {
        let folder = tempfile::tempdir().expect("a folder");
        let paths: Vec<PathBuf> = files
            .iter()
            .map(|(name, bytes)| {
                let path = folder.path().join(name);
                std::fs::write(&path, bytes).expect("written");
                path
            })
            .collect();
        verify_files(&NetworkParams::regtest(), start, NOW_MS, &paths, &mut |_, _| ())
    }

    #[test]
    fn files_go_on_or_fork_off() {
        let genesis = NetworkParams::regtest().genesis.0;
        let main = mined(&genesis, 10, 16);
        let (low, high) = main.split_at(5);
        let first = [&[genesis], low].concat();
        let side = mined(&low[2], 4, 32);
        let files =
            [("a", first.as_flattened()), ("b", high.as_flattened()), ("c", side.as_flattened())];
        let all = report(0, &files).expect("readable");
        assert!(all.valid, "{all:?}");
        assert_eq!((all.count, all.tip.map(|tip| tip.height)), (15, Some(10)));
        let [branch] = &all.branches[..] else { panic!("one branch") };
        assert_eq!((branch.forks_from.height, branch.tip.height), (3, 7));
        assert_eq!(all.unchecked, Unchecked::default());

        // The same without its beginning: the first header is trusted.
        let part = report(6, &files[1..2]).expect("readable");
        assert_eq!((part.valid, part.count, part.unchecked.parent), (true, 5, 1));
    }

    #[test]
    fn the_first_bad_header_ends_the_run() {
        let genesis = NetworkParams::regtest().genesis.0;
        let mut main = [&[genesis][..], &mined(&genesis, 10, 16)].concat();
        main[7] = main[3];
        let all = report(0, &[("a", main.as_flattened())]).expect("readable");
        let bad = all.first_bad.expect("a bad header");
        assert_eq!((all.valid, all.count, bad.height), (false, 7, 7));
        assert_eq!(bad.rule, "prev-blk-not-found");
        assert_eq!(bad.found, shown(&Header::parse(&main[2]).hash()));
    }

    #[test]
    fn what_is_no_file_of_headers_is_refused() {
        assert!(matches!(report(0, &[("a", &[0; 81])]), Err(HeaderFileError::Length { .. })));
        assert!(matches!(report(0, &[("a", &[])]), Err(HeaderFileError::Empty { .. })));
        let missing = [PathBuf::from("/nonexistent/headers")];
        let outcome = verify_files(&NetworkParams::regtest(), 0, NOW_MS, &missing, &mut |_, _| ());
        assert!(matches!(outcome, Err(HeaderFileError::Io { .. })));
    }
}
