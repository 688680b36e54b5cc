//! DELETE of an object and of a collection, and the two actions on pods that are posted.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::{Operation, Review};
use super::gc::{self, Deleted, Propagation};
use super::json::{items, number, text};
use super::list::ListRequest;
use super::meta::version_of;
use super::route::ResourcePath;
use super::server::{Call, Inner, Reply, parse_body, success};
use super::status::{ApiError, Cause};
use super::store::Key;
use super::view::View;
use super::write::{Change, Write, dry_run};

/// What a deletion is asked to heed.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    grace: Option<u64>,
    uid: Option<String>,
    version: Option<String>,
    propagation: Option<Propagation>,
    dry_run: bool,
    user_agent: String,
}

impl DeleteOptions {
    /// From the body, or the query where there is no body.
    pub(crate) fn parse(call: &Call) -> Result<Self, ApiError> {
        let body = match call.body.is_empty() {
            true => json!({}),
            false => parse_body(&call.body)?,
        };
        let given = |key: &str| {
            let text = body[key].as_str().map(str::to_owned);
            text.or_else(|| call.query.get(key).map(str::to_owned))
        };
        let some = |path: &[&str]| Some(text(&body, path).to_owned()).filter(|text| !text.is_empty());
        let propagation = match given("propagationPolicy").as_deref() {
            None => match body["orphanDependents"].as_bool() {
                Some(true) => Some(Propagation::Orphan),
                Some(false) => Some(Propagation::Background),
                None => None,
            },
            Some("Background") => Some(Propagation::Background),
            Some("Foreground") => Some(Propagation::Foreground),
            Some("Orphan") => Some(Propagation::Orphan),
            Some(other) => {
                let known = ["Foreground", "Background", "Orphan", "nil"].map(|one| format!("{one:?}"));
                let cause = Cause::unsupported("propagationPolicy", &json!(other), &known);
                return Err(ApiError::invalid("meta.k8s.io", "DeleteOptions", "", vec![cause]));
            }
        };
        let asked =
            number(&body, &["gracePeriodSeconds"]).map(|grace| u64::try_from(grace).unwrap_or_default());
        let dry = items(&body, &["dryRun"]).first().and_then(Value::as_str);
        Ok(Self {
            grace: match asked {
                Some(grace) => Some(grace),
                None => super::list::parse_number(&call.query, "gracePeriodSeconds")?,
            },
            uid: some(&["preconditions", "uid"]),
            version: some(&["preconditions", "resourceVersion"]),
            propagation,
            dry_run: dry_run(dry.or(call.query.get("dryRun")))?,
            user_agent: call.user_agent.clone(),
        })
    }
}

impl Inner {
    pub(crate) async fn delete(
        self: &Arc<Self>,
        path: &ResourcePath,
        view: &View,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Reply, ApiError> {
        let kind = &view.kind;
        let key = Key::new(path.namespace.as_deref().unwrap_or_default(), name);
        let old = self.state.lock().store.get(&kind.resource, &key).cloned();
        let old = old.ok_or_else(|| ApiError::not_found(&kind.group, &kind.plural, name))?;
        let review = Review {
            operation: Operation::Delete,
            kind: kind.clone(),
            version: path.version.clone(),
            subresource: String::new(),
            namespace: key.namespace.clone(),
            name: name.to_owned(),
            object: None,
            old: Some(kind.show(&old, &path.version)),
            user_agent: options.user_agent.clone(),
            dry_run: options.dry_run,
        };
        self.admit(review, |_| Ok(())).await?;
        let (deleted, revision) = {
            let mut state = self.state.lock();
            let old = state.store.get(&kind.resource, &key).cloned();
            let old = old.ok_or_else(|| ApiError::not_found(&kind.group, &kind.plural, name))?;
            check(path, name, &old, options)?;
            if options.dry_run {
                return Ok(Reply::Json(200, view.show(&old)));
            }
            let now = self.clock.now();
            let deleted = gc::delete(&mut state, kind, &key, options.grace, options.propagation, now);
            if self.config.collect_garbage {
                gc::collect(&mut state, now);
            }
            (deleted, state.store.revision())
        };
        self.announce(revision);
        match deleted {
            None => Err(ApiError::not_found(&kind.group, &kind.plural, name)),
            Some(Deleted::Marked(object)) => Ok(Reply::Json(200, view.show(&object))),
            // These kinds answer with what was deleted, the others with a status.
            Some(Deleted::Removed(object)) if kind.is("", "Pod") || kind.is("", "Service") => {
                Ok(Reply::Json(200, view.show(&object)))
            }
            Some(Deleted::Removed(object)) => Ok(Reply::Json(200, success(kind, &object))),
        }
    }

    pub(crate) fn delete_collection(
        self: &Arc<Self>,
        path: &ResourcePath,
        view: &View,
        call: &Call,
    ) -> Result<Reply, ApiError> {
        let kind = &view.kind;
        if kind.is("", "Namespace") {
            return Err(ApiError::method_not_allowed());
        }
        let options = DeleteOptions::parse(call)?;
        let version = kind
            .version(&path.version)
            .ok_or_else(ApiError::no_such_resource)?;
        let request = ListRequest::parse(kind, version, path.namespace.as_deref(), &call.query)?;
        let mut state = self.state.lock();
        let page = request.run(kind, &state.store, None)?;
        let now = self.clock.now();
        if !options.dry_run {
            for object in &page.objects {
                let key = Key::new(
                    text(object, &["metadata", "namespace"]),
                    text(object, &["metadata", "name"]),
                );
                gc::delete(&mut state, kind, &key, options.grace, options.propagation, now);
            }
            if self.config.collect_garbage {
                gc::collect(&mut state, now);
            }
        }
        let revision = state.store.revision();
        drop(state);
        self.announce(revision);
        let list = page.to_value(kind, &path.version, |object| view.show(object));
        Ok(Reply::Json(200, view.list(list)))
    }

    /// `pods/binding` and `pods/eviction`.
    pub(crate) async fn pod_action(
        self: &Arc<Self>,
        path: &ResourcePath,
        view: &View,
        name: &str,
        action: &str,
        call: &Call,
    ) -> Result<Reply, ApiError> {
        let done = |code: u16| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code,
            });
            Reply::Json(code, status)
        };
        if action == "eviction" {
            let body = parse_body(&call.body)?;
            let mut options = DeleteOptions::parse(call)?;
            options.grace = number(&body, &["deleteOptions", "gracePeriodSeconds"])
                .map(|grace| u64::try_from(grace).unwrap_or_default());
            self.delete(path, view, name, &options).await?;
            return Ok(done(201));
        }
        let body = parse_body(&call.body)?;
        let node = text(&body, &["target", "name"]).to_owned();
        self.bind(
            path.namespace.as_deref().unwrap_or_default(),
            name,
            &node,
            &call.user_agent,
        )
        .await?;
        Ok(done(201))
    }

    /// Assigns a pod to a node.
    pub(crate) async fn bind(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        node: &str,
        user_agent: &str,
    ) -> Result<(), ApiError> {
        let key = Key::new(namespace, name);
        let kind = self.kind_of("pods")?;
        let pod = self.state.lock().store.get(&kind.resource, &key).cloned();
        let pod = pod.ok_or_else(|| ApiError::not_found("", "pods", name))?;
        if !text(&pod, &["spec", "nodeName"]).is_empty() {
            let why = format!(
                "pod {name} is already assigned to node {}",
                pod["spec"]["nodeName"]
            );
            return Err(ApiError::conflict("", "pods/binding", name, &why));
        }
        let mut bound = (*pod).clone();
        bound["spec"]["nodeName"] = json!(node);
        let write = Write::internal(kind, &key, "binding", Change::Update(bound), user_agent);
        self.write(write).await.map(drop)
    }
}

/// Deletes this very pod on behalf of a node.
pub(crate) async fn delete_pod(inner: &Arc<Inner>, pod: &Value, grace: Option<u64>) -> Result<(), ApiError> {
    let kind = inner.kind_of("pods")?;
    let path = ResourcePath {
        version: "v1".to_owned(),
        namespace: Some(text(pod, &["metadata", "namespace"]).to_owned()),
        plural: "pods".to_owned(),
        ..ResourcePath::default()
    };
    let options = DeleteOptions {
        grace,
        uid: Some(text(pod, &["metadata", "uid"]).to_owned()),
        user_agent: "kubelet".to_owned(),
        ..DeleteOptions::default()
    };
    let view = View::new(kind, "v1", "application/json")?;
    inner
        .delete(&path, &view, text(pod, &["metadata", "name"]), &options)
        .await
        .map(drop)
}

/// The preconditions.
fn check(path: &ResourcePath, name: &str, old: &Value, options: &DeleteOptions) -> Result<(), ApiError> {
    let uid = text(old, &["metadata", "uid"]);
    let conflict = |what: &str, asked: &str, actual: &str| {
        let why =
            format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {actual}");
        Err(ApiError::conflict(&path.group, &path.plural, name, &why))
    };
    match (&options.uid, &options.version) {
        (Some(asked), _) if asked != uid => conflict("UID", asked, uid),
        (_, Some(asked)) if asked != version_of(old) => conflict("ResourceVersion", asked, version_of(old)),
        _ => Ok(()),
    }
}
