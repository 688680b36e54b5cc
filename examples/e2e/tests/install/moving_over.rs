//! The commands of docs/moving-over.md, on what looks like an installation of OpenKruise.

use kruise_e2e::sidecar::{Scene, ensure_untouched, image_of, scene};
use kruise_e2e::tutorial::blocks;

use super::*;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The page's `helm`: that of the tests, with what is special about images and nodes of this cluster.
const HELM: &str = r#"
set -euo pipefail
helm() {
  case "$*" in
    "install kruise-rs "*) set -- "$@" -f our-values.yaml ;;
    "install kruise "*) set -- "$@" --set "image=$IMAGE" ;;
  esac
  examples/deploy/kruise helm "$@"
}
"#;

struct Move<'s> {
    scene: &'s Scene,
    folder: tempfile::TempDir,
}

impl<'s> Move<'s> {
    fn new(scene: &'s Scene) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::os::unix::fs::symlink(format!("{ROOT}/examples"), folder.path().join("examples"))?;
        Ok(Self { scene, folder })
    }

    /// Runs a script in the folder; what it prints.
    async fn run(&self, script: &str) -> Result<String> {
        let folder = self.folder.path().to_string_lossy();
        let image = self.scene.image("app:v1")?;
        let script = format!(
            "cd '{folder}'; export IMAGE='{image}' RELEASE_NAMESPACE=default OPENKRUISE_CHART=./openkruise\n{HELM}\n{script}"
        );
        let said = self.scene.cluster.command("bash", &["-c", &script], "").await?;
        ensure!(said.ok, "{script}\n{}\n{}", said.out, said.err);
        Ok(said.out)
    }

    /// Puts what looks like OpenKruise in place of ours.
    async fn install_openkruise(&self) -> Result<()> {
        self.run(
            "helm get values kruise -n default -o yaml >our-values.yaml
             cp -rL examples/e2e/fixtures/openkruise . && mkdir openkruise/files
             cp examples/manifests/crds.yaml openkruise/files/
             helm uninstall kruise -n default --wait >/dev/null
             helm install kruise ./openkruise -n default --take-ownership >/dev/null
             kubectl -n kruise-system rollout status deployment/kruise-controller-manager --timeout=120s
             kubectl -n kruise-system rollout status daemonset/kruise-daemon --timeout=120s",
        )
        .await?;
        let space = &self.scene.space;
        self.run(&format!(
"kubectl create -f - <<E\napiVersion: apps.kruise.io/v1alpha1\nkind: CloneSet\nmetadata: {{name: theirs, namespace: {space}}}\nE"
        ))
        .await
        .map(drop)
    }

    /// Uids of the objects that must outlive all of it.
    async fn objects(&self) -> Result<String> {
        let kinds = "clonesets.apps.kruise.io,imagepulljobs.apps.kruise.io";
        let uids = "'{.items[*].metadata.uid}'";
        let (space, set) = (&self.scene.space, self.scene.name("logs"));
        self.run(&format!(
            "kubectl -n {space} get {kinds} -o jsonpath={uids}
             kubectl get sidecarsets.v1alpha1.apps.kruise.io {set} -o jsonpath='{{.metadata.uid}}'
             kubectl get crd clonesets.apps.kruise.io sidecarsets.apps.kruise.io -o jsonpath={uids}"
        ))
        .await
    }

    /// Takes away what is left of it, and installs ours as it was.
    async fn tidy_up(&self) -> Result<()> {
        self.run(
            "helm uninstall kruise-rs -n kruise-system --ignore-not-found --wait
             kubectl -n default delete secrets -l owner=helm,name=kruise
             kubectl -n kruise-system delete deployments,daemonsets --all
             kubectl delete clusterrolebinding kruise-manager-rolebinding kruise-daemon-rolebinding --ignore-not-found
             kubectl delete clusterrole kruise-manager-role kruise-daemon-role --ignore-not-found
             kubectl delete crd clonesets.apps.kruise.io --ignore-not-found",
        )
        .await?;
        self.scene.cluster.deploy(&["up"]).await.map(drop)
    }
}

#[tokio::test]
async fn the_page_moves_a_cluster_over_and_back_without_a_restart_or_a_lost_object() -> Result<()> {
    if deployed().await?.is_none() {
        return Ok(());
    }
    let page = std::fs::read_to_string(format!("{ROOT}/docs/moving-over.md"))?;
    let blocks = blocks(&page, "sh");
    let [look, steps @ .., back] = blocks.as_slice() else {
        anyhow::bail!("the page has no commands");
    };
    ensure!(
        look.starts_with("kubectl get clonesets") && steps.len() == 6,
        "{blocks:?}"
    );
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        let spec = json!({"containers": [scene.container("shipper", "side:v1")?]});
        scene.create_set("logs", spec).await?;
        let before = scene.deploy(2).await?;
        let jobs = jobs(&scene.client, &scene.space);
        create_job(&jobs, "job", super::spec(&scene.image("app:v1")?)).await?;
        until_complete(&jobs, "job").await?;

        let way = Move::new(scene)?;
        let story = async {
            way.install_openkruise().await?;
            let objects = way.objects().await?;
            for step in steps {
                way.run(step).await?;
            }
            ensure!(
                way.objects().await? == objects,
                "an object is gone or was made again"
            );
            let statuses = |pods: &kruise_e2e::sidecar::Pods| -> Vec<Value> {
                pods.values()
                    .map(|pod| pod["status"]["containerStatuses"].clone())
                    .collect()
            };
            ensure!(
                statuses(&scene.list().await?) == statuses(&before),
                "a container was restarted"
            );

            scene.upgrade("logs", "side:v2").await?;
            scene
                .until_status("logs", json!({"updatedPods": 2, "updatedReadyPods": 2}))
                .await?;
            let upgraded = scene.list().await?;
            ensure_untouched(&before, &upgraded)?;
            let image = scene.image("side:v2")?;
            ensure!(upgraded.values().all(|pod| image_of(pod, "shipper") == image));

            way.run(back).await?;
            ensure!(
                way.objects().await? == objects,
                "an object was lost on the way back"
            );
            ensure_untouched(&upgraded, &scene.list().await?)
        };
        let told: Result<()> = story.await;
        way.tidy_up().await?;
        told
    })
    .await
}
