//! What goes wrong next: drawn like cards, so that every run has had everything.

use std::fmt;

use grid_test_nodes::Lie;
use rand::{Rng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::world::Chain;

/// Deepest reorganisation: below what the confirmation rules of both chains call final.
const DEEPEST: u64 = 8;
/// Blocks that an old answer is behind, deeper than any reorganisation.
const OLD: u64 = 11;
/// Blocks that do not exist.
const TOO_HIGH: u64 = 1_000;

/// One round's trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing but kills.
    Calm,
    /// One endpoint of each chain lies, or all do.
    Lies { bitcoin: Lie, ethereum: Lie, all: bool },
    /// The network between a relayer and the main chain is cut.
    Cut,
    /// The disk of a database is full.
    FullDisk,
    /// The database that relayers share is killed, or stands still.
    Database { killed: bool },
    /// Both chains replace so many blocks.
    Reorganisations { bitcoin: u64, ethereum: u64 },
}

impl Trouble {
    /// For the summary.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Lies { .. } => "lies",
            Self::Cut => "network cut",
            Self::FullDisk => "full disk",
            Self::Database { killed: true } => "database killed",
            Self::Database { killed: false } => "database hanging",
            Self::Reorganisations { .. } => "reorganisations",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lies { bitcoin, ethereum, all } => {
                let who = if *all { "all endpoints" } else { "one endpoint of each chain" };
                write!(f, "{who}: {} and {}", name(bitcoin), name(ethereum))
            }
            Self::Reorganisations { bitcoin, ethereum } => {
                write!(f, "reorganisations of {bitcoin} and {ethereum} blocks")
            }
            other => f.write_str(other.kind()),
        }
    }
}

/// A lie's name without its bytes.
fn name(lie: &Lie) -> String {
    let text = format!("{lie:?}");
    text.split('(').next().unwrap_or_default().to_owned()
}

/// Cards that are dealt until none is left, and then others.
#[derive(Debug)]
pub(crate) struct Deck {
    troubles: Vec<Kind>,
    lies: [Vec<Lie>; 2],
}

/// The first cards: everything that breaks, once.
const FIRST: [Kind; 6] = [
    Kind::Lies { all: true },
    Kind::Cut,
    Kind::FullDisk,
    Kind::Database { killed: true },
    Kind::Database { killed: false },
    Kind::Reorganisations,
];

/// A card.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Calm,
    Lies { all: bool },
    Cut,
    FullDisk,
    Database { killed: bool },
    Reorganisations,
}

impl Deck {
    /// Rounds after which there was everything.
    pub(crate) const ROUNDS: u64 = FIRST.len() as u64;

    /// A new deck.
    pub(crate) fn new(dice: &mut StdRng) -> Self {
        let mut troubles = FIRST.to_vec();
        troubles.shuffle(dice);
        Self { troubles, lies: [Vec::new(), Vec::new()] }
    }

    /// The next trouble.
    pub(crate) fn draw(&mut self, dice: &mut StdRng) -> Trouble {
        if self.troubles.is_empty() {
            self.troubles = cards();
            self.troubles.shuffle(dice);
        }
        match self.troubles.pop() {
            Some(Kind::Lies { all }) => Trouble::Lies {
                bitcoin: self.lie(Chain::Bitcoin, dice),
                ethereum: self.lie(Chain::Ethereum, dice),
                all,
            },
            Some(Kind::Cut) => Trouble::Cut,
            Some(Kind::FullDisk) => Trouble::FullDisk,
            Some(Kind::Database { killed }) => Trouble::Database { killed },
            Some(Kind::Reorganisations) => Trouble::Reorganisations {
                bitcoin: dice.gen_range(1..=DEEPEST),
                ethereum: dice.gen_range(1..=DEEPEST),
            },
            Some(Kind::Calm) | None => Trouble::Calm,
        }
    }

    fn lie(&mut self, chain: Chain, dice: &mut StdRng) -> Lie {
        let cards = &mut self.lies[usize::from(chain == Chain::Ethereum)];
        if cards.is_empty() {
            *cards = lies(chain);
            cards.shuffle(dice);
        }
        cards.pop().unwrap_or(Lie::None)
    }
}

fn cards() -> Vec<Kind> {
    let one_lies = std::iter::repeat_n(Kind::Lies { all: false }, 6);
    let all_lie = std::iter::repeat_n(Kind::Lies { all: true }, 2);
    FIRST.into_iter().chain(FIRST).chain(one_lies).chain(all_lie).chain([Kind::Calm]).collect()
}

fn lies(chain: Chain) -> Vec<Lie> {
    let mut lies = vec![
        Lie::Truncated,
        Lie::Slow,
        Lie::Page,
        Lie::Endless,
        Lie::Hang,
        Lie::Throttled,
        Lie::Garbage,
        Lie::Old(OLD),
        Lie::TooHigh(TOO_HIGH),
    ];
    lies.extend(match chain {
        Chain::Bitcoin => {
            [Lie::FlippedBit, Lie::Backwards, Lie::Replaced(vec![0x5a; 160])].to_vec()
        }
        Chain::Ethereum => [Lie::Edited, Lie::Missing, Lie::None].to_vec(),
    });
    lies
}
