//! What an ImageListPullJob does now: which jobs of single images it creates and deletes, and what it counts.
//!
//! A child's name follows from the list, the image and the template, so a request that is made twice takes effect once,
//! whatever a cache has seen of the first.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use kruise_core::api::names::CONTROLLER_REVISION_HASH;
use kube_core::Resource as _;
use serde_json::{Value, json};

use super::time::{left, seconds_since, stamp};
use crate::api::{
    FailedImageStatus, ImageKey, ImageListPullJob, ImageListPullJobStatus, ImagePullJob, ImagePullJobSpec,
    ValidationError, ValidationErrorKind, default_job, default_list_job, validate_list_job,
};

#[cfg(test)]
mod tests;

/// Longest name of a child: a label value, for those who select jobs by it.
const MAX_CHILD_NAME: usize = 63;

/// What a list has to do now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListPlan<'a> {
    /// The list is done and its time is over: delete it, and do nothing else. Its jobs go with it.
    pub delete: bool,
    /// The value that [`CONTROLLER_REVISION_HASH`] of the list should have, if it has another.
    pub label: Option<String>,
    /// Jobs to create.
    pub create: Vec<ImagePullJob>,
    /// Jobs to delete: their image left the list, their template changed, or there are two for one image.
    pub remove: Vec<&'a ImagePullJob>,
    /// The status as it should be.
    pub status: Option<ImageListPullJobStatus>,
    /// Look again after this time even if nothing happens.
    pub requeue_after: Option<Duration>,
    /// What is wrong with a list that admission should have refused; nothing is created or deleted then. An image that is no
    /// reference is not among it: the others are pulled.
    pub invalid: Vec<ValidationError>,
    /// What was decided about each image, in the order of the list.
    pub decisions: Vec<ListDecision<'a>>,
}

/// The verdict on one image of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListDecision<'a> {
    /// The image as it is written in the list.
    pub image: &'a str,
    /// What was decided and why.
    pub verdict: ListVerdict<'a>,
}

/// What was decided about an image, and why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ListVerdict<'a> {
    /// The image has no job: one is created.
    Create,
    /// The job of the image was made from another template: it is deleted, and a new one created.
    Replace(&'a ImagePullJob),
    /// The job of the image is being deleted; a new one is created when it is gone.
    Leaving,
    /// The job of the image has not ended.
    Running(&'a ImagePullJob),
    /// The job of the image has ended on all its nodes.
    Ended(&'a ImagePullJob),
    /// The image can not be pulled: it is no image reference. Admission would have refused it.
    Invalid(String),
}

impl fmt::Display for ListVerdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create => f.write_str("create: the image has no job"),
            Self::Replace(_) => f.write_str("replace: the job was made from another template"),
            Self::Leaving => f.write_str("waits: the job is being deleted"),
            Self::Running(_) => f.write_str("running: the job has not ended"),
            Self::Ended(_) => f.write_str("ended: the job has ended on all its nodes"),
            Self::Invalid(why) => write!(f, "failed: {why}"),
        }
    }
}

/// Returns what `list` has to do, given all jobs that it controls. O(n log n) in the number of images.
pub fn plan_list<'a>(
    list: &'a ImageListPullJob,
    children: impl IntoIterator<Item = &'a ImagePullJob>,
    now: Timestamp,
) -> ListPlan<'a> {
    if list.metadata.deletion_timestamp.is_some() {
        return ListPlan::default();
    }
    if let Some(plan) = plan_completed(list, now) {
        return plan;
    }
    let mut plan = ListPlan {
        invalid: validate_list_job(list).into_iter().filter(concerns_all).collect(),
        ..ListPlan::default()
    };
    if let Some(error) = plan.invalid.first() {
        let mut status = list.status.clone().unwrap_or_default();
        status.start_time.get_or_insert_with(|| stamp(now));
        status.desired = count(list.spec.images.len());
        status.failed_image_statuses = vec![FailedImageStatus {
            message: format!("list is not valid: {error}"),
            ..Default::default()
        }];
        plan.status = Some(status);
        return plan;
    }
    let hash = template_hash(list);
    let stored = list
        .meta()
        .labels
        .as_ref()
        .and_then(|labels| labels.get(CONTROLLER_REVISION_HASH));
    plan.label = (stored != Some(&hash)).then(|| hash.clone());

    let mut by_image: HashMap<&str, Vec<&ImagePullJob>> = HashMap::new();
    let mut names = HashSet::new();
    for child in children {
        by_image.entry(&child.spec.image).or_default().push(child);
        names.extend(child.metadata.name.clone());
    }
    let mut mentioned = HashSet::new();
    for image in list
        .spec
        .images
        .iter()
        .filter(|image| mentioned.insert(image.as_str()))
    {
        let of_image = by_image.remove(image.as_str()).unwrap_or_default();
        let verdict = judge(
            image,
            of_image,
            |job| is_of_template(list, image, job, &hash),
            &mut plan.remove,
        );
        match &verdict {
            ListVerdict::Create | ListVerdict::Replace(_) => {
                let name = child_name(list, image, &hash, &names);
                names.insert(name.clone());
                plan.create.push(child(list, image, &hash, &name));
            }
            _ => {}
        }
        plan.decisions.push(ListDecision { image, verdict });
    }
    let unlisted = by_image.into_values().flatten();
    plan.remove.extend(unlisted.filter(|child| !leaving(child)));
    plan.remove.sort_by_key(|child| child.metadata.name.as_deref());
    plan.status = Some(status(list, &plan.decisions, now));
    plan
}

/// Whether the list as a whole can not be acted on.
fn concerns_all(error: &ValidationError) -> bool {
    let of_one_image = matches!(
        error.kind,
        ValidationErrorKind::Image(_) | ValidationErrorKind::DuplicateImage(_)
    ) || (error.kind == ValidationErrorKind::Required && error.field.ends_with(']'));
    error.kind.stops_planning() && !of_one_image
}

/// Returns the JSON merge patch of the fields of the status that differ, `None` if none does.
pub fn list_status_patch(list: &ImageListPullJob, new: &ImageListPullJobStatus) -> Option<Value> {
    if list.status.as_ref() == Some(new) {
        return None;
    }
    let mut status = json!(new);
    if new.failed_image_statuses.is_empty() {
        status["failedImageStatuses"] = Value::Null;
    }
    Some(json!({ "metadata": { "resourceVersion": list.metadata.resource_version }, "status": status }))
}

/// Returns the hash of everything in the spec but the images, in letters and digits that spell nothing.
pub fn template_hash(list: &ImageListPullJob) -> String {
    safe_encode(fnv32(json!(template(list, "")).to_string().as_bytes()))
}

fn plan_completed<'a>(list: &ImageListPullJob, now: Timestamp) -> Option<ListPlan<'a>> {
    let completion_time = list.status.as_ref()?.completion_time.as_ref()?;
    let mut plan = ListPlan::default();
    if let Some(ttl) = list.spec.completion_policy.ttl_seconds_after_finished {
        plan.requeue_after = left(i64::from(ttl), seconds_since(completion_time, now));
        plan.delete = plan.requeue_after.is_none();
    }
    Some(plan)
}

/// Decides about one image. Jobs that are not in the verdict, or are to be replaced, have to go.
fn judge<'a>(
    image: &str,
    mut jobs: Vec<&'a ImagePullJob>,
    is_of_template: impl Fn(&ImagePullJob) -> bool,
    remove: &mut Vec<&'a ImagePullJob>,
) -> ListVerdict<'a> {
    let before = jobs.len();
    jobs.retain(|job| !leaving(job));
    let one_leaves = jobs.len() < before;
    if let Err(error) = ImageKey::parse(image) {
        remove.extend(jobs);
        return ListVerdict::Invalid(error.to_string());
    }
    // The one to keep of several: of this template, and the oldest.
    let kept = jobs.iter().copied().min_by_key(|job| {
        let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (!is_of_template(job), created, job.metadata.name.as_deref())
    });
    let current = kept.filter(|job| is_of_template(job));
    remove.extend(
        jobs.into_iter()
            .filter(|job| current.is_none_or(|current| !std::ptr::eq(*job, current))),
    );
    match (current, kept) {
        (Some(job), _) if has_ended(job) => ListVerdict::Ended(job),
        (Some(job), _) => ListVerdict::Running(job),
        (None, Some(job)) => ListVerdict::Replace(job),
        (None, None) if one_leaves => ListVerdict::Leaving,
        (None, None) => ListVerdict::Create,
    }
}

/// Made from this template: by its hash, or, where another program made the hash, by its content.
fn is_of_template(list: &ImageListPullJob, image: &str, job: &ImagePullJob, hash: &str) -> bool {
    let labels = job.metadata.labels.as_ref();
    let by_hash = labels
        .and_then(|labels| labels.get(CONTROLLER_REVISION_HASH))
        .is_some_and(|label| label == hash);
    by_hash || {
        let mut job = job.clone();
        default_job(&mut job);
        job.spec.completion_policy.ttl_seconds_after_finished = None;
        job.spec == template(list, image)
    }
}

/// The spec of the job of an image, with defaults. It has no TTL: a job that went before its list has ended would be made,
/// and its image pulled, again. It goes with the list.
fn template(list: &ImageListPullJob, image: &str) -> ImagePullJobSpec {
    let mut list = list.clone();
    default_list_job(&mut list);
    let mut spec = list.spec.job_of(image);
    spec.completion_policy.ttl_seconds_after_finished = None;
    spec
}

fn child(list: &ImageListPullJob, image: &str, hash: &str, name: &str) -> ImagePullJob {
    let mut job = ImagePullJob::new(name, template(list, image));
    job.metadata.namespace = list.metadata.namespace.clone();
    job.metadata.labels = Some(BTreeMap::from([(
        CONTROLLER_REVISION_HASH.to_owned(),
        hash.to_owned(),
    )]));
    job.metadata.owner_references = list.controller_owner_ref(&()).map(|owner| vec![owner]);
    job
}

/// `<list>-<what tells it from other images, templates and lists of this name>`, and not one of `taken`.
fn child_name(list: &ImageListPullJob, image: &str, hash: &str, taken: &HashSet<String>) -> String {
    let uid = list.metadata.uid.as_deref().unwrap_or_default();
    let name = list.metadata.name.as_deref().unwrap_or_default();
    let mut salt = 0_u32;
    loop {
        let suffix = safe_encode(fnv32(format!("{uid}/{hash}/{image}/{salt}").as_bytes()));
        let room = MAX_CHILD_NAME.saturating_sub(suffix.len() + 1);
        let base: String = name.chars().take(room).collect();
        let name = format!("{}-{suffix}", base.trim_end_matches(['-', '.']));
        if !taken.contains(&name) {
            return name;
        }
        salt = salt.wrapping_add(1);
    }
}

fn leaving(job: &ImagePullJob) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

fn has_ended(job: &ImagePullJob) -> bool {
    job.status.as_ref().is_some_and(|status| {
        let all = status.start_time.is_some() && status.desired == status.succeeded + status.failed;
        all && (job.spec.completion_policy.is_never() || status.completion_time.is_some())
    })
}

fn status(list: &ImageListPullJob, decisions: &[ListDecision<'_>], now: Timestamp) -> ImageListPullJobStatus {
    let old = list.status.as_ref();
    let started = old.and_then(|status| status.start_time.clone());
    let mut status = ImageListPullJobStatus {
        start_time: Some(started.unwrap_or_else(|| stamp(now))),
        desired: count(decisions.len()),
        ..Default::default()
    };
    for ListDecision { image, verdict } in decisions {
        match verdict {
            ListVerdict::Running(job) | ListVerdict::Ended(job) => {
                let of_job = job.status.as_ref();
                let ended = matches!(verdict, ListVerdict::Ended(_));
                status.active += i32::from(of_job.is_some_and(|status| status.active > 0));
                status.completed += i32::from(ended);
                status.succeeded += i32::from(ended && of_job.is_some_and(|status| status.failed == 0));
                status.failed_image_statuses.extend(failure(image, job));
            }
            ListVerdict::Invalid(why) => {
                status.completed += 1;
                status.failed_image_statuses.push(FailedImageStatus {
                    image_pull_job: String::new(),
                    name: (*image).to_owned(),
                    message: why.clone(),
                });
            }
            _ => {}
        }
    }
    if !list.spec.completion_policy.is_never() && status.completed == status.desired {
        status.completion_time = Some(stamp(now));
    }
    status
}

fn failure(image: &str, job: &ImagePullJob) -> Option<FailedImageStatus> {
    let status = job.status.as_ref().filter(|status| status.failed > 0)?;
    let reason = status.failed_reasons.first().map_or("", |reason| &reason.message);
    let separator = if reason.is_empty() { "" } else { ": " };
    Some(FailedImageStatus {
        image_pull_job: job.metadata.name.clone().unwrap_or_default(),
        name: image.to_owned(),
        message: format!(
            "{} of {} nodes failed{separator}{reason}",
            status.failed, status.desired
        ),
    })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// FNV-1a.
fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// The number in the alphabet that Kubernetes uses for generated names.
fn safe_encode(number: u32) -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let digits = number.to_string();
    digits
        .bytes()
        .filter_map(|digit| ALPHABET.get(usize::from(digit) % ALPHABET.len()))
        .map(|letter| char::from(*letter))
        .collect()
}
