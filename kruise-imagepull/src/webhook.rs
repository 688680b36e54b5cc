//! Admission of ImagePullJobs and NodeImages: the pure functions of [`api`](crate::api) behind OpenKruise's paths.

use std::sync::Arc;

use kruise_core::runtime::Clock;
use kruise_core::webhook::{
    Context, Denial, Hook, Mutator, Operation, RouterBuilder, Rule, Validator, Warnings,
};

use crate::api::{
    GROUP, ImagePullJob, NodeImage, VERSION, ValidationError, default_job, default_node_image, validate_job,
    validate_node_image,
};

/// Adds defaulting and validation of both kinds to a router.
///
/// `enabled` is the gate `KruiseDaemon`: when it is off, every create and update is refused with 403.
pub fn register(router: RouterBuilder, clock: Arc<dyn Clock>, enabled: bool) -> RouterBuilder {
    router
        .mutate::<ImagePullJob>(hook("mutate", "imagepulljob"), Defaults(clock.clone()))
        .mutate::<NodeImage>(hook("mutate", "nodeimage"), Defaults(clock))
        .validate::<ImagePullJob>(hook("validate", "imagepulljob"), Rules { enabled })
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
    fn judge<T>(
        &self,
        object: Option<&T>,
        check: impl Fn(&T) -> Vec<ValidationError>,
    ) -> Result<Warnings, Denial> {
        let Some(object) = object else {
            return Ok(Warnings::new());
        };
        if !self.enabled {
            return Err(Denial::forbidden(
                "the feature gate KruiseDaemon is off, so no node would pull",
            ));
        }
        let errors = check(object);
        if errors.is_empty() {
            return Ok(Warnings::new());
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
        // What is being deleted may be anything: only its finalizers change.
        if job.is_some_and(|job| job.metadata.deletion_timestamp.is_some()) && context.old.is_some() {
            return Ok(Warnings::new());
        }
        self.judge(job, validate_job)
    }
}

impl Validator<NodeImage> for Rules {
    async fn validate(
        &self,
        _: &Context<NodeImage>,
        node_image: Option<&NodeImage>,
    ) -> Result<Warnings, Denial> {
        self.judge(node_image, validate_node_image)
    }
}
