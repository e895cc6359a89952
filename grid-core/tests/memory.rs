//! The memory that tracked headers take, counted at the allocator: nodes, hash index, best branch
//! and whatever the containers keep in reserve.
#![allow(missing_docs)]

use std::alloc::System;

use alloy_primitives::B256;
use grid_core::bitcoin::{BitcoinClient, Header, NetworkParams, target};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW_MS: u64 = 2_000_000_000_000;
/// The bound, bytes a header.
const MOST: usize = 150;

fn mined(count: usize) -> Vec<[u8; 80]> {
    let mut at = Header::parse(&NetworkParams::regtest().genesis.0);
    let target = target::decode(at.bits).target;
    (0..count)
        .map(|_| {
            let (prev, merkle_root) = (at.hash(), B256::repeat_byte(7));
            at = Header { version: 4, prev, merkle_root, time: at.time + 600, nonce: 0, ..at };
            while target::hash_number(&at.hash()) > target {
                at.nonce += 1;
            }
            at.to_bytes()
        })
        .collect()
}

/// One test, so that no other allocates at the same time.
#[test]
fn a_tracked_bitcoin_header_takes_at_most_150_bytes() {
    let headers = mined(40_000);
    // The default window, twice it for a deep reorganisation, and sizes at which the hash index has
    // just doubled or a segment has just begun: the worst there are.
    for count in [4_031, 4_096, 7_168, 8_192, 14_336, 16_500, 28_672, 33_000, 40_000] {
        let region = Region::new(ALLOCATOR);
        let mut client = BitcoinClient::from_genesis(NetworkParams::regtest()).expect("built in");
        for part in headers[..count].chunks(2_000) {
            assert_eq!(client.accept_all(part, NOW_MS).added, part.len());
        }
        let change = region.change();
        let bytes = change.bytes_allocated - change.bytes_deallocated;
        let kept = client.tree().len();
        println!("{kept} headers: {} bytes each", bytes.div_ceil(kept));
        assert!(bytes <= MOST * kept, "{bytes} bytes for {kept} headers");
    }
}
