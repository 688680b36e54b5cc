//! What goes over the wire: AdmissionReview of `admission.k8s.io/v1`.

use base64::Engine;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube_core::gvk::{GroupVersionKind, GroupVersionResource};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

pub(crate) const API_VERSION: &str = "admission.k8s.io/v1";
pub(crate) const KIND: &str = "AdmissionReview";

/// What is being done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// It is being created; there is no old object.
    Create,
    /// It is being changed.
    Update,
    /// It is being deleted; there is only an old object.
    Delete,
    /// Something connects to a subresource, such as `pods/exec`; the object is the options of the connection.
    Connect,
}

impl Operation {
    /// As in rules of a webhook configuration: `CREATE` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Review<'a> {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    #[serde(borrow)]
    pub(crate) request: Request<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Request<'a> {
    pub(crate) uid: String,
    #[serde(deserialize_with = "gvk")]
    pub(crate) kind: GroupVersionKind,
    #[serde(deserialize_with = "gvr")]
    pub(crate) resource: GroupVersionResource,
    #[serde(default)]
    pub(crate) sub_resource: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: String,
    pub(crate) operation: Operation,
    #[serde(default)]
    pub(crate) user_info: UserInfo,
    /// As it was sent: a handler decodes what it needs.
    #[serde(default, borrow)]
    pub(crate) object: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(crate) old_object: Option<&'a RawValue>,
    #[serde(default)]
    pub(crate) dry_run: Option<bool>,
}

/// kube's types keep an `apiVersion` besides, which is not on the wire.
#[derive(Deserialize)]
struct Gvk {
    #[serde(default)]
    group: String,
    version: String,
    kind: String,
}

#[derive(Deserialize)]
struct Gvr {
    #[serde(default)]
    group: String,
    version: String,
    resource: String,
}

fn gvk<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GroupVersionKind, D::Error> {
    let Gvk { group, version, kind } = Gvk::deserialize(deserializer)?;
    Ok(GroupVersionKind::gvk(&group, &version, &kind))
}

fn gvr<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GroupVersionResource, D::Error> {
    let Gvr {
        group,
        version,
        resource,
    } = Gvr::deserialize(deserializer)?;
    Ok(GroupVersionResource::gvr(&group, &version, &resource))
}

/// The answer to one review.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Response {
    pub(crate) uid: String,
    pub(crate) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<Status>,
    /// A JSON patch in base64. kube's own type writes an array of numbers, which not every server reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Status {
    pub(crate) status: &'static str,
    pub(crate) code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: String,
}

impl Response {
    pub(crate) fn allow(uid: &str, warnings: Vec<String>) -> Self {
        Self {
            uid: uid.to_owned(),
            allowed: true,
            status: None,
            patch: None,
            patch_type: None,
            warnings,
        }
    }

    pub(crate) fn deny(uid: &str, denial: Denial) -> Self {
        let mut response = Self::allow(uid, denial.warnings);
        response.allowed = false;
        response.status = Some(Status {
            status: "Failure",
            code: denial.code,
            reason: reason(denial.code),
            message: denial.message,
        });
        response
    }

    /// Adds the patch, if it changes something.
    pub(crate) fn patched(mut self, patch: &json_patch::Patch) -> Result<Self, serde_json::Error> {
        if !patch.0.is_empty() {
            self = self.patched_text(&serde_json::to_vec(patch)?);
        }
        Ok(self)
    }

    /// Adds a patch that is text already.
    pub(crate) fn patched_text(mut self, patch: &[u8]) -> Self {
        self.patch = Some(base64::engine::general_purpose::STANDARD.encode(patch));
        self.patch_type = Some("JSONPatch");
        self
    }
}

/// The answer as it is sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            api_version: API_VERSION,
            kind: KIND,
            response,
        }
    }
}

/// A refusal. The user reads the message after `admission webhook "x" denied the request:`.
///
/// A handler that could not find out what to answer returns [`Denial::no_verdict`] instead: then
/// [`OnFailure`](super::OnFailure) decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denial {
    code: u16,
    message: String,
    warnings: Vec<String>,
    is_verdict: bool,
}

impl Denial {
    /// A refusal with an HTTP status code. A code that is not of an error (400 to 599) becomes 403.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self {
            code: if (400..600).contains(&code) { code } else { 403 },
            message: message.into(),
            warnings: Vec::new(),
            is_verdict: true,
        }
    }

    /// No answer: what the handler had to know could not be read. The object is refused with this code, or passes with the
    /// message as a warning, as the hook's [`OnFailure`](super::OnFailure) says.
    pub fn no_verdict(code: u16, message: impl Into<String>) -> Self {
        Self {
            is_verdict: false,
            ..Self::new(code, message)
        }
    }

    /// 400: the object makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// 403: it may not be done.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, message)
    }

    /// 422: a field has a value that it must not have.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, message)
    }

    /// Adds a warning, shown to the user besides the message.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// The HTTP status code, 400 to 599.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Whether the handler refuses the object. If not, it gives no answer.
    pub fn is_verdict(&self) -> bool {
        self.is_verdict
    }

    /// What the user reads.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The word Kubernetes has for a code; clients such as `apierrors.IsInvalid` look at it.
fn reason(code: u16) -> Option<&'static str> {
    Some(match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        413 => "RequestEntityTooLarge",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_never_carries_a_code_of_success() {
        assert_eq!(Denial::new(200, "no").code(), 403);
        assert_eq!(Denial::new(600, "no").code(), 403);
        assert_eq!(Denial::new(429, "no").code(), 429);
    }

    #[test]
    fn an_empty_patch_is_not_sent() {
        let response = Response::allow("u", Vec::new())
            .patched(&json_patch::Patch(Vec::new()))
            .unwrap();
        assert_eq!(
            serde_json::to_value(&response).unwrap(),
            serde_json::json!({"uid": "u", "allowed": true})
        );
    }
}
