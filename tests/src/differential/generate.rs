//! Turns a seed into a network and a sequence of submissions.

use alloy_primitives::{B256, FixedBytes, U256};
use grid_core::bitcoin::{BitcoinClient, Header, NetworkParams, target};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::{
    Case, Submission,
    chain::{Chain, mine, spoil},
};

/// The case of a seed, on a network of its own.
#[must_use]
pub fn generate(seed: u64) -> Case {
    let mut rng = StdRng::seed_from_u64(seed);
    let params = network(&mut rng);
    let steps = rng.gen_range(4..24);
    Generator::new(params, rng).run(steps)
}

/// The case of a seed on a given network, whose difficulty must be tiny.
#[must_use]
pub fn generate_on(params: NetworkParams, seed: u64, steps: usize) -> Case {
    Generator::new(params, StdRng::seed_from_u64(seed)).run(steps)
}

/// A network with short periods and a difficulty that takes a few hundred hashes a header.
fn network(rng: &mut StdRng) -> NetworkParams {
    let no_retargeting = rng.gen_ratio(1, 6);
    // With retargeting the least difficulty grows with the timespan, or targets would leave 256 bits.
    let spacing = if no_retargeting { 600 } else { pick(rng, &[1, 1, 2, 3]) };
    let timespan = spacing * rng.gen_range(2..=12);
    let highest =
        if no_retargeting { U256::MAX >> 1 } else { U256::MAX / U256::from(4 * timespan) };
    let pow_limit = (highest >> rng.gen_range(0..2usize)) - U256::from(rng.gen_range(0..1000u64));
    let mut height = || pick(rng, &[0, 1, 2, 7, 20, 1_000_000_000]);
    let (bip34_height, bip66_height, bip65_height) = (height(), height(), height());
    let mut params = NetworkParams {
        name: "generated".into(),
        genesis: FixedBytes::ZERO,
        pow_limit,
        timespan,
        spacing,
        allow_min_difficulty: rng.r#gen(),
        no_retargeting,
        bip94: rng.r#gen(),
        bip34_height,
        bip66_height,
        bip65_height,
        ..NetworkParams::regtest()
    };
    let genesis = Header {
        version: 1,
        prev: B256::ZERO,
        merkle_root: rng.r#gen::<[u8; 32]>().into(),
        // Also where times are about to leave 32 bits, on either side.
        time: pick(rng, &[1_600_000_000, 1_600_000_000, 1_600_000_000, 1, u32::MAX - 20_000]),
        bits: target::encode(&(pow_limit >> rng.gen_range(0..2usize))),
        nonce: 0,
    };
    params.genesis = mine(genesis, &pow_limit).to_bytes().into();
    params
}

/// How the times of a run of headers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As close together as the median allows: difficulty rises.
    Fast,
    /// Some spacings apart.
    Even,
    /// Far apart: difficulty falls, minimum-difficulty exceptions begin.
    Slow,
    /// At the edges of the rules, on either side.
    Edge,
}

/// What is wrong with a header, perhaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    Version,
    Parent,
    Bits,
    Nonce,
}

struct Generator {
    rng: StdRng,
    chain: Chain,
    /// Only steers: most of the time headers are built where they will be accepted.
    guide: BitcoinClient,
    /// Headers that the guide took; the last is the one taken last.
    sound: Vec<usize>,
    clock: u32,
    submissions: Vec<Submission>,
}

impl Generator {
    fn new(params: NetworkParams, rng: StdRng) -> Self {
        let clock = Header::parse(&params.genesis.0).time;
        let guide = BitcoinClient::from_genesis(params.clone()).expect("the parameters are usable");
        let guide = guide.with_max_behind(u64::MAX);
        Self { rng, chain: Chain::new(params), guide, sound: vec![0], clock, submissions: vec![] }
    }

    fn run(mut self, steps: usize) -> Case {
        for _ in 0..steps {
            self.step();
        }
        Case { params: self.chain.params, submissions: self.submissions }
    }

    /// Makes a run of headers and submits it in one way or another.
    fn step(&mut self) {
        let late = pick(&mut self.rng, &[0, 1, self.chain.params.spacing, 600, 7_200, 100_000]);
        self.clock = self.clock.saturating_add(late);
        let mut at = self.parent();
        let pace = pick(&mut self.rng, &[Pace::Fast, Pace::Even, Pace::Slow, Pace::Edge]);
        let mut headers = Vec::new();
        for index in 0..self.length() {
            let flaw = self.rng.gen_ratio(1, 12).then(|| {
                pick(&mut self.rng, &[Flaw::Version, Flaw::Bits, Flaw::Nonce, Flaw::Parent])
            });
            // A run must hang together, but for its first header.
            let flaw = flaw.filter(|flaw| index == 0 || *flaw != Flaw::Parent);
            at = self.grow(at, pace, flaw);
            headers.push(self.chain.node(at).header.to_bytes());
        }
        self.submit(headers);
    }

    /// Where the next run starts: mostly on the newest header, also further down, on a refused one
    /// or right after genesis.
    fn parent(&mut self) -> usize {
        match self.rng.gen_range(0..10) {
            0 => self.rng.gen_range(0..self.chain.len()),
            1..4 => pick(&mut self.rng, &self.sound),
            _ => self.sound.last().copied().unwrap_or(0),
        }
    }

    /// How long the next run is: mostly short, sometimes as long as some periods.
    fn length(&mut self) -> u64 {
        let most = pick(&mut self.rng, &[1, 1, 1, 8, 3 * self.chain.params.interval()]);
        self.rng.gen_range(1..=most)
    }

    /// Makes a child of `parent`.
    fn grow(&mut self, parent: usize, pace: Pace, flaw: Option<Flaw>) -> usize {
        let time = self.time(parent, pace);
        let mut header = Header {
            version: pick(&mut self.rng, &[4, 0x2000_0000, i32::MAX]),
            prev: self.chain.node(parent).hash,
            merkle_root: self.rng.r#gen::<[u8; 32]>().into(),
            time,
            bits: self.chain.bits(parent, time),
            nonce: 0,
        };
        match flaw {
            Some(Flaw::Version) => {
                header.version = pick(&mut self.rng, &[0, 1, 2, 3, -1, i32::MIN]);
            }
            Some(Flaw::Parent) => header.prev = self.rng.r#gen::<[u8; 32]>().into(),
            Some(Flaw::Bits) => header.bits = self.wrong_bits(parent, header.bits),
            Some(Flaw::Nonce) | None => {}
        }
        let header = match flaw {
            Some(Flaw::Nonce) => spoil(header),
            _ => mine(header, &self.chain.params.pow_limit),
        };
        let at = self.chain.push(parent, header);
        if self.guide.accept(&header.to_bytes(), u64::from(self.clock) * 1000).is_ok() {
            self.sound.push(at);
        }
        at
    }

    fn time(&mut self, parent: usize, pace: Pace) -> u32 {
        let params = &self.chain.params;
        let (spacing, timespan) = (i64::from(params.spacing), i64::from(params.timespan));
        let before = i64::from(self.chain.node(parent).header.time);
        let median = i64::from(self.chain.median_time(parent));
        let first = i64::from(self.chain.period_start(parent).header.time);
        let clock = i64::from(self.clock);
        let time = match pace {
            Pace::Fast => median + 1,
            Pace::Even => before + spacing * self.rng.gen_range(0..3),
            Pace::Slow => before + spacing * self.rng.gen_range(2..9),
            Pace::Edge => {
                let near = self.rng.gen_range(-1..=1);
                let edges = [
                    median,
                    before,
                    before - 600,
                    before + 2 * spacing,
                    first + timespan / 4,
                    first + timespan,
                    first + 4 * timespan,
                    clock + 7_200,
                    i64::from(u32::MAX),
                    0,
                ];
                near + pick(&mut self.rng, &edges)
            }
        };
        // Times of the past are of use only to the median.
        let least = if pace == Pace::Edge { 0 } else { median + 1 };
        u32::try_from(time.max(least)).unwrap_or(u32::MAX)
    }

    /// Bits that are off by little, of other headers, or of a form that is none.
    fn wrong_bits(&mut self, parent: usize, bits: u32) -> u32 {
        let parent_bits = self.chain.node(parent).header.bits;
        // The same target, or nearly, with a byte less in the word.
        let longer = (bits & 0x00ff_ffff) >> 8 | ((bits >> 24) + 1) << 24;
        let choices = [
            bits ^ 1,
            bits.wrapping_add(1),
            bits.wrapping_sub(1),
            bits | 0x0080_0000,
            bits.wrapping_add(1 << 24),
            bits.wrapping_sub(1 << 24),
            longer,
            parent_bits,
            self.chain.params.limit_bits(),
            0,
            bits & 0xff00_0000,
            0x0180_0000,
            0x2200_ffff,
            0xff12_3456,
            self.rng.r#gen(),
        ];
        pick(&mut self.rng, &choices)
    }

    /// Submits a run at once, header by header, backwards, twice, or with a stale clock.
    fn submit(&mut self, headers: Vec<[u8; 80]>) {
        let clock = self.clock;
        let single = |header: &[u8; 80]| Submission { clock, headers: vec![*header] };
        match self.rng.gen_range(0..10) {
            0..3 => self.submissions.extend(headers.iter().map(single)),
            3 => self.submissions.extend(headers.iter().rev().take(4).map(single)),
            4 => self.submissions.push(Submission { clock, headers: headers.clone() }),
            5 => {
                let clock = clock.saturating_sub(7_200).max(1);
                self.submissions.push(Submission { clock, headers: headers.clone() });
            }
            _ => {}
        }
        self.submissions.push(Submission { clock, headers });
    }
}

/// One of the choices, all alike.
fn pick<T: Copy>(rng: &mut StdRng, choices: &[T]) -> T {
    *choices.choose(rng).expect("there is a choice")
}
