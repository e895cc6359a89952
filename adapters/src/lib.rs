//! Sources of foreign chains: nodes of Bitcoin, Ethereum and their kin, turned into grid-core inputs.
//!
//! A [`SourceChain`] answers three questions about one chain: where is its tip, which headers does its
//! active chain have, and what is needed to prove a transaction, a receipt or a storage slot. Nothing that a node says is believed: every header's hash is recomputed, every link
//! checked, every root rebuilt before it leaves this crate. A node can be late, broken or rude; it
//! cannot make a source hand out an inconsistent header.
//!
//! * [`HttpJsonRpc`] — the HTTP and JSON-RPC client for every endpoint, Grid's own included: deadlines,
//!   rates, circuit breakers, body limits, batches, credentials that never reach a log ([`http`]).
//! * [`RpcPool`] — several servers of one chain behind one client: failover, hedged questions.
//! * [`bitcoin`] — Bitcoin Core over JSON-RPC and REST, its network's peers over their own protocol,
//!   Esplora servers, files of headers; and [`Quorum`](bitcoin::Quorum), which verifies the headers of all of them and follows the most work.
//! * [`ethereum`] — the beacon chain's light client over nodes that nobody trusts; or execution nodes over
//!   JSON-RPC alone (`rpc` mode: the endpoint is trusted for its choice of chain, not for the content of a
//!   header).
//! * [`grid`] — another Grid chain, whose every block is certified by its validators.
//! * [`Pool`] — several endpoints of one chain behind one [`SourceChain`]: failover and k-of-n
//!   agreement.
//! * [`message`] — the messages in a block of a Bitcoin or an Ethereum node.
//!
//! Every failure is an [`AdapterError`]; its [`class`](AdapterError::class) says what a caller does
//! about it.

pub mod bitcoin;
pub mod error;
pub mod ethereum;
pub mod grid;
pub mod http;
mod latency;
pub mod member;
pub mod message;
pub mod pool;
pub mod rpc;
pub mod source;
pub mod view;

pub use error::{AdapterError, Class};
pub use http::{
    Auth, BreakerState, Endpoint, EndpointError, EndpointGroup, EndpointMetrics, Limits,
    PoolSettings, Secret, install_crypto_provider,
};
pub use member::Member;
pub use pool::Pool;
pub use rpc::{HttpJsonRpc, RpcError, RpcPool, SendError};
pub use source::{
    FinalityChain, FinalityData, Material, ProofRequest, SourceChain, SourceHeader, SourceTip,
};
pub use view::{Branch, Disagreement, Health, SourceKind, SourceView, Vote};
