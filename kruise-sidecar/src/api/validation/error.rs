//! What is wrong with a set, and where.

use thiserror::Error;

use super::super::words::{
    InjectRevisionPolicy, PatchPolicy, PodInjectPolicy, ShareVolumeType, UpdateStrategyType, UpgradeType,
};
use super::MAX_NAME_LENGTH;

/// One reason why an object is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {kind}")]
pub struct ValidationError {
    /// Path of the field in the object, such as `spec.containers[0].image`.
    pub field: String,
    /// What is wrong with it.
    pub kind: ValidationErrorKind,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValidationErrorKind {
    /// Something required is missing or empty.
    #[error("is required and must not be empty")]
    Required,
    /// A name of a set with letters that are not allowed, or too many.
    #[error("{0:?} must be at most {MAX_NAME_LENGTH} letters, digits and dashes")]
    BadSetName(String),
    /// A name that is no DNS label.
    #[error("{0:?} must be at most 63 lower case letters, digits and dashes, without a dash at its ends")]
    NotADnsLabel(String),
    /// A key that is no key of a label or annotation.
    #[error("{0:?} is not a key such as \"team\" or \"example.com/team\"")]
    NotAKey(String),
    /// A value that is no value of a label.
    #[error("{0:?} is not the value of a label")]
    NotALabelValue(String),
    /// A selector that means nothing.
    #[error("{0}")]
    Selector(kruise_core::policy::SelectorError),
    /// Both ways to name namespaces are used.
    #[error("can not be used together with namespace")]
    NamespaceAndSelector,
    /// A value below zero.
    #[error("must not be negative")]
    Negative,
    /// A number or percentage that is neither.
    #[error("{0:?} is neither a number nor a percentage such as \"25%\"")]
    NotAPercentage(String),
    /// A partition beside a selector.
    #[error("can not be used together with selector, unless it is 0")]
    PartitionWithSelector,
    /// A term is there twice.
    #[error("is there twice")]
    Twice,
    /// Weights and keys at once.
    #[error("weightPriority and orderPriority can not be used together")]
    WeightAndOrder,
    /// A weight out of bounds.
    #[error("must be 0 to 100")]
    BadWeight,
    /// A type of update strategy that does not exist.
    #[error("{0:?} is not one of {known}", known = UpdateStrategyType::KNOWN.join(", "))]
    UnknownUpdateStrategy(String),
    /// A policy of injection that does not exist.
    #[error("{0:?} is not one of {known}", known = PodInjectPolicy::KNOWN.join(", "))]
    UnknownInjectPolicy(String),
    /// A type of upgrade that does not exist.
    #[error("{0:?} is not one of {known}", known = UpgradeType::KNOWN.join(", "))]
    UnknownUpgradeType(String),
    /// A policy of sharing that does not exist.
    #[error("{0:?} is not one of {known}", known = ShareVolumeType::KNOWN.join(", "))]
    UnknownShareType(String),
    /// A policy of revisions that does not exist.
    #[error("{0:?} is not one of {known}", known = InjectRevisionPolicy::KNOWN.join(", "))]
    UnknownRevisionPolicy(String),
    /// A policy of patching that does not exist.
    #[error("{0:?} is not one of {known}", known = PatchPolicy::KNOWN.join(", "))]
    UnknownPatchPolicy(String),
    /// Neither containers nor init containers.
    #[error("a set needs containers or initContainers")]
    NoContainers,
    /// A native sidecar in a set that upgrades pods in place.
    #[error("a native sidecar is not upgraded in place, so updateStrategy.type must be NotUpdate")]
    NativeSidecarIsNotUpdated,
    /// Hot upgrade of an init container.
    #[error("init containers can not be upgraded hot")]
    HotInitContainer,
    /// A value that is not of the type that it must have.
    #[error("must be {0}")]
    WrongType(&'static str),
    /// A word that is not one of those allowed.
    #[error("{value:?} is not one of {}", known.join(", "))]
    Unknown {
        /// The word.
        value: String,
        /// Those allowed.
        known: &'static [&'static str],
    },
    /// A name is there twice.
    #[error("the name {0:?} is there twice")]
    DuplicateName(String),
    /// A path is there twice.
    #[error("the path {0:?} is there twice")]
    DuplicatePath(String),
    /// A port out of bounds.
    #[error("must be a port, 1 to 65535")]
    BadPort,
    /// A port name that no service can have.
    #[error(
        "{0:?} is not a port name: at most 15 lower case letters, digits and single dashes, and at least one letter"
    )]
    BadPortName(String),
    /// A port of the node that two containers of a pod would open.
    #[error("the port {0} of the node would be opened by two containers of a pod")]
    HostPortTwice(u64),
    /// A value that the API server refuses.
    #[error("must {0}")]
    Must(&'static str),
    /// A mount of a volume that the set does not have.
    #[error("there is no volume {0:?} in spec.volumes")]
    NoSuchVolume(String),
    /// A field that can not be used beside another.
    #[error("can not be used together with {0}")]
    Excludes(&'static str),
    /// A path that leaves the folder that it is in.
    #[error("must be a relative path without \"..\"")]
    NotInside,
    /// A number of sources or actions other than one.
    #[error("must have exactly one of its kinds, has {0}")]
    NotOne(usize),
    /// Text that is no quantity.
    #[error("{0:?} is not a quantity such as \"500m\" or \"1Gi\"")]
    NotAQuantity(String),
    /// A request above the limit.
    #[error("must not be more than the limit")]
    AboveLimit,
    /// A field that an init container may not have.
    #[error("init containers that end can not have it")]
    NotForInit,
    /// A field that only an init container may have.
    #[error("only init containers can have it")]
    OnlyForInit,
    /// A path to a field that can not be read.
    #[error("{0:?} is not metadata.labels['<key>'] or metadata.annotations['<key>']")]
    BadFieldPath(String),
    /// A version of fields other than `v1`.
    #[error("{0:?} is not v1")]
    BadFieldVersion(String),
    /// A feature that is not there.
    #[error("is not supported")]
    NotSupported,
    /// Neither name nor version of a revision.
    #[error("needs revisionName or customVersion")]
    NoRevision,
    /// A revision that does not exist.
    #[error("there is no such revision")]
    RevisionNotFound,
    /// An annotation that no rule of the whitelist allows.
    #[error("the annotation {0:?} is not allowed by the whitelist")]
    NotWhitelisted(String),
    /// A whitelist that says nothing that can be understood.
    #[error("the annotation {0:?} is not allowed, since the whitelist cannot be read")]
    WhitelistUnreadable(String),
    /// A text to be merged that is no JSON.
    #[error("with MergePatchJson the value must be JSON: {0}")]
    NotJson(String),
    /// An annotation of a feature that is not there.
    #[error("canary and base sets are not supported; remove this annotation")]
    NoCanary,
    /// A sidecar that was not there before.
    #[error("the sidecar {0:?} was not there before; make a new set for it")]
    SidecarAdded(String),
    /// The type of an upgrade was changed.
    #[error("can not be changed")]
    UpgradeTypeChanged,
    /// A container name that another set has too.
    #[error("the set {set:?} has a container {name:?} too, and both may match one pod")]
    ContainerTaken {
        /// The other set.
        set: String,
        /// The name.
        name: String,
    },
    /// A volume that another set has too, defined otherwise.
    #[error("the set {set:?} has a volume {name:?} too, defined otherwise, and both may match one pod")]
    VolumeTaken {
        /// The other set.
        set: String,
        /// The name.
        name: String,
    },
    /// An annotation that another set patches too.
    #[error("the set {set:?} patches {key:?} too, and both may match one pod")]
    AnnotationTaken {
        /// The other set.
        set: String,
        /// The key.
        key: String,
    },
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Errors(pub(super) Vec<ValidationError>);

impl Errors {
    pub(super) fn add(&mut self, field: impl Into<String>, kind: ValidationErrorKind) {
        self.0.push(ValidationError {
            field: field.into(),
            kind,
        });
    }
}
