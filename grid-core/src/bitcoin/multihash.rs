//! SHA-256d of many headers at a time.
//!
//! A header's hash does not depend on any other header's: each names its parent's hash itself. So a
//! batch is hashed in the lanes of vector registers, one header a lane, where the processor has wide
//! ones; elsewhere one by one, by `bitcoin_hashes`. The results are the same on every machine: only
//! the time differs. Measured figures are in `docs/adr/0006-header-hashing.md`.
//!
//! The lanes are plain arrays, and the loops over them are compiled into vector instructions, so
//! there is no unsafe code and no code per processor. Source of the algorithm: FIPS 180-4.

#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "every index is a loop's over a fixed-size array; iterators over arrays of lanes hide \
              from the compiler that they are vectors"
)]

use alloy_primitives::B256;

use super::header::sha256d;

/// A 32-bit word of each of `N` headers.
type Lanes<const N: usize> = [u32; N];

/// FIPS 180-4, 4.2.2.
const K: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The hashes of headers, in their order; internal byte order.
#[must_use]
pub fn hash_all(headers: &[[u8; 80]]) -> Vec<B256> {
    let mut hashes = vec![B256::ZERO; headers.len()];
    fill(headers, &mut hashes);
    hashes
}

#[cfg(target_arch = "x86_64")]
fn fill(headers: &[[u8; 80]], hashes: &mut [B256]) {
    use pulp::x86;

    // Sixteen 512-bit lanes are faster than the SHA instructions, which are faster than eight
    // 256-bit lanes, which are faster than one header at a time.
    if cfg!(debug_assertions) {
        // Without optimisation the lanes are loops, a hundred times slower than the library.
        one_by_one(headers, hashes);
    } else if let Some(simd) = x86::V4::try_new() {
        simd.vectorize(InLanes::<16> { headers, hashes });
    } else if std::arch::is_x86_feature_detected!("sha") {
        one_by_one(headers, hashes);
    } else if let Some(simd) = x86::V3::try_new() {
        simd.vectorize(InLanes::<8> { headers, hashes });
    } else {
        one_by_one(headers, hashes);
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn fill(headers: &[[u8; 80]], hashes: &mut [B256]) {
    one_by_one(headers, hashes);
}

fn one_by_one(headers: &[[u8; 80]], hashes: &mut [B256]) {
    for (header, hash) in headers.iter().zip(hashes) {
        *hash = sha256d(header);
    }
}

/// The work of [`in_lanes`], to be compiled for the processor that is found at run time.
#[cfg(target_arch = "x86_64")]
struct InLanes<'a, const N: usize> {
    headers: &'a [[u8; 80]],
    hashes: &'a mut [B256],
}

#[cfg(target_arch = "x86_64")]
impl<const N: usize> pulp::NullaryFnOnce for InLanes<'_, N> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        in_lanes::<N>(self.headers, self.hashes);
    }
}

// Everything below is `inline(always)`: a function that is called instead would be compiled for the
// oldest processor, without wide registers.

#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn in_lanes<const N: usize>(headers: &[[u8; 80]], hashes: &mut [B256]) {
    let (groups, rest) = headers.as_chunks::<N>();
    let (outputs, rest_hashes) = hashes.as_chunks_mut::<N>();
    for (group, out) in groups.iter().zip(outputs) {
        hash_group(group, out);
    }
    one_by_one(rest, rest_hashes);
}

#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn hash_group<const N: usize>(headers: &[[u8; 80]; N], out: &mut [B256; N]) {
    let mut state = INITIAL.map(|word| [word; N]);
    compress(&mut state, core::array::from_fn(|i| word_of(headers, i)));
    let mut block = padding(80);
    for (i, word) in block.iter_mut().take(4).enumerate() {
        *word = word_of(headers, 16 + i);
    }
    compress(&mut state, block);

    let mut block = padding(32);
    block[..8].copy_from_slice(&state);
    let mut state = INITIAL.map(|word| [word; N]);
    compress(&mut state, block);
    for (lane, hash) in out.iter_mut().enumerate() {
        for (i, bytes) in hash.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            *bytes = state[i][lane].to_be_bytes();
        }
    }
}

/// Word `i` of every header.
#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn word_of<const N: usize>(headers: &[[u8; 80]; N], i: usize) -> Lanes<N> {
    core::array::from_fn(|lane| {
        let at = 4 * i;
        let header = &headers[lane];
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    })
}

/// A message's last block, without its bytes: the end mark behind them, and the length in bits.
#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
const fn padding<const N: usize>(length: u32) -> [Lanes<N>; 16] {
    let mut block = [[0; N]; 16];
    block[(length as usize % 64) / 4] = [0x8000_0000; N];
    block[15] = [8 * length; N];
    block
}

/// FIPS 180-4, 6.2.2, on `N` messages side by side.
#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn compress<const N: usize>(state: &mut [Lanes<N>; 8], mut w: [Lanes<N>; 16]) {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for i in 0..64 {
        if i >= 16 {
            let s0 = map(w[(i + 1) % 16], |x| x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3));
            let s1 = map(w[(i + 14) % 16], |x| x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10));
            w[i % 16] = add(add(w[i % 16], s0), add(w[(i + 9) % 16], s1));
        }
        let s1 = map(e, |e| e.rotate_right(6) ^ e.rotate_right(11) ^ e.rotate_right(25));
        let choice = zip(e, f, g, |e, f, g| g ^ (e & (f ^ g)));
        let t1 = add(add(add(h, s1), choice), add([K[i]; N], w[i % 16]));
        let s0 = map(a, |a| a.rotate_right(2) ^ a.rotate_right(13) ^ a.rotate_right(22));
        let majority = zip(a, b, c, |a, b, c| (a & b) | (c & (a | b)));
        (h, g, f, e) = (g, f, e, add(d, t1));
        (d, c, b, a) = (c, b, a, add(t1, add(s0, majority)));
    }
    for (sum, word) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *sum = add(*sum, word);
    }
}

// Loops, not `array::from_fn`: that is not compiled into vector instructions.

#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn add<const N: usize>(mut a: Lanes<N>, b: Lanes<N>) -> Lanes<N> {
    for lane in 0..N {
        a[lane] = a[lane].wrapping_add(b[lane]);
    }
    a
}

#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn map<const N: usize>(mut a: Lanes<N>, f: impl Fn(u32) -> u32) -> Lanes<N> {
    for word in &mut a {
        *word = f(*word);
    }
    a
}

#[cfg(any(target_arch = "x86_64", test))]
#[inline(always)]
fn zip<const N: usize>(
    mut a: Lanes<N>,
    b: Lanes<N>,
    c: Lanes<N>,
    f: impl Fn(u32, u32, u32) -> u32,
) -> Lanes<N> {
    for lane in 0..N {
        a[lane] = f(a[lane], b[lane], c[lane]);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(count: usize, seed: u64) -> Vec<[u8; 80]> {
        (0..count as u64)
            .map(|i| {
                let mut header = [0; 80];
                for (at, chunk) in (0u64..).zip(header.chunks_mut(8)) {
                    let word = (seed ^ (i << 8) ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    chunk.copy_from_slice(&word.to_le_bytes());
                }
                header
            })
            .collect()
    }

    fn lanes<const N: usize>(headers: &[[u8; 80]]) -> Vec<B256> {
        let mut hashes = vec![B256::ZERO; headers.len()];
        in_lanes::<N>(headers, &mut hashes);
        hashes
    }

    proptest! {
        #[test]
        fn every_way_gives_the_same_hashes(count in 0usize..70, seed in any::<u64>()) {
            let headers = headers(count, seed);
            let expected: Vec<B256> = headers.iter().map(|header| sha256d(header)).collect();
            prop_assert_eq!(&lanes::<1>(&headers), &expected);
            prop_assert_eq!(&lanes::<8>(&headers), &expected);
            prop_assert_eq!(&lanes::<16>(&headers), &expected);
            prop_assert_eq!(&hash_all(&headers), &expected);
        }
    }
}
