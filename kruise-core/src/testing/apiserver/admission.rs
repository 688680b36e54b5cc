//! Admission: closures and routers of webhooks that change and judge objects before they are stored.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::json::text;
use super::kinds::Kind;
use super::server::Inner;
use super::status::ApiError;
use super::store::Key;
use crate::webhook::{self, HookKind, Router, Rule, Scope};

pub use crate::webhook::Operation;

/// What is about to happen to an object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Review {
    /// What is being done.
    pub operation: Operation,
    pub(crate) kind: Arc<Kind>,
    /// API version of the request, without the group.
    pub version: String,
    /// Subresource, empty for the object itself.
    pub subresource: String,
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name; generated ones are known already.
    pub name: String,
    /// The new object; `None` on a deletion.
    pub object: Option<Value>,
    /// The object as it is stored; `None` on a creation.
    pub old: Option<Value>,
    /// Who asks, as the user agent says.
    pub user_agent: String,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

impl Review {
    /// API group, empty for the core group.
    pub fn group(&self) -> &str {
        &self.kind.group
    }

    /// Kind, as `Pod`.
    pub fn kind(&self) -> &str {
        &self.kind.kind
    }

    /// Resource in plural, as `pods`.
    pub fn resource(&self) -> &str {
        &self.kind.plural
    }
}

type Mutate = Arc<dyn Fn(&mut Review) -> Result<(), ApiError> + Send + Sync>;
type Validate = Arc<dyn Fn(&Review) -> Result<(), ApiError> + Send + Sync>;

/// One step of admission.
#[derive(Clone)]
pub(crate) enum Hook {
    Mutate(Mutate),
    Validate(Validate),
    Router(Router),
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mutate(_) => "Mutate",
            Self::Validate(_) => "Validate",
            Self::Router(_) => "Router",
        })
    }
}

impl Inner {
    /// The object after all mutating hooks, checked, and accepted by all validating ones.
    pub(crate) async fn admit(
        &self,
        mut review: Review,
        check: impl Fn(&Value) -> Result<(), ApiError>,
    ) -> Result<Option<Value>, ApiError> {
        let hooks = self.hooks.read().clone();
        for hook in &hooks {
            match hook {
                Hook::Mutate(mutate) => mutate(&mut review)?,
                Hook::Validate(_) => {}
                Hook::Router(router) => self.route(router, HookKind::Mutating, &mut review).await?,
            }
        }
        if let Some(object) = &review.object {
            check(object)?;
        }
        for hook in &hooks {
            match hook {
                Hook::Mutate(_) => {}
                Hook::Validate(validate) => validate(&review)?,
                Hook::Router(router) => self.route(router, HookKind::Validating, &mut review).await?,
            }
        }
        Ok(review.object)
    }

    /// Asks all hooks of one kind that a router has for such a request, one after another. An object that is in several
    /// scopes of a hook is sent once for each, as by a real server, which has an entry for each.
    async fn route(&self, router: &Router, kind: HookKind, review: &mut Review) -> Result<(), ApiError> {
        for (of, hook) in router.hooks() {
            if of != kind || !hook.rules.iter().any(|rule| covers(rule, review)) {
                continue;
            }
            for scope in scopes(hook) {
                if self.is_in(&scope, review) {
                    let uid = self.reviews.fetch_add(1, Ordering::Relaxed);
                    ask(router, hook, uid, review).await?;
                }
            }
        }
        Ok(())
    }

    fn is_in(&self, scope: &Scope, review: &Review) -> bool {
        let namespace = match (review.kind.is("", "Namespace"), &*review.namespace) {
            (true, _) => review.object.as_ref().or(review.old.as_ref()).cloned(),
            (false, "") => None,
            (false, name) => {
                let state = self.state.lock();
                state
                    .store
                    .get("namespaces", &Key::new("", name))
                    .map(|found| (**found).clone())
            }
        };
        let mut objects = [&review.object, &review.old].into_iter().flatten();
        namespace.is_none_or(|namespace| selects(&scope.namespaces, &namespace))
            && objects.any(|object| selects(&scope.objects, object))
    }
}

/// The entries that a hook has in a webhook configuration.
fn scopes(hook: &webhook::Hook) -> Vec<Scope> {
    let Some(scopes) = &hook.scopes else {
        return vec![Scope {
            namespaces: hook.namespace_selector.clone(),
            objects: hook.object_selector.clone(),
        }];
    };
    scopes
        .now()
        .iter()
        .flat_map(|scopes| scopes.iter())
        .cloned()
        .collect()
}

fn covers(rule: &Rule, review: &Review) -> bool {
    let has = |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
    let resource = match &*review.subresource {
        "" => review.kind.plural.clone(),
        sub => format!("{}/{sub}", review.kind.plural),
    };
    let all = rule
        .resources
        .iter()
        .any(|one| one == "*/*" || *one == format!("{}/*", review.kind.plural));
    has(&rule.groups, &review.kind.group)
        && has(&rule.versions, &review.version)
        && (all
            || rule.resources.contains(&resource)
            || (review.subresource.is_empty() && has(&rule.resources, "*")))
        && rule.operations.contains(&review.operation)
}

/// Whether a selector matches the labels of an object.
pub(crate) fn selects(selector: &LabelSelector, object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    let label = |key: &str| labels.get(key).and_then(Value::as_str);
    let exact = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| label(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten();
    exact
        && expressions.into_iter().all(|expression| {
            let values = expression.values.as_deref().unwrap_or_default();
            let found = label(&expression.key);
            let listed = found.is_some_and(|found| values.iter().any(|value| value == found));
            match &*expression.operator {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => found.is_some(),
                _ => found.is_none(),
            }
        })
}

async fn ask(router: &Router, hook: &webhook::Hook, uid: u64, review: &mut Review) -> Result<(), ApiError> {
    let kind = &review.kind;
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": format!("00000000-0000-4000-8000-{uid:012x}"),
            "kind": { "group": kind.group, "version": review.version, "kind": kind.kind },
            "resource": { "group": kind.group, "version": review.version, "resource": kind.plural },
            "subResource": review.subresource,
            "name": review.name,
            "namespace": review.namespace,
            "operation": review.operation.as_str(),
            "userInfo": { "username": review.user_agent },
            "object": review.object,
            "oldObject": review.old,
            "dryRun": review.dry_run,
        },
    });
    let failed = |why: &str| ApiError::internal(format!("failed calling webhook {:?}: {why}", hook.name));
    let request = Request::post(&*hook.path)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| failed(&error.to_string()))?;
    let response = match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    let bytes = match response.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let answer: Value = serde_json::from_slice(&bytes).map_err(|error| failed(&error.to_string()))?;
    let verdict = &answer["response"];
    if verdict["allowed"] != json!(true) {
        let status = &verdict["status"];
        let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok());
        let why = match text(status, &["message"]) {
            "" => "denied the request without explanation".to_owned(),
            message => format!("denied the request: {message}"),
        };
        let code = code.filter(|code| *code >= 400).unwrap_or(400);
        let message = format!("admission webhook {:?} {why}", hook.name);
        return Err(ApiError::new(code, reason(code), message));
    }
    let Some(patch) = verdict["patch"].as_str() else {
        return Ok(());
    };
    let patch = base64::engine::general_purpose::STANDARD
        .decode(patch)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<json_patch::Patch>(&bytes).ok())
        .ok_or_else(|| failed("malformed patch"))?;
    if let Some(object) = &mut review.object {
        json_patch::patch(object, &patch).map_err(|error| failed(&error.to_string()))?;
    }
    Ok(())
}

fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        504 => "Timeout",
        _ => "",
    }
}
