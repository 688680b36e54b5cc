//! Custom resources of several versions: ConversionReview of `apiextensions.k8s.io/v1`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hook::HEALTH_PATH;
use crate::runtime::ConfigError;

const API_VERSION: &str = "apiextensions.k8s.io/v1";
const KIND: &str = "ConversionReview";

/// Turns a custom resource of one version into another.
///
/// It is a pure function: the API server calls it for every read of an object that is stored in another version, so it must
/// be quick, and what goes from A to B and back must be what it was.
///
/// ```
/// use kruise_core::webhook::Converter;
/// use serde_json::{Value, json};
///
/// /// `v1` says `size` where `v1beta1` said `replicas`.
/// struct Sizes;
///
/// impl Converter for Sizes {
///     fn convert(&self, object: &mut Value, to: &str) -> Result<(), String> {
///         let (from, to) = if to == "example.com/v1" { ("replicas", "size") } else { ("size", "replicas") };
///         let spec = object["spec"].as_object_mut().ok_or("spec: Required value")?;
///         if let Some(value) = spec.remove(from) {
///             spec.insert(to.into(), value);
///         }
///         Ok(())
///     }
/// }
///
/// let mut object = json!({"apiVersion": "example.com/v1beta1", "kind": "Box", "spec": {"replicas": 3}});
/// Sizes.convert(&mut object, "example.com/v1")?;
/// assert_eq!(object["spec"], json!({"size": 3}));
/// # Ok::<(), String>(())
/// ```
pub trait Converter: Send + Sync + 'static {
    /// Changes `object`, which has its present `apiVersion`, into the form of `to`, such as `apps.kruise.io/v1beta1`. The
    /// caller sets `apiVersion` afterwards, and gives `metadata` back its old value except for labels and annotations, as
    /// Kubernetes demands. Objects that have the version already are not handed in.
    ///
    /// An error is shown to the user who asked for the object; none of the objects of that request is converted.
    fn convert(&self, object: &mut Value, to: &str) -> Result<(), String>;
}

/// Where a converter is reached, and for which definition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conversion {
    /// Path of the URL, unlike those of all hooks: `/convert`.
    pub path: String,
    /// Name of the CustomResourceDefinition whose `spec.conversion` is kept: `sidecarsets.apps.kruise.io`.
    pub definition: String,
    /// Versions that the definition does not serve as long as nobody converts: they are switched on together with the
    /// converter. Default: none.
    pub serves: Vec<String>,
}

impl Conversion {
    /// A converter's place.
    pub fn new(path: impl Into<String>, definition: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            definition: definition.into(),
            serves: Vec::new(),
        }
    }

    /// Serves this version too, which needs the converter.
    #[must_use]
    pub fn serves(mut self, version: impl Into<String>) -> Self {
        self.serves.push(version.into());
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |field: &str, problem: &str| Err(ConfigError::new(field, problem).inside("conversion"));
        if !self.path.starts_with('/') || self.path.contains(['?', '#']) || self.path == HEALTH_PATH {
            return wrong(
                "path",
                "must start with a slash, have no query, and not be /healthz",
            );
        }
        if !self.definition.contains('.') {
            return wrong(
                "definition",
                "must be the plural and the group: sidecarsets.apps.kruise.io",
            );
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(rename = "desiredAPIVersion")]
    desired: String,
    #[serde(default)]
    objects: Vec<Value>,
}

/// The answer as it is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    result: Outcome,
    converted_objects: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Outcome {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// Answers a review: the bytes to send and the label of the metric, or what is wrong with the review.
pub(crate) fn review(converter: &dyn Converter, body: &[u8]) -> Result<(Answer, &'static str), String> {
    let review: Review =
        serde_json::from_slice(body).map_err(|error| format!("malformed review: {error}"))?;
    if review.api_version != API_VERSION || review.kind != KIND {
        let Review {
            api_version, kind, ..
        } = review;
        return Err(format!(
            "only {KIND} of {API_VERSION} is understood, not {kind} of {api_version}"
        ));
    }
    let Request {
        uid,
        desired,
        objects,
    } = review.request;
    let work = || {
        objects
            .into_iter()
            .map(|object| one(converter, object, &desired))
            .collect()
    };
    let done: Result<Result<Vec<_>, String>, _> = catch_unwind(AssertUnwindSafe(work));
    let (outcome, converted_objects, result) = match done {
        Ok(Ok(objects)) => (
            Outcome {
                status: "Success",
                message: None,
            },
            objects,
            "converted",
        ),
        Ok(Err(message)) => (failed(message), Vec::new(), "refused"),
        Err(panic) => {
            let panic = crate::runtime::panic_message(&*panic);
            tracing::error!(%uid, panic, "converter panicked");
            (failed("internal error".into()), Vec::new(), "panic")
        }
    };
    let response = Response {
        uid,
        result: outcome,
        converted_objects,
    };
    Ok((
        Answer {
            api_version: API_VERSION,
            kind: KIND,
            response,
        },
        result,
    ))
}

fn failed(message: String) -> Outcome {
    Outcome {
        status: "Failed",
        message: Some(message),
    }
}

fn one(converter: &dyn Converter, mut object: Value, desired: &str) -> Result<Value, String> {
    if object["apiVersion"] == desired {
        return Ok(object);
    }
    let metadata = object["metadata"].clone();
    let named = |problem: String| match (metadata["namespace"].as_str(), metadata["name"].as_str()) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}: {problem}"),
        (None, Some(name)) => format!("{name}: {problem}"),
        _ => problem,
    };
    converter.convert(&mut object, desired).map_err(&named)?;
    let Some(fields) = object.as_object_mut() else {
        return Err(named("the converter left no object".into()));
    };
    fields.insert("apiVersion".into(), desired.into());
    let mut kept = match metadata {
        Value::Null => Value::Object(serde_json::Map::new()),
        _ => metadata.clone(),
    };
    for field in ["labels", "annotations"] {
        let now = fields
            .get_mut("metadata")
            .and_then(|changed| changed.get_mut(field))
            .map(Value::take);
        match (now, kept.as_object_mut()) {
            (Some(now), Some(kept)) => drop(kept.insert(field.into(), now)),
            (None, Some(kept)) => drop(kept.remove(field)),
            (_, None) => {}
        }
    }
    fields.insert("metadata".into(), kept);
    Ok(object)
}
