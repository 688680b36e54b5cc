//! The four forms of PATCH.

pub(crate) mod fields;
pub(crate) mod managed;
mod strategic;
#[cfg(test)]
mod tests;

use serde_json::Value;

use super::kinds::Kind;
use super::rules::Rules;
use super::server::Call;
use super::status::ApiError;
use managed::Manager;

/// A strategic merge patch of the server's own.
pub(crate) fn merge_strategically(patch: Value) -> Patch {
    Patch::Strategic(patch)
}

/// A patch that has been read.
#[derive(Clone, Debug)]
pub(crate) enum Patch {
    Json(json_patch::Patch),
    Merge(Value),
    Strategic(Value),
    Apply { object: Value, force: bool },
}

impl Patch {
    pub(crate) fn parse(call: &Call) -> Result<Self, ApiError> {
        let essence = call.content_type.split(';').next().unwrap_or_default().trim();
        let value = || {
            serde_json::from_slice::<Value>(&call.body)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
        };
        if call.query.flag("force") && !essence.starts_with("application/apply-patch") {
            let cause = super::status::Cause::forbidden("force", "may not be specified for non-apply patch");
            return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
        }
        match essence {
            "application/json-patch+json" => serde_json::from_slice(&call.body)
                .map(Self::Json)
                .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}"))),
            "application/merge-patch+json" => Ok(Self::Merge(value()?)),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(value()?)),
            "application/apply-patch+yaml" => {
                if call.query.get("fieldManager").is_none() {
                    let cause = super::status::Cause::required("fieldManager", "is required for apply patch");
                    return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
                }
                Ok(Self::Apply {
                    object: value()?,
                    force: call.query.flag("force"),
                })
            }
            other => Err(ApiError::unsupported_media_type(format!(
                "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml; not {other:?}"
            ))),
        }
    }

    pub(crate) fn is_apply(&self) -> bool {
        matches!(self, Self::Apply { .. })
    }

    /// What becomes of an object in the form of the request's version. `None` is one that is not there, which only apply
    /// can do with.
    pub(crate) fn apply(
        &self,
        kind: &Kind,
        version: &str,
        old: Option<&Value>,
        manager: &Manager,
        now: &Value,
    ) -> Result<Value, ApiError> {
        if let Self::Apply { object, force } = self {
            return managed::apply(&Rules::new(kind, version), old, object, manager, *force, now);
        }
        let mut new = old.cloned().unwrap_or_default();
        match self {
            Self::Json(patch) => {
                json_patch::patch(&mut new, patch).map_err(|_| ApiError::patch_does_not_apply())?;
            }
            Self::Merge(patch) => json_patch::merge(&mut new, patch),
            Self::Strategic(_) if kind.built_in.is_none() => {
                return Err(ApiError::unsupported_media_type(
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                ));
            }
            Self::Strategic(patch) => strategic::apply(&mut new, patch)?,
            Self::Apply { .. } => {}
        }
        if !new.is_object() {
            return Err(ApiError::bad_request("the patched object is no object"));
        }
        Ok(new)
    }
}
