//! What admission refuses, and what the controllers refuse to act on when admission was off.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use thiserror::Error;

use super::defaults::{DEFAULT_PARALLELISM, DEFAULT_TIMEOUT_SECONDS};
use super::{
    CompletionPolicy, CompletionPolicyType, ImageKey, ImageKeyError, ImageListPullJob, ImagePullJob,
    ImagePullJobNodeSelector, ImagePullJobPullPolicy, NodeImage,
};

/// A list of images is at most this long.
pub const MAX_IMAGES_PER_LIST: usize = 255;
/// A NodeImage holds at most this many image names.
pub const MAX_IMAGES_PER_NODE: usize = 256;

/// One reason why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {kind}")]
pub struct ValidationError {
    /// Path of the field in the object, such as `spec.completionPolicy.type`.
    pub field: String,
    /// What is wrong with it.
    pub kind: ValidationErrorKind,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValidationErrorKind {
    /// Both ways to select nodes are used.
    #[error("names can not be used together with matchLabels or matchExpressions")]
    NamesWithLabels,
    /// Nodes are selected both directly and by their pods.
    #[error("can not be used together with selector")]
    PodsWithNodes,
    /// More images than a list may hold.
    #[error("holds {0} images, the limit is {MAX_IMAGES_PER_LIST}")]
    ListTooLong(usize),
    /// An image is listed twice.
    #[error("the image {0:?} is listed twice")]
    DuplicateImage(String),
    /// A field that can not be changed was changed.
    #[error("can not be changed; create a new job instead")]
    Immutable,
    /// A node is named twice.
    #[error("the name {0:?} is listed twice")]
    DuplicateName(String),
    /// An expression has no key.
    #[error("a label key is required")]
    EmptyLabelKey,
    /// An expression has an operator that does not exist.
    #[error("{0:?} is not one of In, NotIn, Exists, DoesNotExist")]
    UnknownOperator(String),
    /// `In` and `NotIn` need values.
    #[error("the operator {0} needs values")]
    ValuesRequired(String),
    /// `Exists` and `DoesNotExist` have no values.
    #[error("the operator {0} takes no values")]
    ValuesForbidden(String),
    /// Something required is empty.
    #[error("is required and must not be empty")]
    Required,
    /// The image reference can not be read.
    #[error("{0}")]
    Image(ImageKeyError),
    /// A completion policy type that does not exist.
    #[error("{0:?} is not one of Always, Never")]
    UnknownCompletionPolicy(String),
    /// A field that only jobs that end may have.
    #[error("can only be set when completionPolicy.type is Always")]
    OnlyWithAlways,
    /// An attempt may take longer than the whole job.
    #[error("must not be shorter than pullPolicy.timeoutSeconds ({timeout_seconds})")]
    DeadlineBelowTimeout {
        /// The timeout of one attempt.
        timeout_seconds: i64,
    },
    /// Parallelism is a percentage.
    #[error("{0:?} is a percentage; only a number of nodes is supported")]
    Percentage(String),
    /// Parallelism is text that is no number.
    #[error("{0:?} is not a number")]
    NotANumber(String),
    /// A number below zero.
    #[error("must not be negative")]
    Negative,
    /// More image names than a NodeImage may hold.
    #[error("holds {0} images, the limit is {MAX_IMAGES_PER_NODE}")]
    TooManyImages(usize),
    /// Two tasks of one image have the same tag.
    #[error("the tag {0:?} is listed twice")]
    DuplicateTag(String),
}

impl ValidationErrorKind {
    /// Returns whether a job with this error has no meaning that could be acted on. The others were legal in earlier
    /// versions of OpenKruise, so stored jobs that have them keep running.
    pub fn stops_planning(&self) -> bool {
        !matches!(self, Self::DuplicateName(_) | Self::DeadlineBelowTimeout { .. })
    }
}

/// Returns everything that is wrong with a job, in the order in which OpenKruise checks. Empty means valid.
pub fn validate_job(job: &ImagePullJob) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    let spec = &job.spec;
    check_nodes(spec.selector.as_ref(), spec.pod_selector.as_ref(), &mut errors);
    check_image("spec.image", &spec.image, &mut errors);
    check_completion(&spec.completion_policy, spec.pull_policy.as_ref(), &mut errors);
    if let Err(kind) = parse_parallelism(spec.parallelism.as_ref()) {
        errors.add("spec.parallelism", kind);
    }
    errors.0
}

/// Returns what a change from `old` to `new` must not change: the pull secrets, whose copies are made once. Empty means
/// that it may happen.
pub fn validate_job_update(old: &[String], new: &[String]) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    if old != new {
        errors.add("spec.pullSecrets", ValidationErrorKind::Immutable);
    }
    errors.0
}

/// Returns everything that is wrong with a list of images. Empty means valid.
pub fn validate_list_job(list: &ImageListPullJob) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    let spec = &list.spec;
    check_nodes(spec.selector.as_ref(), spec.pod_selector.as_ref(), &mut errors);
    match spec.images.len() {
        0 => errors.add("spec.images", ValidationErrorKind::Required),
        1..=MAX_IMAGES_PER_LIST => {}
        length => errors.add("spec.images", ValidationErrorKind::ListTooLong(length)),
    }
    let mut seen = BTreeSet::new();
    for (index, image) in spec.images.iter().take(MAX_IMAGES_PER_LIST).enumerate() {
        let path = format!("spec.images[{index}]");
        check_image(&path, image, &mut errors);
        if !seen.insert(image) {
            errors.add(path, ValidationErrorKind::DuplicateImage(image.clone()));
        }
    }
    check_completion(&spec.completion_policy, spec.pull_policy.as_ref(), &mut errors);
    if let Err(kind) = parse_parallelism(spec.parallelism.as_ref()) {
        errors.add("spec.parallelism", kind);
    }
    errors.0
}

/// Returns everything that is wrong with a NodeImage after defaulting. Empty means valid.
pub fn validate_node_image(node_image: &NodeImage) -> Vec<ValidationError> {
    let mut errors = Errors::default();
    let images = &node_image.spec.images;
    if images.len() > MAX_IMAGES_PER_NODE {
        errors.add("spec.images", ValidationErrorKind::TooManyImages(images.len()));
    }
    for (name, image) in images {
        let path = format!("spec.images[{name}]");
        if name.is_empty() {
            errors.add(&path, ValidationErrorKind::Required);
        }
        let mut seen = BTreeSet::new();
        for (index, task) in image.tags.iter().enumerate() {
            let path = format!("{path}.tags[{index}]");
            if task.tag.is_empty() {
                errors.add(format!("{path}.tag"), ValidationErrorKind::Required);
            } else if !seen.insert(task.tag.as_str()) {
                errors.add(
                    format!("{path}.tag"),
                    ValidationErrorKind::DuplicateTag(task.tag.clone()),
                );
            }
            if task.created_at.is_none() {
                errors.add(format!("{path}.createdAt"), ValidationErrorKind::Required);
            }
            if task.version < 0 {
                errors.add(format!("{path}.version"), ValidationErrorKind::Negative);
            }
            match &task.pull_policy {
                None => errors.add(format!("{path}.pullPolicy"), ValidationErrorKind::Required),
                Some(policy) if policy.ttl_seconds_after_finished.is_none() => errors.add(
                    format!("{path}.pullPolicy.ttlSecondsAfterFinished"),
                    ValidationErrorKind::Required,
                ),
                Some(_) => {}
            }
        }
    }
    errors.0
}

/// Returns how many nodes may pull at once: the default when absent, a number, or a number as text.
///
/// # Errors
/// Percentages, text that is no number, negative numbers.
pub fn parse_parallelism(value: Option<&IntOrString>) -> Result<u32, ValidationErrorKind> {
    let number = match value {
        None => return Ok(DEFAULT_PARALLELISM),
        Some(IntOrString::Int(number)) => i64::from(*number),
        Some(IntOrString::String(text)) if text.ends_with('%') => {
            return Err(ValidationErrorKind::Percentage(text.clone()));
        }
        Some(IntOrString::String(text)) => text
            .parse::<i64>()
            .map_err(|_| ValidationErrorKind::NotANumber(text.clone()))?,
    };
    if number < 0 {
        return Err(ValidationErrorKind::Negative);
    }
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

fn check_image(path: &str, image: &str, errors: &mut Errors) {
    if image.is_empty() {
        errors.add(path, ValidationErrorKind::Required);
    } else if let Err(error) = ImageKey::parse(image) {
        errors.add(path, ValidationErrorKind::Image(error));
    }
}

fn check_nodes(
    selector: Option<&ImagePullJobNodeSelector>,
    pod_selector: Option<&LabelSelector>,
    errors: &mut Errors,
) {
    if let Some(selector) = selector {
        check_selector(selector, errors);
    }
    let Some(pod_selector) = pod_selector else { return };
    if selector.is_some() {
        errors.add("spec.podSelector", ValidationErrorKind::PodsWithNodes);
    }
    for (index, expression) in pod_selector.match_expressions.iter().flatten().enumerate() {
        check_expression(
            &format!("spec.podSelector.matchExpressions[{index}]"),
            expression,
            errors,
        );
    }
}

fn check_selector(selector: &ImagePullJobNodeSelector, errors: &mut Errors) {
    let by_label = !selector.match_labels.is_empty() || !selector.match_expressions.is_empty();
    if let Some(names) = &selector.names {
        // Go clients can not tell an empty list from none, so only names that are there contradict labels.
        if !names.is_empty() && by_label {
            errors.add("spec.selector", ValidationErrorKind::NamesWithLabels);
        }
        let mut seen = BTreeSet::new();
        for (index, name) in names.iter().enumerate() {
            if !seen.insert(name) {
                let kind = ValidationErrorKind::DuplicateName(name.clone());
                errors.add(format!("spec.selector.names[{index}]"), kind);
            }
        }
    }
    for (index, expression) in selector.match_expressions.iter().enumerate() {
        check_expression(
            &format!("spec.selector.matchExpressions[{index}]"),
            expression,
            errors,
        );
    }
}

fn check_expression(path: &str, expression: &LabelSelectorRequirement, errors: &mut Errors) {
    if expression.key.is_empty() {
        errors.add(format!("{path}.key"), ValidationErrorKind::EmptyLabelKey);
    }
    let has_values = expression
        .values
        .as_ref()
        .is_some_and(|values| !values.is_empty());
    let operator = expression.operator.clone();
    match operator.as_str() {
        "In" | "NotIn" if !has_values => {
            errors.add(
                format!("{path}.values"),
                ValidationErrorKind::ValuesRequired(operator),
            );
        }
        "Exists" | "DoesNotExist" if has_values => {
            errors.add(
                format!("{path}.values"),
                ValidationErrorKind::ValuesForbidden(operator),
            );
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.add(
            format!("{path}.operator"),
            ValidationErrorKind::UnknownOperator(operator),
        ),
    }
}

fn check_completion(
    policy: &CompletionPolicy,
    pull_policy: Option<&ImagePullJobPullPolicy>,
    errors: &mut Errors,
) {
    const PATH: &str = "spec.completionPolicy";
    match policy.effective_type() {
        CompletionPolicyType::Always => {
            let timeout = pull_policy.and_then(|policy| policy.timeout_seconds);
            let timeout_seconds = i64::from(timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS));
            if policy
                .active_deadline_seconds
                .is_some_and(|deadline| deadline < timeout_seconds)
            {
                let kind = ValidationErrorKind::DeadlineBelowTimeout { timeout_seconds };
                errors.add(format!("{PATH}.activeDeadlineSeconds"), kind);
            }
        }
        CompletionPolicyType::Never => {
            if policy.active_deadline_seconds.is_some() {
                errors.add(
                    format!("{PATH}.activeDeadlineSeconds"),
                    ValidationErrorKind::OnlyWithAlways,
                );
            }
            if policy.ttl_seconds_after_finished.is_some() {
                errors.add(
                    format!("{PATH}.ttlSecondsAfterFinished"),
                    ValidationErrorKind::OnlyWithAlways,
                );
            }
        }
        CompletionPolicyType::Other(text) => {
            let kind = ValidationErrorKind::UnknownCompletionPolicy(text.clone());
            errors.add(format!("{PATH}.type"), kind);
        }
    }
}

#[derive(Default)]
struct Errors(Vec<ValidationError>);

impl Errors {
    fn add(&mut self, field: impl Into<String>, kind: ValidationErrorKind) {
        self.0.push(ValidationError {
            field: field.into(),
            kind,
        });
    }
}
