//! The kinds of files, by folder and name, or by what they hold.

use std::path::Path;

use super::{
    Outcome, beacon, bitcoin_blocks, bitcoin_checkpoints, bitcoin_headers, bitcoin_tables, blocks,
    content::Content, double_spend, eth_headers, mpt, spv,
};

/// Reads one file and counts its cases. An error says why the file cannot be read at all.
pub type Runner = fn(&Path, &mut Outcome) -> Result<(), String>;

/// What is done with the files of a kind.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    /// Run them.
    Run(Runner),
    /// Run all of them together, once the whole folder is known.
    Gather,
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
    /// What the file holds, for kinds that are told by it and not by a name.
    content: Option<Content>,
    /// What is done with them.
    pub action: Action,
}

const fn kind(
    name: &'static str,
    folder: &'static str,
    names: &'static [&'static str],
    action: Action,
) -> Kind {
    Kind { name, folder, names, content: None, action }
}

/// A kind that is told by what the file holds. Only files that no runner knows by name are looked at.
const fn found(name: &'static str, content: Content, action: Action) -> Kind {
    Kind { name, folder: "", names: &[], content: Some(content), action }
}

use Action::{Companion, Gather, NotYet, Run};

/// Light-client data, which is run together: what one file holds signs for another.
pub(super) const LIGHT_CLIENT: &str = "beacon light-client data";
/// Beacon blocks, which are compared with the headers in light-client data.
pub(super) const BEACON_BLOCK: &str = "beacon blocks";

/// Runs of a network's headers: its name, and the heights of the first and the last one.
const NETWORK_RUNS: &[&str] = &[
    "mainnet_*_*.bin",
    "testnet3_*_*.bin",
    "testnet4_*_*.bin",
    "signet_*_*.bin",
    "regtest_*_*.bin",
];

/// Official forms of a case that only repeat its objects, compressed.
const REPEATED: &[&str] = &["*.ssz_snappy", "*.yaml", "SUMMARY.txt"];

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
    kind("transactions of RLP blocks", "", &["chain.rlp"], Run(blocks::chain_rlp)),
    kind("RPC: account proofs", "eth_getProof", &["*.io"], Run(mpt::proof_calls)),
    kind("RPC: raw receipts", "debug_getRawReceipts", &["*.io"], Run(blocks::raw_receipt_calls)),
    kind(
        "RPC: raw transactions",
        "debug_getRawTransaction",
        &["*.io"],
        Run(blocks::raw_transaction_calls),
    ),
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
    found("beacon cases", Content::Case, Run(beacon::case)),
    found("beacon objects of cases", Content::CaseMember, Run(beacon::member)),
    found(LIGHT_CLIENT, Content::LightClient, Gather),
    found(BEACON_BLOCK, Content::BeaconBlock, Gather),
    found("execution headers of blocks", Content::ExecutionBlock, Run(eth_headers::block)),
    found("transactions and receipts of blocks", Content::ExecutionBlock, Run(blocks::ethereum)),
    found("execution headers of anvil", Content::AnvilChain, Run(eth_headers::anvil)),
    found("account and storage proofs of anvil", Content::AnvilChain, Run(mpt::anvil)),
    found("transactions and receipts of anvil", Content::AnvilChain, Run(blocks::anvil)),
    found("account and storage proofs", Content::AccountProof, Run(mpt::get_proof)),
    found("trie proofs", Content::Tries, Run(mpt::random_tries)),
    found("execution header chain", Content::HeaderChain, Run(eth_headers::decoded_chain)),
    kind(
        "beacon cases in compressed form alone",
        "data_collection",
        REPEATED,
        NotYet("the raw objects beside them"),
    ),
    kind("beacon cases in other forms", "light_client", REPEATED, Companion),
    kind("beacon cases in other forms", "official-generator", REPEATED, Companion),
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
        !matches!(self.action, Run(_) | Gather)
    }

    /// Whether a file's content is of this kind.
    pub fn holds(&self, content: Content) -> bool {
        self.content == Some(content)
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
