//! The file that keeps the best chain over a restart: raw headers, 80 bytes each, from the start on.
//!
//! It is what `grid bitcoin verify-headers` reads. Nothing in it is believed: its reader verifies
//! each header again and cuts the file at the first that does not hold. A crash in a write leaves at
//! most a partial header or a branch that lost, and both are cut off the same way. One process at a
//! time holds it, by a file lock.

#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use crate::{AdapterError, bitcoin::header};

const LEN: u64 = header::LEN as u64;

/// The open file.
#[derive(Debug)]
pub(super) struct HeaderFile {
    path: PathBuf,
    file: File,
    /// Headers in the file.
    count: u64,
}

impl HeaderFile {
    /// Opens the file, or makes it with `start` as its first header. A partial header at its end is
    /// cut off.
    ///
    /// # Errors
    /// [`AdapterError::Invalid`] if it cannot be opened, is in use, or starts with another header.
    pub(super) fn open(path: &Path, start: &[u8; header::LEN]) -> Result<Self, AdapterError> {
        let failed = |what: String| {
            AdapterError::Invalid(format!("headers file {}: {what}", path.display()))
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| failed(error.to_string()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(failed("another process uses it; give each its own file".into()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error.to_string())),
        }
        let count = Self::repair(&mut file, start).map_err(|error| failed(error.to_string()))?;
        let Some(count) = count else {
            let what = "it starts with another header than the configured start; move it away";
            return Err(failed(what.into()));
        };
        Ok(Self { path: path.to_owned(), file, count })
    }

    /// The whole headers in the file, after making sure that it begins with `start`.
    fn repair(file: &mut File, start: &[u8; header::LEN]) -> io::Result<Option<u64>> {
        let length = file.metadata()?.len();
        let count = length / LEN;
        if count == 0 {
            file.set_len(0)?;
            file.write_all(start)?;
            return Ok(Some(1));
        }
        if !length.is_multiple_of(LEN) {
            file.set_len(count * LEN)?;
        }
        let mut first = [0; header::LEN];
        file.read_exact(&mut first)?;
        Ok((first == *start).then_some(count))
    }

    /// Hands the headers above the start to `take`, some at a time and in order, until it says how
    /// many of them hold, if not all. The file is cut there.
    pub(super) fn replay(
        &mut self,
        at_a_time: usize,
        mut take: impl FnMut(&[[u8; header::LEN]]) -> usize,
    ) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(LEN))?;
        let mut good = 1;
        {
            let mut from = BufReader::with_capacity(1 << 20, &self.file);
            let mut left = self.count - 1;
            while left > 0 {
                let size = left.min(at_a_time as u64);
                let mut bytes = vec![0; usize::try_from(size * LEN).unwrap_or(usize::MAX)];
                from.read_exact(&mut bytes)?;
                let (headers, _) = bytes.as_chunks::<{ header::LEN }>();
                let taken = take(headers) as u64;
                good += taken;
                if taken < size {
                    break;
                }
                left -= size;
            }
        }
        if good < self.count {
            let path = self.path.display();
            tracing::warn!(%path, read = good, of = self.count, "headers file cut at a bad header");
            self.file.set_len(good * LEN)?;
            self.count = good;
        }
        Ok(())
    }

    /// Keeps the first `keep` headers and appends others.
    pub(super) fn splice(&mut self, keep: u64, headers: &[[u8; header::LEN]]) -> io::Result<()> {
        let keep = keep.min(self.count);
        if keep < self.count {
            self.file.set_len(keep * LEN)?;
            self.count = keep;
        }
        self.file.seek(SeekFrom::Start(keep * LEN))?;
        self.file.write_all(headers.as_flattened())?;
        self.count = keep + headers.len() as u64;
        Ok(())
    }
}
