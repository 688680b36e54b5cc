//! Errors as the server words them: `Status` objects with code, reason and causes.

use serde_json::{Value, json};

/// An answer of failure. Becomes a `Status` object.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub code: u16,
    /// Machine-readable reason, as `NotFound`; may be empty.
    pub reason: &'static str,
    /// Human-readable text.
    pub message: String,
    /// The object, if one is concerned.
    pub subject: Option<Box<Subject>>,
    /// What is wrong field by field.
    pub causes: Vec<Cause>,
    /// When to try again, in seconds; sent as a header too.
    pub retry_after: Option<u32>,
}

/// The object that an error is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// API group of the resource or kind, empty for the core group.
    pub group: String,
    /// Resource (`pods`) or, in validation errors, kind (`Pod`).
    pub kind: String,
    /// Name of the object.
    pub name: String,
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Machine-readable reason, as `FieldValueInvalid`.
    pub reason: &'static str,
    /// Human-readable text.
    pub message: String,
    /// Path of the field, as `spec.containers[0].image`.
    pub field: String,
}

impl Cause {
    /// The value is not allowed.
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }

    /// A value must be given. `why` may be empty.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = match why {
            "" => "Required value".to_owned(),
            why => format!("Required value: {why}"),
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// The change or value is forbidden.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
            field: field.into(),
        }
    }

    /// The value is none of those known.
    pub fn unsupported(field: impl Into<String>, value: &Value, known: &[String]) -> Self {
        Self {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                known.join(", ")
            ),
            field: field.into(),
        }
    }
}

impl ApiError {
    /// An error with a message only.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            subject: None,
            causes: Vec::new(),
            retry_after: None,
        }
    }

    fn about(mut self, group: &str, kind: &str, name: &str) -> Self {
        self.subject = Some(Box::new(Subject {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }));
        self
    }

    /// 404 for an object that is not there.
    pub fn not_found(group: &str, resource: &str, name: &str) -> Self {
        let of = qualified(group, resource);
        Self::new(404, "NotFound", format!("{of} \"{name}\" not found")).about(group, resource, name)
    }

    /// 404 for a path that names no resource.
    pub fn no_such_resource() -> Self {
        Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// 409 for a create of something that is there.
    pub fn already_exists(group: &str, resource: &str, name: &str) -> Self {
        let of = qualified(group, resource);
        Self::new(409, "AlreadyExists", format!("{of} \"{name}\" already exists"))
            .about(group, resource, name)
    }

    /// 409 with the given explanation.
    pub fn conflict(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let of = qualified(group, resource);
        let message = format!("Operation cannot be fulfilled on {of} \"{name}\": {why}");
        Self::new(409, "Conflict", message).about(group, resource, name)
    }

    /// 409 for an old resourceVersion.
    pub fn modified(group: &str, resource: &str, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(group, resource, name, why)
    }

    /// 422 with the fields that are wrong.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let of = match group {
            "" => kind.to_owned(),
            group => format!("{kind}.{group}"),
        };
        let texts: Vec<_> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let texts = match &*texts {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut error = Self::new(422, "Invalid", format!("{of} \"{name}\" is invalid: {texts}"));
        error.causes = causes;
        error.about(group, kind, name)
    }

    /// 422 for a patch that is well formed but does not apply.
    pub fn patch_does_not_apply() -> Self {
        Self::new(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403.
    pub fn forbidden(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let of = qualified(group, resource);
        Self::new(403, "Forbidden", format!("{of} \"{name}\" is forbidden: {why}"))
            .about(group, resource, name)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 410 for a resourceVersion that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 415.
    pub fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(seconds: u32) -> Self {
        let mut error = Self::new(
            429,
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        );
        error.retry_after = Some(seconds);
        error
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// 501 for what a real server can do and this one cannot.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(
            501,
            "NotImplemented",
            format!("the in-memory server does not support {what}"),
        )
    }

    /// 504 for a resourceVersion from the future.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut error = Self::new(504, "Timeout", message);
        error.causes.push(Cause {
            reason: "ResourceVersionTooLarge",
            message: "Too large resource version".to_owned(),
            field: String::new(),
        });
        error.retry_after = Some(1);
        error
    }

    /// The `Status` object.
    pub fn to_value(&self) -> Value {
        let mut details = serde_json::Map::new();
        let subject = self.subject.as_deref().cloned().unwrap_or_default();
        for (key, text) in [
            ("name", subject.name),
            ("group", subject.group),
            ("kind", subject.kind),
        ] {
            if !text.is_empty() {
                details.insert(key.to_owned(), json!(text));
            }
        }
        if !self.causes.is_empty() {
            let causes: Vec<_> = self.causes.iter().map(Cause::to_value).collect();
            details.insert("causes".to_owned(), Value::Array(causes));
        }
        if let Some(seconds) = self.retry_after {
            details.insert("retryAfterSeconds".to_owned(), json!(seconds));
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "details": details,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        status
    }
}

impl Cause {
    fn to_value(&self) -> Value {
        let mut value = json!({ "reason": self.reason, "message": self.message });
        if !self.field.is_empty() {
            value["field"] = json!(self.field);
        }
        value
    }
}

/// `pods` or `clonesets.apps.kruise.io`.
pub(crate) fn qualified(group: &str, resource: &str) -> String {
    match group {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    }
}
