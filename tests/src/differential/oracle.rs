//! Bitcoin Core's side: the program of `tests/core-oracle`, a frame to it for each submission, and one back.

use std::{
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use alloy_primitives::{B256, U256};
use grid_core::bitcoin::NetworkParams;
use grid_test_nodes::{NodeError, programs};

use super::{Case, Submission};

/// How many submissions are sent before the answers are read. The answers to so many fit into the pipe, so
/// that neither side ever waits for the other to read.
const AT_ONCE: usize = 256;

/// What a side says after a submission, and where it then stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Core's reject name; empty where everything was accepted.
    pub reject: String,
    /// Hash of the best header, internal byte order.
    pub tip: B256,
    /// Its height.
    pub height: u64,
    /// Its cumulative work.
    pub work: U256,
    /// How many headers are stored, over all branches.
    pub stored: u64,
}

/// Why the oracle did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OracleError {
    /// It is not installed.
    #[error(transparent)]
    Missing(#[from] NodeError),
    /// It could not be started, or ended; its standard error says why.
    #[error("core-oracle: {0}")]
    Io(#[from] io::Error),
    /// It answered something else than was expected.
    #[error("core-oracle answered {0} bytes, which is no answer")]
    Malformed(usize),
}

/// A running `core-oracle`.
#[derive(Debug)]
pub struct Oracle {
    process: Child,
    /// Taken only when it is dropped.
    input: Option<BufWriter<ChildStdin>>,
    output: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the program.
    ///
    /// # Errors
    /// [`OracleError::Missing`] where `scripts/setup-nodes --with-oracle` has not been run.
    pub fn start() -> Result<Self, OracleError> {
        let mut process = Command::new(programs::core_oracle()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = process.stdin.take();
        let output = process.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        Ok(Self { process, input: input.map(BufWriter::new), output: BufReader::new(output) })
    }

    /// Starts a case's network and submits everything; the answers to both, in order.
    ///
    /// # Errors
    /// [`OracleError`].
    pub fn judge(&mut self, case: &Case) -> Result<(Answer, Vec<Answer>), OracleError> {
        self.send(&network(&case.params))?;
        let genesis = self.receive()?;
        let mut answers = Vec::with_capacity(case.submissions.len());
        for submissions in case.submissions.chunks(AT_ONCE) {
            for Submission { clock, headers } in submissions {
                let mut frame = vec![b'H'];
                frame.extend(i64::from(*clock).to_le_bytes());
                frame.extend(headers.iter().flatten());
                self.send(&frame)?;
            }
            for _ in submissions {
                answers.push(self.receive()?);
            }
        }
        Ok((genesis, answers))
    }

    fn input(&mut self) -> io::Result<&mut BufWriter<ChildStdin>> {
        self.input.as_mut().ok_or_else(|| io::Error::other("no pipe"))
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let input = self.input()?;
        input.write_all(&length.to_le_bytes())?;
        input.write_all(frame)
    }

    fn receive(&mut self) -> Result<Answer, OracleError> {
        self.input()?.flush()?;
        let mut length = [0; 4];
        self.output.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        self.output.read_exact(&mut answer)?;
        parse(&answer).ok_or(OracleError::Malformed(answer.len()))
    }
}

/// The frame that starts a network.
fn network(params: &NetworkParams) -> Vec<u8> {
    let height = |height: u64| i32::try_from(height).unwrap_or(i32::MAX).to_le_bytes();
    let mut frame = vec![b'N'];
    frame.extend(params.genesis);
    frame.extend(params.pow_limit.to_le_bytes::<32>());
    frame.extend(i64::from(params.timespan).to_le_bytes());
    frame.extend(i64::from(params.spacing).to_le_bytes());
    frame.extend(height(params.bip34_height));
    frame.extend(height(params.bip66_height));
    frame.extend(height(params.bip65_height));
    frame.push(params.allow_min_difficulty.into());
    frame.push(params.no_retargeting.into());
    frame.push(params.bip94.into());
    frame
}

/// Reads an answer's frame.
fn parse(frame: &[u8]) -> Option<Answer> {
    let (tip, rest) = frame.split_first_chunk::<32>()?;
    let (work, rest) = rest.split_first_chunk::<32>()?;
    let (height, rest) = rest.split_first_chunk::<4>()?;
    let (stored, reject) = rest.split_first_chunk::<4>()?;
    Some(Answer {
        reject: String::from_utf8(reject.to_vec()).ok()?,
        tip: tip.into(),
        height: u64::try_from(i32::from_le_bytes(*height)).ok()?,
        work: U256::from_le_bytes(*work),
        stored: u32::from_le_bytes(*stored).into(),
    })
}

/// The program ends with its input, and then removes its temporary folder.
impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.wait());
    }
}
