//! What a container may do.

use serde_json::Value;

use super::super::object::Object;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields;

pub(super) fn check(container: &Object, path: &str, errors: &mut Errors) {
    let Some(context) = fields::object(container, path, "securityContext", errors) else {
        return;
    };
    let path = format!("{path}.securityContext");
    for field in ["runAsUser", "runAsGroup"] {
        let is_id = |value: &Value| {
            value.is_null()
                || value
                    .as_i64()
                    .is_some_and(|id| i32::try_from(id).is_ok_and(|id| id >= 0))
        };
        if context.get(field).is_some_and(|value| !is_id(value)) {
            errors.add(
                format!("{path}.{field}"),
                Kind::Must("be a number from 0 to 2147483647"),
            );
        }
    }
    if context.get("allowPrivilegeEscalation") == Some(&Value::Bool(false)) {
        let path = format!("{path}.allowPrivilegeEscalation");
        if is_privileged(container) {
            errors.add(&path, Kind::Must("not be false where privileged is true"));
        }
        let added = context
            .get("capabilities")
            .and_then(|capabilities| capabilities.get("add"));
        let mut added = added.and_then(Value::as_array).into_iter().flatten();
        if added.any(|capability| capability == "CAP_SYS_ADMIN") {
            errors.add(path, Kind::Must("not be false where CAP_SYS_ADMIN is added"));
        }
    }
    if let Some(profile) = fields::object(context, &path, "seccompProfile", errors) {
        let path = format!("{path}.seccompProfile");
        fields::required(profile, &path, "type", errors);
        let types = &["Localhost", "RuntimeDefault", "Unconfined"];
        let is_local = fields::word(profile, &path, "type", types, errors) == "Localhost";
        if is_local {
            fields::required(profile, &path, "localhostProfile", errors);
        }
    }
}

/// Whether a container may do everything on its node.
pub(super) fn is_privileged(container: &Object) -> bool {
    let context = container.get("securityContext");
    context.and_then(|context| context.get("privileged")) == Some(&Value::Bool(true))
}
