//! Admission of ImagePullJobs, ImageListPullJobs and NodeImages: the pure functions of [`api`](crate::api) behind OpenKruise's paths.

use std::sync::Arc;

use kruise_core::api::names::GROUP;
use kruise_core::runtime::Clock;
use kruise_core::webhook::{
    Context, Denial, Hook, Mutator, Operation, RouterBuilder, Rule, Validator, Warnings,
};

use crate::api::{
    ImageListPullJob, ImagePullJob, ImagePullJobSpec, NodeImage, VERSION, ValidationError, default_job,
    default_list_job, default_node_image, validate_job, validate_job_update, validate_list_job,
    validate_node_image,
};

/// Adds defaulting and validation of the three kinds to a router.
///
/// `enabled` is the gate `KruiseDaemon`: when it is off, every create and update is refused with 403.
pub fn register(router: RouterBuilder, clock: Arc<dyn Clock>, enabled: bool) -> RouterBuilder {
    router
        .mutate::<ImagePullJob>(hook("mutate", "imagepulljob"), Defaults(clock.clone()))
        .mutate::<ImageListPullJob>(hook("mutate", "imagelistpulljob"), Defaults(clock.clone()))
        .mutate::<NodeImage>(hook("mutate", "nodeimage"), Defaults(clock))
        .validate::<ImagePullJob>(hook("validate", "imagepulljob"), Rules { enabled })
        .validate::<ImageListPullJob>(hook("validate", "imagelistpulljob"), Rules { enabled })
        .validate::<NodeImage>(hook("validate", "nodeimage"), Rules { enabled })
}

fn hook(verb: &str, singular: &str) -> Hook {
    let path = format!("/{verb}-apps-kruise-io-{VERSION}-{singular}");
    let letter = verb.get(..1).unwrap_or_default();
    let rule = Rule::new(
        GROUP,
        VERSION,
        &format!("{singular}s"),
        &[Operation::Create, Operation::Update],
    );
    Hook::new(path, format!("{letter}{singular}.kb.io"), vec![rule])
}

struct Defaults(Arc<dyn Clock>);

impl Mutator<ImagePullJob> for Defaults {
    async fn mutate(&self, _: &Context<ImagePullJob>, job: &mut ImagePullJob) -> Result<Warnings, Denial> {
        default_job(job);
        Ok(Warnings::new())
    }
}

impl Mutator<ImageListPullJob> for Defaults {
    async fn mutate(
        &self,
        _: &Context<ImageListPullJob>,
        list: &mut ImageListPullJob,
    ) -> Result<Warnings, Denial> {
        default_list_job(list);
        Ok(Warnings::new())
    }
}

impl Mutator<NodeImage> for Defaults {
    async fn mutate(&self, _: &Context<NodeImage>, node_image: &mut NodeImage) -> Result<Warnings, Denial> {
        default_node_image(node_image, self.0.now());
        Ok(Warnings::new())
    }
}

struct Rules {
    enabled: bool,
}

impl Rules {
    fn judge(&self, errors: impl FnOnce() -> Vec<ValidationError>) -> Result<(), Denial> {
        if !self.enabled {
            return Err(Denial::forbidden(
                "the feature gate KruiseDaemon is off, so no node would pull",
            ));
        }
        let errors = errors();
        if errors.is_empty() {
            return Ok(());
        }
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Err(Denial::bad_request(texts.join("; ")))
    }
}

impl Validator<ImagePullJob> for Rules {
    async fn validate(
        &self,
        context: &Context<ImagePullJob>,
        job: Option<&ImagePullJob>,
    ) -> Result<Warnings, Denial> {
        let Some(job) = job else {
            return Ok(Warnings::new());
        };
        let old = context.old.as_ref();
        // What is being deleted may be anything: only its finalizers change.
        if old.is_some() && job.metadata.deletion_timestamp.is_some() {
            return Ok(Warnings::new());
        }
        self.judge(|| {
            let mut errors = validate_job(job);
            errors.extend(
                old.into_iter()
                    .flat_map(|old| validate_job_update(&old.spec.pull_secrets, &job.spec.pull_secrets)),
            );
            errors
        })?;
        let completed = |job: &ImagePullJob| {
            let status = job.status.as_ref();
            status.is_some_and(|status| status.completion_time.is_some())
        };
        Ok(old.map_or_else(Warnings::new, |old| {
            warnings(&old.spec, &job.spec, completed(old))
        }))
    }
}

/// What a user who changes a job should know (kruise#1386, kruise#2221).
fn warnings(old: &ImagePullJobSpec, new: &ImagePullJobSpec, completed: bool) -> Warnings {
    if completed && old.image != new.image {
        return vec!["the job has completed: create a new one to pull another image".to_owned()];
    }
    if !completed && old.pull_policy != new.pull_policy {
        return vec!["pullPolicy: nodes that have been told to pull keep the old one".to_owned()];
    }
    Warnings::new()
}

impl Validator<ImageListPullJob> for Rules {
    async fn validate(
        &self,
        context: &Context<ImageListPullJob>,
        list: Option<&ImageListPullJob>,
    ) -> Result<Warnings, Denial> {
        let Some(list) = list else {
            return Ok(Warnings::new());
        };
        if context.old.is_some() && list.metadata.deletion_timestamp.is_some() {
            return Ok(Warnings::new());
        }
        self.judge(|| validate_list_job(list))?;
        Ok(Warnings::new())
    }
}

impl Validator<NodeImage> for Rules {
    async fn validate(
        &self,
        _: &Context<NodeImage>,
        node_image: Option<&NodeImage>,
    ) -> Result<Warnings, Denial> {
        if let Some(node_image) = node_image {
            self.judge(|| validate_node_image(node_image))?;
        }
        Ok(Warnings::new())
    }
}
