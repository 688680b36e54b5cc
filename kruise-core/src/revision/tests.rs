use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::apiserver::{ApiServer, ServerConfig};
use crate::testing::clock::FakeClock;

const OWNER: &str = "uid-web";

fn data(state: u8) -> Value {
    json!({ "spec": { "$patch": "replace", "state": state } })
}

fn snapshot(state: u8) -> Snapshot {
    Snapshot::new(data(state))
}

fn revision(name: &str, number: i64, state: u8, owner: Option<&str>) -> ControllerRevision {
    let owners = owner
        .map(|uid| json!([{"apiVersion": "v1", "kind": "W", "name": "web", "uid": uid, "controller": true}]));
    serde_json::from_value(json!({
        "metadata": {"name": name, "namespace": "default", "ownerReferences": owners},
        "data": data(state), "revision": number,
    }))
    .expect("a revision")
}

fn own(number: i64, state: u8) -> ControllerRevision {
    revision(&format!("web-{number}"), number, state, Some(OWNER))
}

fn plan(existing: &[ControllerRevision], state: u8, limit: usize) -> HistoryPlan {
    plan_history(OWNER, existing, &snapshot(state), |_| false, limit)
}

#[test]
fn a_new_state_gets_the_next_number() {
    assert_eq!(plan(&[], 1, 10).current, Current::Create { revision: 1 });
    let held = [own(7, 1), own(3, 2)];
    assert_eq!(plan(&held, 3, 10).current, Current::Create { revision: 8 });
}

#[test]
fn an_old_state_that_comes_back_is_raised_and_the_newest_is_reused() {
    let held = [own(7, 1), own(3, 2)];
    assert_eq!(plan(&held, 2, 10).current, Current::Raise { at: 1, revision: 8 });
    assert_eq!(plan(&held, 1, 10).current, Current::Reuse { at: 0 });
    assert_eq!(
        plan(&[own(i64::MAX, 1), own(i64::MAX, 2)], 1, 10).current,
        Current::Reuse { at: 0 }
    );
}

#[test]
fn two_with_one_number_do_not_stay_so() {
    let held = [own(4, 1), revision("web-b", 4, 2, Some(OWNER))];
    assert_eq!(plan(&held, 1, 10).current, Current::Raise { at: 0, revision: 5 });
}

#[test]
fn the_oldest_go_first_and_none_that_is_in_use() {
    let held = [own(4, 4), own(1, 1), own(3, 3), own(2, 2)];
    assert_eq!(plan(&held, 5, 3).delete, [1, 3]);
    let plan = plan_history(OWNER, &held, &snapshot(5), |revision| revision.revision == 1, 3);
    assert_eq!(plan.delete, [3, 2]);
    assert_eq!(
        plan_history(OWNER, &held, &snapshot(1), |_| false, 0).delete,
        [3, 2, 0]
    );
}

#[test]
fn revisions_of_others_are_left_alone_and_orphans_are_adopted() {
    let held = [
        revision("a", 9, 1, Some("uid-of-an-older-web")),
        revision("b", 2, 2, None),
        revision("c", 3, 3, None),
        own(4, 4),
    ];
    let plan = plan(&held, 2, 2);
    assert_eq!(plan.current, Current::Raise { at: 1, revision: 5 });
    assert_eq!((plan.delete, plan.adopt), (vec![2], vec![]));
    let plan = plan_history(OWNER, &held, &snapshot(4), |_| true, 2);
    assert_eq!((plan.delete, plan.adopt), (vec![], vec![1, 2]));
}

proptest! {
    #[test]
    fn a_history_is_that_of_a_plain_list(
        states in prop::collection::vec((0_u8..6, 0_usize..5, 0_u8..6), 1..40),
    ) {
        let mut held: Vec<ControllerRevision> = Vec::new();
        // States in the order in which they were current, the last one last.
        let mut model: Vec<u8> = Vec::new();
        for (turn, (state, limit, used)) in states.into_iter().enumerate() {
            let is_used = |revision: &ControllerRevision| snapshot(used).is_of(revision);
            let plan = plan_history(OWNER, &held, &snapshot(state), is_used, limit);
            prop_assert_eq!(&plan.adopt, &Vec::<usize>::new());
            let mut next = held.clone();
            match plan.current {
                Current::Create { revision: number } => {
                    next.push(revision(&format!("r{turn}"), number, state, Some(OWNER)));
                }
                Current::Raise { at, revision } => next[at].revision = revision,
                Current::Reuse { at } => prop_assert!(snapshot(state).is_of(&held[at])),
            }
            let gone: Vec<_> = plan.delete.iter().map(|at| held[*at].clone()).collect();
            next.retain(|one| !gone.iter().any(|gone| gone.metadata.name == one.metadata.name));
            held = next;

            model.retain(|held| *held != state);
            model.push(state);
            while model.len() > limit.max(1) {
                let last = model.len() - 1;
                let Some(oldest) = model[..last].iter().position(|held| *held != used) else { break };
                model.remove(oldest);
            }
            held.sort_by_key(|one| one.revision);
            let numbers: std::collections::BTreeSet<_> = held.iter().map(|one| one.revision).collect();
            prop_assert_eq!(numbers.len(), held.len());
            let now: Vec<Value> = held.iter().filter_map(|one| one.data.as_ref().map(|data| data.0.clone())).collect();
            let wanted: Vec<Value> = model.iter().map(|state| data(*state)).collect();
            prop_assert_eq!(now, wanted);
        }
    }
}

fn template() -> RevisionTemplate {
    RevisionTemplate {
        workload: "web".to_owned(),
        owner: OwnerReference {
            api_version: "v1".to_owned(),
            kind: "W".to_owned(),
            name: "web".to_owned(),
            uid: OWNER.to_owned(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        },
        labels: BTreeMap::from([("of".to_owned(), "web".to_owned())]),
        annotations: BTreeMap::from([("hash".to_owned(), "x".to_owned())]),
    }
}

/// Without a garbage collector, as it has none of the owners.
fn server() -> ApiServer {
    let config = ServerConfig {
        collect_garbage: false,
        ..ServerConfig::default()
    };
    ApiServer::new(config, Arc::new(FakeClock::default()))
}

async fn sync(server: &ApiServer, state: u8, limit: usize, seen: bool, collisions: i32) -> Synced {
    let existing: Vec<_> = match seen {
        true => server
            .list::<ControllerRevision>()
            .into_iter()
            .map(Arc::new)
            .collect(),
        false => Vec::new(),
    };
    let plan = plan_history(OWNER, &existing, &snapshot(state), |_| false, limit);
    let history = RevisionHistory::new(server.client(), "default");
    history
        .sync(&plan, &existing, &snapshot(state), &template(), collisions)
        .await
        .expect("the server answers")
}

fn numbers(server: &ApiServer) -> Vec<(String, i64)> {
    let held = server.list::<ControllerRevision>();
    let mut held: Vec<_> = held
        .into_iter()
        .map(|one| (one.metadata.name.unwrap_or_default(), one.revision))
        .collect();
    held.sort_by_key(|(_, number)| *number);
    held
}

#[tokio::test(start_paused = true)]
async fn states_come_go_and_come_back_on_a_server() {
    let server = server();
    let [one, two, three] = [1, 2, 3].map(|state| snapshot(state).name("web", 0));
    for state in [1, 2] {
        assert!(sync(&server, state, 2, true, 0).await.changed);
    }
    let again = sync(&server, 2, 2, true, 0).await;
    assert!(!again.changed, "nothing is written");
    assert_eq!(again.current.metadata.labels, Some(template().labels));
    assert_eq!(again.current.metadata.annotations, Some(template().annotations));
    sync(&server, 1, 2, true, 0).await;
    assert_eq!(numbers(&server), [(two, 2), (one.clone(), 3)]);
    sync(&server, 3, 2, true, 0).await;
    assert_eq!(numbers(&server), [(one, 3), (three, 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_was_not_seen_is_not_made_twice() {
    let server = server();
    let first = sync(&server, 1, 10, true, 0).await;
    let second = sync(&server, 1, 10, false, 0).await;
    assert_eq!(first.current, second.current);
    assert_eq!(second.collisions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_others_have_is_a_collision() {
    let server = server();
    let name = snapshot(1).name("web", 0);
    server.seed_object(&revision(&name, 1, 1, Some("uid-of-an-older-web")));
    let made = sync(&server, 1, 10, true, 0).await;
    assert_eq!(made.collisions, 1);
    assert_eq!(made.current.metadata.name, Some(snapshot(1).name("web", 1)));
    // Its own with other data, as a hash may have it.
    server.seed_object(&revision(&snapshot(2).name("web", 1), 9, 3, Some(OWNER)));
    let made = sync(&server, 2, 10, true, made.collisions).await;
    assert_eq!((made.collisions, made.current.revision), (2, 10));
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_adopted_with_its_labels() {
    let server = server();
    server.seed_object(&revision("web-old", 3, 1, None));
    server.seed_object(&revision("web-older", 2, 2, None));
    let synced = sync(&server, 1, 10, true, 0).await;
    assert_eq!(synced.current.metadata.name.as_deref(), Some("web-old"));
    assert_eq!(synced.current.metadata.labels, Some(template().labels));
    for name in ["web-old", "web-older"] {
        let held: ControllerRevision = server.get("default", name).expect("there");
        assert_eq!(
            held.metadata.owner_references,
            Some(vec![template().owner]),
            "{name}"
        );
    }
    assert!(!sync(&server, 1, 10, true, 0).await.changed);
}
