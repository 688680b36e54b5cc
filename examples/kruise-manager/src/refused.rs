//! Flags of OpenKruise's manager that this one lacks, so that they are refused by name and with a reason.

use kruise_support::flags::Refused;

const WORKLOAD: &str = "that workload is not part of this program";
const FEATURE: &str = "that feature is not part of this program";
const RATE: &str = "it tuned workloads that are not part of this program";
const PROFILER: &str = "there is no Go profiler in this program";

pub(crate) const REFUSED: &[Refused] = &[
    Refused::new("advancedcronjob-workers", WORKLOAD),
    Refused::new("broadcastjob-workers", WORKLOAD),
    Refused::new("cloneset-workers", WORKLOAD),
    Refused::new("daemonset-workers", WORKLOAD),
    Refused::new("statefulset-workers", WORKLOAD),
    Refused::new("uniteddeployment-workers", WORKLOAD),
    Refused::new("assign-bcj-pods-by-scheduler", WORKLOAD),
    Refused::new("assign-pods-by-scheduler", WORKLOAD),
    Refused::new("daemonset-extra-allowed-pod-number", WORKLOAD),
    Refused::new("cloneset-scaling-exclude-preparing-delete", WORKLOAD),
    Refused::new("crr-workers", FEATURE),
    Refused::new("nodepodprobe-workers", FEATURE),
    Refused::new("persistentpodstate-workers", FEATURE),
    Refused::new("podprobemarker-workers", FEATURE),
    Refused::new("podunavailablebudget-workers", FEATURE),
    Refused::new("resourcedistribution-workers", FEATURE),
    Refused::new("sidecarterminator-workers", FEATURE),
    Refused::new("workloadspread-workers", FEATURE),
    Refused::new("ws-enabled-versioned-status", FEATURE),
    Refused::new("protection-log-path", FEATURE),
    Refused::new("rate-limiter-base-delay", RATE),
    Refused::new("rate-limiter-max-delay", RATE),
    Refused::new("rate-limiter-qps", RATE),
    Refused::new("rate-limiter-bucket-size", RATE),
    Refused::new("enable-pprof", PROFILER),
    Refused::new("pprof-addr", PROFILER),
    Refused::new("allow-privileged", "no controller of this program creates pods"),
    Refused::new(
        "expectation-timeout",
        "writes that are not seen again are looked up in the API server instead",
    ),
    Refused::new(
        "sync-period",
        "caches follow a watch and are not resynchronised by the clock",
    ),
    Refused::new(
        "webhook-initialize-timeout",
        "/readyz fails until the webhooks are ready, so the readiness probe decides how long to wait",
    ),
    Refused::new("disable-no-deepcopy", "nothing is copied deeply here"),
    Refused::new("kubeconfig", "set the environment variable KUBECONFIG instead"),
];
