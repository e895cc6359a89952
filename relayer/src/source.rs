//! The two ways in which a chain is followed.

use std::sync::Arc;

use grid_adapters::{FinalityChain, SourceChain};

/// A source, by what it can show the main chain.
#[derive(Clone)]
pub enum ChainSource {
    /// Headers: proof of work, or signatures of attesters.
    Headers(Arc<dyn SourceChain>),
    /// Proofs of finality, and the headers below what is final.
    Finality(Arc<dyn FinalityChain>),
}

impl ChainSource {
    /// What every source can do.
    #[must_use]
    pub fn chain(&self) -> Arc<dyn SourceChain> {
        match self {
            Self::Headers(source) => source.clone(),
            Self::Finality(source) => source.clone(),
        }
    }
}

impl core::fmt::Debug for ChainSource {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let kind = match self {
            Self::Headers(_) => "Headers",
            Self::Finality(_) => "Finality",
        };
        f.debug_tuple(kind).field(self.chain().id()).finish()
    }
}

impl From<Arc<dyn SourceChain>> for ChainSource {
    fn from(source: Arc<dyn SourceChain>) -> Self {
        Self::Headers(source)
    }
}

impl From<Arc<dyn FinalityChain>> for ChainSource {
    fn from(source: Arc<dyn FinalityChain>) -> Self {
        Self::Finality(source)
    }
}
