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

/// Explain SidecarSets, manage their rollouts, and pull images on nodes.
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
        # Follow a rollout, and undo it\n  \
        kubectl kruise rollout status sidecarset/logs\n  \
        kubectl kruise rollout undo sidecarset/logs\n\n  \
        # Pull an image on all nodes before a release\n  \
        kubectl kruise pull registry.example.com/shop/web:1.4 --parallelism 10\n\n\
        Use --help with a command for more about it."
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
    /// Path of the kubeconfig file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Cluster of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) cluster: Option<String>,
    /// User of the kubeconfig to use.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Namespace; defaults to the context's.
    #[arg(short = 'n', long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// User to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub(crate) as_user: Option<String>,
    /// Group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub(crate) as_groups: Vec<String>,
    /// How long to wait for the server to answer; 0 means forever.
    #[arg(long, global = true, value_name = "DURATION", value_parser = object::duration)]
    pub(crate) request_timeout: Option<Duration>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the order in which pods are upgraded, and why each one is or is not next.
    Explain(ExplainFlags),
    /// Follow, pause, resume or undo the rollout of a SidecarSet.
    Rollout {
        /// What to do.
        #[command(subcommand)]
        command: RolloutCommand,
    },
    /// Pull images on nodes and show the progress.
    Pull(Box<PullFlags>),
    /// List Kruise objects; short names: ipj, ilpj, ni, scs.
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
    # With images, nodes, and the reason for each pod's place; only pods of one namespace\n  \
    kubectl kruise explain sidecarset/logs -o wide -n shop\n\n  \
    # Without a cluster, from a dump\n  \
    kubectl get sidecarsets,pods,namespaces -A -o yaml > dump.yaml\n  \
    kubectl kruise explain sidecarset logs -f dump.yaml\n\n  \
    # What an edited set would do, before it is applied\n  \
    kubectl kruise explain sidecarset logs -f dump.yaml -f edited.yaml --readmit")]
pub(crate) struct ExplainFlags {
    /// `sidecarset NAME...` or `sidecarset/NAME`; all sets if no name is given.
    #[arg(value_name = "TYPE[/NAME]", required = true)]
    pub(crate) objects: Vec<String>,
    /// Read SidecarSets, Pods and Namespaces from a YAML or JSON file instead of the cluster; - is standard input. May be
    /// repeated: a later copy of an object replaces the earlier one.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub(crate) files: Vec<String>,
    /// wide, json, yaml, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "", hide_default_value = true)]
    pub(crate) output: Format,
    /// Show only pods with these labels; all pods are counted.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    /// Show pods of all namespaces; the default unless -n is given.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    /// Recompute the set's hashes as admission would; for a set that was edited in a file.
    #[arg(long)]
    pub(crate) readmit: bool,
    /// Round percentages as release 0.8 did.
    #[arg(long)]
    pub(crate) rounding_v0_8: bool,
}

/// What may be done with a rollout.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Show the progress of a rollout and wait for it to finish.
    #[command(
        after_help = "Exit code 0 when all pods that may be upgraded are, 1 if that cannot happen or --timeout has passed.\n\n\
        Examples:\n  \
        kubectl kruise rollout status sidecarset/logs --timeout 10m\n  \
        kubectl kruise rollout status sidecarset logs --watch=false"
    )]
    Status(StatusFlags),
    /// Pause upgrades; new pods still get the sidecars.
    Pause(SetFlags),
    /// Resume upgrades.
    Resume(SetFlags),
    /// Go back to an earlier revision; the update strategy does not change.
    #[command(
        after_help = "Unlike a Deployment, a paused set can be rolled back: it stays paused, and pods are upgraded after `rollout resume`.\n\n\
        Examples:\n  \
        kubectl kruise rollout undo sidecarset/logs\n  \
        kubectl kruise rollout undo sidecarset/logs --to-revision 3 --dry-run=server"
    )]
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
    /// Wait for the rollout to finish.
    #[arg(short = 'w', long, default_value_t = true, num_args = 0..=1, require_equals = true,
          default_missing_value = "true", action = ArgAction::Set)]
    pub(crate) watch: bool,
    /// How long to wait; 0 means forever.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = object::duration)]
    pub(crate) timeout: Duration,
    /// Fail unless the set is at this revision; 0 means any.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) revision: i64,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
}

/// Where revisions are.
#[derive(Debug, Args)]
pub(crate) struct RevisionFlags {
    /// Namespace in which the manager keeps revisions.
    #[arg(long, value_name = "NAME", default_value = SYSTEM_NAMESPACE)]
    pub(crate) revision_namespace: String,
}

/// Flags of `rollout undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoFlags {
    /// The set.
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// The revision to go back to; 0 means the latest one that differs from the current set.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) to_revision: i64,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
    /// Only show what would be done; `server` runs the request through admission without storing it.
    #[arg(long, value_enum, default_value_t = DryRun::None, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    pub(crate) dry_run: DryRun,
}

/// Flags of `rollout history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryFlags {
    /// The set.
    #[command(flatten)]
    pub(crate) set: SetFlags,
    /// Show the set's template at this revision.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub(crate) revision: Option<i64>,
    /// Where revisions are.
    #[command(flatten)]
    pub(crate) revisions: RevisionFlags,
    /// json, yaml, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...: print the ControllerRevisions themselves.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "", hide_default_value = true)]
    pub(crate) output: Format,
}

/// Flags of `get`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kubectl kruise get ipj -A\n  \
    kubectl kruise get nodeimage worker-1 -o yaml\n  \
    kubectl kruise get scs logs -o jsonpath='{.status.updatedPods}'\n  \
    kubectl kruise get ipj -o custom-columns=NAME:.metadata.name,IMAGE:.spec.image\n  \
    kubectl kruise get ipj --sort-by .metadata.creationTimestamp\n  \
    kubectl kruise get ipj -w")]
pub(crate) struct GetFlags {
    /// Types and names: `ipj`, `ipj NAME`, `ipj/NAME`, `ipj,ilpj`.
    #[arg(value_name = "TYPE[/NAME]", required = true)]
    pub(crate) objects: Vec<String>,
    /// wide, json, yaml, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,...
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "", hide_default_value = true)]
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
    /// Print only the client's version.
    #[arg(long)]
    pub(crate) client: bool,
    /// json or yaml.
    #[arg(short = 'o', long, value_name = "FORMAT", value_parser = Format::parse, default_value = "", hide_default_value = true)]
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
