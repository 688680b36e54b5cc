//! What the tests of SidecarSets share: sets and pods of one namespace, and a watch that looks at every state of the pods.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use kube_client::{Api, Client};
use kube_core::params::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube_core::{ApiResource, DynamicObject};
use kube_runtime::watcher::{self, Event};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{Cluster, PATIENCE, TestNamespace, core, eventually, kruise_kind, until};

/// The pods of a namespace, by name.
pub type Pods = BTreeMap<String, Value>;

/// A namespace with SidecarSets for it alone.
pub struct Scene {
    /// The cluster.
    pub cluster: Cluster,
    /// The administrator's client.
    pub client: Client,
    /// Name of the namespace; names of sets begin with it.
    pub space: String,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

/// Runs a test in a scene of its own, and takes away what it has made, however it ends.
pub async fn scene(test: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let cluster = Cluster::load().await?;
    let client = cluster.client().await?;
    let space = TestNamespace::create(&client).await?;
    let scene = Scene {
        space: space.name.clone(),
        cluster,
        client,
    };
    let done = async {
        eventually("pods can be created", || scene.takes_pods()).await?;
        test(&scene).await
    }
    .await;
    let sets = scene.sets();
    for set in sets.list(&ListParams::default()).await?.items {
        let name = set.metadata.name.unwrap_or_default();
        if name.starts_with(&scene.space) {
            let params = DeleteParams::default();
            sets.delete(&name, &params).await?;
        }
    }
    space.remove().await?;
    done
}

fn pods_kind() -> ApiResource {
    core("v1", "Pod", "pods")
}

impl Scene {
    /// All SidecarSets, in the version that needs no conversion.
    pub fn sets(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &kruise_kind("SidecarSet"))
    }

    /// The pods of the namespace.
    pub fn pods(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.space, &pods_kind())
    }

    /// The name of a set of this scene.
    pub fn name(&self, set: &str) -> String {
        format!("{}-{set}", self.space)
    }

    /// The full name of an image `e2e/NAME`.
    pub fn image(&self, name: &str) -> Result<String> {
        self.cluster.image(&format!("e2e/{name}"))
    }

    /// Makes images `e2e/NAME`.
    pub async fn push(&self, names: &[&str]) -> Result<()> {
        for name in names {
            self.cluster.push(&format!("e2e/{name}"), &[]).await?;
        }
        Ok(())
    }

    /// A container of a set or a pod.
    pub fn container(&self, name: &str, image: &str) -> Result<Value> {
        Ok(json!({"name": name, "image": self.image(image)?}))
    }

    /// The manifest of a set. What its spec does not say: it is for pods of this namespace with the label `app: web`.
    pub fn manifest(&self, set: &str, mut spec: Value) -> Value {
        if spec.get("namespace").is_none() && spec.get("namespaceSelector").is_none() {
            spec["namespace"] = json!(self.space);
        }
        if spec.get("selector").is_none() {
            spec["selector"] = json!({"matchLabels": {"app": "web"}});
        }
        json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
            "metadata": {"name": self.name(set)}, "spec": spec})
    }

    /// Creates a set and waits until pods with `app: web` get it.
    pub async fn create_set(&self, set: &str, spec: Value) -> Result<()> {
        let object = serde_json::from_value(self.manifest(set, spec))?;
        self.sets().create(&PostParams::default(), &object).await?;
        self.until_injected(set).await
    }

    /// Whether pods can be created: a new namespace has no service account at first, and then none with a token.
    async fn takes_pods(&self) -> Result<bool> {
        let pod = serde_json::from_value(self.pod("asked", &json!({})))?;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        match self.pods().create(&params, &pod).await {
            Ok(_) => Ok(true),
            Err(kube_client::Error::Api(status))
                if status.code == 403 || status.reason == "ServerTimeout" =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a pod that would be created now would get the set.
    pub async fn until_injected(&self, set: &str) -> Result<()> {
        let (pods, name) = (self.pods(), self.name(set));
        let pod = serde_json::from_value(self.pod("asked", &json!({})))?;
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually("a pod would get the set", || async {
            let made = pods.create(&params, &pod).await?;
            Ok(annotation(&json!(made), "kruise.io/sidecarset-injected-list")
                .split(',')
                .any(|set| set == name))
        })
        .await
    }

    /// Merges a patch into a set.
    pub async fn patch_set(&self, set: &str, patch: Value) -> Result<()> {
        let patch = Patch::Merge(patch);
        self.sets()
            .patch(&self.name(set), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Changes the image of the first sidecar of a set.
    pub async fn upgrade(&self, set: &str, image: &str) -> Result<()> {
        let patch =
            json!([{"op": "replace", "path": "/spec/containers/0/image", "value": self.image(image)?}]);
        let patch = Patch::Json::<()>(serde_json::from_value(patch)?);
        self.sets()
            .patch(&self.name(set), &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// Waits until the status of a set, as it is told of the present spec, has these numbers.
    pub async fn until_status(&self, set: &str, numbers: Value) -> Result<Value> {
        let name = self.name(set);
        until(&self.sets(), &name, &format!("at {numbers}"), |seen| {
            let Some(seen) = seen else { return false };
            let status = &seen["status"];
            let mut wanted = numbers.as_object().into_iter().flatten();
            status["observedGeneration"] == seen["metadata"]["generation"]
                && wanted.all(|(field, number)| status[field] == *number)
        })
        .await
    }

    /// The manifest of a pod with `app: web` and one container `main`; `change` is merged into it.
    pub fn pod(&self, name: &str, change: &Value) -> Value {
        let image = self.image("app:v1").unwrap_or_default();
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image}]}});
        merge(&mut pod, change);
        pod
    }

    /// Creates a pod as the API server stores it, or says why it does not.
    pub async fn create_pod(&self, name: &str, change: &Value) -> Result<Value> {
        let pod = serde_json::from_value(self.pod(name, change))?;
        Ok(json!(self.pods().create(&PostParams::default(), &pod).await?))
    }

    /// Creates a Deployment of such pods and waits until all of them are ready.
    pub async fn deploy(&self, replicas: usize) -> Result<Pods> {
        let mut template = self.pod("", &json!({"metadata": {"name": null}}));
        template["apiVersion"] = Value::Null;
        template["kind"] = Value::Null;
        let kind = ApiResource {
            group: "apps".into(),
            version: "v1".into(),
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
        };
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.space, &kind);
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        self.until_ready(replicas).await
    }

    /// Waits until there are so many pods and all are ready.
    pub async fn until_ready(&self, count: usize) -> Result<Pods> {
        let all_ready = |pods: &Pods| pods.len() == count && pods.values().all(is_ready);
        self.until_pods("ready", all_ready).await
    }

    /// Waits until the pods look as they should; the pods.
    pub async fn until_pods(&self, what: &str, is_so: impl Fn(&Pods) -> bool) -> Result<Pods> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let pods = self.list().await?;
            if is_so(&pods) {
                return Ok(pods);
            }
            if tokio::time::Instant::now() > end {
                bail!("pods not {what} after {PATIENCE:?}: {:#}", json!(pods));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The pods as they are now.
    pub async fn list(&self) -> Result<Pods> {
        let list = self.pods().list(&ListParams::default()).await?;
        Ok(list.items.into_iter().map(named).collect())
    }

    /// Does `work` beside a watch of the pods that has begun before it, and fails as soon as `check` refuses a state that they
    /// are in. The check is asked for each state that any of them ever has.
    pub async fn watching<T>(
        &self,
        mut check: impl FnMut(&Pods) -> Result<()>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let client = self.cluster.watching_client().await?;
        let api: Api<DynamicObject> = Api::namespaced_with(client, &self.space, &pods_kind());
        let begun = Notify::new();
        let watch = async {
            let mut pods = Pods::new();
            let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
            while let Some(event) = events.try_next().await? {
                match event {
                    Event::Apply(pod) => pods.extend([named(pod)]),
                    Event::InitApply(pod) => {
                        pods.extend([named(pod)]);
                        continue;
                    }
                    Event::Delete(pod) => {
                        pods.remove(&named(pod).0);
                    }
                    Event::Init => {}
                    Event::InitDone => begun.notify_one(),
                }
                check(&pods)?;
            }
            bail!("the watch of the pods ended")
        };
        let work = async {
            begun.notified().await;
            work.await
        };
        tokio::select! {
            done = work => done,
            broken = watch => broken,
        }
    }

    /// Does `work` while at no moment more than `budget` pods are taken down. Returns also which pods were written, in that
    /// order.
    pub async fn within_budget<T>(
        &self,
        budget: usize,
        work: impl Future<Output = Result<T>>,
    ) -> Result<(T, Vec<String>)> {
        let images = |pod: &Value| -> Vec<Value> {
            let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
            containers.map(|container| container["image"].clone()).collect()
        };
        let mut before: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut order = Vec::new();
        let check = |pods: &Pods| {
            for (name, pod) in pods {
                let now = images(pod);
                let old = before.entry(name.clone()).or_insert_with(|| now.clone());
                if *old != now {
                    *old = now;
                    order.push(name.clone());
                }
            }
            let down: Vec<_> = pods
                .iter()
                .filter(|(_, pod)| is_down(pod))
                .map(|(name, _)| name)
                .collect();
            ensure!(
                down.len() <= budget,
                "{} pods are down at once: {down:?}",
                down.len()
            );
            Ok(())
        };
        let done = self.watching(check, work).await?;
        Ok((done, order))
    }
}

fn named(pod: DynamicObject) -> (String, Value) {
    (pod.metadata.name.clone().unwrap_or_default(), json!(pod))
}

fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change.clone(),
    }
}

/// The value of an annotation, or nothing.
pub fn annotation<'p>(pod: &'p Value, key: &str) -> &'p str {
    pod["metadata"]["annotations"][key].as_str().unwrap_or_default()
}

/// Whether the condition `Ready` holds.
pub fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod does not serve, or is about not to: a container runs another image than the spec says.
pub fn is_down(pod: &Value) -> bool {
    let mut containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    !is_ready(pod)
        || containers.any(|container| {
            status(pod, container["name"].as_str().unwrap_or_default())["image"] != container["image"]
        })
}

/// The status of a container.
pub fn status<'p>(pod: &'p Value, container: &str) -> &'p Value {
    let mut all = pod["status"]["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten();
    all.find(|status| status["name"] == container)
        .unwrap_or(&Value::Null)
}

/// The image that the spec gives a container.
pub fn image_of<'p>(pod: &'p Value, container: &str) -> &'p str {
    let mut all = pod["spec"]["containers"].as_array().into_iter().flatten();
    let found = all.find(|found| found["name"] == container);
    found
        .and_then(|found| found["image"].as_str())
        .unwrap_or_default()
}

/// The names of the containers of a pod, in order.
pub fn containers(pod: &Value) -> Vec<&str> {
    let all = pod["spec"]["containers"].as_array().into_iter().flatten();
    all.filter_map(|container| container["name"].as_str()).collect()
}

/// Fails if an app container was touched between two looks: its pod is another, or moved, or the container was restarted.
pub fn ensure_untouched(before: &Pods, after: &Pods) -> Result<()> {
    ensure!(
        before.keys().eq(after.keys()),
        "other pods: {:?} and {:?}",
        before.keys(),
        after.keys()
    );
    for (name, old) in before {
        let new = after.get(name).context("a pod")?;
        let facts = |pod: &Value| {
            let main = status(pod, "main");
            json!([
                pod["metadata"]["uid"],
                pod["status"]["podIP"],
                main["restartCount"],
                main["containerID"]
            ])
        };
        ensure!(
            facts(old) == facts(new),
            "{name}: {} became {}",
            facts(old),
            facts(new)
        );
    }
    Ok(())
}
