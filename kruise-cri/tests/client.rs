//! The client against a fake runtime over a real socket.

#![allow(clippy::unwrap_used)] // the helpers of these tests fail a test like the tests themselves

use std::collections::BTreeMap;
use std::time::Duration;

use kruise_cri::testing::{FakeRuntime, Gate, Reply};
use kruise_cri::{
    ApiVersion, Client, ClientConfig, Container, ContainerFilter, ContainerState, Credentials, Endpoint,
    ErrorKind, ImageService, PullRequest, Retry, Runtime, RuntimeService, Sandbox, SandboxFilter,
    SandboxState,
};
use tempfile::TempDir;
use tonic::Code;

const NGINX: &str = "docker.io/library/nginx:1.9";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn fake(folder: &TempDir) -> FakeRuntime {
    FakeRuntime::start(folder.path().join("cri.sock")).unwrap()
}

fn runtime(fake: &FakeRuntime) -> Runtime {
    Runtime::new(vec![fake.endpoint()], quick()).unwrap()
}

/// Searches again at once, so that no test waits for a back-off.
fn quick() -> ClientConfig {
    let mut config = ClientConfig::default();
    config.min_backoff = Duration::from_nanos(1);
    config.max_backoff = Duration::from_nanos(1);
    config
}

fn pull(image: &str) -> PullRequest {
    PullRequest {
        image: image.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn an_image_is_pulled_listed_found_and_removed() {
    let folder = folder();
    let fake = fake(&folder);
    let id = fake.publish(NGINX);
    let runtime = runtime(&fake);
    assert_eq!(runtime.image_status(NGINX).await.unwrap(), None);
    assert_eq!(runtime.pull_image(pull(NGINX)).await.unwrap(), id);
    assert_eq!(
        runtime.image_status(NGINX).await.unwrap().unwrap().repo_tags,
        [NGINX]
    );
    assert_eq!(runtime.image_status(&id).await.unwrap().unwrap().id, id);
    assert_eq!(runtime.list_images(None).await.unwrap().len(), 1);
    assert_eq!(runtime.image_fs_info().await.unwrap()[0].used_bytes, 1024);
    runtime.remove_image(NGINX).await.unwrap();
    runtime.remove_image(NGINX).await.unwrap();
    assert!(runtime.list_images(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_authority_is_localhost_and_a_sandbox_is_always_sent() {
    let folder = folder();
    let fake = fake(&folder);
    fake.publish(NGINX);
    let by = BTreeMap::from([(
        "apps.kruise.io/pulling-image-by".to_owned(),
        "kruise-daemon".to_owned(),
    )]);
    runtime(&fake)
        .pull_image(PullRequest {
            annotations: by.clone(),
            ..pull(NGINX)
        })
        .await
        .unwrap();
    runtime(&fake).pull_image(pull(NGINX)).await.unwrap();
    let pulls: Vec<_> = fake
        .calls()
        .into_iter()
        .filter(|call| call.method == "PullImage")
        .collect();
    assert_eq!(pulls[0].annotations, Some(by));
    assert_eq!(pulls[1].annotations, Some(BTreeMap::new()));
    assert!(
        fake.calls()
            .iter()
            .all(|call| call.authority == "localhost" && call.api == ApiVersion::V1)
    );
}

#[tokio::test]
async fn a_runtime_without_v1_is_used_in_v1alpha2() {
    let folder = folder();
    let fake = FakeRuntime::start_as(folder.path().join("s"), &[ApiVersion::V1Alpha2]).unwrap();
    fake.publish(NGINX);
    let runtime = runtime(&fake);
    runtime.pull_image(pull(NGINX)).await.unwrap();
    assert_eq!(runtime.version().await.unwrap().api, ApiVersion::V1Alpha2);
}

#[tokio::test]
async fn kruise_1817_an_upgrade_of_the_runtime_to_another_version_is_noticed() {
    let folder = folder();
    let fake = FakeRuntime::start_as(folder.path().join("s"), &[ApiVersion::V1Alpha2]).unwrap();
    let runtime = runtime(&fake);
    assert_eq!(runtime.version().await.unwrap().api, ApiVersion::V1Alpha2);
    fake.serve_versions(&[ApiVersion::V1]);
    assert_eq!(
        runtime.version().await.unwrap_err().retry(),
        Retry::WhenRuntimeReturns
    );
    assert_eq!(runtime.version().await.unwrap().api, ApiVersion::V1);
}

#[tokio::test]
async fn kruise_1196_a_runtime_with_the_interface_switched_off_is_passed_over() {
    let folder = folder();
    let off = FakeRuntime::start_as(folder.path().join("off"), &[]).unwrap();
    let on = fake(&folder);
    let error = Client::connect(&off.endpoint(), quick()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unimplemented);
    let runtime = Runtime::new(vec![off.endpoint(), on.endpoint()], quick()).unwrap();
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(on.endpoint()));
}

#[tokio::test]
async fn kruise_1245_a_socket_that_appears_later_is_found() {
    let folder = folder();
    let path = folder.path().join("later.sock");
    let runtime = Runtime::new(vec![Endpoint::from(path.clone())], quick()).unwrap();
    let error = runtime.list_images(None).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry()),
        (ErrorKind::RuntimeUnavailable, Retry::WhenRuntimeReturns)
    );
    assert!(error.message.contains("later.sock"), "{error}");
    let _fake = FakeRuntime::start(path).unwrap();
    runtime.list_images(None).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn searches_are_spaced_by_the_backoff() {
    let folder = folder();
    let mut config = ClientConfig::default();
    config.min_backoff = Duration::from_secs(3600);
    config.max_backoff = Duration::from_secs(3600);
    let path = folder.path().join("s");
    let runtime = Runtime::new(vec![Endpoint::from(path.clone())], config).unwrap();
    runtime.client().await.unwrap_err();
    let _fake = FakeRuntime::start(path).unwrap();
    runtime.client().await.expect_err("the hour is not over");
    tokio::time::advance(Duration::from_secs(3600)).await;
    tokio::time::resume();
    runtime.client().await.unwrap();
}

#[tokio::test]
async fn calls_work_again_after_the_runtime_restarted() {
    let folder = folder();
    let mut fake = fake(&folder);
    let runtime = runtime(&fake);
    runtime.list_images(None).await.unwrap();
    fake.stop();
    assert_eq!(
        runtime.list_images(None).await.unwrap_err().kind,
        ErrorKind::RuntimeUnavailable
    );
    fake.restart().unwrap();
    runtime.list_images(None).await.unwrap();
}

#[tokio::test]
async fn a_runtime_that_dies_during_a_pull_is_unavailable_and_not_a_failed_pull() {
    let folder = folder();
    let mut fake = fake(&folder);
    fake.publish(NGINX);
    let runtime = runtime(&fake);
    fake.script("PullImage", Reply::Die);
    let error = runtime.pull_image(pull(NGINX)).await.unwrap_err();
    assert_eq!(error.retry(), Retry::WhenRuntimeReturns, "{error}");
    fake.restart().unwrap();
    runtime.pull_image(pull(NGINX)).await.unwrap();
}

#[tokio::test]
async fn a_pull_that_hangs_ends_at_its_own_deadline() {
    let folder = folder();
    let fake = fake(&folder);
    fake.script("PullImage", Reply::Hang);
    let request = PullRequest {
        timeout: Some(Duration::from_millis(50)),
        ..pull(NGINX)
    };
    let error = runtime(&fake).pull_image(request).await.unwrap_err();
    assert_eq!(
        (error.kind, error.retry()),
        (ErrorKind::Deadline, Retry::Backoff),
        "{error}"
    );
}

#[tokio::test]
async fn a_dropped_pull_is_cancelled_in_the_runtime() {
    let folder = folder();
    let fake = fake(&folder);
    fake.script("PullImage", Reply::Hang);
    let runtime = runtime(&fake);
    tokio::select! {
        _ = runtime.pull_image(pull(NGINX)) => unreachable!("it hangs"),
        () = fake.called("PullImage", 1) => {}
    }
    fake.gave_up(1).await;
}

#[tokio::test]
async fn a_list_over_four_mebibytes_is_read_and_one_over_the_limit_is_typed() {
    let folder = folder();
    let fake = fake(&folder);
    for number in 0..500 {
        fake.preload(&format!(
            "registry.example.com/{}/app:{number}",
            "x".repeat(10_000)
        ));
    }
    assert_eq!(runtime(&fake).list_images(None).await.unwrap().len(), 500);
    let mut config = quick();
    config.max_message_bytes = 4 * 1024 * 1024;
    let small = Runtime::new(vec![fake.endpoint()], config).unwrap();
    assert_eq!(
        small.list_images(None).await.unwrap_err().kind,
        ErrorKind::MessageTooLarge
    );
}

#[tokio::test]
async fn what_the_registry_said_survives_the_wire_with_its_kind() {
    let folder = folder();
    let fake = fake(&folder);
    fake.publish_private("r.example.com/a:1", "me", "s3cret");
    let runtime = runtime(&fake);
    let with = |password: &str| {
        let credentials = Some(Credentials {
            username: "me".into(),
            password: password.into(),
        });
        PullRequest {
            credentials,
            ..pull("r.example.com/a:1")
        }
    };
    assert_eq!(
        runtime
            .pull_image(pull("r.example.com/b:1"))
            .await
            .unwrap_err()
            .kind,
        ErrorKind::NotFound
    );
    assert_eq!(
        runtime
            .pull_image(pull("r.example.com/a:1"))
            .await
            .unwrap_err()
            .kind,
        ErrorKind::Unauthorized
    );
    assert_eq!(
        runtime.pull_image(with("wrong")).await.unwrap_err().retry(),
        Retry::OtherCredentials
    );
    runtime.pull_image(with("s3cret")).await.unwrap();
    for (code, text, kind) in [
        (Code::InvalidArgument, "bad handler", ErrorKind::InvalidArgument),
        (
            Code::Unavailable,
            "not initialized",
            ErrorKind::RuntimeUnavailable,
        ),
        (
            Code::Unknown,
            "write: no space left on device",
            ErrorKind::NoSpace,
        ),
        (
            Code::Unknown,
            "no match for platform in manifest",
            ErrorKind::NoMatchingPlatform,
        ),
    ] {
        fake.script("PullImage", Reply::fail(code, text));
        assert_eq!(
            runtime.pull_image(with("s3cret")).await.unwrap_err().kind,
            kind,
            "{text}"
        );
    }
}

#[tokio::test]
async fn passwords_are_in_no_debug_output_and_no_error() {
    let folder = folder();
    let fake = fake(&folder);
    fake.script("PullImage", Reply::fail(Code::Unknown, "login me:s3cret failed"));
    let credentials = Some(Credentials {
        username: "me".into(),
        password: "s3cret".into(),
    });
    let request = PullRequest {
        credentials,
        ..pull(NGINX)
    };
    assert!(!format!("{request:?}").contains("s3cret"));
    let error = runtime(&fake).pull_image(request).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn pulls_run_side_by_side_over_one_connection() {
    let folder = folder();
    let fake = fake(&folder);
    let runtime = runtime(&fake);
    let gate = Gate::default();
    let images: Vec<String> = (0..20)
        .map(|number| format!("r.example.com/a:{number}"))
        .collect();
    for image in &images {
        fake.publish(image);
        fake.script("PullImage", Reply::Wait(gate.clone()));
    }
    let mut pulls = tokio::task::JoinSet::new();
    for image in &images {
        let (runtime, request) = (runtime.clone(), pull(image));
        pulls.spawn(async move { runtime.pull_image(request).await });
    }
    fake.called("PullImage", 20).await;
    assert!(!fake.has_image(&images[0]));
    gate.open();
    while let Some(done) = pulls.join_next().await {
        done.unwrap().unwrap();
    }
}

#[tokio::test]
async fn sandboxes_and_containers_are_listed_filtered_and_told() {
    let folder = folder();
    let fake = fake(&folder);
    let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
    let sandbox = Sandbox {
        id: "s1".into(),
        pod_name: "web-1".into(),
        pod_uid: "u1".into(),
        pod_namespace: "shop".into(),
        attempt: 2,
        state: SandboxState::Ready,
        created_at: 7,
        labels: labels.clone(),
        annotations: BTreeMap::new(),
    };
    let container = Container {
        id: "c1".into(),
        sandbox_id: "s1".into(),
        name: "app".into(),
        attempt: 1,
        image: NGINX.into(),
        image_ref: "sha256:0".into(),
        state: ContainerState::Running,
        created_at: 8,
        labels: labels.clone(),
        annotations: BTreeMap::new(),
    };
    fake.set_sandboxes(vec![
        sandbox.clone(),
        Sandbox {
            id: "s2".into(),
            state: SandboxState::NotReady,
            labels: BTreeMap::new(),
            ..sandbox.clone()
        },
    ]);
    fake.set_containers(vec![
        container.clone(),
        Container {
            id: "c2".into(),
            sandbox_id: "s2".into(),
            ..container.clone()
        },
    ]);
    let runtime = runtime(&fake);

    assert_eq!(
        runtime
            .list_sandboxes(SandboxFilter::default())
            .await
            .unwrap()
            .len(),
        2
    );
    let filter = SandboxFilter {
        labels,
        state: Some(SandboxState::Ready),
        ..Default::default()
    };
    assert_eq!(
        runtime.list_sandboxes(filter).await.unwrap(),
        std::slice::from_ref(&sandbox)
    );
    let status = runtime.sandbox_status("s1").await.unwrap();
    assert_eq!(
        (status.sandbox, status.ips),
        (sandbox, vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()])
    );

    let filter = ContainerFilter {
        sandbox_id: Some("s1".into()),
        ..Default::default()
    };
    assert_eq!(
        runtime.list_containers(filter).await.unwrap(),
        std::slice::from_ref(&container)
    );
    let said = runtime
        .exec_sync("c1", &["echo".into(), "hi".into()], Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(
        (said.stdout.as_slice(), said.exit_code),
        (b"echo hi".as_slice(), 0)
    );
    runtime
        .stop_container("c1", Duration::from_millis(1))
        .await
        .unwrap();
    let status = runtime.container_status("c1").await.unwrap();
    assert_eq!(
        (status.container.state, status.started_at),
        (ContainerState::Exited, 8)
    );
    assert_eq!(
        runtime.container_status("none").await.unwrap_err().kind,
        ErrorKind::NotFound
    );
    let conditions = runtime.status().await.unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "RuntimeReady" && condition.status)
    );
}
