//! Limits and requests.

use serde_json::Value;

use super::super::object::Object;
use super::super::quantity::Quantity;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::fields;

pub(super) fn check(container: &Object, path: &str, errors: &mut Errors) {
    let Some(resources) = fields::object(container, path, "resources", errors) else {
        return;
    };
    let path = format!("{path}.resources");
    let limits = fields::object(resources, &path, "limits", errors);
    let requests = fields::object(resources, &path, "requests", errors);
    for (list, quantities) in [("limits", limits), ("requests", requests)] {
        for (name, value) in quantities.into_iter().flatten() {
            let path = format!("{path}.{list}[{name}]");
            match read(value) {
                None => errors.add(path, Kind::NotAQuantity(value.to_string())),
                Some(quantity) if quantity.is_negative() => errors.add(path, Kind::Negative),
                Some(quantity) if is_extended(name) && !quantity.is_whole() => {
                    errors.add(path, Kind::Must("be a whole number"));
                }
                Some(_) => {}
            }
        }
    }
    for (name, request) in requests.into_iter().flatten() {
        let Some(request) = read(request) else { continue };
        let limit = limits.and_then(|limits| limits.get(name)).and_then(read);
        let path = || format!("{path}.requests[{name}]");
        if shares_nothing(name) && limit.is_none_or(|limit| request.compare(limit).is_ne()) {
            errors.add(path(), Kind::Must("be equal to the limit"));
        } else if limit.is_some_and(|limit| request.compare(limit).is_gt()) {
            errors.add(path(), Kind::AboveLimit);
        }
    }
}

fn read(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::parse(text),
        Value::Number(number) => Quantity::parse(&number.to_string()),
        _ => None,
    }
}

/// Whether a resource is one of devices and the like: `nvidia.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

/// Whether what is requested is not shared with others, so that it is the limit too.
fn shares_nothing(name: &str) -> bool {
    is_extended(name) || name.starts_with("hugepages-")
}
