//! Flags of `pull`.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::object::duration;
use crate::output::Format;

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// It is.
    None,
    /// Nobody is asked.
    Client,
    /// The server and its admission are asked, and write nothing.
    Server,
}

/// Whether an image that is on a node is pulled again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Policy {
    /// The registry is asked each time.
    #[value(name = "Always")]
    Always,
    /// Not if the node has the reference.
    #[value(name = "IfNotPresent")]
    IfNotPresent,
}

/// Flags of `pull`.
#[derive(Debug, Args)]
#[command(
    after_help = "Creates an ImagePullJob, or for several images an ImageListPullJob, and follows it. Exit code 0 only if all nodes have \
    the images. Ctrl-C leaves the job running.\n\n\
    Examples:\n  \
    # On all nodes, ten at a time\n  \
    kubectl kruise pull registry.example.com/shop/web:1.4 --parallelism 10\n\n  \
    # Two images on nodes with a label, with a pull secret of the namespace; the job is deleted at the end\n  \
    kubectl kruise pull nginx:1.27 redis:7 -l pool=web --pull-secret registry-a -n shop --rm\n\n  \
    # On the nodes where pods of an app are\n  \
    kubectl kruise pull web:2 --pod-selector app=web -n shop\n\n  \
    # Create it, and look later\n  \
    kubectl kruise pull nginx:1.27 --name warm-up --wait=false\n  \
    kubectl kruise pull --follow warm-up\n\n  \
    # Only write the manifest\n  \
    kubectl kruise pull nginx:1.27 --dry-run=client -o yaml"
)]
pub(crate) struct PullFlags {
    /// Images: a tag or a digest; `nginx` is docker.io/library/nginx:latest.
    #[arg(value_name = "IMAGE", required_unless_present = "follow")]
    pub(crate) images: Vec<String>,

    /// Follow a job that is there, by name, instead of creating one.
    #[arg(long, value_name = "JOB", conflicts_with_all = [
        "images", "nodes", "selector", "pod_selector", "parallelism", "pull_secrets", "timeout", "backoff_limit", "policy", "name",
        "dry_run",
    ])]
    pub(crate) follow: Option<String>,

    /// Nodes by name, separated by commas, in this order.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with_all = ["selector", "pod_selector"], help_heading = "Nodes")]
    pub(crate) nodes: Vec<String>,
    /// Nodes with these labels, such as pool=web,zone in (a,b).
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        conflicts_with = "pod_selector",
        help_heading = "Nodes"
    )]
    pub(crate) selector: Option<String>,
    /// Nodes where pods of the namespace with these labels are.
    #[arg(long, value_name = "SELECTOR", help_heading = "Nodes")]
    pub(crate) pod_selector: Option<String>,
    /// How many nodes pull at once; 0 is none, until the job is changed.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(0..), help_heading = "Nodes")]
    pub(crate) parallelism: i32,

    /// Name of a pull secret in the namespace; may be given again.
    #[arg(long = "pull-secret", value_name = "NAME", help_heading = "Pull")]
    pub(crate) pull_secrets: Vec<String>,
    /// How long one attempt on a node may take; 10 minutes by default.
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Pull")]
    pub(crate) timeout: Option<Duration>,
    /// How many attempts a node makes after the first; 3 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..), help_heading = "Pull")]
    pub(crate) backoff_limit: Option<i32>,
    /// Whether the registry is asked even if a node has the image; IfNotPresent by default.
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "Pull")]
    pub(crate) policy: Option<Policy>,

    /// Name of the job; one is made up by default.
    #[arg(long, value_name = "NAME", help_heading = "Job")]
    pub(crate) name: Option<String>,
    /// Follow the job until its end.
    #[arg(long, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true",
          action = ArgAction::Set, help_heading = "Job")]
    pub(crate) wait: bool,
    /// Stop following after this time, and fail; 0 is never. The job goes on.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, help_heading = "Job")]
    pub(crate) wait_timeout: Duration,
    /// Delete the job at its end.
    #[arg(long, help_heading = "Job")]
    pub(crate) rm: bool,
    /// Say what would be created: client asks nobody, server asks the server and its admission.
    #[arg(long, value_enum, default_value_t = DryRun::None, num_args = 0..=1, require_equals = true,
          default_missing_value = "client", help_heading = "Job")]
    pub(crate) dry_run: DryRun,
    /// json, yaml, name or jsonpath=TEMPLATE: print the job that was created, and do not follow it.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "", help_heading = "Job")]
    pub(crate) output: Format,
}
