//! What can go wrong with a node.

use std::{path::PathBuf, time::Duration};

/// Why a node could not be started, controlled or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A program is not installed.
    #[error("{program} was not found: {looked}")]
    ProgramMissing {
        /// The program's name.
        program: &'static str,
        /// Where it was looked for, and what installs it.
        looked: String,
    },
    /// A file or folder could not be read or written, or a program not be run.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, with the path.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A node ended although nobody stopped it.
    #[error("{name} ended by itself ({status}); end of {}:\n{tail}", log.display())]
    Ended {
        /// The node's name.
        name: String,
        /// Its exit status.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A node did not answer in time after its start.
    #[error("{name} was not ready after {waited:?} ({reason}); end of {}:\n{tail}", log.display())]
    NotReady {
        /// The node's name.
        name: String,
        /// How long it was waited for.
        waited: Duration,
        /// What the last attempt said.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A condition did not come true in time.
    #[error("{what} did not happen within {waited:?}; last seen: {last}")]
    Deadline {
        /// The condition.
        what: String,
        /// How long it was waited for.
        waited: Duration,
        /// What was seen last.
        last: String,
    },
    /// The node answered a call with an error.
    #[error("{method} failed with code {code}: {message}")]
    Rpc {
        /// The method called.
        method: String,
        /// The JSON-RPC error code.
        code: i64,
        /// The node's message.
        message: String,
    },
    /// The node did not answer a call.
    #[error("{method} got no answer: {reason}")]
    Transport {
        /// The method called.
        method: String,
        /// The failure.
        reason: String,
    },
    /// The node answered something else than was expected.
    #[error("{method} answered something unexpected: {answer}")]
    Unexpected {
        /// The method called.
        method: String,
        /// The answer, shortened.
        answer: String,
    },
    /// A chain did what it must never do.
    #[error("a promise of the chain is broken: {0}")]
    Broken(String),
    /// A configuration file of a node is not what was expected.
    #[error("{}: {reason}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A command run to its end failed.
    #[error("{command} failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of its output.
        output: String,
    },
}

impl NodeError {
    /// Wraps a system error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// An answer of another shape than expected.
    pub(crate) fn unexpected(method: &str, answer: &serde_json::Value) -> Self {
        let mut answer = answer.to_string();
        if answer.len() > 300 {
            answer = answer.chars().take(300).collect::<String>() + "…";
        }
        Self::Unexpected { method: method.to_owned(), answer }
    }
}
