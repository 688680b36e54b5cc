//! The command line, with OpenKruise's names where it has them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use kruise_core::webhook::OnFailure;
use kruise_imagepull::api::DAEMON_CONFIG_NAMESPACE;
use kruise_sidecar::api::HashForm;
use kruise_support::flags::{Refused, duration, listen};
use kruise_support::logging::LogFlags;

/// Runs the controllers and webhooks of SidecarSet, ImagePullJob and NodeImage.
///
/// Any number of replicas may run: all serve webhooks, and the one that holds the Lease runs the controllers.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "kruise-manager",
    version,
    max_term_width = 110,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
        Install the custom resources:        kruise-manager crds | kubectl apply -f -\n  \
        In a pod:                            kruise-manager --enable-leader-election --leader-election-namespace=kruise-system\n  \
        By hand, on the cluster of KUBECONFIG, webhooks reached by URL:\n                                       \
            kruise-manager --webhook-host 192.0.2.10"
)]
pub(crate) struct Flags {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) run: Run,
}

/// Name of the leader's Lease.
pub(crate) const LEASE: &str = "kruise-manager";
/// Name of the Secret with the certificates.
pub(crate) const CERTIFICATES: &str = "kruise-webhook-certs";

/// What becomes of a pod for which the webhook gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum FailurePolicy {
    /// It is refused.
    Fail,
    /// It is created without its sidecars.
    Ignore,
}

impl From<FailurePolicy> for OnFailure {
    fn from(policy: FailurePolicy) -> Self {
        match policy {
            FailurePolicy::Fail => Self::Deny,
            FailurePolicy::Ignore => Self::Allow,
        }
    }
}

/// Which OpenKruise wrote the hashes of the SidecarSets that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HashOf {
    /// 0.8.
    #[value(name = "0.8")]
    V0_8,
    /// 0.9 to 1.6.
    #[value(name = "0.9")]
    V0_9,
    /// 1.7 and later.
    #[value(name = "1.7")]
    V1_7,
}

impl From<HashOf> for HashForm {
    fn from(release: HashOf) -> Self {
        match release {
            HashOf::V0_8 => Self::V0_8,
            HashOf::V0_9 => Self::V0_9,
            HashOf::V1_7 => Self::V1_7,
        }
    }
}

/// What else the program can do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Print the CustomResourceDefinitions as YAML.
    Crds,
    /// Print the rules of a role as YAML.
    Rbac {
        /// Which role.
        role: RoleOf,
    },
}

/// The roles of the two programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleOf {
    /// The manager's ClusterRole.
    ManagerCluster,
    /// What the gate KruiseDaemon adds to it.
    ManagerPulls,
    /// The manager's Role in its own namespace.
    ManagerNamespace,
    /// The manager's Role in the namespace of the copies of pull secrets.
    ManagerCopies,
    /// The daemon's ClusterRole.
    DaemonCluster,
    /// The daemon's Role in the namespace of the copies of pull secrets.
    DaemonCopies,
}

/// The flags of the manager itself.
#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    /// Where to serve /metrics.
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8080", value_parser = listen)]
    pub(crate) metrics_addr: SocketAddr,

    /// Where to serve /healthz and /readyz.
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8000", value_parser = listen)]
    pub(crate) health_probe_addr: SocketAddr,

    /// Run the controllers only while holding the Lease `kruise-manager`.
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = true, default_missing_value = "true", help_heading = "Leader election")]
    pub(crate) enable_leader_election: bool,

    /// Namespace of the Lease.
    #[arg(
        long,
        value_name = "NAMESPACE",
        default_value = "kruise-system",
        help_heading = "Leader election"
    )]
    pub(crate) leader_election_namespace: String,

    /// Name of the Lease.
    #[arg(
        long,
        value_name = "NAME",
        default_value = LEASE,
        help_heading = "Leader election"
    )]
    pub(crate) leader_election_id: String,

    /// How long a Lease is valid without renewal.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, help_heading = "Leader election")]
    pub(crate) leader_election_lease_duration: Duration,

    /// How long the leader tries to renew before it stops its controllers.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, help_heading = "Leader election")]
    pub(crate) leader_election_renew_deadline: Duration,

    /// Pause between two tries.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration, help_heading = "Leader election")]
    pub(crate) leader_election_retry_period: Duration,

    /// Only look at ImagePullJobs of this namespace; empty is all.
    #[arg(long, value_name = "NAMESPACE", default_value = "")]
    pub(crate) namespace: String,

    /// Namespace for copies of pull secrets, the only one whose Secrets daemons read. It must exist.
    #[arg(
        long,
        env = "KRUISE_DAEMON_CONFIG_NS",
        value_name = "NAMESPACE",
        default_value = DAEMON_CONFIG_NAMESPACE
    )]
    pub(crate) daemon_config_namespace: String,

    /// Features to switch, as `KruiseDaemon=true`.
    #[arg(long, value_name = "LIST", default_value = "")]
    pub(crate) feature_gates: String,

    /// Requests a second to the API server, for each controller; 0 is the default of 30.
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "Limits")]
    pub(crate) rest_config_qps: u32,

    /// Requests at once on top of it; 0 is the default of 50.
    #[arg(long, value_name = "N", default_value_t = 50, help_heading = "Limits")]
    pub(crate) rest_config_burst: u32,

    /// How many ImagePullJobs are worked on at once.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    pub(crate) imagepulljob_workers: u16,

    /// How many NodeImages are worked on at once.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    pub(crate) nodeimage_workers: u16,

    /// How many SidecarSets are worked on at once.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    pub(crate) sidecarset_workers: u16,

    /// How long a node must be Ready before it gets a NodeImage.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration, help_heading = "Limits")]
    pub(crate) nodeimage_creation_delay: Duration,

    /// What becomes of a pod that a SidecarSet selects when the webhook gives no answer. Pods of no set never depend on it.
    #[arg(
        long,
        env = "POD_WEBHOOK_FAILURE_POLICY",
        value_name = "POLICY",
        default_value = "Ignore",
        help_heading = "Webhooks"
    )]
    pub(crate) pod_webhook_failure_policy: FailurePolicy,

    /// How many seconds the API server waits for an answer of any webhook. Without it: 7 for pods, 12 for other objects.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(3..=30), help_heading = "Webhooks")]
    pub(crate) webhook_timeout_seconds: Option<u8>,

    /// Release of OpenKruise whose hashes SidecarSets have: as it was where this program takes over, so that pods stay "updated".
    #[arg(
        long,
        value_name = "RELEASE",
        value_enum,
        default_value = "1.7",
        help_heading = "SidecarSets"
    )]
    pub(crate) sidecarset_hash_form: HashOf,

    /// How long between two looks for pods that lack a sidecar.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, help_heading = "Limits")]
    pub(crate) injection_audit_interval: Duration,

    /// Address that the API server reaches the webhooks by. Empty: through the Service of --webhook-service.
    #[arg(
        long,
        env = "WEBHOOK_HOST",
        value_name = "HOST",
        default_value = "",
        help_heading = "Webhooks"
    )]
    pub(crate) webhook_host: String,

    /// Port the webhooks are served on.
    #[arg(
        long,
        env = "WEBHOOK_PORT",
        value_name = "PORT",
        default_value_t = 9876,
        help_heading = "Webhooks"
    )]
    pub(crate) webhook_port: u16,

    /// Service in front of the webhooks, in --pod-namespace.
    #[arg(
        long,
        env = "SERVICE_NAME",
        value_name = "NAME",
        default_value = "kruise-webhook-service",
        help_heading = "Webhooks"
    )]
    pub(crate) webhook_service: String,

    /// Secret in which the replicas share their certificates, in --pod-namespace.
    #[arg(
        long,
        env = "SECRET_NAME",
        value_name = "NAME",
        default_value = CERTIFICATES,
        help_heading = "Webhooks"
    )]
    pub(crate) webhook_secret: String,

    /// Use the certificates in this folder (ca-cert.pem, tls.crt, tls.key) instead of making them.
    #[arg(long, value_name = "DIR", help_heading = "Webhooks")]
    pub(crate) webhook_cert_dir: Option<PathBuf>,

    /// Namespace this manager runs in.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "kruise-system",
        help_heading = "Webhooks"
    )]
    pub(crate) pod_namespace: String,

    #[command(flatten)]
    pub(crate) log: LogFlags,
}

const WORKLOAD: &str = "that workload is not part of this program";

/// Flags of OpenKruise's manager that this one lacks.
pub(crate) const REFUSED: &[Refused] = &[
    Refused {
        name: "advancedcronjob-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "broadcastjob-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "cloneset-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "daemonset-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "statefulset-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "uniteddeployment-workers",
        why: WORKLOAD,
    },
    Refused {
        name: "assign-bcj-pods-by-scheduler",
        why: WORKLOAD,
    },
    Refused {
        name: "assign-pods-by-scheduler",
        why: WORKLOAD,
    },
    Refused {
        name: "daemonset-extra-allowed-pod-number",
        why: WORKLOAD,
    },
    Refused {
        name: "allow-privileged",
        why: "no controller of this program creates pods",
    },
    Refused {
        name: "rate-limiter-base-delay",
        why: "it tuned workloads that are not part of this program",
    },
    Refused {
        name: "rate-limiter-max-delay",
        why: "it tuned workloads that are not part of this program",
    },
    Refused {
        name: "rate-limiter-qps",
        why: "it tuned workloads that are not part of this program",
    },
    Refused {
        name: "rate-limiter-bucket-size",
        why: "it tuned workloads that are not part of this program",
    },
    Refused {
        name: "expectation-timeout",
        why: "writes that are not seen again are looked up in the API server instead",
    },
    Refused {
        name: "enable-pprof",
        why: "there is no Go profiler in this program",
    },
    Refused {
        name: "pprof-addr",
        why: "there is no Go profiler in this program",
    },
    Refused {
        name: "sync-period",
        why: "caches follow a watch and are not resynchronised by the clock",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["kruise-manager"], args].concat())
    }

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn openkruises_own_arguments_are_understood() {
        let flags = parse(&[
            "--enable-leader-election",
            "--metrics-addr=:8080",
            "--health-probe-addr=:8000",
            "--logtostderr=true",
            "--leader-election-namespace=kruise-system",
            "--v=4",
            "--feature-gates=PodWebhook=false",
        ])
        .unwrap();
        assert!(flags.run.enable_leader_election);
        assert_eq!(flags.run.feature_gates, "PodWebhook=false");
        assert!(
            !parse(&["--enable-leader-election=false"])
                .unwrap()
                .run
                .enable_leader_election
        );
    }

    #[test]
    fn zero_workers_are_refused() {
        assert!(parse(&["--imagepulljob-workers=0"]).is_err());
        assert!(parse(&["--sidecarset-workers=0"]).is_err());
    }

    #[test]
    fn a_timeout_that_the_api_server_would_refuse_is_refused_at_once() {
        let timeout = |text: &str| parse(&[&format!("--webhook-timeout-seconds={text}")]);
        assert_eq!(timeout("30").unwrap().run.webhook_timeout_seconds, Some(30));
        assert!(timeout("31").is_err() && timeout("2").is_err());
    }

    #[test]
    fn the_failure_policy_is_the_users_choice() {
        let policy = |args: &[&str]| parse(args).map(|flags| flags.run.pod_webhook_failure_policy);
        assert_eq!(policy(&[]).unwrap(), FailurePolicy::Ignore);
        assert_eq!(
            policy(&["--pod-webhook-failure-policy=Fail"]).unwrap(),
            FailurePolicy::Fail
        );
        assert!(policy(&["--pod-webhook-failure-policy=fail"]).is_err());
    }
}
