//! The manager keeps a NodeImage for each node, without any other part of kruise-rs.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kruise_core::testing::apiserver::ApiServer;
use kruise_imagepull::api::{NodeImage, crds};
use serde_json::json;
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn each_node_has_a_node_image_with_its_labels() {
    let server = ApiServer::default();
    for definition in crds() {
        assert!(server.serve_definition(&definition));
    }
    assert!(
        server
            .seed_value(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "warehouse"}}))
    );
    for name in ["one", "two"] {
        let node: Node = serde_json::from_value(json!({"metadata": {"name": name, "labels": {"zone": name}},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}))
        .expect("a node");
        assert!(server.seed_object(&node));
    }
    let labelled = async {
        loop {
            let found = server.list::<NodeImage>();
            let zone = |image: &NodeImage| image.metadata.labels.as_ref()?.get("zone").cloned();
            if found.iter().filter_map(zone).collect::<Vec<_>>() == ["one", "two"] {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let run = kruise_own_manager::run(server.client(), "me", CancellationToken::new());
    tokio::select! {
        ended = run => panic!("{ended:?}"),
        done = tokio::time::timeout(Duration::from_secs(60), labelled) => done.expect("within a minute"),
    }
}
