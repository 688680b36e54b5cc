//! Sets of any content: nothing panics, and what is filled in changes no hash.

use kruise_sidecar::api::{
    HashForm, SidecarSet, ValidationContext, default_sidecar_set, hashes, validate_conflicts,
    validate_sidecar_set, validate_update,
};
use kruise_sidecar::plan::Target;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Fields that mean something somewhere in a container or volume.
const FIELDS: [&str; 24] = [
    "name",
    "image",
    "ports",
    "containerPort",
    "env",
    "value",
    "valueFrom",
    "fieldRef",
    "resources",
    "limits",
    "cpu",
    "volumeMounts",
    "mountPath",
    "subPath",
    "livenessProbe",
    "httpGet",
    "port",
    "lifecycle",
    "preStop",
    "secret",
    "projected",
    "sources",
    "restartPolicy",
    "other",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..70_000_i64).prop_map(Value::from),
        "(|a|c-1|latest|1000m|1Gi|-1|Always|/x|\\.\\./y|<&>|.{0,6})".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            object(inner).prop_map(Value::Object),
        ]
    })
}

fn object(of: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((prop::sample::select(&FIELDS[..]), of), 0..5).prop_map(|fields| {
        fields
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    })
}

fn any_set() -> impl Strategy<Value = SidecarSet> {
    let objects = || prop::collection::vec(object(any_json()), 0..3);
    let hot = prop::sample::select(vec![json!({}), json!({"upgradeType": "HotUpgrade"})]);
    (objects(), objects(), objects(), hot).prop_map(|(mut containers, init, volumes, upgrade)| {
        if let Some(first) = containers.first_mut() {
            first.insert("upgradeStrategy".into(), upgrade);
        }
        let object = json!({"metadata": {"name": "s"}, "spec": {"selector": {"matchLabels": {"a": "b"}},
            "containers": containers, "initContainers": init, "volumes": volumes}});
        serde_json::from_value(object).expect("containers and volumes may hold anything")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn odd_sets_do_no_harm_and_their_defaults_change_no_hash(set in any_set(), other in any_set()) {
        for form in [HashForm::V0_8, HashForm::V0_9, HashForm::V1_7] {
            let mut defaulted = set.clone();
            default_sidecar_set(&mut defaulted, form);
            let before = hashes(&set.spec, form);
            prop_assert_eq!(&before, &hashes(&defaulted.spec, form));
            prop_assert_eq!(defaulted.hash(), Some(before.hash.as_str()));
            let mut twice = defaulted.clone();
            default_sidecar_set(&mut twice, form);
            prop_assert_eq!(&twice, &defaulted);
            let wire = serde_json::to_value(&defaulted).expect("serialises");
            let read: SidecarSet = serde_json::from_value(wire).expect("decodes");
            prop_assert_eq!(&read, &defaulted);
        }
        let mut set = set;
        default_sidecar_set(&mut set, HashForm::default());
        // Messages are made, whatever they say.
        let errors = validate_sidecar_set(&set, &ValidationContext::default());
        prop_assert!(errors.iter().all(|error| !error.to_string().is_empty()));
        validate_conflicts(&set, [&other]);
        validate_update(&other, &set);
        prop_assert!(Target::compile(&set, HashForm::default()).error().is_none());
    }
}
