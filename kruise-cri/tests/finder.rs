//! Which runtime is used when a node has several, and when one goes away.

#![allow(clippy::unwrap_used)] // the helpers of these tests fail a test like the tests themselves

use std::path::PathBuf;
use std::time::Duration;

use kruise_cri::testing::FakeRuntime;
use kruise_cri::{
    ClientConfig, Endpoint, Error, ErrorKind, ImageService, PullRequest, Retry, Runtime, RuntimeService,
};
use tempfile::TempDir;

const NOTHING: Duration = Duration::from_nanos(1);

/// A node that may have containerd and CRI-O, tried in this order.
struct Node {
    folder: TempDir,
    config: ClientConfig,
}

impl Node {
    /// Searches are repeated at once, so that no test waits for a back-off.
    fn new() -> Self {
        let mut config = ClientConfig::default();
        config.min_backoff = NOTHING;
        config.max_backoff = NOTHING;
        Self {
            folder: tempfile::tempdir().unwrap(),
            config,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, name: &str) -> FakeRuntime {
        FakeRuntime::start(self.path(name)).unwrap()
    }

    fn runtime(&self) -> Runtime {
        let endpoints = ["containerd.sock", "crio.sock"].map(|name| Endpoint::from(self.path(name)));
        Runtime::new(endpoints.to_vec(), self.config.clone()).unwrap()
    }
}

async fn away(runtime: &Runtime) -> Error {
    let error = runtime.list_images(None).await.unwrap_err();
    assert_eq!(error.retry(), Retry::WhenRuntimeReturns, "{error}");
    error
}

#[tokio::test]
async fn a_runtime_that_restarts_is_waited_for_although_another_answers() {
    let node = Node::new();
    let (mut containerd, crio) = (node.start("containerd.sock"), node.start("crio.sock"));
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    containerd.stop();
    for _ in 0..3 {
        let error = away(&runtime).await;
        assert!(!error.message.contains("crio.sock"), "{error}");
    }
    containerd.restart().unwrap();
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(containerd.endpoint()));
    assert!(crio.calls().is_empty(), "{:?}", crio.calls());
}

#[tokio::test]
async fn another_runtime_takes_over_when_the_first_has_been_away_for_long_with_its_socket() {
    let mut node = Node::new();
    node.config.switch_after = NOTHING;
    let (mut containerd, crio) = (node.start("containerd.sock"), node.start("crio.sock"));
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    containerd.stop();
    away(&runtime).await;
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(crio.endpoint()));
}

#[tokio::test]
async fn a_runtime_whose_socket_is_still_there_is_waited_for_without_end() {
    let mut node = Node::new();
    node.config.switch_after = NOTHING;
    let (mut containerd, crio) = (node.start("containerd.sock"), node.start("crio.sock"));
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    containerd.stop();
    // What a killed runtime leaves: a socket on which nobody listens.
    drop(std::os::unix::net::UnixListener::bind(containerd.path()).unwrap());
    for _ in 0..3 {
        away(&runtime).await;
    }
    assert!(crio.calls().is_empty(), "{:?}", crio.calls());
    containerd.restart().unwrap();
    runtime.list_images(None).await.unwrap();
}

#[tokio::test]
async fn a_runtime_that_no_longer_serves_the_interface_is_left_at_once() {
    let node = Node::new();
    let (containerd, crio) = (node.start("containerd.sock"), node.start("crio.sock"));
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    containerd.serve_versions(&[]);
    away(&runtime).await;
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(crio.endpoint()));
}

#[tokio::test]
async fn an_endpoint_in_front_that_answers_later_is_taken_at_the_next_look() {
    let mut node = Node::new();
    node.config.recheck_interval = NOTHING;
    let crio = node.start("crio.sock");
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(crio.endpoint()));
    let containerd = node.start("containerd.sock");
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(containerd.endpoint()));
    assert_eq!(containerd.count("ListImages"), 1);
}

#[tokio::test]
async fn an_endpoint_in_front_is_taken_while_the_one_used_before_is_away() {
    let mut node = Node::new();
    node.config.recheck_interval = NOTHING;
    let mut crio = node.start("crio.sock");
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    crio.stop();
    away(&runtime).await;
    let containerd = node.start("containerd.sock");
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(containerd.endpoint()));
}

#[tokio::test]
async fn endpoints_in_front_are_not_looked_at_before_it_is_time() {
    let node = Node::new();
    let crio = node.start("crio.sock");
    let runtime = node.runtime();
    runtime.list_images(None).await.unwrap();
    let containerd = node.start("containerd.sock");
    runtime.list_images(None).await.unwrap();
    assert_eq!(runtime.endpoint(), Some(crio.endpoint()));
    assert!(containerd.calls().is_empty());
}

#[tokio::test]
async fn a_call_without_a_runtime_names_itself_and_each_socket_with_its_cause_once() {
    let node = Node::new();
    let runtime = node.runtime();
    let image = "docker.io/library/nginx:1.9".to_owned();
    let request = PullRequest {
        image,
        ..Default::default()
    };
    let error = runtime.pull_image(request).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::RuntimeUnavailable);
    let cause = "No such file or directory (os error 2)";
    let expected = format!(
        "PullImage: container runtime unavailable: unix://{}: {cause}; unix://{}: {cause}",
        node.path("containerd.sock").display(),
        node.path("crio.sock").display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(runtime.version().await.unwrap_err().call, "Version");
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused_before_anything_is_called() {
    let mut node = Node::new();
    node.config.call_timeout = Duration::ZERO;
    let refused = Runtime::new(vec![], node.config.clone()).unwrap_err();
    assert_eq!(refused.to_string(), "callTimeout must be above zero");
}

#[tokio::test]
async fn a_timeout_beyond_all_bounds_is_cut_and_not_a_panic() {
    let node = Node::new();
    let containerd = node.start("containerd.sock");
    let id = containerd.publish("r.io/a:1");
    let request = PullRequest {
        image: "r.io/a:1".into(),
        timeout: Some(Duration::MAX),
        ..Default::default()
    };
    assert_eq!(node.runtime().pull_image(request).await.unwrap(), id);
    let missing = node.runtime().stop_container("none", Duration::MAX).await;
    assert!(missing.is_ok(), "{missing:?}");
    let missing = node.runtime().exec_sync("none", &[], Duration::MAX).await;
    assert_eq!(missing.unwrap_err().kind, ErrorKind::NotFound);
}
