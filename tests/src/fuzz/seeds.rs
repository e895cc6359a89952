//! Real inputs from a folder of test data. Files that are not there are no seeds; whether there are
//! any is for the caller to judge.

use std::path::Path;

use alloy_primitives::hex;
use bitcoin::{Block, consensus};
use walkdir::WalkDir;

/// The files below a folder whose names end like this, in a fixed order.
fn files(folder: &Path, end: &str) -> Vec<Vec<u8>> {
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    walk.filter(|entry| entry.file_name().to_string_lossy().ends_with(end))
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .collect()
}

/// The first headers of each header file, but for genesis.
pub(super) fn headers(data: &Path) -> Vec<Vec<u8>> {
    let files = files(&data.join("bitcoin/headers"), ".bin");
    files.iter().map(|file| file.iter().skip(80).take(20 * 80).copied().collect()).collect()
}

/// Every `gettxoutproof` answer.
pub(super) fn merkle_blocks(data: &Path) -> Vec<Vec<u8>> {
    let folder = data.join("bitcoin/proofs");
    let texts = [files(&folder, "gettxoutproof.csv"), files(&folder, ".hex")].concat();
    texts.iter().flat_map(|text| hexes(text)).filter(|bytes| bytes.len() > 80).collect()
}

/// The first transactions of each block.
pub(super) fn transactions(data: &Path) -> Vec<Vec<u8>> {
    let blocks = files(&data.join("bitcoin/blocks"), ".bin");
    let blocks = blocks.iter().filter_map(|raw| consensus::deserialize::<Block>(raw).ok());
    blocks
        .flat_map(|block| block.txdata.into_iter().take(20))
        .map(|tx| consensus::serialize(&tx))
        .filter(|raw| raw.len() < 2_000)
        .collect()
}

/// Everything in a text that is hexadecimal.
fn hexes(text: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter_map(|word| hex::decode(word).ok()).collect()
}
