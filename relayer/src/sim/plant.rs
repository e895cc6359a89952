//! Bugs that are planted on purpose: a simulation that cannot find them shows nothing. And the one hook in the
//! store: a relayer can be killed before each of its statements.

use core::cell::{Cell, RefCell};
use std::sync::Arc;

use futures::future::BoxFuture;

use super::faults::Faults;

/// A bug, switched on for one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plant {
    /// The planner starts one header too high.
    SkippedHeader,
    /// The planner does not look whether headers continue those that the main chain has.
    IgnoredReorganisation,
    /// The submitter sends before it has written the row.
    EffectBeforeRow,
    /// Nonces that nobody owns are not filled.
    NoNonceRepair,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::SkippedHeader,
        Self::IgnoredReorganisation,
        Self::EffectBeforeRow,
        Self::NoNonceRepair,
    ];
}

thread_local! {
    static STATEMENTS: RefCell<Option<Arc<Faults>>> = const { RefCell::new(None) };
    static PLANTED: Cell<Option<Plant>> = const { Cell::new(None) };
}

/// Switches a bug on, or all off.
pub(super) fn plant(bug: Option<Plant>) {
    PLANTED.set(bug);
}

/// Whether this bug is on.
pub(crate) fn planted(bug: Plant) -> bool {
    PLANTED.get() == Some(bug)
}

/// Lets the faults of this thread's world count statements, or none any more.
pub(super) fn count_statements(faults: Option<Arc<Faults>>) {
    STATEMENTS.set(faults);
}

/// A statement of a database is about to begin. A boxed future: every statement waits for it, and its type must
/// stay out of theirs.
pub(crate) fn statement(what: &'static str) -> BoxFuture<'static, ()> {
    let faults = STATEMENTS.with_borrow(Clone::clone);
    Box::pin(async move {
        if let Some(faults) = faults {
            faults.step(what).await;
        }
    })
}
