use serde_json::{Value, json};

use super::*;

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: Value, excuse: &str) -> Value {
    json!({"kind": kind, "metadata": {"name": name, "namespace": namespace, "annotations": {EXCUSE: excuse}}, "rules": rules})
}

fn binding(kind: &str, role: &str, namespace: Option<&str>, account: &str) -> Value {
    json!({"kind": format!("{kind}Binding"), "metadata": {"name": role, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": "sys", "name": account}]})
}

fn rule(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": [group], "resources": [resource], "resourceNames": names, "verbs": verbs})
}

fn line(account: &str, verb: &str, resource: &str, name: Option<&str>, namespace: Option<&str>) -> Value {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    json!({"verb": verb, "userAgent": "kruise-manager/x", "user": {"username": format!("system:serviceaccount:sys:{account}")},
        "objectRef": {"resource": resource, "subresource": sub, "name": name, "namespace": namespace},
        "stageTimestamp": "2026-01-02T00:00:00.000000Z", "annotations": {"authorization.k8s.io/decision": "allow"}})
}

fn findings(objects: &[Value], log: &[Value]) -> Findings {
    findings_where(objects, log, false)
}

fn findings_where(objects: &[Value], log: &[Value], roles_change: bool) -> Findings {
    let grants = Grants::read(&json!({"items": objects}).to_string(), "sys").unwrap();
    let log: Vec<String> = log.iter().map(Value::to_string).collect();
    let log = log.join("\n");
    compare(
        &grants,
        requests(log.as_bytes(), "sys", "2026-01-01", roles_change),
    )
    .unwrap()
}

fn one(rules: Value, excuse: &str) -> Vec<Value> {
    vec![
        role("ClusterRole", "r", None, rules, excuse),
        binding("ClusterRole", "r", None, "m"),
    ]
}

fn lines(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

#[test]
fn a_right_that_no_request_needed_is_unused() {
    let objects = one(json!([rule("", "pods", &[], &["list", "watch"])]), "");
    let found = findings(&objects, &[line("m", "list", "pods", None, None)]);
    assert_eq!(lines(&found.unused), ["ClusterRole r: watch pods, for sys/m"]);
    assert_eq!((found.granted, found.requests), (2, 1));
}

#[test]
fn a_subresource_is_another_resource() {
    let objects = one(json!([rule("", "pods", &[], &["patch"])]), "");
    let found = findings(
        &objects,
        &[line("m", "patch", "pods/status", Some("a"), Some("n"))],
    );
    assert_eq!(found.unused.len(), 1);
}

#[test]
fn a_request_counts_for_the_narrowest_right() {
    let all = rule("", "secrets", &[], &["get"]);
    let named = rule("", "secrets", &["certs"], &["get"]);
    let mut objects = one(json!([all]), "");
    objects.push(role("Role", "own", Some("sys"), json!([named]), ""));
    objects.push(binding("Role", "own", Some("sys"), "m"));
    let found = findings(
        &objects,
        &[line("m", "get", "secrets", Some("certs"), Some("sys"))],
    );
    assert_eq!(lines(&found.unused), ["ClusterRole r: get secrets, for sys/m"]);
    let found = findings(
        &objects,
        &[line("m", "get", "secrets", Some("other"), Some("sys"))],
    );
    assert_eq!(
        lines(&found.unused),
        ["Role sys/own: get secrets certs, for sys/m"]
    );
}

#[test]
fn a_right_in_one_namespace_is_not_used_by_requests_in_another() {
    let objects = [
        role(
            "Role",
            "r",
            Some("a"),
            json!([rule("", "secrets", &[], &["get"])]),
            "",
        ),
        binding("Role", "r", Some("a"), "m"),
    ];
    let found = findings(&objects, &[line("m", "get", "secrets", Some("x"), Some("b"))]);
    assert_eq!(found.unused.len(), 1);
}

fn refused(verb: &str) -> Value {
    let mut line = line("m", verb, "pods", Some("a"), Some("n"));
    line["annotations"]["authorization.k8s.io/decision"] = json!("forbid");
    line
}

#[test]
fn refused_requests_are_told() {
    let found = findings(&one(json!([]), ""), &[refused("delete")]);
    assert_eq!(
        lines(&found.denied),
        ["delete pods a in n, by sys/m (kruise-manager/x)"]
    );
}

#[test]
fn where_roles_change_a_request_refused_while_its_role_was_away_is_no_missing_right() {
    let grants = one(json!([rule("", "pods", &[], &["list"])]), "");
    let lines = [refused("list"), refused("delete")];
    let found = findings(&grants, &lines);
    assert_eq!(
        (found.away.len(), found.denied.len(), found.unused.len()),
        (0, 2, 1)
    );
    let found = findings_where(&grants, &lines, true);
    assert_eq!(
        (found.away.len(), found.denied.len(), found.unused.len()),
        (1, 1, 1)
    );
}

#[test]
fn tests_and_other_accounts_and_older_times_do_not_count() {
    let mut by_test = line("m", "list", "pods", None, None);
    by_test["userAgent"] = json!("kube-rs");
    let mut old = line("m", "list", "pods", None, None);
    old["stageTimestamp"] = json!("2025-12-31T23:59:59.000000Z");
    let other = line("someone", "list", "pods", None, None);
    let mut no_resource = line("m", "get", "", None, None);
    no_resource["objectRef"] = Value::Null;
    let objects = one(json!([rule("", "pods", &[], &["list"])]), "");
    let found = findings(&objects, &[by_test, old, other, no_resource]);
    assert_eq!(found.unused.len(), 1);
}

#[test]
fn an_excuse_covers_a_right_until_it_is_used() {
    let rules = json!([rule("", "pods", &[], &["list"])]);
    let objects = one(rules, "list pods: only after a crash\n");
    assert!(findings(&objects, &[]).is_clean());
    let found = findings(&objects, &[line("m", "list", "pods", None, None)]);
    assert_eq!(
        lines(&found.stale),
        ["ClusterRole r: list pods (only after a crash)"]
    );
}

#[test]
fn an_excuse_without_a_reason_is_an_error() {
    let objects = one(json!([]), "list pods");
    assert!(Grants::read(&json!({"items": objects}).to_string(), "sys").is_err());
}

#[test]
fn the_agents_of_single_nodes_count_as_one() {
    let agent = |node: &str| {
        let rules = json!([rule("", "nodeimages", &[node], &["list", "watch"])]);
        let (role_name, account) = (format!("agent-{node}"), format!("kruise-daemon-{node}"));
        [
            role("ClusterRole", &role_name, None, rules, ""),
            binding("ClusterRole", &role_name, None, &account),
        ]
    };
    let objects = [agent("a1"), agent("b2")].concat();
    let log = [
        line("kruise-daemon-a1", "list", "nodeimages", Some("a1"), None),
        line("kruise-daemon-b2", "watch", "nodeimages", Some("b2"), None),
    ];
    let found = findings(&objects, &log);
    assert!(found.is_clean(), "{found:?}");
    assert_eq!(found.granted, 2);
}
