//! What is known of a node's tip without asking again.
//!
//! A node that supports it is asked to wait for another tip than the one that is known (`waitfornewblock`
//! with `current_tip`). As long as that question is open the node vouches for the known tip, so nothing
//! has to be polled: a new block costs its announcement and one exchange for its header.

use core::time::Duration;

use tokio::time::Instant;

use crate::{SourceHeader, SourceTip};

/// Time between two open questions in which the last answer still counts: the next question names the
/// tip that is known, so a block in between is announced at once.
const BETWEEN: Duration = Duration::from_secs(1);

/// How long the header of the last tip is handed out without asking whether it is still on the active
/// chain: the time between a look at the tip and the fetch of what is new in it.
const FRESH: Duration = Duration::from_secs(5);

/// See the module's introduction.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The last tip that was handed out, when, and its header.
    served: Option<(SourceTip, Instant, Option<SourceHeader>)>,
    /// The tip that the node vouches for, and until when.
    vouched: Option<(SourceTip, Instant)>,
    /// The node does not know `current_tip`.
    plain: bool,
}

impl Known {
    /// The tip that the node vouches for now.
    pub(super) fn vouched(&self) -> Option<SourceTip> {
        let now = Instant::now();
        self.vouched.filter(|(_, until)| now < *until).map(|(tip, _)| tip)
    }

    /// The last tip that is known, announced or handed out.
    pub(super) fn newest(&self) -> Option<SourceTip> {
        self.vouched().or_else(|| self.served.as_ref().map(|(tip, _, _)| *tip))
    }

    /// Whether the node can be told which tip is known.
    pub(super) const fn takes_tip(&self) -> bool {
        !self.plain
    }

    /// The node cannot be told which tip is known.
    pub(super) fn be_plain(&mut self) {
        self.plain = true;
        self.vouched = None;
    }

    /// The node is asked to wait for another tip than this one, for at most that long.
    pub(super) fn waiting(&mut self, tip: SourceTip, most: Duration) {
        self.vouched = Instant::now().checked_add(most).map(|until| (tip, until));
    }

    /// The node was told which tip is known, and answered with its own.
    pub(super) fn announced(&mut self, tip: SourceTip) {
        if !self.plain {
            self.waiting(tip, BETWEEN);
        }
    }

    /// The node no longer vouches for anything.
    pub(super) fn forget(&mut self) {
        self.vouched = None;
    }

    /// A tip is handed out.
    pub(super) fn serve(&mut self, tip: SourceTip) {
        let header = self.served.take().and_then(|(_, _, header)| header);
        let header = header.filter(|header| header.compat.blockHash == tip.hash);
        self.served = Some((tip, Instant::now(), header));
    }

    /// The header of the tip that was handed out.
    pub(super) fn set_header(&mut self, header: SourceHeader) {
        if let Some((tip, _, slot)) = &mut self.served
            && tip.hash == header.compat.blockHash
        {
            *slot = Some(header);
        }
    }

    /// The header at a height, where it is that of the tip that was just handed out.
    pub(super) fn header(&self, height: u64) -> Option<SourceHeader> {
        let (tip, at, header) = self.served.as_ref()?;
        let fresh = tip.height == height && at.elapsed() < FRESH;
        header.as_ref().filter(|_| fresh).cloned()
    }
}
