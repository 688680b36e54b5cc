//! Builders for the unit tests of this crate.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::*;

/// `seconds` after an arbitrary fixed moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

pub(crate) fn time(seconds: i64) -> Time {
    Time(at(seconds))
}

/// A job `team/<uid>` for `image`, valid and not started.
pub(crate) fn job(uid: &str, image: &str) -> ImagePullJob {
    let mut job = ImagePullJob::new(
        uid,
        ImagePullJobSpec {
            image: image.to_owned(),
            ..Default::default()
        },
    );
    job.metadata.namespace = Some("team".into());
    job.metadata.uid = Some(uid.into());
    job.metadata.resource_version = Some("1".into());
    job
}

/// A job from the YAML of its spec.
pub(crate) fn job_from(uid: &str, spec: &str) -> ImagePullJob {
    let spec = serde_yaml::from_str(spec).expect("the test writes a job spec");
    let mut job = job(uid, "");
    job.spec = spec;
    job
}

pub(crate) fn node(name: &str) -> NodeImage {
    let mut node = NodeImage::new(name, NodeImageSpec::default());
    node.metadata.uid = Some(format!("node-{name}"));
    node.metadata.resource_version = Some("1".into());
    node
}

pub(crate) fn owner(job_uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.into()),
        kind: Some(JOB_KIND.into()),
        namespace: Some("team".into()),
        name: Some(job_uid.into()),
        uid: Some(job_uid.into()),
        ..Default::default()
    }
}

pub(crate) fn task(tag: &str, version: i64, owners: &[&str]) -> ImageTagSpec {
    ImageTagSpec {
        tag: tag.into(),
        version,
        created_at: Some(time(0)),
        pull_policy: Some(ImageTagPullPolicy {
            ttl_seconds_after_finished: Some(100),
            ..Default::default()
        }),
        owner_references: owners.iter().map(|uid| owner(uid)).collect(),
        image_pull_policy: Some(ImagePullPolicy::IfNotPresent),
    }
}

/// A result; final ones ended at second 10.
pub(crate) fn result(tag: &str, version: i64, phase: PullPhase) -> ImageTagStatus {
    let done = matches!(phase, PullPhase::Succeeded | PullPhase::Failed);
    ImageTagStatus {
        tag: tag.into(),
        version,
        phase,
        start_time: Some(time(1)),
        completion_time: done.then(|| time(10)),
        ..Default::default()
    }
}

pub(crate) trait NodeImageExt: Sized {
    fn with_task(self, image: &str, task: ImageTagSpec) -> Self;
    fn with_result(self, image: &str, result: ImageTagStatus) -> Self;
    fn with_labels(self, labels: &[(&str, &str)]) -> Self;
    /// What the API server would make of a JSON patch, resourceVersion included.
    fn patched(&self, patch: &json_patch::Patch) -> Result<Self, json_patch::PatchError>;
    /// What the API server would make of a merge patch of the status subresource.
    fn merged(&self, patch: &serde_json::Value) -> Self;
}

impl NodeImageExt for NodeImage {
    fn with_task(mut self, image: &str, task: ImageTagSpec) -> Self {
        self.spec.images.entry(image.into()).or_default().tags.push(task);
        self
    }

    fn with_result(mut self, image: &str, result: ImageTagStatus) -> Self {
        let status = self.status.get_or_insert_default();
        status
            .image_statuses
            .entry(image.into())
            .or_default()
            .tags
            .push(result);
        self
    }

    fn with_labels(mut self, labels: &[(&str, &str)]) -> Self {
        self.metadata.labels = Some(
            labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        );
        self
    }

    fn patched(&self, patch: &json_patch::Patch) -> Result<Self, json_patch::PatchError> {
        let mut value = serde_json::to_value(self).expect("a NodeImage serialises");
        json_patch::patch(&mut value, patch)?;
        let mut patched: Self = serde_json::from_value(value).expect("the patch keeps the shape");
        patched.metadata.resource_version = Some(next_version(self));
        Ok(patched)
    }

    fn merged(&self, patch: &serde_json::Value) -> Self {
        let mut value = serde_json::to_value(self).expect("a NodeImage serialises");
        json_patch::merge(&mut value, patch);
        let mut merged: Self = serde_json::from_value(value).expect("the patch keeps the shape");
        merged.metadata.resource_version = Some(next_version(self));
        merged
    }
}

fn next_version(node: &NodeImage) -> String {
    let version = node
        .metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse::<u64>().ok());
    (version.unwrap_or(0) + 1).to_string()
}
