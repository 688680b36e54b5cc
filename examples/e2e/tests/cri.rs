//! The CRI client against the containerd of a real node, which serves both versions of the interface, and real registries.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kruise_cri::{
    ApiVersion, Client, ClientConfig, ContainerFilter, ContainerState, Credentials, Endpoint, Error,
    ErrorKind, ImageService, PullRequest, Reference, Retry, Runtime, RuntimeService, SandboxFilter,
    SandboxState,
};
use kruise_e2e::front::{Front, Mood};
use kruise_e2e::{Cluster, TestNamespace, eventually};

const VERSIONS: [ApiVersion; 2] = [ApiVersion::V1, ApiVersion::V1Alpha2];

/// The node whose runtime these tests use, and stop.
async fn endpoint(cluster: &Cluster) -> Result<(String, Endpoint)> {
    let node = cluster.nodes()?.pop().context("a cluster without nodes")?;
    let endpoint = cluster.runtime(&node).await?;
    Ok((node, endpoint))
}

async fn client(cluster: &Cluster, version: ApiVersion) -> Result<Client> {
    let (_, endpoint) = endpoint(cluster).await?;
    Ok(Client::connect_as(&endpoint, ClientConfig::default(), version).await?)
}

fn pull(image: impl Into<String>) -> PullRequest {
    PullRequest {
        image: image.into(),
        ..Default::default()
    }
}

/// A name that no earlier run has used, so that nothing of it is on the node.
fn fresh(name: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos());
    format!("cri/{name}:t{now}")
}

fn failed<T: std::fmt::Debug>(done: Result<T, Error>, kind: ErrorKind, retry: Retry) -> Result<Error> {
    match done {
        Err(error) if error.kind == kind && error.retry() == retry => Ok(error),
        other => bail!("expected {kind:?} and {retry:?}, got {other:?}"),
    }
}

#[tokio::test]
async fn both_versions_pull_by_tag_and_by_digest_and_remove() -> Result<()> {
    let cluster = Cluster::load().await?;
    for version in VERSIONS {
        let client = client(&cluster, version).await?;
        let tag = fresh("pull");
        let digest = cluster.push(&tag, &[]).await?;
        let by_tag = cluster.image(&tag)?;
        ensure!(
            client.image_status(&by_tag).await?.is_none(),
            "{by_tag} is there already"
        );

        let id = client.pull_image(pull(&by_tag)).await?;
        let image = client
            .image_status(&by_tag)
            .await?
            .context("not there after its pull")?;
        ensure!(image.id == id, "pulled {id}, has {image:?}");
        ensure!(image.repo_tags == [by_tag.clone()], "{image:?}");
        ensure!(
            image.repo_digests.iter().any(|known| known.ends_with(&digest)),
            "{image:?}"
        );
        ensure!(image.size > 0, "{image:?}");

        let other = fresh("digest");
        let digest = cluster.push(&other, &[]).await?;
        let by_digest = format!("{}@{digest}", cluster.image("cri/digest")?);
        client.pull_image(pull(&by_digest)).await?;
        let held = client
            .image_status(&by_digest)
            .await?
            .context("not there after its pull")?;
        ensure!(held.repo_digests == [by_digest.clone()], "{held:?}");

        let all = client.list_images(None).await?;
        ensure!(all.contains(&image) && all.contains(&held), "both are listed");
        // containerd counts every ten seconds.
        eventually("the filesystem of images is in use", || async {
            let usage = client.image_fs_info().await?;
            Ok(usage.iter().any(|filesystem| filesystem.used_bytes > 0))
        })
        .await?;

        for name in [&by_tag, &by_digest] {
            client.remove_image(name).await?;
            ensure!(
                client.image_status(name).await?.is_none(),
                "{name} is still there"
            );
            client.remove_image(name).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn both_versions_read_sandboxes_and_containers_exec_and_stop() -> Result<()> {
    let cluster = Cluster::load().await?;
    let kube = cluster.client().await?;
    let (node, _) = endpoint(&cluster).await?;
    cluster.push("cri/app:1", &[]).await?;
    for version in VERSIONS {
        let space = TestNamespace::create(&kube).await?;
        let manifest = serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "app", "namespace": space.name, "labels": {"cri": "yes"}},
            "spec": {"nodeName": node, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "main", "image": cluster.image("cri/app:1")?}]}});
        let applied = cluster
            .kubectl(&["apply", "-f", "-"], &manifest.to_string())
            .await?;
        ensure!(applied.ok, "{}", applied.err);
        let args = [
            "wait",
            "-n",
            &space.name,
            "pod/app",
            "--for=condition=Ready",
            "--timeout=60s",
        ];
        let ready = cluster.kubectl(&args, "").await?;
        ensure!(ready.ok, "{}", ready.err);

        let client = client(&cluster, version).await?;
        ensure!(client.version().await?.name == "containerd", "not containerd");
        let conditions = client.status().await?;
        ensure!(
            conditions
                .iter()
                .any(|one| one.type_ == "RuntimeReady" && one.status),
            "{conditions:?}"
        );

        let labels: std::collections::BTreeMap<_, _> =
            [("io.kubernetes.pod.namespace".to_owned(), space.name.clone())].into();
        let filter = SandboxFilter {
            state: Some(SandboxState::Ready),
            labels: labels.clone(),
            ..Default::default()
        };
        let sandboxes = client.list_sandboxes(filter).await?;
        let [sandbox] = sandboxes.as_slice() else {
            bail!("one pod, but {sandboxes:?}")
        };
        ensure!(
            sandbox.pod_name == "app" && sandbox.pod_namespace == space.name,
            "{sandbox:?}"
        );
        ensure!(sandbox.labels["cri"] == "yes", "{sandbox:?}");
        let status = client.sandbox_status(&sandbox.id).await?;
        ensure!(
            status.sandbox.pod_uid == sandbox.pod_uid && !status.ips.is_empty(),
            "{status:?}"
        );

        let containers = client
            .list_containers(ContainerFilter {
                labels,
                ..Default::default()
            })
            .await?;
        let [container] = containers.as_slice() else {
            bail!("one container, but {containers:?}")
        };
        ensure!(
            container.name == "main" && container.sandbox_id == sandbox.id,
            "{container:?}"
        );
        ensure!(container.state == ContainerState::Running, "{container:?}");
        let command = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let said = client
            .exec_sync(
                &container.id,
                &command(&["/app", "version"]),
                Duration::from_secs(10),
            )
            .await?;
        ensure!(
            said.exit_code == 0 && said.stdout.starts_with(b"cri/app:1"),
            "{said:?}"
        );
        let said = client
            .exec_sync(
                &container.id,
                &command(&["/app", "sh", "-c", "echo no >&2; exit 7"]),
                Duration::from_secs(10),
            )
            .await?;
        ensure!(said.exit_code == 7 && said.stderr == b"no\n", "{said:?}");
        let late = client
            .exec_sync(
                &container.id,
                &command(&["/app", "sh", "-c", "sleep 60"]),
                Duration::from_secs(1),
            )
            .await;
        failed(late, ErrorKind::Deadline, Retry::Backoff)?;

        client
            .stop_container(&container.id, Duration::from_secs(1))
            .await?;
        let status = client.container_status(&container.id).await?;
        ensure!(
            status.container.state == ContainerState::Exited && status.finished_at > status.started_at,
            "{status:?}"
        );
        client
            .stop_container(&container.id, Duration::from_secs(1))
            .await?;
        failed(
            client.container_status("no-such-container").await,
            ErrorKind::NotFound,
            Retry::Never,
        )?;
        failed(
            client.sandbox_status("no-such-sandbox").await,
            ErrorKind::NotFound,
            Retry::Never,
        )?;
        space.remove().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_private_image_needs_the_right_credentials_and_no_error_tells_the_password() -> Result<()> {
    let cluster = Cluster::load().await?;
    if !cluster.may_be_stopped()? {
        return Ok(());
    }
    let name = fresh("private");
    cluster.push(&name, &[]).await?;
    let image = format!("{}/{name}", cluster.var("CLUSTER_REGISTRY_AUTH")?);
    let username = cluster.var("CLUSTER_REGISTRY_USER")?.to_owned();
    let with = |password: &str| PullRequest {
        image: image.clone(),
        credentials: Some(Credentials {
            username: username.clone(),
            password: password.to_owned(),
        }),
        ..Default::default()
    };
    for version in VERSIONS {
        let client = client(&cluster, version).await?;
        failed(
            client.pull_image(pull(&image)).await,
            ErrorKind::Unauthorized,
            Retry::OtherCredentials,
        )?;
        let wrong = client.pull_image(with("wrong-Pa55word")).await;
        let error = failed(wrong, ErrorKind::Unauthorized, Retry::OtherCredentials)?;
        ensure!(
            !format!("{error} {error:?}").contains("wrong-Pa55word"),
            "the password is in the error"
        );
        client
            .pull_image(with(cluster.var("CLUSTER_REGISTRY_PASSWORD")?))
            .await?;
        client.remove_image(&image).await?;
    }
    Ok(())
}

#[tokio::test]
async fn images_that_cannot_be_had_are_told_apart() -> Result<()> {
    let cluster = Cluster::load().await?;
    let foreign = fresh("foreign");
    cluster.push(&foreign, &["--platform", "windows/amd64"]).await?;
    cluster.push("cri/app:1", &[]).await?;
    let absent = format!("{}@sha256:{}", cluster.image("cri/app")?, "0".repeat(64));
    let cases = [
        (
            "a missing tag",
            cluster.image("cri/app:nobody-pushed-this")?,
            ErrorKind::NotFound,
        ),
        (
            "a missing repository",
            cluster.image("cri/nobody-pushed-this:1")?,
            ErrorKind::NotFound,
        ),
        ("a missing digest", absent, ErrorKind::NotFound),
        (
            "a reference that is none",
            cluster.image("UPPER/Case:1")?,
            ErrorKind::InvalidReference,
        ),
        ("an empty reference", String::new(), ErrorKind::InvalidReference),
        (
            "another platform",
            cluster.image(&foreign)?,
            ErrorKind::NoMatchingPlatform,
        ),
    ];
    for version in VERSIONS {
        let client = client(&cluster, version).await?;
        for (what, image, kind) in &cases {
            let done = client.pull_image(pull(image)).await;
            failed(done, *kind, Retry::Never).with_context(|| (*what).to_owned())?;
        }
    }
    Ok(())
}

/// The list repeats the user of each image's configuration, so a few hundred images with long ones are enough.
async fn list_of_large_entries(cluster: &Cluster, node: &str) -> Result<()> {
    const IMAGES: usize = 300;
    const USER: usize = 16 * 1024;
    let socket = cluster.cluster(&["node", "socket", node]).await?;
    let archive = tempfile::NamedTempFile::new()?;
    let path = archive.path().to_string_lossy();
    kruise_e2e::archive::write(archive.path(), IMAGES, USER).await?;
    let args = [
        "-a",
        &socket,
        "-n",
        "k8s.io",
        "images",
        "import",
        "--all-platforms",
        &path,
    ];
    let said = cluster.command("ctr", &args, "").await?;
    ensure!(said.ok, "{}", said.err);

    let endpoint = Endpoint::parse(&format!("unix://{socket}"))?;
    let client = Client::connect(&endpoint, ClientConfig::default()).await?;
    // containerd tells its CRI part of imported images by events, one after the other.
    let all = tokio::time::timeout(kruise_e2e::PATIENCE, async {
        loop {
            let images = client.list_images(None).await?;
            if images.len() >= IMAGES {
                return Ok::<_, Error>(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    all.await.context("not all images are listed")??;

    let mut usual = ClientConfig::default();
    usual.max_message_bytes = 4 * 1024 * 1024;
    let small = Client::connect(&endpoint, usual).await?;
    failed(
        small.list_images(None).await,
        ErrorKind::MessageTooLarge,
        Retry::Never,
    )?;
    Ok(())
}

#[tokio::test]
async fn the_full_form_of_a_short_name_is_what_the_runtime_calls_it() -> Result<()> {
    let cluster = Cluster::load().await?;
    if !cluster.may_be_stopped()? {
        return Ok(());
    }
    let client = client(&cluster, ApiVersion::V1).await?;
    let name = fresh("short");
    // Nodes of the test cluster find the images of all other registries in the open one.
    cluster.push(&name, &[]).await?;
    let reference = Reference::parse(&name)?;
    client.pull_image(pull(reference.full())).await?;
    let image = client
        .image_status(&name)
        .await?
        .context("not found by its short name")?;
    ensure!(
        image.repo_tags == [reference.full()],
        "{image:?} is not {}",
        reference.full()
    );
    Ok(())
}

mod alone {
    use super::*;

    #[tokio::test]
    async fn a_registry_that_is_down_or_hangs_is_worth_another_try() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let client = client(&cluster, ApiVersion::V1).await?;
        let name = fresh("down");
        cluster.push(&name, &[]).await?;
        let image = cluster.image(&name)?;

        cluster.cluster(&["registry", "stop", "open"]).await?;
        let down = client.pull_image(pull(&image)).await;
        cluster.cluster(&["registry", "start", "open"]).await?;
        let later = Retry::BackoffAtLeast(Retry::REGISTRY_UNAVAILABLE);
        failed(down, ErrorKind::RegistryUnavailable, later)?;

        cluster.cluster(&["registry", "pause", "open"]).await?;
        let start = tokio::time::Instant::now();
        let hung = client
            .pull_image(PullRequest {
                timeout: Some(Duration::from_secs(2)),
                ..pull(&image)
            })
            .await;
        let took = start.elapsed();
        cluster.cluster(&["registry", "resume", "open"]).await?;
        failed(hung, ErrorKind::Deadline, Retry::Backoff)?;
        ensure!(
            (2..10).contains(&took.as_secs()),
            "a pull of 2 s ended after {took:?}"
        );

        client.pull_image(pull(&image)).await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_runtime_killed_during_a_pull_is_found_again() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let (node, endpoint) = endpoint(&cluster).await?;
        let name = fresh("killed");
        cluster.push(&name, &["--size", "8"]).await?;
        let front = Front::start(&cluster).await?;
        let image = front.image(&name);
        let runtime = Runtime::new(vec![endpoint.clone()], ClientConfig::default())?;
        runtime.version().await?;

        // The registry does not answer, so the pull is still under way when the runtime dies.
        front.be(Mood::HangsOnBlobs);
        let kill = async {
            front.asked_for_blobs(0).await?;
            cluster.cluster(&["node", "runtime", "kill", &node]).await
        };
        let (cut, killed) = tokio::join!(runtime.pull_image(pull(&image)), kill);
        front.be(Mood::Well);
        killed?;
        failed(cut, ErrorKind::RuntimeUnavailable, Retry::WhenRuntimeReturns)?;

        runtime.pull_image(pull(&image)).await?;
        ensure!(
            runtime.image_status(&image).await?.is_some(),
            "pulled, but not there"
        );
        ensure!(
            runtime.endpoint() == Some(endpoint),
            "found elsewhere: {:?}",
            runtime.endpoint()
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_runtime_that_starts_later_is_found_among_several_sockets() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        let (node, endpoint) = endpoint(&cluster).await?;
        let nowhere = Endpoint::parse("unix:///run/kruise-e2e/no-such-runtime.sock")?;
        // One nanosecond between searches: whoever asks after the start gets an answer.
        let mut config = ClientConfig::default();
        config.min_backoff = Duration::from_nanos(1);
        config.max_backoff = config.min_backoff;
        let runtime = Runtime::new(vec![nowhere, endpoint.clone()], config)?;

        cluster.cluster(&["node", "runtime", "stop", &node]).await?;
        let early = runtime.version().await;
        cluster.cluster(&["node", "runtime", "start", &node]).await?;
        failed(early, ErrorKind::RuntimeUnavailable, Retry::WhenRuntimeReturns)?;
        ensure!(runtime.version().await?.name == "containerd", "not containerd");
        ensure!(
            runtime.endpoint() == Some(endpoint),
            "found elsewhere: {:?}",
            runtime.endpoint()
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_list_of_more_than_four_mebibytes_arrives_whole() -> Result<()> {
        let cluster = Cluster::load().await?;
        if !cluster.may_be_stopped()? {
            return Ok(());
        }
        // A node of its own, which takes the images along when it goes.
        let node = cluster.cluster(&["node", "add"]).await?;
        let listed = list_of_large_entries(&cluster, &node).await;
        cluster.cluster(&["node", "remove", &node]).await?;
        listed
    }
}
