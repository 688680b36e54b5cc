//! Waiting until a cache has caught up with a write.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Why [`Cache::wait_for`](super::Cache::wait_for) gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The version was not seen in time.
    #[error("the cache has not seen the version in time")]
    Timeout,
    /// The cache's driver has stopped, so that nothing more will be seen.
    #[error("the cache is not running any more")]
    Stopped,
}

/// Those who wait, in the order of the versions that they wait for.
#[derive(Default)]
pub(super) struct Waiters(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// All changes up to this version are in the cache; `None` before the first list and while a list is under way.
    /// Versions of one kind grow with every write, and a watch delivers them in order.
    complete: Option<u64>,
    /// The highest version that the list under way has shown.
    listed: u64,
    numbered: BTreeMap<(u64, u64), oneshot::Sender<()>>,
    /// Versions that are no numbers: met by equality alone.
    named: BTreeMap<(String, u64), oneshot::Sender<()>>,
    next: u64,
    stopped: bool,
}

/// A place among the waiting; dropping it gives the place up.
pub(super) struct Waiting<'a> {
    waiters: &'a Waiters,
    at: Result<(u64, u64), (String, u64)>,
    pub(super) told: oneshot::Receiver<()>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.waiters.0.lock();
        match &self.at {
            Ok(at) => inner.numbered.remove(at),
            Err(at) => inner.named.remove(at),
        };
    }
}

impl Waiters {
    /// Takes a place, unless the version has been passed (`Ok(None)`) or nothing more will come.
    pub(super) fn register(&self, version: &str) -> Result<Option<Waiting<'_>>, WaitError> {
        let mut inner = self.0.lock();
        let number = version.parse::<u64>().ok();
        if number.is_some_and(|number| inner.complete.is_some_and(|complete| complete >= number)) {
            return Ok(None);
        }
        if inner.stopped {
            return Err(WaitError::Stopped);
        }
        let (tell, told) = oneshot::channel();
        let id = inner.next;
        inner.next += 1;
        let at = match number {
            Some(number) => {
                inner.numbered.insert((number, id), tell);
                Ok((number, id))
            }
            None => {
                inner.named.insert((version.to_owned(), id), tell);
                Err((version.to_owned(), id))
            }
        };
        Ok(Some(Waiting {
            waiters: self,
            at,
            told,
        }))
    }

    pub(super) fn list_started(&self) {
        let mut inner = self.0.lock();
        inner.complete = None;
        inner.listed = 0;
    }

    pub(super) fn list_done(&self) {
        let mut inner = self.0.lock();
        let listed = inner.listed;
        inner.pass(listed);
    }

    /// The cache now holds what was written at this version.
    pub(super) fn seen(&self, version: &str) {
        let mut inner = self.0.lock();
        match version.parse::<u64>() {
            Ok(number) if inner.complete.is_none() => inner.listed = inner.listed.max(number),
            Ok(number) => inner.pass(number),
            Err(_) => inner.meet(version),
        }
    }

    pub(super) fn stop(&self) {
        let mut inner = self.0.lock();
        inner.stopped = true;
        inner.numbered.clear();
        inner.named.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let inner = self.0.lock();
        inner.numbered.len() + inner.named.len()
    }
}

impl Inner {
    fn pass(&mut self, version: u64) {
        let complete = self.complete.map_or(version, |old| old.max(version));
        self.complete = Some(complete);
        let later = match complete.checked_add(1) {
            Some(next) => self.numbered.split_off(&(next, 0)),
            None => BTreeMap::new(),
        };
        for (_, tell) in std::mem::replace(&mut self.numbered, later) {
            let _ = tell.send(());
        }
    }

    fn meet(&mut self, version: &str) {
        let from = (version.to_owned(), 0);
        let met: Vec<_> = self
            .named
            .range(from..)
            .map(|(at, _)| at.clone())
            .take_while(|at| at.0 == version)
            .collect();
        for at in met {
            if let Some(tell) = self.named.remove(&at) {
                let _ = tell.send(());
            }
        }
    }
}
