//! Regtest headers for tests: two tries each on average.

use bitcoin::{
    Network,
    block::{Header, Version},
    blockdata::constants::genesis_block,
    consensus::{deserialize, serialize},
};

use super::header::LEN;

pub(super) type Raw = [u8; LEN];

/// `count` valid headers above the last of `chain`, as a new chain; `salt` makes branches differ. Ten
/// minutes apart from 2011 on, they stay in the past.
pub(super) fn grow(chain: &[Raw], count: usize, salt: u32) -> Vec<Raw> {
    let mut chain = chain.to_vec();
    for _ in 0..count {
        let parent: Header = deserialize(chain.last().unwrap()).unwrap();
        let mut next = parent;
        next.prev_blockhash = parent.block_hash();
        next.version = Version::from_consensus(4);
        next.time += 600;
        next.nonce = salt;
        while next.validate_pow(next.target()).is_err() {
            next.nonce += 1;
        }
        chain.push(serialize(&next).try_into().unwrap());
    }
    chain
}

/// The genesis header and `count` above it.
pub(super) fn regtest(count: usize) -> Vec<Raw> {
    let genesis = serialize(&genesis_block(Network::Regtest).header);
    grow(&[genesis.try_into().unwrap()], count, 0)
}
