//! End to end: real bitcoind, real anvil and the `grid` binary, as an operator runs them.

mod containers;
mod crash;
mod data;
mod doctor;
mod ethereum_facts;
mod grid_chain;
mod guarantee;
mod light;
mod messages;
mod metrics;
mod operator;
mod proofs;
mod refusals;
mod reload;
mod reorg;
mod sources;
mod stop;
mod tools;
mod web3;
mod world;
