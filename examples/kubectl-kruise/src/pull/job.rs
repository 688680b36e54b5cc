//! The job that flags ask for.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kruise_imagepull::api::{
    ImageKey, ImageListPullJob, ImageListPullJobSpec, ImagePullJob, ImagePullJobNodeSelector,
    ImagePullJobPullPolicy, ImagePullJobSpec, ImagePullPolicy, validate_job, validate_list_job,
};
use serde_json::Value;

use crate::cli::PullFlags;
use crate::failure::{Failure, Result};
use crate::selector;

/// The singular names of the two kinds.
pub(super) const ONE: &str = "imagepulljob";
pub(super) const LIST: &str = "imagelistpulljob";

/// A job of one image, or of several.
#[derive(Debug)]
pub(super) enum Job {
    One(Box<ImagePullJob>),
    List(Box<ImageListPullJob>),
}

impl Job {
    pub(super) fn singular(&self) -> &'static str {
        match self {
            Self::One(_) => ONE,
            Self::List(_) => LIST,
        }
    }

    pub(super) fn to_value(&self) -> Result<Value> {
        let value = match self {
            Self::One(job) => serde_json::to_value(job),
            Self::List(job) => serde_json::to_value(job),
        };
        value.map_err(|error| Failure::new(error.to_string()))
    }

    /// Validates it as admission does, so that mistakes are reported even without admission.
    pub(super) fn check(&self) -> Result<()> {
        let errors = match self {
            Self::One(job) => validate_job(job),
            Self::List(job) => validate_list_job(job),
        };
        if errors.is_empty() {
            return Ok(());
        }
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Err(Failure::new(errors.join("; ")).next("See the flags with: kubectl kruise pull --help"))
    }
}

/// Makes the job.
///
/// # Errors
/// A selector is none.
pub(super) fn build(flags: &PullFlags) -> Result<Job> {
    let image = flags.images.first().cloned().unwrap_or_default();
    let one = ImagePullJobSpec {
        image: image.clone(),
        pull_secrets: flags.pull_secrets.clone(),
        selector: nodes(flags)?,
        pod_selector: flags.pod_selector.as_deref().map(selector::parse).transpose()?,
        parallelism: Some(IntOrString::Int(flags.parallelism)),
        pull_policy: pull_policy(flags),
        image_pull_policy: flags.policy.map(|policy| match policy {
            crate::cli::Policy::Always => ImagePullPolicy::Always,
            crate::cli::Policy::IfNotPresent => ImagePullPolicy::IfNotPresent,
        }),
        ..ImagePullJobSpec::default()
    };
    let metadata = metadata(flags, &image);
    if flags.images.len() == 1 {
        let mut job = ImagePullJob::new("", one);
        job.metadata = metadata;
        return Ok(Job::One(Box::new(job)));
    }
    let mut job = ImageListPullJob::new(
        "",
        ImageListPullJobSpec {
            images: flags.images.clone(),
            pull_secrets: one.pull_secrets,
            selector: one.selector,
            pod_selector: one.pod_selector,
            parallelism: one.parallelism,
            pull_policy: one.pull_policy,
            completion_policy: one.completion_policy,
            sandbox_config: one.sandbox_config,
            image_pull_policy: one.image_pull_policy,
        },
    );
    job.metadata = metadata;
    Ok(Job::List(Box::new(job)))
}

fn metadata(flags: &PullFlags, image: &str) -> ObjectMeta {
    match &flags.name {
        Some(name) => ObjectMeta {
            name: Some(name.clone()),
            ..ObjectMeta::default()
        },
        None => ObjectMeta {
            generate_name: Some(prefix(image, flags.images.len())),
            ..ObjectMeta::default()
        },
    }
}

/// The beginning of a made up name: `pull-web-` for `registry.example.com/shop/web:1.4`.
fn prefix(image: &str, images: usize) -> String {
    if images > 1 {
        return "pull-list-".to_owned();
    }
    let name = ImageKey::parse(image).map(|key| key.name).unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    let legal = last
        .chars()
        .map(|char| match char.is_ascii_lowercase() || char.is_ascii_digit() {
            true => char,
            false => '-',
        });
    let legal: String = legal.take(40).collect();
    match legal.trim_matches('-') {
        "" => "pull-".to_owned(),
        name => format!("pull-{name}-"),
    }
}

fn nodes(flags: &PullFlags) -> Result<Option<ImagePullJobNodeSelector>> {
    if !flags.nodes.is_empty() {
        return Ok(Some(ImagePullJobNodeSelector {
            names: Some(flags.nodes.clone()),
            ..ImagePullJobNodeSelector::default()
        }));
    }
    let Some(text) = &flags.selector else {
        return Ok(None);
    };
    let parsed = selector::parse(text)?;
    Ok(Some(ImagePullJobNodeSelector {
        names: None,
        match_labels: parsed.match_labels.unwrap_or_default(),
        match_expressions: parsed.match_expressions.unwrap_or_default(),
    }))
}

fn pull_policy(flags: &PullFlags) -> Option<ImagePullJobPullPolicy> {
    let seconds = |time: Duration| i32::try_from(time.as_secs()).unwrap_or(i32::MAX).max(1);
    (flags.timeout.is_some() || flags.backoff_limit.is_some()).then(|| ImagePullJobPullPolicy {
        timeout_seconds: flags.timeout.map(seconds),
        backoff_limit: flags.backoff_limit,
    })
}
