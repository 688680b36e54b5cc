//! Keeps the scopes of the pod webhook as the sets are.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kruise_core::runtime::{RunError, Runnable};
use kruise_core::webhook::Scope;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::config::PodHookConfig;
use super::live::LiveSets;
use super::namespaces::Namespaces;
use super::scopes::scopes;

/// Makes the scopes of the webhook from the sets, once they are all known and whenever they change. Run one in every
/// process that writes webhook configurations.
#[derive(Debug)]
pub struct ScopeKeeper {
    live: LiveSets,
    scopes: watch::Sender<Option<Arc<[Scope]>>>,
    changed: Arc<Notify>,
    config: PodHookConfig,
    namespaces: Option<Namespaces>,
}

impl ScopeKeeper {
    pub(super) fn new(
        live: LiveSets,
        scopes: watch::Sender<Option<Arc<[Scope]>>>,
        changed: Arc<Notify>,
        config: PodHookConfig,
    ) -> Self {
        Self {
            live,
            scopes,
            changed,
            config,
            namespaces: None,
        }
    }

    /// Looks there whether namespaces have the label with their name, which Kubernetes gives them since 1.21. If one has
    /// not, sets for namespaces by name are sent the pods of all.
    #[must_use]
    pub fn namespaces(mut self, namespaces: Namespaces) -> Self {
        self.namespaces = Some(namespaces);
        self
    }

    /// One round: the scopes as the sets are now. Done by the run loop, once for many changes.
    pub fn refresh(&self) {
        let (change, sets) = self.live.to_keep();
        let specs = sets.iter().map(|set| &set.spec);
        let now = scopes(
            specs,
            &self.config.namespace_requirements(),
            self.config.max_scopes,
            self.namespaces.as_ref().is_none_or(Namespaces::are_labelled),
        );
        self.scopes.send_if_modified(|held| {
            let differs = held.as_deref() != Some(&now);
            if differs {
                *held = Some(now.into());
            }
            differs
        });
        self.live.kept(change);
    }
}

impl Runnable for ScopeKeeper {
    fn name(&self) -> &str {
        "pod webhook scopes"
    }

    fn run(self: Box<Self>, cancel: CancellationToken) -> BoxFuture<'static, Result<(), RunError>> {
        let keep = async move {
            self.live.synced().await;
            if let Some(namespaces) = &self.namespaces {
                namespaces.synced().await;
            }
            loop {
                self.refresh();
                // A set that was let pass and did not come is forgotten even if no other changes.
                let end = self.live.next_end();
                let ended = async {
                    match end {
                        Some(end) => tokio::time::sleep_until(end).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = ended => {}
                }
            }
        };
        async move {
            cancel.run_until_cancelled(keep).await;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::live::LiveConfig;
    use super::*;
    use crate::api::SidecarSet;

    #[tokio::test(start_paused = true)]
    async fn a_set_that_was_let_pass_and_does_not_come_is_forgotten_though_nothing_else_changes() {
        let live = LiveSets::new(LiveConfig::default());
        let keeper = live.scope_keeper(PodHookConfig::default());
        let scopes = live.scopes();
        let text = "{metadata: {name: logs}, spec: {selector: {matchLabels: {app: web}}}}";
        let set: SidecarSet = serde_yaml::from_str(text).unwrap();
        let work = async {
            live.expect(&set, Duration::from_secs(2)).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(scopes.now().unwrap().len(), 1);
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert_eq!(scopes.now().unwrap().len(), 0);
        };
        let stop = CancellationToken::new();
        let done = async {
            work.await;
            stop.cancel();
        };
        let (ran, ()) = tokio::join!(Box::new(keeper).run(stop.clone()), done);
        ran.unwrap();
    }
}
