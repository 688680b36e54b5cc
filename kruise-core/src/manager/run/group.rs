//! Components that start and stop together.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, future::BoxFuture};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Component, ManagerError};
use crate::runtime::Tasks;

/// Runs components. Dropping it drops them.
pub(super) struct Group {
    tasks: Tasks,
    cancel: CancellationToken,
    ended: FuturesUnordered<BoxFuture<'static, Option<ManagerError>>>,
}

impl Group {
    pub(super) fn start(components: Vec<Component>) -> Self {
        let tasks = Tasks::new();
        let cancel = tasks.token();
        let group = Self {
            tasks,
            cancel,
            ended: FuturesUnordered::new(),
        };
        for component in components {
            group.spawn(component);
        }
        group
    }

    fn spawn(&self, Component { runnable, optional }: Component) {
        let name = runnable.name().to_owned();
        let (tell, told) = oneshot::channel();
        let cancel = self.cancel.clone();
        self.tasks.spawn(name.clone(), async move {
            // Not told when it panics.
            let _ = tell.send(runnable.run(cancel).await);
        });
        let ended = async move {
            let error = match told.await {
                Ok(Ok(())) => return None,
                Ok(Err(source)) => ManagerError::Failed { name, source },
                Err(_) => ManagerError::Panicked { name },
            };
            if optional {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "going on without an optional component");
                return None;
            }
            Some(error)
        };
        self.ended.push(ended.boxed());
    }

    /// Waits for a component to fail that is not optional; for ever if none does. Cancel safe.
    pub(super) async fn failure(&mut self) -> ManagerError {
        while let Some(ended) = self.ended.next().await {
            if let Some(error) = ended {
                return error;
            }
        }
        std::future::pending().await
    }

    /// Tells all to end, and drops those that have not after `grace`.
    pub(super) async fn stop(self, what: &'static str, grace: Duration) {
        let Self { tasks, .. } = self;
        if !tasks.shutdown(grace).await {
            tracing::warn!(?grace, "{what} dropped that did not end in time");
        }
    }
}
