//! Which headers to ask for on the way to a far one.

use super::{
    block::LightBlock,
    error::LightError,
    state::{LightPolicy, TrustedState},
};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Fetch the block of this height, with both validator sets, and hand it to [`Bisection::supply`].
    Fetch(u64),
    /// The target is verified: this is the state after it.
    Done(TrustedState),
}

/// The way from a trusted state to a height, as a machine without IO: it says what to fetch and takes what came.
///
/// It tries the target first. Where too few of the trusted validators signed, it asks for the middle, and so on;
/// every verified header is the new start. A source that answers with bad blocks is found out at once; one that
/// answers with good blocks of a chain with much churn costs at most [`LightPolicy::max_headers`].
#[derive(Debug, Clone)]
pub struct Bisection {
    trusted: TrustedState,
    policy: LightPolicy,
    /// Blocks that wait for a nearer start, the target first: each is about half as far as the one before.
    waiting: Vec<LightBlock>,
    /// The blocks that were verified, ascending.
    way: Vec<LightBlock>,
    /// The height that was asked for.
    asked: u64,
    /// How many were asked for.
    count: u32,
}

impl Bisection {
    /// Starts; the first thing to fetch is the target itself.
    ///
    /// # Errors
    /// [`LightError::Height`] where the target is not above the trusted height.
    pub fn new(
        trusted: TrustedState,
        target: u64,
        policy: LightPolicy,
    ) -> Result<(Self, Step), LightError> {
        if target <= trusted.height {
            return Err(LightError::Height { trusted: trusted.height, found: target });
        }
        let machine =
            Self { trusted, policy, waiting: Vec::new(), way: Vec::new(), asked: target, count: 1 };
        Ok((machine, Step::Fetch(target)))
    }

    /// The newest state that is verified.
    #[must_use]
    pub const fn trusted(&self) -> &TrustedState {
        &self.trusted
    }

    /// The blocks that were verified, ascending: whoever trusts the start can follow them one by one.
    #[must_use]
    pub fn into_way(self) -> Vec<LightBlock> {
        self.way
    }

    /// Takes the block that was asked for. After an error the machine is where it was: the same height may be
    /// fetched from another source.
    ///
    /// # Errors
    /// [`LightError::WrongBlock`], [`LightError::TooFar`], or why the block can't be on the trusted chain.
    pub fn supply(&mut self, block: LightBlock, now_ms: u64) -> Result<Step, LightError> {
        let found = block.certificate.height;
        if found != self.asked {
            return Err(LightError::WrongBlock { asked: self.asked, found });
        }
        match self.trusted.follow(&block, &self.policy, now_ms) {
            Ok(state) => {
                self.advance(state, block);
                self.resume(now_ms)
            }
            Err(LightError::Overlap { .. }) => self.halve(block),
            Err(error) => Err(error),
        }
    }

    fn advance(&mut self, state: TrustedState, block: LightBlock) {
        self.trusted = state;
        self.way.push(block);
    }

    /// Takes up the blocks that waited, nearest first.
    fn resume(&mut self, now_ms: u64) -> Result<Step, LightError> {
        while let Some(block) = self.waiting.pop() {
            match self.trusted.follow(&block, &self.policy, now_ms) {
                Ok(state) => self.advance(state, block),
                Err(LightError::Overlap { .. }) => return self.halve(block),
                Err(error) => return Err(error),
            }
        }
        Ok(Step::Done(self.trusted.clone()))
    }

    /// Asks for the middle between the trusted header and a block that is too far from it. There is one: what is
    /// right above never lacks overlap.
    fn halve(&mut self, block: LightBlock) -> Result<Step, LightError> {
        if self.count >= self.policy.max_headers {
            return Err(LightError::TooFar(self.policy.max_headers));
        }
        let middle = self.trusted.height.midpoint(block.certificate.height);
        self.waiting.push(block);
        self.count = self.count.saturating_add(1);
        self.asked = middle;
        Ok(Step::Fetch(middle))
    }
}
