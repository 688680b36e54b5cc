//! What an API server does, as cases over a client: run against the in-memory server and against real ones.
//!
//! Cases talk plain JSON, so that no client type hides what the server says. Each has a namespace of its own, and
//! definitions of its own in the group `conformance.kruise.io`.

mod apply;
mod definitions;
mod deletion;
mod lists;
mod objects;
mod owners;
mod patches;
mod subresources;
mod watches;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use http::Request;
use http_body_util::BodyExt;
use kube_client::Client;
use kube_client::client::Body;
use serde_json::{Value, json};

pub(crate) const GROUP: &str = "conformance.kruise.io";

/// A case: its name, and what it does.
pub(crate) type Case = (
    &'static str,
    for<'a> fn(&'a Target) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
);

macro_rules! cases {
    ($($module:ident: $($case:ident),+ ;)+) => {
        /// All cases.
        pub(crate) const CASES: &[Case] = &[$($((stringify!($case), |target| Box::pin($module::$case(target)))),+),+];
    };
}

cases! {
    objects:
        created_objects_get_what_the_server_sets,
        generated_names_are_unique_and_begin_as_asked,
        creations_are_refused_for_what_is_wrong_with_them,
        an_update_with_an_old_version_conflicts,
        an_update_without_a_version_goes_through_for_kinds_that_allow_it,
        an_update_must_be_of_the_same_object,
        an_update_that_changes_nothing_makes_no_new_version,
        what_the_server_sets_cannot_be_changed,
        generation_counts_changes_of_the_spec,
        of_a_pod_only_images_and_a_few_fields_change,
        names_and_labels_are_validated,
        a_dry_run_stores_nothing,
        a_put_creates_leases_and_events_that_are_not_there,
        unknown_paths_are_not_found,
        metadata_alone_can_be_read;
    lists:
        label_selectors_choose,
        field_selectors_choose,
        lists_are_paged_with_tokens_of_one_snapshot,
        lists_at_a_version_show_that_version,
        lists_from_the_future_are_refused,
        selectors_that_make_no_sense_are_refused;
    watches:
        a_watch_tells_of_changes_in_order,
        a_watch_resumes_where_it_is_told_to,
        a_watch_without_a_version_begins_with_what_is_there,
        objects_enter_and_leave_a_selector,
        a_watch_from_the_far_past_skips_nothing,
        a_watch_of_one_object_sees_no_other,
        a_watch_ends_after_its_time_with_a_bookmark;
    patches:
        json_patches_apply_as_a_whole_or_not_at_all,
        a_merge_patch_deletes_by_null_and_replaces_lists,
        a_strategic_patch_merges_lists_by_key,
        a_strategic_patch_can_delete_replace_and_order,
        definitions_take_no_strategic_patch,
        a_patch_with_an_old_version_conflicts,
        a_patch_of_nothing_is_not_found;
    apply:
        applying_creates_and_is_idempotent,
        a_field_of_another_manager_conflicts_unless_forced,
        fields_that_are_no_longer_applied_go,
        shared_fields_stay_until_the_last_owner_lets_go,
        an_update_takes_ownership,
        lists_are_applied_by_key,
        lists_without_keys_are_replaced,
        applying_needs_a_manager,
        a_status_is_applied_apart,
        definitions_choose_how_lists_merge;
    subresources:
        status_and_the_rest_are_written_apart,
        the_status_of_a_pod_is_written_apart,
        scale_reads_and_writes_replicas,
        a_kind_without_a_subresource_has_none,
        a_binding_assigns_a_pod_once,
        an_eviction_deletes;
    deletion:
        deletion_answers_and_removes,
        finalizers_hold_what_is_deleted,
        no_finalizer_comes_to_what_is_deleted,
        a_pod_on_a_node_gets_time_to_end,
        a_pod_without_a_node_goes_at_once,
        preconditions_are_heeded,
        collections_are_deleted_by_selector,
        nothing_is_created_in_a_namespace_that_ends;
    owners:
        dependents_go_after_their_owner,
        a_dependent_stays_with_its_other_owner,
        orphans_stay_without_owner,
        foreground_deletion_waits_for_dependents;
    definitions:
        definitions_serve_a_kind_until_they_are_gone,
        objects_are_pruned_and_defaulted,
        objects_are_validated,
        every_version_shows_the_same_object,
        discovery_lists_what_is_served;
}

/// A server and a namespace for one case.
pub(crate) struct Target {
    client: Client,
    pub(crate) namespace: String,
}

/// What the server said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) body: Value,
}

impl Answer {
    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!(self.code < 300, "{} {:#}", self.code, self.body);
        self.body
    }

    /// Checks code and reason of a refusal.
    #[track_caller]
    pub(crate) fn refused(self, code: u16, reason: &str) -> Value {
        let told = (self.code, self.body["reason"].as_str().unwrap_or_default());
        assert_eq!(told, (code, reason), "{:#}", self.body);
        assert_eq!(self.body["kind"], "Status");
        self.body
    }
}

impl Target {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        let namespace = namespace.to_owned();
        Self { client, namespace }
    }

    /// Creates the namespace, and waits until pods may be created in it.
    pub(crate) async fn begin(&self, real: bool) {
        let namespace = json!({ "metadata": { "name": self.namespace } });
        self.post("/api/v1/namespaces", &namespace).await.ok();
        let account = format!("/api/v1/namespaces/{}/serviceaccounts/default", self.namespace);
        if real {
            self.until("the service account", || async {
                self.get(&account).await.code == 200
            })
            .await;
        }
    }

    /// Asks for the namespace to go, without waiting.
    pub(crate) async fn end(&self) {
        self.delete(&format!("/api/v1/namespaces/{}", self.namespace))
            .await;
    }

    /// Sends one request.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/json")
            .header("user-agent", "conformance/1");
        if body.is_some() {
            request = request.header("content-type", content_type);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        self.send(request.body(Body::from(body.into_bytes())).unwrap())
            .await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.client.send(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { code, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "", None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, "application/json", Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call("PUT", path, "application/json", Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, "", None).await
    }

    pub(crate) async fn delete_with(&self, path: &str, options: &Value) -> Answer {
        self.call("DELETE", path, "application/json", Some(options)).await
    }

    /// `form` is `json`, `merge` or `strategic-merge`.
    pub(crate) async fn patch(&self, path: &str, form: &str, body: &Value) -> Answer {
        let content_type = format!("application/{form}-patch+json");
        self.call("PATCH", path, &content_type, Some(body)).await
    }

    pub(crate) async fn apply(&self, path: &str, manager: &str, body: &Value) -> Answer {
        let path = format!("{path}?fieldManager={manager}");
        self.call("PATCH", &path, "application/apply-patch+yaml", Some(body))
            .await
    }

    /// Path of a collection of a core kind in the namespace.
    pub(crate) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    /// Opens a watch. `query` begins with `&` or is empty.
    pub(crate) async fn watch(&self, path: &str, query: &str) -> Watch {
        let uri = format!("{path}?watch=true{query}");
        let request = Request::get(uri).header("accept", "application/json");
        let response = self
            .client
            .send(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}{query}");
        let data = response.into_body().into_data_stream();
        Watch {
            chunks: data.map(|chunk| chunk.unwrap().to_vec()).boxed(),
            buffer: Vec::new(),
        }
    }

    /// Waits for what comes about by itself on a real server.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, check: impl Fn() -> F) {
        for _ in 0..300 {
            if check().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what} did not come about in 30 s");
    }

    /// Waits until a path is not found.
    pub(crate) async fn gone(&self, path: &str) {
        self.until(&format!("the end of {path}"), || async {
            self.get(path).await.code == 404
        })
        .await;
    }

    /// Creates a definition of kind `Widget` with this schema of `spec`, and waits until it is served: its path in the
    /// namespace. `change` edits the definition first.
    pub(crate) async fn define(&self, spec: &Value, change: impl FnOnce(&mut Value)) -> String {
        let plural = self.plural();
        let mut definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{GROUP}") },
            "spec": {
                "group": GROUP,
                "scope": "Namespaced",
                "names": { "plural": plural, "kind": self.kind(), "singular": self.kind().to_lowercase() },
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": spec,
                            "status": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
                        },
                    }},
                    "subresources": { "status": {} },
                }],
            },
        });
        change(&mut definition);
        self.post(DEFINITIONS, &definition).await.ok();
        let path = format!("/apis/{GROUP}/v1/namespaces/{}/{plural}", self.namespace);
        self.until("the kind", || async { self.get(&path).await.code == 200 })
            .await;
        path
    }

    pub(crate) async fn undefine(&self) {
        self.delete(&format!("{DEFINITIONS}/{}.{GROUP}", self.plural()))
            .await
            .ok();
    }

    pub(crate) fn plural(&self) -> String {
        format!("widgets{}", self.namespace.replace('-', ""))
    }

    pub(crate) fn kind(&self) -> String {
        format!("Widget{}", self.namespace.replace('-', ""))
    }

    pub(crate) fn widget(&self, name: &str, spec: Value) -> Value {
        json!({ "apiVersion": format!("{GROUP}/v1"), "kind": self.kind(), "metadata": { "name": name }, "spec": spec })
    }
}

pub(crate) const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// An open watch.
pub(crate) struct Watch {
    chunks: BoxStream<'static, Vec<u8>>,
    buffer: Vec<u8>,
}

impl Watch {
    /// The next event that is no bookmark; `None` at the end. Fails after 20 s.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let event = self.next_of_any_type().await?;
            if event["type"] != "BOOKMARK" {
                return Some(event);
            }
        }
    }

    pub(crate) async fn next_of_any_type(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = tokio::time::timeout(Duration::from_secs(20), self.chunks.next()).await;
            self.buffer.extend(chunk.expect("the watch is silent")?);
        }
    }

    /// Type and name of the next event.
    pub(crate) async fn told(&mut self) -> String {
        let event = self.next().await.expect("the watch ended");
        format!("{} {}", event["type"].as_str().unwrap(), name(&event["object"]))
    }
}

pub(crate) fn config_map(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
}

/// A pod that nobody schedules and that mounts nothing.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": {
            "schedulerName": "nobody", "automountServiceAccountToken": false,
            "containers": [{ "name": "a", "image": "a:1" }],
        },
    })
}

pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

pub(crate) fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

pub(crate) fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(name).collect()
}

/// Fields that causes name.
pub(crate) fn fields(status: &Value) -> Vec<&str> {
    let causes = status["details"]["causes"].as_array();
    let causes = causes.into_iter().flatten();
    causes
        .map(|cause| cause["field"].as_str().unwrap_or_default())
        .collect()
}
