//! A small controller: a ConfigMap with the label `toy` asks for a number of pods of an image; images change in place, one
//! pod at a time.

mod controller;
mod scenario;

pub(crate) use controller::Toy;
pub(crate) use scenario::ToyScenario;

use k8s_openapi::api::core::v1::{ConfigMap, Pod};

/// Wanted number and image.
pub(crate) fn wanted(set: &ConfigMap) -> (usize, String) {
    let data = set.data.clone().unwrap_or_default();
    let text = |key: &str| data.get(key).cloned().unwrap_or_default();
    (text("replicas").parse().unwrap_or_default(), text("image"))
}

pub(crate) fn image(pod: &Pod) -> &str {
    let containers = pod.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    containers
        .first()
        .and_then(|container| container.image.as_deref())
        .unwrap_or_default()
}

/// Ready, with the image that it should have.
pub(crate) fn is_available(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let runs = status
        .and_then(|status| status.container_statuses.as_ref()?.first())
        .is_some_and(|container| container.ready && container.image == image(pod));
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .any(|one| one.type_ == "Ready" && one.status == "True");
    runs && ready && !is_deleting(pod)
}

pub(crate) fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}
