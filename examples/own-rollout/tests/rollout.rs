//! Databases in two zones are moved two at a time, one of each zone.

use kruise_core::testing::apiserver::ApiServer;
use kruise_own_rollout::{Database, DatabaseSpec, step};
use kube_client::Api;
use kube_client::api::{Patch, PatchParams, PostParams};
use kube_core::CustomResourceExt as _;
use serde_json::json;

fn out_of_service(server: &ApiServer) -> Vec<String> {
    let databases = server.list::<Database>().into_iter();
    let out = databases.filter(|database| !database.spec.ready);
    out.filter_map(|database| database.metadata.name).collect()
}

#[tokio::test]
async fn zones_take_turns_and_no_more_than_two_are_ever_out_of_service() {
    let server = ApiServer::default();
    assert!(server.serve_definition(&Database::crd()));
    let databases: Api<Database> = Api::default_namespaced(server.client());
    for (name, zone) in [
        ("a1", "a"),
        ("a2", "a"),
        ("a3", "a"),
        ("b1", "b"),
        ("b2", "b"),
        ("b3", "b"),
    ] {
        let mut database = Database::new(
            name,
            DatabaseSpec {
                version: "15".into(),
                ready: true,
            },
        );
        database.metadata.labels = Some([("zone".to_owned(), zone.to_owned())].into());
        databases
            .create(&PostParams::default(), &database)
            .await
            .expect("created");
    }
    server.observe({
        let server = server.clone();
        move || {
            assert!(
                out_of_service(&server).len() <= 2,
                "{:?}",
                out_of_service(&server)
            )
        }
    });

    for pair in ["1", "2", "3"] {
        // A second look changes nothing while both are out of service.
        for _ in 0..2 {
            step(&databases, "16").await.expect("moved");
        }
        let out = out_of_service(&server);
        let zones: Vec<&str> = out.iter().filter_map(|name| name.get(..1)).collect();
        assert_eq!(zones, ["a", "b"], "round {pair}: {out:?}");
        for name in out {
            let ready = Patch::Merge(json!({"spec": {"ready": true}}));
            databases
                .patch(&name, &PatchParams::default(), &ready)
                .await
                .expect("changed");
        }
    }
    assert!(
        server
            .list::<Database>()
            .iter()
            .all(|database| database.spec.version == "16")
    );
}

#[test]
fn the_definition_beside_the_program_is_that_of_the_type() {
    let written = serde_yaml::to_string(&Database::crd()).expect("YAML");
    assert_eq!(include_str!("../database.yaml"), written);
}
