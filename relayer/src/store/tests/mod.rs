//! The store on real databases: every test of behaviour runs on an `SQLite` file and on a PostgreSQL server.

mod crash;
mod disagreements;
mod durations;
mod files;
mod items;
mod messages;
mod nonces;
mod plans;
mod server;
mod sharing;

use core::time::Duration;
use std::sync::{Arc, Weak};

use alloy_primitives::{Address, Bytes, keccak256};
use grid_core::{ChainId, api::BlockRef};
use grid_test_nodes::Postgres;
use tokio::sync::Mutex;

use super::*;

const LEASE: Duration = Duration::from_secs(30);
const STALE: Duration = Duration::from_secs(60);

/// Makes two tests of each function that takes a [`Place`].
macro_rules! on_both {
    ($($name:ident)+) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::tests::Place::file()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::store::tests::Place::server().await).await;
            })+
        }
    };
}
use on_both;

/// A database of one test.
struct Place {
    location: StoreLocation,
    _file: Option<tempfile::TempDir>,
    server: Option<Arc<Postgres>>,
}

impl Place {
    fn file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().join("relayer.db").into();
        Self { location, _file: Some(folder), server: None }
    }

    async fn server() -> Self {
        let server = server().await;
        let url = server.database().unwrap();
        let location = StoreLocation::Postgres(PostgresConfig::new(&url, None).unwrap());
        Self { location, _file: None, server: Some(server) }
    }

    /// Each has connections of its own, as another process would.
    async fn open(&self) -> Store {
        Store::open(&self.location).await.unwrap()
    }
}

/// The server of all tests that run at this time; it ends with the last of them.
async fn server() -> Arc<Postgres> {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
    let mut running = SERVER.lock().await;
    if let Some(server) = running.upgrade() {
        return server;
    }
    let server = Postgres::start().await.expect("scripts/setup-nodes --only-postgres installs it");
    let server = Arc::new(server);
    *running = Arc::downgrade(&server);
    server
}

fn chain() -> ChainId {
    ChainId::eip155(31_337)
}

fn item(from: u64, to: u64) -> NewItem {
    NewItem {
        kind: Kind::Headers,
        chain: chain(),
        from,
        parent: keccak256((from - 1).to_be_bytes()),
        last: BlockRef { height: to, hash: keccak256(to.to_be_bytes()) },
        payload: Bytes::from(vec![7; 100]),
    }
}

fn transaction(nonce: u64, salt: u8) -> NewTransaction {
    signed(Address::repeat_byte(1), nonce, salt)
}

fn signed(signer: Address, nonce: u64, salt: u8) -> NewTransaction {
    NewTransaction {
        hash: keccak256([signer.as_slice(), &nonce.to_be_bytes()[..], &[salt]].concat()),
        signer,
        nonce,
        raw: Bytes::from_static(&[2, 3]),
        max_fee: u128::MAX,
        priority_fee: 1,
    }
}

/// Holds the chain and claims; nothing while another one holds it.
async fn claim(store: &Store, owner: &str, limit: u32, now: u64) -> Vec<Claim> {
    let held = store.hold_chain(owner, &chain(), now, LEASE, Duration::ZERO).await.unwrap();
    let claims = store.claim(owner, &chain(), limit, now, LEASE).await.unwrap();
    assert!(held.is_some() || claims.is_empty(), "{owner} does not hold the chain");
    claims
}
