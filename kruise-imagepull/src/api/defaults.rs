//! Defaults that admission writes into objects. The planner applies the same ones, so that nothing depends on a webhook.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    CompletionPolicy, CompletionPolicyType, ImageListPullJob, ImagePullJob, ImagePullJobPullPolicy,
    ImagePullPolicy, ImageTagPullPolicy, NodeImage,
};

/// Seconds one attempt may take when nothing is said.
pub const DEFAULT_TIMEOUT_SECONDS: i32 = 600;
/// Attempts after the first one when nothing, or a negative number, is said.
pub const DEFAULT_BACKOFF_LIMIT: i32 = 3;
/// Nodes that pull at the same time when nothing is said. Never stored in the job.
pub const DEFAULT_PARALLELISM: u32 = 1;

/// Fills in what a user may leave out: the pull policy, the type of the completion policy, `imagePullPolicy`. What is set
/// is kept. `parallelism` stays absent, as OpenKruise leaves it.
pub fn default_job(job: &mut ImagePullJob) {
    let spec = &mut job.spec;
    default_template(
        &mut spec.pull_policy,
        &mut spec.completion_policy,
        &mut spec.image_pull_policy,
    );
}

/// Fills in of a list what [`default_job`] fills in of a job.
pub fn default_list_job(list: &mut ImageListPullJob) {
    let spec = &mut list.spec;
    default_template(
        &mut spec.pull_policy,
        &mut spec.completion_policy,
        &mut spec.image_pull_policy,
    );
}

fn default_template(
    pull: &mut Option<ImagePullJobPullPolicy>,
    completion: &mut CompletionPolicy,
    image_pull_policy: &mut Option<ImagePullPolicy>,
) {
    let pull = pull.get_or_insert_default();
    pull.timeout_seconds.get_or_insert(DEFAULT_TIMEOUT_SECONDS);
    pull.backoff_limit.get_or_insert(DEFAULT_BACKOFF_LIMIT);
    completion.type_.get_or_insert(CompletionPolicyType::Always);
    image_pull_policy.get_or_insert(ImagePullPolicy::IfNotPresent);
}

/// Fills in `createdAt` and the limits of each task, and sorts tasks and results by tag.
pub fn default_node_image(node_image: &mut NodeImage, now: Timestamp) {
    for image in node_image.spec.images.values_mut() {
        for task in &mut image.tags {
            task.created_at.get_or_insert(Time(now));
            let policy = task.pull_policy.get_or_insert_with(ImageTagPullPolicy::default);
            policy.timeout_seconds.get_or_insert(DEFAULT_TIMEOUT_SECONDS);
            policy.backoff_limit.get_or_insert(DEFAULT_BACKOFF_LIMIT);
        }
        image.tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    }
    for image in node_image
        .status
        .iter_mut()
        .flat_map(|status| status.image_statuses.values_mut())
    {
        image.tags.sort_by(|a, b| a.tag.cmp(&b.tag));
    }
}
