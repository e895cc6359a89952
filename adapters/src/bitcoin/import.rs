//! A file of raw headers as a source: 80 bytes each, one after the other, ascending.
//!
//! The whole file is verified by every rule of its network before anything of it is handed out, and again
//! when its size or time of change does not fit any more. Only an answer's headers are held in memory.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use async_trait::async_trait;
use grid_core::{ChainId, bitcoin::NetworkParams};
use thiserror::Error;

use super::{
    header::{self, LEN},
    header_file::{BlockName, FirstBad, verify_files},
};
use crate::{AdapterError, Material, ProofRequest, SourceChain, SourceHeader, SourceTip};

/// Most headers in a file: a hundred years and more of Bitcoin's blocks.
const MAX_FILE_HEADERS: u64 = 10_000_000;

/// Time between two lines about a long verification in the log.
const TELL_EVERY: core::time::Duration = core::time::Duration::from_secs(2);

/// Why a file of headers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file cannot be read, or is no file of headers.
    #[error("{0}")]
    Unreadable(String),
    /// More headers than any network has.
    #[error("{} has {length} bytes; at most {most} headers of 80 bytes are read", path.display())]
    TooLong {
        /// File.
        path: PathBuf,
        /// Its length, bytes.
        length: u64,
        /// The most headers.
        most: u64,
    },
    /// A header breaks a rule.
    #[error(
        "{}: header {position} at byte {} (height {height}) breaks the rule {rule}: expected {expected}, \
         found {found}", path.display(), position.saturating_mul(LEN as u64)
    )]
    Invalid {
        /// File.
        path: PathBuf,
        /// Number of the header in the file, from 0.
        position: u64,
        /// Its height.
        height: u64,
        /// Bitcoin Core's name of the rule.
        rule: &'static str,
        /// What the rule asks for.
        expected: String,
        /// What the header has.
        found: String,
    },
    /// The file was written to after it was verified.
    #[error("{} was changed while it was read; ask again", path.display())]
    Changed {
        /// File.
        path: PathBuf,
    },
}

/// A file of headers. It never has news of its own, but it may be replaced by a longer one.
#[derive(Debug)]
pub struct ImportSource {
    chain: ChainId,
    file: Arc<HeaderFile>,
}

#[derive(Debug)]
struct HeaderFile {
    params: NetworkParams,
    path: PathBuf,
    /// Height of the first header.
    start: u64,
    verified: Mutex<Option<Verified>>,
}

/// What was found in the file, as long as it looks the same.
#[derive(Debug, Clone, Copy)]
struct Verified {
    length: u64,
    modified: Option<SystemTime>,
    tip: SourceTip,
}

impl ImportSource {
    /// The file at `path`, whose first header has height `start` and is trusted where that is above 0.
    /// Nothing is read yet.
    #[must_use]
    pub fn new(params: NetworkParams, path: PathBuf, start: u64) -> Self {
        let chain = params.chain_id();
        let file = HeaderFile { params, path, start, verified: Mutex::default() };
        Self { chain, file: Arc::new(file) }
    }

    /// Reading a file blocks, so it has a thread of its own.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&HeaderFile) -> Result<T, ImportError> + Send + 'static,
    ) -> Result<T, AdapterError> {
        let file = self.file.clone();
        let done = tokio::task::spawn_blocking(move || work(&file)).await;
        Ok(done.map_err(|error| self.file.unreadable(&error))??)
    }
}

impl HeaderFile {
    fn unreadable(&self, error: &dyn core::fmt::Display) -> ImportError {
        ImportError::Unreadable(format!("cannot read {}: {error}", self.path.display()))
    }

    /// The last header, after verifying the whole file where it is new.
    fn tip(&self) -> Result<SourceTip, ImportError> {
        let metadata = std::fs::metadata(&self.path).map_err(|error| self.unreadable(&error))?;
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        match *verified {
            Some(known) if (known.length, known.modified) == (length, modified) => Ok(known.tip),
            _ => {
                *verified = None;
                let tip = self.verify(length)?;
                *verified = Some(Verified { length, modified, tip });
                tracing::info!(file = %self.path.display(), height = tip.height, "headers verified");
                Ok(tip)
            }
        }
    }

    fn verify(&self, length: u64) -> Result<SourceTip, ImportError> {
        if length / LEN as u64 > MAX_FILE_HEADERS {
            let (path, most) = (self.path.clone(), MAX_FILE_HEADERS);
            return Err(ImportError::TooLong { path, length, most });
        }
        let mut told = Instant::now();
        let mut tell = |done: u64, of: u64| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::info!(file = %self.path.display(), done, of, "verifying headers");
            }
        };
        let files = [self.path.clone()];
        let report = verify_files(&self.params, self.start, super::now_ms(), &files, &mut tell)
            .map_err(|error| ImportError::Unreadable(error.to_string()))?;
        if let Some(FirstBad { height, rule, expected, found, .. }) = report.first_bad {
            let (path, position) = (self.path.clone(), height.saturating_sub(self.start));
            return Err(ImportError::Invalid { path, position, height, rule, expected, found });
        }
        let tip = report.tip.and_then(|BlockName { height, hash }| {
            Some(SourceTip { height, hash: header::parse_shown(&hash)? })
        });
        tip.ok_or_else(|| self.unreadable(&"it has no header"))
    }

    /// Headers from a height, at most `count`.
    fn read(&self, from: u64, count: usize) -> Result<Vec<[u8; LEN]>, ImportError> {
        let tip = self.tip()?;
        let Some(above) = tip.height.checked_sub(from) else { return Ok(Vec::new()) };
        let count = usize::try_from(above.saturating_add(1)).unwrap_or(usize::MAX).min(count);
        let offset = from.saturating_sub(self.start).saturating_mul(LEN as u64);
        let read = |error: std::io::Error| self.unreadable(&error);
        let mut file = File::open(&self.path).map_err(read)?;
        file.seek(SeekFrom::Start(offset)).map_err(read)?;
        let mut bytes = vec![0; count.saturating_mul(LEN)];
        file.read_exact(&mut bytes).map_err(read)?;
        let raws = bytes.as_chunks::<LEN>().0.to_vec();
        let linked = raws.windows(2).all(|pair| match pair {
            [parent, child] => header::parent(child) == header::hash(parent),
            _ => true,
        });
        if !linked {
            return Err(ImportError::Changed { path: self.path.clone() });
        }
        Ok(raws)
    }
}

#[async_trait]
impl SourceChain for ImportSource {
    fn id(&self) -> &ChainId {
        &self.chain
    }

    async fn tip(&self) -> Result<SourceTip, AdapterError> {
        self.blocking(HeaderFile::tip).await
    }

    async fn headers(&self, from: u64, count: usize) -> Result<Vec<SourceHeader>, AdapterError> {
        if from < self.file.start {
            return Err(AdapterError::Unavailable {
                endpoint: shown(&self.file.path),
                what: format!("header {from}"),
                reason: format!("the file begins at height {}", self.file.start),
            });
        }
        let count = count.min(crate::source::MAX_HEADERS);
        let raws = self.blocking(move |file| file.read(from, count)).await?;
        let key = self.chain.key();
        let heights = from..u64::MAX;
        Ok(heights.zip(&raws).map(|(height, raw)| header::normalise(key, height, raw)).collect())
    }

    async fn proof_material(&self, request: ProofRequest) -> Result<Material, AdapterError> {
        Err(AdapterError::Unavailable {
            endpoint: shown(&self.file.path),
            what: format!("a {}", request.kind()),
            reason: "a file of headers has no transactions; use a node or an Esplora server".into(),
        })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::bitcoin::testing::regtest;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn source(file: &tempfile::NamedTempFile, start: u64) -> ImportSource {
        ImportSource::new(NetworkParams::regtest(), file.path().to_owned(), start)
    }

    #[tokio::test]
    async fn headers_are_served_by_height() {
        let raws = regtest(30);
        let file = file(&raws[5..].concat());
        let source = source(&file, 5);
        let tip = source.tip().await.unwrap();
        assert_eq!((tip.height, tip.hash), (30, header::hash(&raws[30])));
        for (from, count, expected) in
            [(5, 3, 3), (29, 10, 2), (31, 1, 0), (u64::MAX, 1, 0), (8, 0, 0)]
        {
            let headers = source.headers(from, count).await.unwrap();
            assert_eq!(headers.len(), expected, "{count} from {from}");
            let skipped = usize::try_from(from).unwrap();
            for (header, raw) in headers.iter().zip(raws.iter().skip(skipped)) {
                assert_eq!(header.raw[..], raw[..]);
            }
        }
        let below = source.headers(4, 1).await.unwrap_err();
        assert!(below.to_string().contains("begins at height 5"), "{below}");
    }

    #[tokio::test]
    async fn every_fault_names_its_position() {
        let raws = regtest(12);
        let mut swapped = raws.clone();
        swapped.swap(7, 8);
        let mut weak = raws.clone();
        while header::has_work(&weak[9], &header::hash(&weak[9])) {
            weak[9][76] ^= 1;
            weak[9][77] = weak[9][77].wrapping_add(1);
        }
        let long = [raws.concat(), vec![0; 79]].concat();
        for (bytes, expected) in [
            (swapped.concat(), "header 7 at byte 560 (height 7)"),
            (weak.concat(), "header 9 at byte 720 (height 9)"),
            (weak.concat(), "breaks the rule high-hash"),
            (long, "has 1119 bytes"),
            (Vec::new(), "is empty"),
        ] {
            let file = file(&bytes);
            let error = source(&file, 0).tip().await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[tokio::test]
    async fn a_file_that_grew_is_checked_again() {
        let raws = regtest(6);
        let mut file = file(&raws[..4].concat());
        let source = source(&file, 0);
        assert_eq!(source.tip().await.unwrap().height, 3);
        file.write_all(&raws[4..].concat()).unwrap();
        assert_eq!(source.tip().await.unwrap().height, 6);
        file.write_all(&[0; 80]).unwrap();
        assert!(matches!(
            source.headers(0, 3).await.unwrap_err(),
            AdapterError::Import(ImportError::Invalid { position: 7, .. })
        ));
    }
}
