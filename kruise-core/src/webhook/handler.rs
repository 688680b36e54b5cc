//! What a program writes: mutators and validators, and what they are told.

use std::future::Future;
use std::marker::PhantomData;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube_core::gvk::{GroupVersionKind, GroupVersionResource};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use super::overlay::overlay;
use super::review::{Denial, Operation, Request, Response};

/// Texts shown to the user, up to 120 characters each by Kubernetes' advice.
pub type Warnings = Vec<String>;

/// What is known of a request besides the object. `T` is the type of the object.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Context<T> {
    /// Identifies the request, for logs.
    pub uid: String,
    /// What is being done.
    pub operation: Operation,
    /// The namespace of the object, if it has one.
    pub namespace: Option<String>,
    /// The name. `None` on creation with `generateName`.
    pub name: Option<String>,
    /// The kind of the object.
    pub kind: GroupVersionKind,
    /// The resource of the request.
    pub resource: GroupVersionResource,
    /// The subresource, such as `status`.
    pub sub_resource: Option<String>,
    /// The object as it is stored, on UPDATE and DELETE.
    pub old: Option<T>,
    /// Who asks.
    pub user: UserInfo,
    /// Whether nothing will be stored, so that the handler must have no side effects.
    pub dry_run: bool,
}

/// Changes objects before they are stored. `T` may be any type that reads and writes them, or `serde_json::Value`.
///
/// Only what the mutator changes is sent back: fields that `T` does not know stay as they are.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use kruise_core::webhook::{Context, Denial, Hook, Mutator, Operation, Router, Rule, Warnings};
///
/// struct Stamp;
///
/// impl Mutator<Pod> for Stamp {
///     async fn mutate(&self, context: &Context<Pod>, pod: &mut Pod) -> Result<Warnings, Denial> {
///         let user = context.user.username.clone().unwrap_or_default();
///         pod.metadata.annotations.get_or_insert_default().insert("example.com/creator".into(), user);
///         Ok(Warnings::new())
///     }
/// }
/// let rule = Rule::new("", "v1", "pods", &[Operation::Create]);
/// let hook = Hook::new("/mutate-pod", "mpod.example.com", vec![rule]);
/// let router = Router::builder().mutate::<Pod>(hook, Stamp).build()?;
/// assert_eq!(router.hooks().count(), 1);
/// # Ok::<(), kruise_core::runtime::ConfigError>(())
/// ```
pub trait Mutator<T>: Send + Sync + 'static {
    /// Changes `object` in place, or refuses it. Not called if there is no object (DELETE).
    ///
    /// It may be dropped at any await point: after its timeout, or when the API server hangs up. It must not block the
    /// thread, since a timeout is only seen at await points. It may be called again for the same object, so it should
    /// change nothing the second time.
    fn mutate(
        &self,
        context: &Context<T>,
        object: &mut T,
    ) -> impl Future<Output = Result<Warnings, Denial>> + Send;
}

/// Accepts or refuses objects.
///
/// ```
/// use k8s_openapi::api::core::v1::Namespace;
/// use kruise_core::webhook::{Context, Denial, Hook, Operation, Router, Rule, Validator, Warnings};
///
/// /// Keeps namespaces that say so from being deleted.
/// struct Protected;
///
/// impl Validator<Namespace> for Protected {
///     async fn validate(&self, context: &Context<Namespace>, _: Option<&Namespace>) -> Result<Warnings, Denial> {
///         let labels = context.old.as_ref().and_then(|old| old.metadata.labels.as_ref());
///         match labels.is_some_and(|labels| labels.contains_key("example.com/keep")) {
///             true => Err(Denial::forbidden("take the label example.com/keep away first")),
///             false => Ok(Warnings::new()),
///         }
///     }
/// }
/// let rule = Rule::new("", "v1", "namespaces", &[Operation::Delete]);
/// let hook = Hook::new("/keep", "keep.namespaces.example.com", vec![rule]);
/// let router = Router::builder().validate::<Namespace>(hook, Protected).build()?;
/// assert_eq!(router.hooks().count(), 1);
/// # Ok::<(), kruise_core::runtime::ConfigError>(())
/// ```
pub trait Validator<T>: Send + Sync + 'static {
    /// Judges what is being done. `object` is `None` on DELETE; then [`Context::old`] is what will be gone.
    ///
    /// Cancellation as of [`Mutator::mutate`].
    fn validate(
        &self,
        context: &Context<T>,
        object: Option<&T>,
    ) -> impl Future<Output = Result<Warnings, Denial>> + Send;
}

/// What a [`Patcher`] wants changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patched {
    /// The text of a JSON patch (RFC 6902) for the object. `None`: nothing is to be changed.
    pub patch: Option<String>,
    /// Shown to the user.
    pub warnings: Warnings,
}

impl Patched {
    /// This patch, without warnings.
    pub fn new(patch: Option<String>) -> Self {
        Self {
            patch,
            warnings: Warnings::new(),
        }
    }

    /// Adds warnings.
    #[must_use]
    pub fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }
}

/// Changes objects by a JSON patch that it writes itself from the text of the object, where decoding all of it would
/// cost too much. A [`Mutator`] is simpler.
///
/// ```
/// use kruise_core::webhook::{Context, Denial, Hook, Operation, Patched, Patcher, Router, Rule};
/// use serde::de::IgnoredAny;
/// use serde_json::value::RawValue;
///
/// struct Stamp;
///
/// impl Patcher for Stamp {
///     async fn patch(&self, _: &Context<IgnoredAny>, _: &RawValue) -> Result<Patched, Denial> {
///         let patch = r#"[{"op":"add","path":"/metadata/labels","value":{"seen":"true"}}]"#;
///         Ok(Patched::new(Some(patch.to_owned())))
///     }
/// }
/// let rule = Rule::new("", "v1", "pods", &[Operation::Create]);
/// let hook = Hook::new("/stamp", "stamp.example.com", vec![rule]);
/// assert_eq!(Router::builder().patch(hook, Stamp).build()?.hooks().count(), 1);
/// # Ok::<(), kruise_core::runtime::ConfigError>(())
/// ```
pub trait Patcher: Send + Sync + 'static {
    /// The changes to `object`, or a refusal. The rest as of [`Mutator::mutate`].
    fn patch(
        &self,
        context: &Context<IgnoredAny>,
        object: &RawValue,
    ) -> impl Future<Output = Result<Patched, Denial>> + Send;
}

/// Why a handler gave no answer of its own.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Failure {
    #[error("object cannot be read: {0}")]
    Decode(Unreadable),
    #[error("changed object cannot be written: {0}")]
    Encode(serde_json::Error),
    #[error("internal error")]
    Panic,
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("{0}")]
    NoVerdict(Denial),
}

impl Failure {
    pub(crate) fn code(&self) -> u16 {
        match self {
            Self::Decode(_) => 400,
            Self::Encode(_) | Self::Panic => 500,
            Self::Timeout(_) => 504,
            Self::NoVerdict(denial) => denial.code(),
        }
    }

    /// The label of the metric.
    pub(crate) fn result(&self) -> &'static str {
        match self {
            Self::Decode(_) => "unreadable",
            Self::Encode(_) => "unwritable",
            Self::Panic => "panic",
            Self::Timeout(_) => "timeout",
            Self::NoVerdict(_) => "no_verdict",
        }
    }
}

/// What the object's author has to mend: the path of the field, and what is wrong with it, in Kubernetes' words.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub(crate) struct Unreadable {
    path: String,
    problem: String,
}

impl Unreadable {
    fn new(error: &serde_path_to_error::Error<serde_json::Error>) -> Self {
        let (path, problem) = (error.path().to_string(), error.inner().to_string());
        // serde reports a missing field at the object that lacks it.
        let missing = problem
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        match missing {
            Some(field) if path == "." => Self {
                path: field.into(),
                problem: "Required value".into(),
            },
            Some(field) => Self {
                path: format!("{path}.{field}"),
                problem: "Required value".into(),
            },
            None => Self {
                path,
                problem: format!("Invalid value: {problem}"),
            },
        }
    }
}

/// A handler whose type is forgotten.
pub(crate) trait Handle: Send + Sync + 'static {
    fn handle<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Response, Failure>>;
}

pub(crate) struct Mutating<M, T>(M, PhantomData<fn() -> T>);

impl<M, T> Mutating<M, T> {
    pub(crate) fn new(mutator: M) -> Self {
        Self(mutator, PhantomData)
    }
}

impl<M, T> Handle for Mutating<M, T>
where
    M: Mutator<T>,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn handle<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Response, Failure>> {
        async move {
            let Some(raw) = request.object else {
                return Ok(Response::allow(&request.uid, Vec::new()));
            };
            let raw = value(raw)?;
            let mut object: T = decode(&raw)?;
            let context = context(request)?;
            let before = serde_json::to_value(&object).map_err(Failure::Encode)?;
            let warnings = match self.0.mutate(&context, &mut object).await {
                Ok(warnings) => warnings,
                Err(denial) => return refused(&context.uid, denial),
            };
            let after = serde_json::to_value(&object).map_err(Failure::Encode)?;
            let patch = json_patch::diff(&raw, &overlay(&raw, &before, &after));
            Response::allow(&context.uid, warnings)
                .patched(&patch)
                .map_err(Failure::Encode)
        }
        .boxed()
    }
}

pub(crate) struct Validating<V, T>(V, PhantomData<fn() -> T>);

impl<V, T> Validating<V, T> {
    pub(crate) fn new(validator: V) -> Self {
        Self(validator, PhantomData)
    }
}

impl<V, T> Handle for Validating<V, T>
where
    V: Validator<T>,
    T: DeserializeOwned + Send + Sync + 'static,
{
    fn handle<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Response, Failure>> {
        async move {
            let object: Option<T> = request.object.map(read).transpose()?;
            let context = context(request)?;
            match self.0.validate(&context, object.as_ref()).await {
                Ok(warnings) => Ok(Response::allow(&context.uid, warnings)),
                Err(denial) => refused(&context.uid, denial),
            }
        }
        .boxed()
    }
}

pub(crate) struct Patching<P>(pub(crate) P);

impl<P: Patcher> Handle for Patching<P> {
    fn handle<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Response, Failure>> {
        async move {
            let Some(object) = request.object else {
                return Ok(Response::allow(&request.uid, Vec::new()));
            };
            let context = context::<IgnoredAny>(request)?;
            let Patched { patch, warnings } = match self.0.patch(&context, object).await {
                Ok(patched) => patched,
                Err(denial) => return refused(&context.uid, denial),
            };
            let response = Response::allow(&context.uid, warnings);
            Ok(match patch {
                Some(patch) => response.patched_text(patch.as_bytes()),
                None => response,
            })
        }
        .boxed()
    }
}

fn refused(uid: &str, denial: Denial) -> Result<Response, Failure> {
    if denial.is_verdict() {
        Ok(Response::deny(uid, denial))
    } else {
        Err(Failure::NoVerdict(denial))
    }
}

/// The text was checked when the review was read, so this fails only where a number is beyond all bounds.
fn value(raw: &RawValue) -> Result<Value, Failure> {
    decode(&mut serde_json::Deserializer::from_str(raw.get()))
}

fn read<T: DeserializeOwned>(raw: &RawValue) -> Result<T, Failure> {
    decode(value(raw)?)
}

fn decode<'a, T: DeserializeOwned>(
    value: impl serde::Deserializer<'a, Error = serde_json::Error>,
) -> Result<T, Failure> {
    serde_path_to_error::deserialize(value).map_err(|error| Failure::Decode(Unreadable::new(&error)))
}

fn context<T: DeserializeOwned>(request: Request<'_>) -> Result<Context<T>, Failure> {
    Ok(Context {
        uid: request.uid,
        operation: request.operation,
        namespace: some(request.namespace),
        name: some(request.name),
        kind: request.kind,
        resource: request.resource,
        sub_resource: some(request.sub_resource),
        old: request.old_object.map(read).transpose()?,
        user: request.user_info,
        dry_run: request.dry_run.unwrap_or(false),
    })
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
