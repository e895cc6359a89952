//! The relayer daemon: brings every configured chain's headers to the Grid main chain.
//!
//! It guarantees, whatever it is killed in the middle of:
//! * no header is lost: what is to be done is recomputed from both ends on every round
//!   ([`plan`]), events only shorten the wait;
//! * nothing takes effect twice: every unit of work has a row before it is sent ([`store`]), one durable
//!   owner gives out nonces ([`submit`]), and known content is refused by the main chain for free;
//! * a slow, broken or halted chain delays no other one: each chain has its own deadline and pause, each
//!   speed level its own lane ([`lane`]);
//! * being alive is not enough: tasks are watched for progress as well as for heartbeats
//!   ([`supervise`]).
//!
//! The main chain believes nothing of what it is sent, so a relayer can be late but cannot lie.

pub mod attest;
pub mod clock;
pub mod config;
pub mod crew;
mod error;
pub mod evidence;
pub mod explain;
pub mod finality;
pub mod guarantee;
pub mod http;
pub mod lane;
pub mod main_chain;
pub mod messages;
pub mod metrics;
pub mod plan;
pub mod problem;
mod relayer;
mod reload;
pub mod round;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod source;
pub mod status;
pub mod store;
pub mod submit;
pub mod supervise;
#[cfg(test)]
mod tests;
mod wake;

pub use config::{AdminConfig, LaneConfig, RelayerConfig, Retention, SubmitConfig};
pub use error::RelayerError;
pub use explain::Explanation;
pub use main_chain::{
    HttpTransport, MainChain, MainError, MainView, Receipt, Refusal, RpcMainChain, RpcTransport,
    TransportError,
};
pub use metrics::{MetricInfo, Metrics};
pub use problem::{Problem, Severity};
pub use relayer::{Relayer, RelayerHandle};
pub use reload::{Change, Control, Effect, Reload};
pub use source::ChainSource;
pub use status::{ChainStatus, Holder, MainStatus, Status, TaskStatus, WalletStatus};
pub use store::{Store, StoreError};
