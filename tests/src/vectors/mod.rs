//! Conformance tests over a folder of real chain data and official vectors.
//!
//! A file's **kind** follows from the names of its folder and of itself, or from what it holds; each
//! kind has a runner that feeds the file to grid-core and compares. The folder is not part of the project: any other folder
//! with files of the same kinds works, and a file of no known kind is reported, not failed on.
//!
//! The report is honest about what it does not do: kinds whose capability is not built yet are listed
//! with their number of files, as is data that only accompanies a vector.

mod beacon;
mod bitcoin_blocks;
mod bitcoin_checkpoints;
mod bitcoin_headers;
mod bitcoin_tables;
mod blocks;
mod calls;
mod content;
mod double_spend;
mod eth_headers;
mod hexes;
mod kinds;
mod mpt;
mod outcome;
mod report;
mod spv;

pub use kinds::{KINDS, Kind, Runner};
pub use outcome::Outcome;
pub use report::{Report, run};
