//! Files with a proof: the proof alone in either of its forms, or in JSON with the headers that lead to its Grid
//! block from an older trusted one.

use std::{fs, path::Path};

use eyre::{Result, WrapErr as _, bail};
use grid_core::{grid::light::HandOver, proof::CrossChainProof};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A file larger than this is not read.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// A proof, and the way to its Grid block.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProofFile {
    /// Headers that lead from an older trusted header towards the proof's Grid block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hand_over: Option<HandOver>,
    /// The proof.
    pub(crate) proof: CrossChainProof,
}

impl ProofFile {
    /// Reads a file of any form.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bytes = read(file)?;
        let parsed = Self::parse(&bytes);
        parsed.wrap_err_with(|| format!("{} is not a proof", file.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let alone = |proof| Self { hand_over: None, proof };
        // JSON begins with a brace, the binary form never does: it begins with an ABI offset.
        if bytes.first() != Some(&b'{') {
            return Ok(alone(CrossChainProof::from_abi(bytes)?));
        }
        if !bytes.starts_with(WITH_HAND_OVER) {
            return Ok(alone(CrossChainProof::from_json(bytes)?));
        }
        let file: Self = serde_json::from_slice(bytes)?;
        // One spelling, as for a proof alone: nothing in the file is there without being checked.
        if file.to_json()? != bytes {
            bail!("not canonical: indented by two spaces, with one newline at the end");
        }
        Ok(file)
    }

    /// The JSON text.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        Ok((serde_json::to_string_pretty(self)? + "\n").into_bytes())
    }
}

/// How a proof with a hand-over begins. A proof alone begins with its version.
const WITH_HAND_OVER: &[u8] = b"{\n  \"handOver\"";

/// Reads a JSON file of some kind.
pub(crate) fn read_json<T: DeserializeOwned>(file: &Path, kind: &str) -> Result<T> {
    serde_json::from_slice(&read(file)?)
        .wrap_err_with(|| format!("{} is not {kind}", file.display()))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let unreadable = || format!("cannot read {}", file.display());
    let size = fs::metadata(file).wrap_err_with(unreadable)?.len();
    if size > MAX_FILE {
        bail!("{} has {size} bytes; at most {MAX_FILE} are read", file.display());
    }
    fs::read(file).wrap_err_with(unreadable)
}
