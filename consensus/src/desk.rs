//! Where the message loop meets the blocking world.

use std::sync::Arc;

use tokio::{sync::Mutex, task::spawn_blocking};

use crate::{
    chain::{Chain, ChainError},
    error::EngineError,
    home::Home,
};

/// Runs one question at a time against chain and home, on a blocking thread.
///
/// A question that is under way finishes even if nobody waits any more (the engine was cancelled in
/// the middle of a commit). It holds the home's lock until then, so that a restarted engine never
/// runs beside it.
#[derive(Clone)]
pub(crate) struct Desk {
    chain: Arc<dyn Chain>,
    home: Arc<Mutex<Home>>,
}

impl Desk {
    pub(crate) fn new(chain: Arc<dyn Chain>, home: Home) -> Self {
        Self { chain, home: Arc::new(Mutex::new(home)) }
    }

    /// Asks and waits for the answer.
    pub(crate) async fn ask<T, F>(
        &self,
        what: &'static str,
        height: u64,
        question: F,
    ) -> Result<T, EngineError>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Chain, &mut Home) -> Result<T, Failure> + Send + 'static,
    {
        let mut home = Arc::clone(&self.home).lock_owned().await;
        let chain = Arc::clone(&self.chain);
        let answer = spawn_blocking(move || question(&*chain, &mut home)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::Chain(source))) => Err(EngineError::Chain { what, height, source }),
            Ok(Err(Failure::Engine(error))) => Err(error),
            Err(panic) => {
                let source = ChainError::with_source("the chain panicked", panic);
                Err(EngineError::Chain { what, height, source })
            }
        }
    }

    /// Waits until no question is under way.
    pub(crate) async fn idle(&self) {
        drop(self.home.lock().await);
    }
}

/// Why a question has no answer.
pub(crate) enum Failure {
    /// The chain failed.
    Chain(ChainError),
    /// Something else did.
    Engine(EngineError),
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}
