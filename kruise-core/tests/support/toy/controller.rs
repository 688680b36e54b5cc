//! The controller, as a process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kruise_core::runtime::{
    Cache, CacheBuilder, Cached, Controller, Delta, Expectations, ExpectationsConfig, Index, ObjectKey,
    Outcome, ReconcileError, Reconciler, Retry, Tasks,
};
use kruise_core::testing::build::PodBuilder;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube_client::{Api, Client};
use serde_json::json;

use super::{image, is_available, is_deleting, wanted};

/// How careful the controller is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Toy {
    expects: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("toy could not act")]
pub(crate) struct ToyError(#[from] kube_client::Error);

impl ReconcileError for ToyError {
    fn retry(&self) -> Retry {
        match &self.0 {
            kube_client::Error::Api(status) if status.code == 409 => Retry::Now,
            _ => Retry::Backoff,
        }
    }
}

impl Default for Toy {
    fn default() -> Self {
        Self { expects: true }
    }
}

struct Worker {
    toy: Toy,
    client: Client,
    pods: Cache<Pod>,
    by_owner: Index<Pod, String>,
    expectations: Expectations,
    turns: AtomicUsize,
}

impl Toy {
    /// Does not wait to see what it wrote.
    pub(crate) fn careless() -> Self {
        Self { expects: false }
    }

    pub(crate) async fn run(self, client: Client) {
        let (sets, sets_driver) = CacheBuilder::new(Api::<ConfigMap>::all(client.clone()))
            .labels("toy")
            .build();
        let (pods, pods_driver) = CacheBuilder::new(Api::<Pod>::all(client.clone())).build();
        let by_owner = pods.index(|pod: &Pod| {
            let owners = pod.metadata.owner_references.iter().flatten();
            owners.map(|owner| owner.uid.clone()).collect::<Vec<_>>()
        });
        let expectations = Expectations::new(ExpectationsConfig::default());
        expectations.observe_cache(&pods);
        let tasks = Tasks::new();
        let worker = Worker {
            toy: self,
            client,
            pods: pods.clone(),
            by_owner,
            expectations,
            turns: AtomicUsize::new(0),
        };
        let controller = Controller::builder("toy", sets, worker)
            .watches(&pods, |delta: &Delta<Pod>, enqueue| {
                let pod = delta.object();
                for owner in pod.metadata.owner_references.iter().flatten() {
                    enqueue(ObjectKey::new(
                        pod.metadata.namespace.as_deref().unwrap_or_default(),
                        &*owner.name,
                    ));
                }
            })
            .build();
        tasks.spawn("sets", sets_driver.run(tasks.token()));
        tasks.spawn("pods", pods_driver.run(tasks.token()));
        controller.run(tasks.token()).await;
    }
}

impl Reconciler for Worker {
    type Object = ConfigMap;
    type Error = ToyError;

    async fn reconcile(&self, key: ObjectKey, set: Option<Arc<ConfigMap>>) -> Result<Outcome, ToyError> {
        let Some(set) = set.filter(|set| set.metadata.deletion_timestamp.is_none()) else {
            return Ok(Outcome::Done);
        };
        let uid = set.uid().to_owned();
        if !self.expectations.check(&uid).is_satisfied() {
            // What is expected wakes it up; this is for what never comes.
            return Ok(Outcome::RequeueAfter(Duration::from_secs(5)));
        }
        let api: Api<Pod> =
            Api::namespaced(self.client.clone(), key.namespace.as_deref().unwrap_or_default());
        let (replicas, new_image) = wanted(&set);
        let owned = self.pods.by_index(&self.by_owner, &uid);
        let mut owned: BTreeMap<String, Arc<Pod>> = owned
            .into_iter()
            .map(|pod| (pod.metadata.name.clone().unwrap_or_default(), pod))
            .collect();
        let names: Vec<_> = (0..replicas)
            .map(|number| format!("{}-{number}", key.name))
            .collect();
        for name in names.iter().filter(|name| !owned.contains_key(*name)) {
            self.create(&api, &set, name, &new_image).await?;
        }
        for (name, pod) in owned
            .iter()
            .filter(|(name, pod)| !names.contains(name) && !is_deleting(pod))
        {
            self.delete(&api, &uid, name, pod).await?;
        }
        owned.retain(|name, _| names.contains(name));
        let outdated: Vec<_> = owned
            .values()
            .filter(|pod| image(pod) != new_image && !is_deleting(pod))
            .collect();
        // Any of them will do, each time another one, so that a stale cache is not healed by always taking the same.
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let Some(pod) = turn
            .checked_rem(outdated.len())
            .and_then(|turn| outdated.get(turn))
        else {
            return Ok(self.until_seen(&uid));
        };
        let others_available = owned
            .values()
            .filter(|other| other.uid() != pod.uid())
            .all(|other| is_available(other));
        if others_available && owned.len() == replicas {
            self.update(&api, &uid, pod, &new_image).await?;
        }
        Ok(self.until_seen(&uid))
    }
}

impl Worker {
    /// What was written may be gone before any list shows it, so that nothing ever wakes the set: it asks for that itself.
    fn until_seen(&self, uid: &str) -> Outcome {
        if self.expectations.check(uid).is_satisfied() {
            Outcome::Done
        } else {
            Outcome::RequeueAfter(Duration::from_secs(5))
        }
    }

    async fn create(&self, api: &Api<Pod>, set: &ConfigMap, name: &str, image: &str) -> Result<(), ToyError> {
        let namespace = set.metadata.namespace.clone().unwrap_or_default();
        let key = ObjectKey::new(&*namespace, name);
        let pod = PodBuilder::new(name)
            .namespace(namespace)
            .image(image)
            .controlled_by(set)
            .build();
        let uid = set.uid();
        self.expectations.expect_creation(uid, &key);
        let made = api.create(&PostParams::default(), &pod).await;
        if !self.toy.expects {
            self.expectations.forget(uid);
        }
        let Err(error) = made else {
            return Ok(());
        };
        // Whether it is there is not known from a failure.
        if self
            .read(api, name)
            .await
            .is_none_or(|pod| self.pods.get_by_uid(pod.uid()).is_some())
        {
            self.expectations.withdraw_creation(uid, &key);
        }
        Err(error.into())
    }

    async fn delete(&self, api: &Api<Pod>, owner: &str, name: &str, pod: &Pod) -> Result<(), ToyError> {
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(pod.uid().to_owned()),
            resource_version: None,
        });
        match api.delete(name, &params).await {
            Ok(_) if self.toy.expects => self.expectations.expect_deletion(owner, pod.uid()),
            Ok(_) => {}
            Err(kube_client::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn update(&self, api: &Api<Pod>, owner: &str, pod: &Pod, image: &str) -> Result<(), ToyError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({
            "metadata": { "uid": pod.uid(), "resourceVersion": Cached::resource_version(pod) },
            "spec": { "containers": [{ "name": "main", "image": image }] },
        });
        let patched = api
            .patch(name, &PatchParams::default(), &Patch::Strategic(&patch))
            .await;
        let now = match &patched {
            Ok(pod) => Some(pod.clone()),
            Err(_) => self.read(api, name).await,
        };
        if let Some(now) = now.filter(|_| self.toy.expects) {
            self.expectations
                .expect_update(owner, now.uid(), Cached::resource_version(&now));
        }
        patched?;
        Ok(())
    }

    /// The pod as it is on the server, asked until there is an answer.
    async fn read(&self, api: &Api<Pod>, name: &str) -> Option<Pod> {
        loop {
            match api.get_opt(name).await {
                Ok(pod) => return pod,
                Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
    }
}
