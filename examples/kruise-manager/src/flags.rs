//! The command line, with OpenKruise's names where it has them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use kruise_core::gates::GateRegistry;
use kruise_core::webhook::OnFailure;
use kruise_imagepull::api::DAEMON_CONFIG_NAMESPACE;
use kruise_sidecar::api::HashForm;
use kruise_sidecar::inject::Refusal;
use kruise_support::flags::{duration, gates_help, listen};
use kruise_support::logging::LogFlags;

use crate::certificates::days;

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

/// The gates of the group, with the default that the environment gives.
pub(crate) fn gate_registry() -> GateRegistry {
    let kinds = std::env::var("CUSTOM_RESOURCE_ENABLE").ok();
    GateRegistry::kruise().custom_resource_enable(kinds.as_deref())
}

/// The only kind of lock there is.
fn leases(text: &str) -> Result<String, String> {
    match text {
        "leases" => Ok(text.to_owned()),
        _ => Err("the lock is always a Lease; write leases, or leave the flag out".into()),
    }
}

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

/// What becomes of a pod that a set cannot be injected into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Uninjectable {
    /// It is refused.
    Deny,
    /// It is created without that set.
    Skip,
}

impl From<Uninjectable> for Refusal {
    fn from(policy: Uninjectable) -> Self {
        match policy {
            Uninjectable::Deny => Self::Deny,
            Uninjectable::Skip => Self::Skip,
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
    /// Take the converter that a manager with these flags has announced out of the CustomResourceDefinition, after it was
    /// uninstalled: SidecarSets are then readable as v1alpha1, without a manager.
    Withdraw {
        #[command(flatten)]
        reach: Reach,
        #[command(flatten)]
        log: LogFlags,
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
    /// The ClusterRole of `withdraw`.
    Withdrawal,
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

    /// What the lock is: `leases`, accepted because OpenKruise's manifests may pass it.
    #[arg(long, value_name = "KIND", default_value = "leases", value_parser = leases, help_heading = "Leader election")]
    pub(crate) leader_election_resource_lock: String,

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
    #[arg(long, value_name = "LIST", default_value = "", long_help = gates_help())]
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

    /// Seconds that finished tasks of a job outlive its own time to live, at most 31 days.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=2_678_400), help_heading = "Limits")]
    pub(crate) default_ttlseconds_for_always_nodeimage: u32,

    /// How long caches may take for their first list; then the program ends with an error.
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration, help_heading = "Limits")]
    pub(crate) controller_cache_sync_timeout: Duration,

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

    /// What becomes of a pod that a SidecarSet selects but cannot be injected into, because a name is taken or the set is
    /// wrong. Those that are created without it are told by an Event on the set.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "Deny",
        help_heading = "SidecarSets"
    )]
    pub(crate) uninjectable_pods: Uninjectable,

    /// How long between two looks for pods that lack a sidecar.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, help_heading = "Limits")]
    pub(crate) injection_audit_interval: Duration,

    #[command(flatten)]
    pub(crate) reach: Reach,

    /// Secret in which the replicas share their certificates, in --pod-namespace.
    #[arg(
        long,
        env = "SECRET_NAME",
        value_name = "NAME",
        default_value = CERTIFICATES,
        help_heading = "Webhooks"
    )]
    pub(crate) webhook_secret: String,

    /// Use the certificates in this folder instead of making them: tls.crt, tls.key, and ca.crt or ca-cert.pem. Also
    /// WEBHOOK_CERT_DIR, if WEBHOOK_CERT_WRITER is `external`.
    #[arg(long, value_name = "DIR", help_heading = "Webhooks")]
    pub(crate) webhook_cert_dir: Option<PathBuf>,

    /// How long before its end a certificate that this program made is replaced, as `180d`, `6m` or `1y`.
    #[arg(long, env = "CERTS_RENEW_BEFORE", value_name = "TIME", default_value = "180d", value_parser = days, help_heading = "Webhooks")]
    pub(crate) webhook_certs_renew_before: Duration,

    #[command(flatten)]
    pub(crate) log: LogFlags,
}

/// How the API server reaches the webhooks.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reach {
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

    /// Service through which the API server asks for conversions of SidecarSets, in --pod-namespace. It must also reach
    /// managers that are not ready yet (`publishNotReadyAddresses`), since they cannot read sets without the answer. Empty:
    /// the Service of --webhook-service.
    #[arg(long, value_name = "NAME", default_value = "", help_heading = "Webhooks")]
    pub(crate) conversion_service: String,

    /// Namespace this manager runs in.
    #[arg(
        long,
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "kruise-system",
        help_heading = "Webhooks"
    )]
    pub(crate) pod_namespace: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refused::REFUSED;
    use clap::CommandFactory;
    use kruise_support::flags::all_known;

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

    /// All flags of OpenKruise's manager from 0.8 on, see section 6.1 of the specification of image pulls.
    const OPENKRUISE: &str = "metrics-addr=:8080 health-probe-addr=:8000 allow-privileged=true enable-leader-election=true \
        leader-election-namespace=kruise-system namespace= enable-pprof=false pprof-addr=:8090 rest-config-qps=30 \
        rest-config-burst=50 feature-gates= expectation-timeout=5m rate-limiter-base-delay=5ms rate-limiter-max-delay=1000s \
        rate-limiter-qps=10 rate-limiter-bucket-size=100 advancedcronjob-workers=3 broadcastjob-workers=3 cloneset-workers=3 \
        daemonset-workers=3 imagepulljob-workers=3 nodeimage-workers=3 sidecarset-workers=3 statefulset-workers=3 \
        uniteddeployment-workers=3 assign-bcj-pods-by-scheduler=true assign-pods-by-scheduler=true \
        daemonset-extra-allowed-pod-number=0 sync-period= leader-election-lease-duration=15s \
        leader-election-renew-deadline=10s leader-election-retry-period=2s leader-election-resource-lock=leases \
        leader-election-id=kruise-manager controller-cache-sync-timeout=2m webhook-initialize-timeout=60s \
        default-ttlseconds-for-always-nodeimage=300 nodeimage-creation-delay=30s logging-format=text disable-no-deepcopy=false \
        protection-log-path=/log ws-enabled-versioned-status=true cloneset-scaling-exclude-preparing-delete=false crr-workers=3 \
        nodepodprobe-workers=3 persistentpodstate-workers=3 podprobemarker-workers=3 podunavailablebudget-workers=3 \
        resourcedistribution-workers=3 sidecarterminator-workers=3 workloadspread-workers=3 \
        add_dir_header=true alsologtostderr=true log_backtrace_at=:0 log_dir=/log log_file=/log/a log_file_max_size=1 \
        logtostderr=true one_output=true skip_headers=true skip_log_headers=true stderrthreshold=2 v=4 vmodule=a=1";

    #[test]
    fn each_flag_of_openkruise_is_understood_or_refused_with_a_reason() {
        let known = all_known(OPENKRUISE, REFUSED, |flag| parse(&[flag]).is_ok());
        assert_eq!(known, Ok(()));
        assert!(parse(&["--leader-election-resource-lock=configmaps"]).is_err());
    }

    #[test]
    fn help_lists_the_gates() {
        let help = Flags::command().render_long_help().to_string();
        assert!(
            help.contains("KruiseDaemon=true|false (BETA - default=true)"),
            "{help}"
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
