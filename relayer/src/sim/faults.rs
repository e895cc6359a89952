//! What goes wrong, and when a relayer is killed.

use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::sync::{Arc, Mutex, PoisonError};

use grid_core::ChainId;
use tokio::sync::Notify;

use super::{dice::Dice, journal::Journal, time::VirtualTime};

/// How often calls go wrong: once in so many, never for 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Fails before or after it takes effect.
    pub fail: u64,
    /// A source's call does not return for a while.
    pub hang: u64,
    /// A source's answer is old, cut short, out of order, doubled or made up.
    pub garble: u64,
}

impl Rates {
    /// A world in which everything happens now and then.
    pub const ROUGH: Self = Self { fail: 10, hang: 60, garble: 20 };
}

/// What a call of the main chain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// As it should.
    Good,
    /// Fails before it takes effect.
    Fail,
    /// Takes effect and then fails.
    FailAfter,
}

/// What a call of a source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Good,
    Fails,
    /// As of so many blocks ago.
    Stale(u64),
    /// Only the first half.
    Short,
    Reordered,
    Doubled,
    /// Headers that the chain does not have.
    MadeUp,
}

/// Whose question a source answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// The relayer's: nobody else can answer.
    Alone,
    /// A pool's, which has other endpoints. This one may make headers up.
    Pooled { lies: bool },
}

/// The one place that decides what goes wrong.
#[derive(Debug)]
pub struct Faults {
    /// The generator.
    pub dice: Dice,
    /// Virtual time.
    pub time: Arc<VirtualTime>,
    /// What happened.
    pub journal: Journal,
    rates: Mutex<Rates>,
    /// The chain whose source never answers.
    dead: Mutex<Option<ChainId>>,
    /// Steps until the relayer is killed; 0 for never.
    fuse: AtomicU64,
    killed: AtomicBool,
    pub(super) kill: Notify,
    pub(super) hung: Notify,
    pub(super) hung_until: AtomicU64,
}

impl Faults {
    /// No faults before [`Self::set`].
    #[must_use]
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            dice: Dice::new(seed),
            time: VirtualTime::new(),
            journal: Journal::default(),
            rates: Mutex::default(),
            dead: Mutex::default(),
            fuse: 0.into(),
            killed: false.into(),
            kill: Notify::new(),
            hung: Notify::new(),
            hung_until: 0.into(),
        })
    }

    /// Sets how often things go wrong.
    pub fn set(&self, rates: Rates) {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner) = rates;
    }

    fn rates(&self) -> Rates {
        *self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No call of this chain's source returns any more.
    pub fn set_dead(&self, chain: Option<ChainId>) {
        *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = chain;
    }

    fn is_dead(&self, chain: &ChainId) -> bool {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).as_ref() == Some(chain)
    }

    /// Writes down what happens.
    pub fn note(&self, who: impl fmt::Display, kind: &'static str, what: impl fmt::Display) {
        self.journal.note(self.time.passed(), who, kind, what);
    }

    /// Kills the relayer at its `steps`-th step from now: a call, or a statement of its database.
    pub fn light_fuse(&self, steps: u64) {
        self.fuse.store(steps, Ordering::Relaxed);
        self.killed.store(false, Ordering::Relaxed);
    }

    /// A step of the relayer. After it was killed no step returns.
    pub(crate) async fn step(&self, what: impl fmt::Display) {
        let fuse = self.fuse.load(Ordering::Relaxed);
        if fuse > 0 {
            self.fuse.store(fuse - 1, Ordering::Relaxed);
            if fuse == 1 {
                self.killed.store(true, Ordering::Relaxed);
                self.note("relayer", "killed", format!("at {what}"));
                self.kill.notify_one();
            }
        }
        if self.killed.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Decides the fate of a call of the main chain.
    pub(crate) async fn fate(&self, method: &'static str) -> Fate {
        self.step(method).await;
        if !self.dice.once_in(self.rates().fail) {
            return Fate::Good;
        }
        let fate = if self.dice.once_in(2) { Fate::Fail } else { Fate::FailAfter };
        let word = if fate == Fate::Fail { "call lost" } else { "answer lost" };
        self.note("main chain", word, method);
        fate
    }

    /// Decides what a source answers. A call that hangs holds up who asked; a pool goes on without it, and its own
    /// deadlines are not of virtual time, so for a pool it fails at once.
    pub(super) async fn answer(
        &self,
        chain: &ChainId,
        method: &'static str,
        asked: Asked,
    ) -> Answer {
        self.step(method).await;
        let Rates { fail, hang, garble } = self.rates();
        if self.is_dead(chain) || self.dice.once_in(hang) {
            if asked == Asked::Alone {
                self.hang(chain, method).await;
            }
            return Answer::Fails;
        }
        if self.dice.once_in(fail) {
            self.note(chain, "call fails", method);
            return Answer::Fails;
        }
        if !self.dice.once_in(garble) {
            return Answer::Good;
        }
        let lies = asked == Asked::Pooled { lies: true };
        let (answer, word) = match self.dice.below(if lies { 6 } else { 4 }) {
            0 => (Answer::Stale(1 + self.dice.below(5)), "stale answer"),
            1 => (Answer::Short, "short answer"),
            2 => (Answer::Reordered, "reordered answer"),
            3 => (Answer::Doubled, "doubled answer"),
            _ => (Answer::MadeUp, "lie"),
        };
        self.note(chain, word, method);
        answer
    }

    /// Holds a call for as long as a visit may take.
    async fn hang(&self, chain: &ChainId, method: &'static str) {
        let until = self.time.passed() + 2_000 + self.dice.below(28_000);
        self.note(chain, "call hangs", method);
        self.hung_until.store(until, Ordering::Relaxed);
        self.hung.notify_one();
        self.time.until(until).await;
    }
}
