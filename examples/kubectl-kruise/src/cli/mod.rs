//! The command line.

mod object;
mod pull;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::Shell;
use kruise_core::api::names::SYSTEM_NAMESPACE;

pub(crate) use object::{Kind, Objects};
pub(crate) use pull::{DryRun, Policy, PullFlags};

use crate::output::{Format, jsonpath};

/// Explains SidecarSets, steers their rollouts, pulls images on nodes.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-kruise",
    version,
    max_term_width = 110,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        # Why is my pod not upgraded yet?\n  \
        kubectl kruise explain sidecarset logs\n\n  \
        # Follow a rollout, and take it back\n  \
        kubectl kruise rollout status sidecarset/logs\n  \
        kubectl kruise rollout undo sidecarset/logs\n\n  \
        # Have an image on all nodes before the release\n  \
        kubectl kruise pull registry.example.com/shop/web:1.4 --parallelism 10\n\n\
        Each command tells more with --help."
)]
pub(crate) struct Cli {
    /// Which cluster, user and namespace.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// kubectl's flags about the cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct Global {
    /// Path of the kubeconfig.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Namespace; that of the context by default.
    #[arg(short = 'n', long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// User to act as.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) as_user: Option<String>,
    /// Group to act as; may be given again.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub(crate) as_groups: Vec<String>,
    /// How long to wait for an answer of the server; 0 is for ever.
    #[arg(long, global = true, value_name = "DURATION", value_parser = object::duration)]
    pub(crate) request_timeout: Option<Duration>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell the order in which pods are upgraded, and why each one is or is not next.
    Explain(ExplainFlags),
    /// Follow, stop, continue or take back the rollout of a SidecarSet.
    Rollout {
        /// What to do.
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// Pull images on nodes, and show how it goes.
    Pull(Box<PullFlags>),
    /// List objects of Kruise, by short names too: ipj, ilpj, nodeimage, scs.
    Get(GetFlags),
    /// Print the versions of this program and of the server.
    Version(VersionFlags),
    /// Print a completion script for a shell.
    #[command(after_help = "Examples:\n  \
        kubectl-kruise completion bash > /etc/bash_completion.d/kubectl-kruise\n  \
        kubectl-kruise completion zsh > \"${fpath[1]}/_kubectl-kruise\"")]
    Completion {
        /// The shell.
        shell: Shell,
    },
}

/// Flags of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    # All sets, or one, as the cluster is now\n  \
    kubectl kruise explain sidecarset\n  \
    kubectl kruise explain sidecarset logs\n\n  \
    # With images, nodes, and why each pod stands at its place; only the pods of one namespace\n  \
    kubectl kruise explain sidecarset/logs -o wide -n shop\n\n  \
    # Without a cluster, from what somebody sent\n  \
    kubectl get sidecarsets,pods,namespaces -A -o yaml > dump.yaml\n  \
    kubectl kruise explain sidecarset logs -f dump.yaml\n\n  \
    # What would become of an edited set, before it is applied\n  \
    kubectl kruise explain sidecarset logs -f dump.yaml -f edited.yaml --readmit")]
pub(crate) struct ExplainFlags {
    /// `sidecarset NAME...` or `sidecarset/NAME`; without a name all sets.
    #[arg(value_name = "TYPE[/NAME]", required = true)]
    pub(crate) objects: Vec<String>,
    /// Read SidecarSets, Pods and Namespaces from a file of YAML or JSON instead of the cluster; - is standard input. May be
    /// given again: an object that comes again replaces the one before.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// wide, json, yaml or jsonpath=TEMPLATE.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "")]
    pub(crate) output: Format,
    /// Show only pods with these labels; all are counted.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Show the pods of all namespaces, which is the default unless -n is given.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Work out the hashes of the set anew, as admission does: for a set that was edited in a file.
    #[arg(long)]
    pub(crate) readmit: bool,
    /// Round percentages as release 0.8 did.
    #[arg(long)]
    pub(crate) rounding_v0_8: bool,
}

/// What may be done with a rollout.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Show how far a rollout is, and wait for its end.
    #[command(
        after_help = "Exit code 0 if all pods that may be upgraded are, 1 if that can never happen or --timeout has passed.\n\n\
        Examples:\n  \
        kubectl kruise rollout status sidecarset/logs --timeout 10m\n  \
        kubectl kruise rollout status sidecarset logs --watch=false"
    )]
    Status(StatusFlags),
    /// Stop upgrades; new pods still get the sidecars.
    Pause(SetFlags),
    /// Go on with upgrades.
    Resume(SetFlags),
    /// Go back to an earlier revision.
    #[command(after_help = "Examples:\n  \
        kubectl kruise rollout undo sidecarset/logs\n  \
        kubectl kruise rollout undo sidecarset/logs --to-revision 3 --dry-run=server")]
    Undo(UndoFlags),
    /// List the revisions of a set, or show one.
    History(HistoryFlags),
}

/// A set.
#[derive(Debug, Args)]
pub(crate) struct SetFlags {
    /// `sidecarset/NAME` or `sidecarset NAME`.
    #[arg(value_name = "TYPE/NAME", required = true)]
    pub(crate) objects: Vec<String>,
}

/// Flags of `rollout status`.
#[derive(Debug, Args)]
pub(crate) struct StatusFlags {
    /// The set.
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// Wait for the end.
    #[arg(short = 'w', long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) watch: bool,
    /// How long to wait; 0 means forever.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = object::duration)]
    pub(crate) timeout: Duration,
    /// Fail if the set is at another revision than this one; 0 means any.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
}

/// Where revisions are.
#[derive(Debug, Args)]
pub(crate) struct RevisionFlags {
    /// Namespace where the manager keeps revisions.
    #[arg(long, value_name = "NAME", default_value = SYSTEM_NAMESPACE)]
    pub(crate) revision_namespace: String,
}

/// Flags of `rollout undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoFlags {
    /// The set.
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// The revision to go back to; 0 is the last one that differs from what the set is now.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) to_revision: i64,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
    /// Say what would be done: client asks nobody, server asks the server and its admission.
    #[arg(long, value_enum, default_value_t = DryRun::None, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub(crate) dry_run: DryRun,
}

/// Flags of `rollout history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryFlags {
    /// The set.
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// Show what the set was at this revision.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) revision: Option<i64>,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
    /// json, yaml, name or jsonpath=TEMPLATE: the ControllerRevisions themselves.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "")]
    pub(crate) output: Format,
}

/// Flags of `get`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kubectl kruise get ipj -A\n  \
    kubectl kruise get nodeimage worker-1 -o yaml\n  \
    kubectl kruise get scs logs -o jsonpath='{.status.updatedPods}'\n  \
    kubectl kruise get ipj -o custom-columns=NAME:.metadata.name,IMAGE:.spec.image --sort-by .metadata.name\n  \
    kubectl kruise get ipj -w")]
pub(crate) struct GetFlags {
    /// Types and names: `ipj`, `ipj NAME`, `ipj/NAME`, `ipj,ilpj`.
    #[arg(value_name = "TYPE[/NAME]", required = true)]
    pub(crate) objects: Vec<String>,
    /// wide, json, yaml, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "")]
    pub(crate) output: Format,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Only objects with these fields.
    #[arg(long, value_name = "SELECTOR")]
    pub(crate) field_selector: Option<String>,
    /// Objects of all namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Do not print the header line.
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Add a column with the labels.
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// Sort by a field, such as .metadata.creationTimestamp.
    #[arg(long, value_name = "PATH", value_parser = jsonpath::path)]
    pub(crate) sort_by: Option<String>,
    /// After listing, print each change.
    #[arg(short = 'w', long)]
    pub(crate) watch: bool,
}

/// Flags of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionFlags {
    /// Ask no server.
    #[arg(long)]
    pub(crate) client: bool,
    /// json or yaml.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "")]
    pub(crate) output: Format,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_are_taken_on_both_sides_of_a_command() {
        let of = |args: &[&str]| Cli::try_parse_from(args).unwrap().global;
        assert_eq!(
            of(&["k", "-n", "a", "get", "ipj"]).namespace.as_deref(),
            Some("a")
        );
        assert_eq!(
            of(&["k", "get", "ipj", "-n", "a"]).namespace.as_deref(),
            Some("a")
        );
    }

    #[test]
    fn watch_is_on_unless_it_is_said_to_be_off() {
        let of = |args: &[&str]| match Cli::try_parse_from(args).unwrap().command {
            Command::Rollout {
                command: RolloutCommand::Status(flags),
            } => flags.watch,
            other => unreachable!("{other:?}"),
        };
        assert!(of(&["k", "rollout", "status", "scs/a"]));
        assert!(of(&["k", "rollout", "status", "--watch", "scs/a"]));
        assert!(!of(&["k", "rollout", "status", "scs/a", "--watch=false"]));
    }
}
