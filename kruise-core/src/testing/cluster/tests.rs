use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Node, Pod};
use kube_client::Api;
use kube_client::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::*;
use crate::runtime::Tasks;
use crate::testing::apiserver::ApiServer;
use crate::testing::build::PodBuilder;

struct Bed {
    server: ApiServer,
    cluster: SimulatedCluster,
    pods: Api<Pod>,
    _tasks: Tasks,
}

fn bed(nodes: &[&str]) -> Bed {
    let server = ApiServer::default();
    let cluster = SimulatedCluster::new(server.clone(), ClusterConfig::default());
    for node in nodes {
        cluster.add_node(node);
    }
    let tasks = Tasks::new();
    tasks.spawn("cluster", cluster.clone().run(tasks.token()));
    Bed {
        pods: Api::default_namespaced(server.client()),
        server,
        cluster,
        _tasks: tasks,
    }
}

impl Bed {
    async fn create(&self, builder: PodBuilder) {
        self.pods
            .create(&PostParams::default(), &builder.build())
            .await
            .unwrap();
    }

    fn pod(&self, name: &str) -> Pod {
        self.server.get("default", name).unwrap()
    }

    fn is_ready(&self, name: &str) -> bool {
        let conditions = self.pod(name).status.unwrap().conditions.unwrap_or_default();
        conditions
            .iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    }

    fn container(&self, name: &str) -> ContainerStatus {
        self.pod(name)
            .status
            .unwrap()
            .container_statuses
            .unwrap()
            .remove(0)
    }
}

async fn after(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_a_node_starts_and_becomes_ready() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a")).await;
    after(0.2).await;
    assert_eq!(bed.pod("a").spec.unwrap().node_name.as_deref(), Some("n1"));
    assert_eq!(bed.pod("a").status.unwrap().phase.as_deref(), Some("Pending"));
    after(1.1).await;
    assert_eq!(bed.pod("a").status.unwrap().phase.as_deref(), Some("Running"));
    assert!(!bed.is_ready("a"));
    after(1.0).await;
    assert!(bed.is_ready("a"));
    let version = bed.server.revision();
    after(3600.0).await;
    assert_eq!(
        bed.server.revision(),
        version,
        "nothing is written while nothing happens"
    );
}

#[tokio::test(start_paused = true)]
async fn pods_spread_over_the_nodes_that_take_them() {
    let bed = bed(&["n1", "n2", "n3"]);
    bed.server.seed_object(
        &crate::testing::build::NodeBuilder::new("n3")
            .unschedulable()
            .build(),
    );
    for name in ["a", "b", "c", "d"] {
        bed.create(PodBuilder::new(name)).await;
    }
    bed.create(PodBuilder::new("e").spec(|spec| {
        spec.node_selector = Some([("zone".to_owned(), "nowhere".to_owned())].into());
    }))
    .await;
    after(1.0).await;
    let nodes =
        ["a", "b", "c", "d", "e"].map(|name| bed.pod(name).spec.unwrap().node_name.unwrap_or_default());
    assert_eq!(nodes, ["n1", "n2", "n1", "n2", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_new_image_restarts_the_container_in_place() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a").image("web:1")).await;
    after(5.0).await;
    let (before, uid) = (bed.container("a"), bed.pod("a").metadata.uid);
    let patch = json!({ "spec": { "containers": [{ "name": "main", "image": "web:2" }] } });
    bed.pods
        .patch("a", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    after(0.5).await;
    assert!(!bed.is_ready("a"));
    after(4.5).await;
    let now = bed.container("a");
    assert!(bed.is_ready("a"));
    assert_eq!(
        (&*now.image, &*now.image_id, now.restart_count),
        ("web:2", "sha256:web:2", 1)
    );
    assert_ne!(now.container_id, before.container_id);
    assert_eq!(bed.pod("a").metadata.uid, uid);
    assert!(bed.cluster.crash_container("default", "a", "main"));
    after(5.0).await;
    assert_eq!(bed.container("a").restart_count, 2);
}

#[tokio::test(start_paused = true)]
async fn an_image_that_cannot_be_pulled_holds_the_container() {
    let bed = bed(&["n1"]);
    bed.cluster.break_image("web:1");
    bed.create(PodBuilder::new("a").image("web:1")).await;
    after(60.0).await;
    let waiting = bed.container("a").state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("ImagePullBackOff"));
    bed.cluster.mend_image("web:1");
    after(3.0).await;
    assert!(bed.is_ready("a"));
}

#[tokio::test(start_paused = true)]
async fn a_readiness_gate_holds_back_the_condition() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a").readiness_gate("x.io/Gate")).await;
    after(10.0).await;
    assert!(!bed.is_ready("a") && bed.container("a").ready);
    let patch = json!({ "status": { "conditions": [{ "type": "x.io/Gate", "status": "True" }] } });
    bed.pods
        .patch_status("a", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    after(0.1).await;
    assert!(bed.is_ready("a"));
    let conditions = bed.pod("a").status.unwrap().conditions.unwrap();
    assert!(conditions.iter().any(|one| one.type_ == "x.io/Gate"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_pod_ends_after_a_while() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a")).await;
    after(5.0).await;
    bed.pods.delete("a", &DeleteParams::default()).await.unwrap();
    after(0.5).await;
    assert!(bed.pod("a").metadata.deletion_timestamp.is_some());
    after(1.0).await;
    assert!(bed.server.list::<Pod>().is_empty());
    // One with a finalizer is deleted and still there.
    bed.create(PodBuilder::new("b").finalizer("x.io/a")).await;
    after(5.0).await;
    bed.pods.delete("b", &DeleteParams::default()).await.unwrap();
    after(5.0).await;
    assert_eq!(bed.pod("b").metadata.deletion_grace_period_seconds, Some(0));
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_dead_node_are_noticed_evicted_and_gone_when_it_revives() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a")).await;
    after(5.0).await;
    assert!(bed.cluster.kill_node("n1") && !bed.cluster.kill_node("n1"));
    after(39.0).await;
    assert!(bed.is_ready("a"));
    after(2.0).await;
    assert!(!bed.is_ready("a"));
    let node: Node = bed.server.get("", "n1").unwrap();
    assert_eq!(node.status.unwrap().conditions.unwrap()[0].status, "Unknown");
    after(300.0).await;
    assert!(bed.pod("a").metadata.deletion_timestamp.is_some());
    assert!(bed.cluster.live_nodes().is_empty() && bed.cluster.revive_node("n1"));
    after(5.0).await;
    assert!(bed.server.list::<Pod>().is_empty());
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_node_that_is_no_more_are_removed() {
    let bed = bed(&["n1"]);
    bed.create(PodBuilder::new("a")).await;
    after(5.0).await;
    let nodes: Api<Node> = Api::all(bed.server.client());
    nodes.delete("n1", &DeleteParams::default()).await.unwrap();
    after(0.1).await;
    assert!(bed.server.list::<Pod>().is_empty());
}
