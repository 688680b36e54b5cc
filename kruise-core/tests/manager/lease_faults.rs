//! Seeded misfortune.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::lease_server::Fault;

/// Good and bad times of one connection. Clones share them.
#[derive(Clone)]
pub(crate) struct Faults(Arc<Mutex<Seeded>>);

struct Seeded {
    state: u64,
    /// Requests that are left of a bad time.
    bad: u64,
}

impl Seeded {
    /// xorshift*.
    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % limit.max(1)
    }
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Seeded {
            state: seed | 1,
            bad: 0,
        })))
    }

    /// Any time below so many seconds.
    pub(crate) fn up_to(&self, seconds: u64) -> Duration {
        Duration::from_millis(self.0.lock().below(seconds * 1000))
    }

    /// What happens to the next request.
    pub(crate) fn next(&self) -> Fault {
        let mut seeded = self.0.lock();
        if seeded.bad == 0 && seeded.below(20) == 0 {
            seeded.bad = 1 + seeded.below(10);
        }
        if seeded.bad == 0 {
            let before = Duration::from_millis(seeded.below(50));
            return Fault {
                before,
                after: Duration::from_millis(seeded.below(50)),
                ..Fault::default()
            };
        }
        seeded.bad -= 1;
        Fault {
            before: Duration::from_millis(seeded.below(12_000)),
            after: Duration::from_millis(seeded.below(12_000)),
            lost: seeded.below(3) == 0,
            unheard: seeded.below(3) == 0,
        }
    }
}
