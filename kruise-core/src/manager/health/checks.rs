//! Named checks.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

/// Looks at one thing: `Ok`, or what is wrong with it. Called for each probe, so it must be quick and must not block: it
/// reads what other tasks have found out.
type Test = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The name of the check.
    pub name: String,
    /// `Ok`, or what is wrong.
    pub result: Result<(), String>,
}

/// A set of named checks. Clones share it.
#[derive(Clone, Default)]
pub struct Checks(Arc<RwLock<Vec<(String, Test)>>>);

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.read().iter().map(|(name, _)| name))
            .finish()
    }
}

impl Checks {
    /// No checks: all is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, or replaces the one of that name. It is called for each probe, so it must be quick and must not
    /// block.
    pub fn add(
        &self,
        name: impl Into<String>,
        test: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        let name = name.into();
        let mut checks = self.0.write();
        checks.retain(|(other, _)| *other != name);
        checks.push((name, Arc::new(test)));
    }

    /// Runs all checks, in the order in which they were added.
    pub fn run(&self) -> Vec<Check> {
        // Not under the lock: a check may add checks.
        let checks = self.0.read().clone();
        checks
            .into_iter()
            .map(|(name, test)| Check { name, result: test() })
            .collect()
    }

    /// The first check that fails, if any.
    pub fn first_failure(&self) -> Option<Check> {
        let checks = self.0.read().clone();
        checks
            .into_iter()
            .map(|(name, test)| Check { name, result: test() })
            .find(|check| check.result.is_err())
    }
}

/// The checks of a process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// The process should be restarted when one of these fails.
    pub liveness: Checks,
    /// The process should get no requests while one of these fails.
    pub readiness: Checks,
}

impl Health {
    /// No checks: all is well.
    pub fn new() -> Self {
        Self::default()
    }
}
