//! What a manager runs.

use std::fmt;

use crate::runtime::Runnable;

/// A [`Runnable`] as part of a manager.
pub struct Component {
    pub(super) runnable: Box<dyn Runnable>,
    pub(super) optional: bool,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Component")
            .field("name", &self.runnable.name())
            .field("optional", &self.optional)
            .finish()
    }
}

impl Component {
    /// A component without which the manager cannot go on: when it fails or panics, the manager ends.
    pub fn new(runnable: impl Runnable) -> Self {
        Self {
            runnable: Box::new(runnable),
            optional: false,
        }
    }

    /// When it fails or panics, that is logged, and the rest goes on without it.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

impl<R: Runnable> From<R> for Component {
    fn from(runnable: R) -> Self {
        Self::new(runnable)
    }
}
