//! The kinds of files, by folder and name.

use std::path::Path;

use super::{
    Outcome, beacon, bitcoin_blocks, bitcoin_checkpoints, bitcoin_headers, bitcoin_tables, blocks,
    double_spend, eth_headers, mpt, spv,
};

/// Reads one file and counts its cases. An error says why the file cannot be read at all.
pub type Runner = fn(&Path, &mut Outcome) -> Result<(), String>;

/// What is done with the files of a kind.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Run them.
    Run(Runner),
    /// The capability that they test is not built yet.
    NotYet(&'static str),
    /// They accompany a vector and hold no case of their own.
    Companion,
}

/// One kind of files. A file may be of several kinds: a block holds headers and receipts.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Name in the report.
    pub name: &'static str,
    /// A folder somewhere above the file, or empty for any.
    folder: &'static str,
    /// Patterns of the file's name, with `*` for any text.
    names: &'static [&'static str],
    /// What is done with them.
    pub action: Action,
}

const fn kind(
    name: &'static str,
    folder: &'static str,
    names: &'static [&'static str],
    action: Action,
) -> Kind {
    Kind { name, folder, names, action }
}

use Action::{Companion, NotYet, Run};

/// Runs of a network's headers: its name, and the heights of the first and the last one.
const NETWORK_RUNS: &[&str] = &[
    "mainnet_*_*.bin",
    "testnet3_*_*.bin",
    "testnet4_*_*.bin",
    "signet_*_*.bin",
    "regtest_*_*.bin",
];

/// What a beacon node serves, checked against full states: only the form without raw objects exists.
const COLLECTION: Action = NotYet("checking what a beacon node serves");

/// A case of the beacon chain, which names the files beside it.
const CASE: &[&str] = &["case.json"];
/// Files that a case names.
const OBJECTS: &[&str] = &[
    "*.ssz",
    "bootstrap*.json",
    "update*.json",
    "0*.json",
    "1*.json",
    "2*.json",
    "3*.json",
    "4*.json",
    "5*.json",
    "6*.json",
    "7*.json",
    "8*.json",
    "9*.json",
];
/// Official forms that only repeat a case, and its summary.
const REPEATED: &[&str] = &["*.ssz_snappy", "*.yaml", "SUMMARY.txt"];
/// Where a real sequence starts.
const BOOTSTRAP: &[&str] = &["*bootstrap*.json"];
/// What belongs to a real sequence.
const UPDATES: &[&str] = &["*update*.json", "*finality*.json", "*optimistic*.json", "*.ssz"];
/// Files named by a slot.
const NUMBERED: &[&str] = &[
    "0*.json", "1*.json", "2*.json", "3*.json", "4*.json", "5*.json", "6*.json", "7*.json",
    "8*.json", "9*.json",
];

/// All kinds, in the order of the report.
pub const KINDS: &[Kind] = &[
    kind("bitcoin header chains", "headers", NETWORK_RUNS, Run(bitcoin_headers::segment)),
    kind("bitcoin header forks", "forks", NETWORK_RUNS, Run(bitcoin_headers::segment)),
    kind("bitcoin BIP54 chains", "bip54", &["*.bin"], Run(bitcoin_headers::bip54)),
    kind("bitcoin BIP54 manifest", "bip54", &["manifest.json"], Companion),
    kind("bitcoin compact targets", "", &["*compact_vectors*.csv"], Run(bitcoin_tables::compact)),
    kind("bitcoin next-work cases", "", &["*pow_tests*.csv"], Run(bitcoin_tables::next_work)),
    kind("bitcoin retargets", "", &["*_retargets.csv"], Run(bitcoin_tables::retargets)),
    kind("bitcoin chain work", "", &["*chainwork*.csv"], Run(bitcoin_checkpoints::chain_work)),
    kind(
        "bitcoin checkpoint headers",
        "checkpoints",
        &["*_headers.csv"],
        Run(bitcoin_checkpoints::headers),
    ),
    kind(
        "bitcoin electrum checkpoints",
        "",
        &["electrum_*checkpoints*.json"],
        Run(bitcoin_checkpoints::electrum),
    ),
    kind(
        "bitcoin core checkpoints",
        "",
        &["*core_checkpoints*.json"],
        Run(bitcoin_checkpoints::core),
    ),
    kind(
        "bitcoin blocks and proofs of their transactions",
        "blocks",
        &["*_*_*.bin"],
        Run(bitcoin_blocks::raw),
    ),
    kind("bitcoin gettxoutproof answers", "", &["*gettxoutproof*.csv"], Run(spv::tx_out_proofs)),
    kind("bitcoin merkle blocks", "proofs", &["*merkleblock*.hex"], Run(spv::merkle_block)),
    kind("bitcoin proofs to refuse", "proofs", &["negative*.json"], Run(spv::negative)),
    kind("bitcoin proofs of another library", "", &["summa_*.json"], Run(spv::summa)),
    kind("bitcoin block manifest", "blocks", &["manifest.csv"], Companion),
    kind("bitcoin double-spend tables", "", &["doublespend_*.csv"], Run(double_spend::tables)),
    kind(
        "execution headers of blocks",
        "mainnet-blocks",
        &["block-*.json"],
        Run(eth_headers::block),
    ),
    kind("execution headers of anvil", "anvil", &["*chain*.json"], Run(eth_headers::anvil)),
    kind("trie proofs", "mpt-vectors", &["*.json"], Run(mpt::random_tries)),
    kind("account and storage proofs", "eth_getProof", &["*.json"], Run(mpt::get_proof)),
    kind("account and storage proofs of anvil", "anvil", &["*chain*.json"], Run(mpt::anvil)),
    kind(
        "transactions and receipts of blocks",
        "mainnet-blocks",
        &["block-*.json"],
        Run(blocks::ethereum),
    ),
    kind("transactions and receipts of anvil", "anvil", &["*chain*.json"], Run(blocks::anvil)),
    kind("transactions of RLP blocks", "", &["chain.rlp"], Run(blocks::chain_rlp)),
    kind("RPC: account proofs", "eth_getProof", &["*.io"], Run(mpt::proof_calls)),
    kind("RPC: raw receipts", "debug_getRawReceipts", &["*.io"], Run(blocks::raw_receipt_calls)),
    kind(
        "RPC: raw transactions",
        "debug_getRawTransaction",
        &["*.io"],
        Run(blocks::raw_transaction_calls),
    ),
    kind("execution header chain", "", &["chain-decoded.json"], Run(eth_headers::decoded_chain)),
    kind("execution blocks in RLP", "", &["chain.rlp"], Run(eth_headers::chain_rlp)),
    kind("RPC: raw headers", "debug_getRawHeader", &["*.io"], Run(eth_headers::raw_header_calls)),
    kind("RPC: raw blocks", "debug_getRawBlock", &["*.io"], Run(eth_headers::raw_block_calls)),
    kind("RPC: blocks by number", "eth_getBlockByNumber", &["*.io"], Run(eth_headers::block_calls)),
    kind("RPC: blocks by hash", "eth_getBlockByHash", &["*.io"], Run(eth_headers::block_calls)),
    kind(
        "RPC: other methods",
        "rpc-conformance",
        &["*.io"],
        NotYet("a conformance run of the JSON-RPC server"),
    ),
    kind("RPC: chain set-up", "rpc-conformance", &["*.json"], Companion),
    kind("beacon sync protocol, official", "official-generator", CASE, Run(beacon::case)),
    kind("beacon objects, official", "official-generator", OBJECTS, Run(beacon::member)),
    kind("beacon sync protocol, with execution", "anvil-carrying", CASE, Run(beacon::case)),
    kind("beacon objects, with execution", "anvil-carrying", OBJECTS, Run(beacon::member)),
    kind("beacon data collection", "data_collection", &["*"], COLLECTION),
    kind("beacon objects in other forms", "official-generator", REPEATED, Companion),
    kind("beacon sequence of mainnet", "mainnet-lightclient", BOOTSTRAP, Run(beacon::sequence)),
    kind("beacon updates of mainnet", "mainnet-lightclient", UPDATES, Run(beacon::sequence_member)),
    kind("beacon blocks of mainnet", "mainnet-lightclient", NUMBERED, Run(beacon::block)),
    kind("beacon sequence of sepolia", "sepolia-lightclient", BOOTSTRAP, Run(beacon::sequence)),
    kind("beacon updates of sepolia", "sepolia-lightclient", UPDATES, Run(beacon::sequence_member)),
    kind("beacon blocks of sepolia", "sepolia-lightclient", NUMBERED, Run(beacon::block)),
    kind("beacon sequence of hoodi", "hoodi-lightclient", BOOTSTRAP, Run(beacon::sequence)),
    kind("beacon updates of hoodi", "hoodi-lightclient", UPDATES, Run(beacon::sequence_member)),
    kind("beacon blocks of hoodi", "hoodi-lightclient", NUMBERED, Run(beacon::block)),
    kind("beacon default roots", "", &["default-field-roots.json"], Companion),
    kind("descriptions", "", &["README*", "*.md"], Companion),
];

impl Kind {
    /// Whether a file, by its path below the data folder, is of this kind.
    pub fn matches(&self, relative: &Path) -> bool {
        let in_folder = self.folder.is_empty()
            || relative
                .parent()
                .is_some_and(|parent| parent.components().any(|c| c.as_os_str() == self.folder));
        let name = relative.file_name().unwrap_or_default().to_string_lossy();
        in_folder && self.names.iter().any(|pattern| glob(pattern, &name))
    }

    /// A kind for what no narrower one takes: it does not count where another one runs the file.
    pub fn is_rest(&self) -> bool {
        !matches!(self.action, Run(_))
    }
}

/// Matches a name against a pattern with `*` for any text, the empty one included.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| glob(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        assert!(glob("*_*_*.bin", "mainnet_0000000_0049999.bin"));
        assert!(glob("*", ""));
        assert!(!glob("*.bin", "a.bin.json"));
        assert!(!glob("block-*.json", "a-block-1.json"));
    }

    #[test]
    fn folders_are_recognised_below_any_root() {
        let headers = KINDS[0];
        assert!(headers.matches(Path::new("other/headers/regtest_0_9.bin")));
        assert!(!headers.matches(Path::new("other/blocks/regtest_0_9.bin")));
    }
}
