//! Whether the Lease is held at this moment.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::runtime::Clock;

/// Answers at any moment, from any thread, whether this process still holds its Lease; by the clock, not by what other
/// tasks have noticed. So code that wakes up after the process was halted can see that it is too late.
///
/// Give it to [`ClientFactory::fenced`](crate::manager::ClientFactory::fenced), which then refuses late writes.
#[derive(Clone, Debug)]
pub struct Fence {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Option<Until>>>,
}

/// When the Lease ends, on two clocks: the monotonic one stands still while a machine is suspended, and the other may
/// be set. Whichever ends first counts.
#[derive(Clone, Copy, Debug)]
struct Until {
    monotonic: Instant,
    wall: Timestamp,
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) monotonic: Instant,
    wall: Timestamp,
}

impl Fence {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            held: Arc::default(),
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            monotonic: Instant::now(),
            wall: self.clock.now(),
        }
    }

    /// Whether the Lease is held now.
    pub fn is_held(&self) -> bool {
        let Some(until) = *self.held.lock() else {
            return false;
        };
        Instant::now() < until.monotonic && self.clock.now() < until.wall
    }

    pub(super) fn hold(&self, from: Moment, length: Duration) {
        let wall = SignedDuration::try_from(length)
            .ok()
            .and_then(|length| from.wall.checked_add(length).ok())
            .unwrap_or(Timestamp::MAX);
        *self.held.lock() = Some(Until {
            monotonic: from.monotonic + length,
            wall,
        });
    }

    pub(super) fn release(&self) {
        *self.held.lock() = None;
    }
}
