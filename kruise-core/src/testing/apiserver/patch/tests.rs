use proptest::prelude::*;
use serde_json::{Value, json};

use super::fields::{self, FieldSet, leaves};
use super::managed::{self, Manager};
use super::strategic;
use crate::testing::apiserver::kinds::Kinds;
use crate::testing::apiserver::rules::Rules;

fn manager(name: &str) -> Manager {
    Manager {
        name: name.to_owned(),
        operation: "Apply",
        api_version: "v1".to_owned(),
        subresource: String::new(),
    }
}

/// Values of a pod with what distinguishes the rules: maps, keyed lists, sets, atomic lists.
fn part() -> impl Strategy<Value = Value> {
    let labels = proptest::collection::btree_map("[ab]", "[xy]", 0..3);
    let containers = proptest::collection::btree_map("[cd]", "[12]", 0..3);
    let finalizers = proptest::collection::btree_set("[ef]", 0..3);
    let args = proptest::option::of(proptest::collection::vec("[gh]", 1..3));
    (labels, containers, finalizers, args).prop_map(|(labels, containers, finalizers, args)| {
        let mut containers: Vec<_> = containers
            .into_iter()
            .map(|(name, image)| json!({ "name": name, "image": image }))
            .collect();
        if let (Some(first), Some(args)) = (containers.first_mut(), args) {
            first["args"] = json!(args);
        }
        let mut pod = json!({ "metadata": {}, "spec": {} });
        for (path, key, value) in [
            ("metadata", "labels", json!(labels)),
            ("metadata", "finalizers", json!(finalizers)),
            ("spec", "containers", json!(containers)),
        ] {
            if value != json!({}) && value != json!([]) {
                pod[path][key] = value;
            }
        }
        if pod["spec"] == json!({}) {
            pod["spec"] = json!({ "restartPolicy": "Never" });
        }
        pod
    })
}

fn wanted(rules: &Rules<'_>, applied: &Value) -> FieldSet {
    leaves(rules, applied)
        .into_keys()
        .filter(|path| path != &["f:metadata"])
        .collect()
}

proptest! {
    #[test]
    fn field_sets_survive_the_way_through_json(pod in part()) {
        let kinds = Kinds::built_in();
        let rules = Rules::new(kinds.get("", "pods").unwrap(), "v1");
        let set = wanted(&rules, &pod);
        prop_assert_eq!(fields::from_json(&fields::to_json(&set)), set);
    }

    #[test]
    fn what_is_applied_is_there_and_what_nobody_applies_any_more_is_not(
        steps in proptest::collection::vec((0_usize..3, part()), 1..8),
    ) {
        let kinds = Kinds::built_in();
        let rules = Rules::new(kinds.get("", "pods").unwrap(), "v1");
        let names = ["one", "two", "three"];
        let mut live = json!({});
        let mut held: [FieldSet; 3] = Default::default();
        for (who, applied) in steps {
            let now = json!("2001-01-01T00:00:00Z");
            live = managed::apply(&rules, Some(&live), &applied, &manager(names[who]), true, &now).unwrap();
            let applied_leaves = leaves(&rules, &applied);
            let live_leaves = leaves(&rules, &live);
            for (path, value) in applied_leaves.iter().filter(|(path, _)| path != &&["f:metadata"]) {
                prop_assert_eq!(live_leaves.get(path), Some(value), "{:?}", path);
            }
            held[who] = wanted(&rules, &applied);
            for path in live_leaves.keys().filter(|path| path != &&["f:metadata"]) {
                prop_assert!(held.iter().any(|held| held.contains(path)), "nobody applied {:?}", path);
            }
            // Applied again it changes nothing.
            let again = managed::apply(&rules, Some(&live), &applied, &manager(names[who]), false, &now).unwrap();
            prop_assert_eq!(&again, &live);
        }
    }

    #[test]
    fn a_strategic_patch_applied_twice_is_applied_once(pod in part(), patch in part()) {
        let mut once = pod;
        strategic::apply(&mut once, &patch).unwrap();
        let mut twice = once.clone();
        strategic::apply(&mut twice, &patch).unwrap();
        prop_assert_eq!(once, twice);
    }
}
