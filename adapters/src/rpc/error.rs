//! Why a call failed.

use core::{fmt, time::Duration};
use std::path::PathBuf;

use serde_json::Value;
use thiserror::Error;

use crate::Class;

/// The first 80 characters of something foreign, control characters replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    /// Cuts and cleans.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_length(bytes, 80)
    }

    /// Cuts to another number of characters, and cleans.
    #[must_use]
    pub(super) fn of_length(bytes: &[u8], characters: usize) -> Self {
        let head = bytes.get(..4 * characters).unwrap_or(bytes);
        let text = String::from_utf8_lossy(head);
        let mut out: String = text
            .chars()
            .map(|c| if c.is_control() || c == char::REPLACEMENT_CHARACTER { '·' } else { c })
            .take(characters)
            .collect();
        if text.chars().nth(characters).is_some() || head.len() < bytes.len() {
            out.push('…');
        }
        Self(out)
    }

    /// The text.
    #[must_use]
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a JSON-RPC call failed. Every variant names the endpoint (scheme, host, port) and the method.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RpcError {
    /// No connection.
    #[error("cannot connect to {endpoint} for {method}: {reason}; is the node running there?")]
    Connect {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// The system's reason.
        reason: String,
    },
    /// The deadline passed.
    #[error("{endpoint} did not answer {method} within {after:?}")]
    Timeout {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// The deadline.
        after: Duration,
    },
    /// The connection broke before the answer was complete.
    #[error("{endpoint} broke the connection during {method}: {reason}")]
    Broken {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// The system's reason.
        reason: String,
    },
    /// Status 401.
    #[error("{endpoint} refused the credentials for {method} (HTTP 401): {fix}")]
    Unauthorized {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// What to configure.
        fix: String,
    },
    /// The cookie file can't be used.
    #[error(
        "cookie file {} of {endpoint}: {reason}; is the node running, and is `cookie_file` for \
         {section} right?", path.display()
    )]
    Cookie {
        /// Endpoint.
        endpoint: String,
        /// Configuration section.
        section: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Status 429, a JSON-RPC error of that meaning, or the rate that is configured for the endpoint.
    #[error("{endpoint} limits the rate of requests ({method}){}", pause_hint(*after))]
    RateLimited {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// The pause it asks for.
        after: Option<Duration>,
    },
    /// Not sent: the endpoint failed too often and is left alone for a while.
    #[error(
        "{endpoint} failed {failures} times in a row and is left alone for {} ms ({method} was not \
         sent); the last failure: {last}", after.as_millis()
    )]
    LeftAlone {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// When it is tried again.
        after: Duration,
        /// Failures in a row.
        failures: u32,
        /// The last one.
        last: String,
    },
    /// Another status without a JSON-RPC answer.
    #[error("{endpoint} answered {method} with HTTP {status}: {body:?}{}", status_hint(*status))]
    Status {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// Status.
        status: u16,
        /// Start of the body.
        body: Excerpt,
    },
    /// The body is larger than the limit.
    #[error("{endpoint} answered {method} with more than {limit} bytes, the configured limit")]
    TooLarge {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// The limit.
        limit: usize,
    },
    /// The body is not JSON.
    #[error(
        "{endpoint} answered {method} with something that is not JSON: \"{body}\"; is the address right?"
    )]
    NotJson {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// Start of the body.
        body: Excerpt,
    },
    /// JSON of another shape.
    #[error("{endpoint}: malformed answer to {method}: expected {expected}")]
    Malformed {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// What was expected.
        expected: String,
    },
    /// The method's own error.
    #[error("{endpoint} refused {method}: {message} (code {code})")]
    Server {
        /// Endpoint.
        endpoint: String,
        /// Method.
        method: String,
        /// JSON-RPC error code.
        code: i64,
        /// Message, cut to 400 characters.
        message: String,
        /// The error's data, unless it is larger than 4 KiB.
        data: Option<Value>,
    },
}

fn pause_hint(after: Option<Duration>) -> String {
    after.map(|after| format!("; the next in {} ms", after.as_millis())).unwrap_or_default()
}

const fn status_hint(status: u16) -> &'static str {
    match status {
        300..=399 => "; redirects are not followed, configure the final address",
        403 => "; the node does not allow this address (bitcoind: rpcallowip)",
        404 => "; is the path of the address right?",
        _ => "",
    }
}

/// Bitcoin Core: still starting.
const IN_WARMUP: i64 = -28;
/// Codes for an exceeded rate: EIP-1474's, and HTTP's in place of it.
const LIMIT_EXCEEDED: [i64; 2] = [-32005, 429];

impl RpcError {
    /// The method's own error code.
    #[must_use]
    pub const fn code(&self) -> Option<i64> {
        match self {
            Self::Server { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the call may have reached the server and had its effect, although there is no answer.
    pub(super) const fn may_have_arrived(&self) -> bool {
        !matches!(
            self,
            Self::Connect { .. }
                | Self::Unauthorized { .. }
                | Self::Cookie { .. }
                | Self::RateLimited { .. }
                | Self::LeftAlone { .. }
                | Self::Server { .. }
        )
    }

    /// A method's own error that says no more than HTTP 429.
    pub(super) fn limited(self) -> Self {
        match self {
            Self::Server { endpoint, method, code, .. } if LIMIT_EXCEEDED.contains(&code) => {
                Self::RateLimited { endpoint, method, after: None }
            }
            other => other,
        }
    }

    /// Whether a shorter batch may get an answer: one that is too large, for geth (-32600), for jsonrpsee's
    /// servers, or for us.
    pub(super) const fn refuses_batch(&self) -> bool {
        match self {
            Self::Server { code, .. } => matches!(code, -32600 | -32007 | -32008 | -32010 | -32011),
            Self::TooLarge { .. } | Self::Status { status: 413, .. } => true,
            _ => false,
        }
    }

    /// What a caller does about it.
    #[must_use]
    pub const fn class(&self) -> Class {
        const fn retry(millis: u64) -> Class {
            Class::Retry { after: Duration::from_millis(millis) }
        }
        match self {
            Self::Connect { .. } | Self::Cookie { .. } => retry(2_000),
            Self::Timeout { .. } => retry(1_000),
            Self::Broken { .. } => retry(100),
            Self::RateLimited { after: Some(after), .. } => Class::Retry { after: *after },
            Self::RateLimited { after: None, .. } => retry(5_000),
            Self::Unauthorized { .. } => Class::Halt { reason: "unauthorized" },
            Self::Status { status: 300..=499, .. } => Class::Halt { reason: "http-status" },
            Self::Status { .. } => retry(2_000),
            Self::TooLarge { .. } => Class::Reject { reason: "too-large" },
            Self::NotJson { .. } | Self::Malformed { .. } => retry(5_000),
            Self::Server { code: IN_WARMUP, .. } => Class::Wait { until: "started" },
            Self::LeftAlone { after, .. } => Class::Retry { after: *after },
            Self::Server { .. } => Class::Reject { reason: "rpc-error" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_printable() {
        assert_eq!(Excerpt::of(b"<html>\n\x1b[31m").into_inner(), "<html>··[31m");
        let long = Excerpt::of(&vec![b'x'; 1 << 20]).into_inner();
        assert_eq!(long.chars().count(), 81);
        assert_eq!(Excerpt::of(&[0xff, 0xfe]).into_inner(), "··");
    }
}
