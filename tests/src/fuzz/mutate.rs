//! Small changes to real data.

use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

/// Numbers that lengths and fields are good at breaking on.
const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfc, 0xfd, 0xfe, 0xff];

/// One to four changes: a bit flipped, a byte set, a piece cut out, repeated or moved in from another
/// input, the end cut off.
#[must_use]
pub fn mutate(input: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.gen_range(1..=4) {
        let at = rng.gen_range(0..=bytes.len());
        let end = (at + rng.gen_range(0..=40)).min(bytes.len());
        match rng.gen_range(0..6) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.gen_range(0..8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *EDGES.choose(rng).unwrap_or(&0);
                }
            }
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => {
                let from = rng.gen_range(0..=other.len());
                let piece = &other[from..(from + 32).min(other.len())];
                drop(bytes.splice(at..end, piece.iter().copied()));
            }
        }
    }
    if rng.gen_ratio(1, 10) {
        bytes.truncate(rng.gen_range(0..=bytes.len()));
    }
    bytes
}
