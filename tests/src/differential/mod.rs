//! The same headers to Bitcoin Core's own code and to grid-core; both must say the same.
//!
//! [`generate`] turns a seed into a [`Case`]: a network with tiny difficulty and a sequence of
//! submissions, valid and flawed. [`compare`] feeds them to both sides and stops at the first
//! difference; [`shrink`] makes what shows a difference as small as it gets. Core's side is
//! `tests/core-oracle`, which [`Oracle`] talks to. docs/differential.md says what is compared and what
//! was found.

mod case;
mod chain;
mod compare;
mod generate;
mod oracle;
mod ours;

pub use case::{Case, Submission};
pub use compare::{Coverage, Divergence, compare, compare_with, shrink};
pub use generate::{generate, generate_on};
pub use oracle::{Answer, Oracle, OracleError};
pub use ours::Ours;
