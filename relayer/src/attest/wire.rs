//! What relayers ask each other: `POST /v1/attest`.

use alloy_primitives::B256;
use grid_core::{ChainId, api::BlockRef, grid::RecoverableSignature};
use serde::{Deserialize, Serialize};

/// "Do your own sources call this header part of the chain, up to the head that you follow?"
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AttestRequest {
    /// CAIP-2 id.
    pub chain: ChainId,
    /// Height.
    pub height: u64,
    /// Block hash.
    pub hash: B256,
}

impl AttestRequest {
    /// The header in question.
    #[must_use]
    pub const fn block(&self) -> BlockRef {
        BlockRef { height: self.height, hash: self.hash }
    }
}

/// The signature, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum AttestAnswer {
    /// Signatures over the digest of `grid_core::ethereum::attest`, one for each key of the attester.
    Signed {
        /// 65 bytes each.
        signatures: Vec<RecoverableSignature>,
    },
    /// This relayer does not attest that chain.
    Unknown,
    /// Its sources' followed head is below that height. Ask again later, or for a lower header.
    Behind {
        /// The head.
        head: BlockRef,
    },
    /// Its sources have another header at that height.
    Disagree {
        /// Theirs.
        hash: B256,
    },
    /// It signed another header of that height as final before, and its sources have left it since.
    Conflict {
        /// The one that it signed.
        hash: B256,
    },
    /// Its sources or its database do not answer right now.
    Unable {
        /// A fixed word: `retry`, `endpoints-agree`, …
        reason: String,
    },
    /// Too many questions at once.
    Busy,
}

impl AttestAnswer {
    /// The metric label.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Signed { .. } => "signed",
            Self::Unknown => "unknown",
            Self::Behind { .. } => "behind",
            Self::Disagree { .. } => "disagree",
            Self::Conflict { .. } => "conflict",
            Self::Unable { .. } => "unable",
            Self::Busy => "busy",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_read_as_documented() {
        let block = BlockRef { height: 7, hash: B256::repeat_byte(1) };
        for (answer, text) in [
            (AttestAnswer::Unknown, r#"{"answer":"unknown"}"#.to_owned()),
            (AttestAnswer::Busy, r#"{"answer":"busy"}"#.to_owned()),
            (
                AttestAnswer::Behind { head: block },
                format!(r#"{{"answer":"behind","head":{{"height":7,"hash":"{}"}}}}"#, block.hash),
            ),
            (
                AttestAnswer::Disagree { hash: block.hash },
                format!(r#"{{"answer":"disagree","hash":"{}"}}"#, block.hash),
            ),
        ] {
            assert_eq!(serde_json::to_string(&answer).unwrap(), text);
            assert_eq!(serde_json::from_str::<AttestAnswer>(&text).unwrap(), answer);
        }
        let short = r#"{"answer":"signed","signatures":["0x00"]}"#;
        assert!(serde_json::from_str::<AttestAnswer>(short).is_err());
        let more = r#"{"chain":"eip155:1","height":1,"hash":"0x","why":1}"#;
        assert!(serde_json::from_str::<AttestRequest>(more).is_err());
    }
}
