//! The node agent on a real cluster: credentials, registries on bad days, restarts, full disks.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use kruise_cri::{ClientConfig, ImageService};
use kruise_e2e::front::{Front, Mood};
use kruise_e2e::{Cluster, TestNamespace, create_job, jobs, node_images, until, until_complete};
use kube_client::Client;
use serde_json::{Value, json};

/// What most tests need: a cluster of our own, one of its nodes, a namespace.
struct Scene {
    cluster: Cluster,
    client: Client,
    space: TestNamespace,
    node: String,
}

impl Scene {
    /// `None` on a cluster that is not ours.
    async fn set() -> Result<Option<Self>> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(None);
        }
        let client = cluster.client().await?;
        let space = TestNamespace::create(&client).await?;
        let node = cluster.nodes()?.pop().context("a node")?;
        Ok(Some(Self {
            cluster,
            client,
            space,
            node,
        }))
    }

    /// Creates a job for this node alone.
    async fn job(&self, name: &str, image: &str, more: Value) -> Result<()> {
        let mut spec = json!({"image": image, "selector": {"names": [self.node]}, "completionPolicy": {"type": "Always"}});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        create_job(&jobs(&self.client, &self.space.name), name, spec).await?;
        Ok(())
    }

    /// Waits for the end of a job; whether it succeeded.
    async fn succeeded(&self, name: &str) -> Result<bool> {
        let job = until_complete(&jobs(&self.client, &self.space.name), name).await?;
        Ok(job["status"]["succeeded"] == 1)
    }

    /// Waits until the message of the image on the node holds `text`; its status.
    async fn told(&self, image: &str, text: &str) -> Result<Value> {
        let (name, tag) = image.rsplit_once(':').context("a tag")?;
        let find = |seen: &Value| {
            let tags = seen["status"]["imageStatuses"][name]["tags"].as_array()?;
            tags.iter().find(|entry| entry["tag"] == tag).cloned()
        };
        let what = format!("telling `{text}` of {image}");
        let seen = until(&node_images(&self.client), &self.node, &what, |seen| {
            let status = seen.and_then(find);
            status.is_some_and(|status| status["message"].as_str().unwrap_or_default().contains(text))
        })
        .await?;
        find(&seen).context("a status")
    }

    /// Starts the daemon of the node anew, with these flags on top.
    async fn daemon(&self, flags: &str) -> Result<()> {
        self.cluster.kruise(&["daemon", "stop", &self.node]).await?;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../local/kruise");
        let flags = format!("KRUISE_DAEMON_ARGS={flags}");
        let script = script.to_string_lossy();
        let said = self
            .cluster
            .command("env", &[&flags, &script, "daemon", "start", &self.node], "")
            .await?;
        ensure!(said.ok, "{}", said.err);
        Ok(())
    }

    /// Runs a test with other flags of the daemon, and takes them back whatever comes of it.
    async fn with_daemon(self, flags: &str, test: impl AsyncFnOnce(&Self) -> Result<()>) -> Result<()> {
        self.daemon(flags).await?;
        let result = test(&self).await;
        self.daemon("").await?;
        result?;
        self.space.remove().await
    }

    async fn secret(&self, name: &str, key: &str, user: &str, password: &str) -> Result<()> {
        let auths = json!({"auths": {key: {"username": user, "password": password}}});
        let manifest = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": name, "namespace": self.space.name},
            "stringData": {".dockerconfigjson": auths.to_string()}});
        let said = self
            .cluster
            .kubectl(&["apply", "-f", "-"], &manifest.to_string())
            .await?;
        ensure!(said.ok, "{}", said.err);
        Ok(())
    }
}

fn executable(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

#[tokio::test]
async fn of_two_secrets_for_one_registry_the_right_one_is_found_and_a_missing_one_does_not_matter()
-> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let host = scene.cluster.var("CLUSTER_REGISTRY_AUTH")?.to_owned();
    let (user, password) = (
        scene.cluster.var("CLUSTER_REGISTRY_USER")?,
        scene.cluster.var("CLUSTER_REGISTRY_PASSWORD")?,
    );
    let image = format!("e2e/secrets:{}", scene.space.name);
    scene.cluster.push(&image, &[]).await?;
    // The longer key is tried first, and is wrong.
    scene.secret("wrong", &format!("{host}/e2e"), user, "no").await?;
    scene.secret("right", &host, user, password).await?;
    let image = format!("{host}/{image}");
    scene
        .job(
            "both",
            &image,
            json!({"pullSecrets": ["wrong", "missing", "right"]}),
        )
        .await?;
    ensure!(scene.succeeded("both").await?, "the right secret was not found");
    scene.space.remove().await
}

#[tokio::test]
async fn without_the_right_secret_the_reason_is_told_and_no_password() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let host = scene.cluster.var("CLUSTER_REGISTRY_AUTH")?.to_owned();
    let image = format!("e2e/denied:{}", scene.space.name);
    scene.cluster.push(&image, &[]).await?;
    scene
        .secret("wrong", &host, "somebody", "hunter2-hunter2")
        .await?;
    let image = format!("{host}/{image}");
    scene
        .job("denied", &image, json!({"pullSecrets": ["wrong", "missing"]}))
        .await?;
    ensure!(!scene.succeeded("denied").await?, "pulled without rights");
    let status = scene.told(&image, "access denied by the registry").await?;
    ensure!(
        status["phase"] == "Failed" && !status.to_string().contains("hunter2"),
        "{status:#}"
    );
    let log = scene.cluster.kruise(&["logs", &scene.node]).await?;
    let log = tokio::fs::read_to_string(log).await?;
    ensure!(!log.contains("hunter2"), "the password is in the log");
    scene.space.remove().await
}

#[tokio::test]
async fn a_registry_that_throttles_is_waited_for_with_the_reason_in_the_status() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let front = Front::start(&scene.cluster).await?;
    let image = format!("e2e/throttled:{}", scene.space.name);
    scene.cluster.push(&image, &[]).await?;
    front.be(Mood::Refuses("429 Too Many Requests"));
    let image = front.image(&image);
    scene.job("throttled", &image, json!({})).await?;
    let status = scene
        .told(&image, "attempt 1 of 4: PullImage: rate limited by the registry")
        .await?;
    ensure!(status["phase"] == "Pulling", "{status:#}");
    front.be(Mood::Well);
    ensure!(
        scene.succeeded("throttled").await?,
        "not pulled after the registry was well again"
    );
    scene.space.remove().await
}

#[tokio::test]
async fn a_registry_that_fails_or_hangs_ends_a_task_with_the_reason() -> Result<()> {
    let Some(scene) = Scene::set().await? else {
        return Ok(());
    };
    let front = Front::start(&scene.cluster).await?;
    let name = &scene.space.name;
    for (job, mood, policy, reason) in [
        (
            "fails",
            Mood::Refuses("500 Internal Server Error"),
            json!({"backoffLimit": 1}),
            "registry unavailable",
        ),
        (
            "hangs",
            Mood::Hangs,
            json!({"backoffLimit": 0, "timeoutSeconds": 2}),
            "",
        ),
    ] {
        front.be(mood);
        let image = front.image(&format!("e2e/{job}:{name}"));
        scene.job(job, &image, json!({"pullPolicy": policy})).await?;
        ensure!(!scene.succeeded(job).await?, "{job}: pulled");
        let status = scene.told(&image, reason).await?;
        let told = status["message"].as_str().unwrap_or_default();
        ensure!(status["phase"] == "Failed" && !told.is_empty(), "{status:#}");
        ensure!(
            job != "hangs" || told.contains("canceled after 2 s") || told.contains("deadline"),
            "{told}"
        );
    }
    let image = front.image(&format!("e2e/late:{name}"));
    let spec = json!({"completionPolicy": {"type": "Always", "activeDeadlineSeconds": 3}, "pullPolicy": {"timeoutSeconds": 2, "backoffLimit": 9}});
    scene.job("late", &image, spec).await?;
    ensure!(!scene.succeeded("late").await?, "pulled");
    scene
        .told(&image, "pulling exceeds the activeDeadlineSeconds")
        .await?;
    scene.space.remove().await
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_plugin_of_the_kubelet_gives_the_credentials() -> Result<()> {
        let Some(scene) = Scene::set().await? else {
            return Ok(());
        };
        let host = scene.cluster.var("CLUSTER_REGISTRY_AUTH")?.to_owned();
        let (user, password) = (
            scene.cluster.var("CLUSTER_REGISTRY_USER")?,
            scene.cluster.var("CLUSTER_REGISTRY_PASSWORD")?,
        );
        let folder = tempfile::tempdir()?;
        let input = folder.path().join("input");
        let version = "credentialprovider.kubelet.k8s.io/v1";
        let answer = json!({"apiVersion": version, "kind": "CredentialProviderResponse", "cacheKeyType": "Registry",
        "auth": {&host: {"username": user, "password": password}}});
        executable(
            &folder.path().join("plugin"),
            &format!("#!/bin/sh\ncat >>{}\ncat <<'J'\n{answer}\nJ\n", input.display()),
        )?;
        let config = folder.path().join("config.yaml");
        std::fs::write(
            &config,
            format!(
                "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n- name: plugin\n  \
            matchImages: [\"{host}\"]\n  defaultCacheDuration: 10m\n  apiVersion: {version}\n"
            ),
        )?;
        let flags = format!(
            "--plugin-config-file={} --plugin-bin-dir={}",
            config.display(),
            folder.path().display()
        );
        scene
            .with_daemon(&flags, async |scene| {
                for name in ["plugin-a", "plugin-b"] {
                    let image = format!("e2e/{name}:{}", scene.space.name);
                    scene.cluster.push(&image, &[]).await?;
                    scene.job(name, &format!("{host}/{image}"), json!({})).await?;
                    ensure!(scene.succeeded(name).await?, "{name}: not pulled");
                }
                let input = std::fs::read_to_string(&input)?;
                ensure!(
                    input.matches("CredentialProviderRequest").count() == 1,
                    "one call for one registry: {input}"
                );
                ensure!(input.contains(&format!("{host}/e2e/plugin-a\"")), "{input}");
                Ok(())
            })
            .await
    }

    #[tokio::test]
    async fn a_result_is_kept_over_a_restart_and_always_asks_the_registry_again() -> Result<()> {
        let Some(scene) = Scene::set().await? else {
            return Ok(());
        };
        let front = Front::start(&scene.cluster).await?;
        let image = format!("e2e/kept:{}", scene.space.name);
        scene.cluster.push(&image, &[]).await?;
        let image = front.image(&image);
        // `Always`, so that any pull shows.
        scene
            .job("first", &image, json!({"imagePullPolicy": "Always"}))
            .await?;
        ensure!(scene.succeeded("first").await?, "not pulled");
        let asked = front.manifests();
        scene.cluster.kruise(&["daemon", "kill", &scene.node]).await?;
        scene.cluster.kruise(&["daemon", "start", &scene.node]).await?;
        // A job for another image that ends shows that the daemon has seen its tasks.
        let other = format!("e2e/other:{}", scene.space.name);
        scene.cluster.push(&other, &[]).await?;
        scene
            .job("other", &scene.cluster.image(&other)?, json!({}))
            .await?;
        ensure!(scene.succeeded("other").await?, "not pulled");
        ensure!(front.manifests() == asked, "pulled again after a restart");
        scene
            .job("again", &image, json!({"imagePullPolicy": "Always"}))
            .await?;
        ensure!(scene.succeeded("again").await?, "not pulled");
        let again = front.manifests();
        ensure!(again > asked, "Always did not ask the registry");
        scene
            .job("present", &image, json!({"imagePullPolicy": "IfNotPresent"}))
            .await?;
        ensure!(scene.succeeded("present").await?, "not found on the node");
        ensure!(front.manifests() == again, "an image that is there was pulled");
        scene.space.remove().await
    }

    #[tokio::test]
    async fn a_pull_that_a_killed_daemon_or_runtime_cut_off_is_made_once_more() -> Result<()> {
        let Some(scene) = Scene::set().await? else {
            return Ok(());
        };
        let front = Front::start(&scene.cluster).await?;
        for what in ["daemon", "runtime"] {
            let image = format!("e2e/cut-{what}:{}", scene.space.name);
            scene.cluster.push(&image, &["--size", "2"]).await?;
            let image = front.image(&image);
            front.be(Mood::HangsOnBlobs);
            let blobs = front.blobs();
            // One attempt: what is cut off must not cost it.
            scene
                .job(what, &image, json!({"pullPolicy": {"backoffLimit": 0}}))
                .await?;
            front.asked_for_blobs(blobs).await?;
            front.be(Mood::Well);
            if what == "daemon" {
                scene.cluster.kruise(&["daemon", "kill", &scene.node]).await?;
                scene.cluster.kruise(&["daemon", "start", &scene.node]).await?;
            } else {
                scene
                    .cluster
                    .cluster(&["node", "runtime", "kill", &scene.node])
                    .await?;
            }
            ensure!(scene.succeeded(what).await?, "{what}: not pulled");
        }
        scene.space.remove().await
    }

    #[tokio::test]
    async fn a_full_disk_holds_pulls_back_until_the_deadline_but_not_images_that_are_there() -> Result<()> {
        let Some(scene) = Scene::set().await? else {
            return Ok(());
        };
        let runtime = scene.cluster.runtime(&scene.node).await?;
        let runtime = kruise_cri::Client::connect(&runtime, ClientConfig::default()).await?;
        // The node's filesystem is not ours to see; a folder of the same path is as good.
        let root = tempfile::tempdir()?;
        for filesystem in runtime.image_fs_info().await? {
            tokio::fs::create_dir_all(root.path().join(filesystem.mountpoint.trim_start_matches('/')))
                .await?;
        }
        let there = format!("e2e/there:{}", scene.space.name);
        scene.cluster.push(&there, &[]).await?;
        scene
            .job("before", &scene.cluster.image(&there)?, json!({}))
            .await?;
        ensure!(scene.succeeded("before").await?, "not pulled");
        let flags = format!(
            "--image-fs-root={} --min-free-disk-bytes=1152921504606846976",
            root.path().display()
        );
        scene
        .with_daemon(&flags, async |scene| {
            let image = format!("e2e/full:{}", scene.space.name);
            scene.cluster.push(&image, &[]).await?;
            let image = scene.cluster.image(&image)?;
            let spec = json!({"completionPolicy": {"type": "Always", "activeDeadlineSeconds": 5}, "pullPolicy": {"timeoutSeconds": 5}});
            scene.job("full", &image, spec).await?;
            scene.told(&image, "waiting for disk space: ").await?;
            scene.job("there", &scene.cluster.image(&there)?, json!({})).await?;
            ensure!(scene.succeeded("there").await?, "an image that is there needs no space");
            ensure!(!scene.succeeded("full").await?, "pulled onto a full disk");
            Ok(())
        })
        .await
    }

    #[tokio::test]
    async fn a_daemon_whose_feature_is_off_idles_and_says_so() -> Result<()> {
        let Some(scene) = Scene::set().await? else {
            return Ok(());
        };
        scene
            .with_daemon("--feature-gates=KruiseDaemon=false", async |scene| {
                let log = scene.cluster.kruise(&["logs", &scene.node]).await?;
                let log = tokio::fs::read_to_string(log).await?;
                ensure!(log.contains("the feature gate KruiseDaemon is off"), "{log}");
                Ok(())
            })
            .await
    }
}
