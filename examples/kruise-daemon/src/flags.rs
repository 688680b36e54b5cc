//! The command line, with OpenKruise's names where it has them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use kruise_cri::{Endpoint, EndpointError};
use kruise_imagepull::api::DAEMON_CONFIG_NAMESPACE;
use kruise_support::flags::{Refused, duration, gates_help, listen};
use kruise_support::logging::LogFlags;

/// Pulls images on one node.
///
/// Runs on every node. Watches the NodeImage that is named like the node, pulls what its spec lists through the node's
/// container runtime (CRI v1 or v1alpha2), and reports phases and reasons in its status.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "kruise-daemon",
    version,
    max_term_width = 110,
    after_help = "Examples:\n  \
        In a DaemonSet (NODE_NAME from spec.nodeName, the host's /var/run mounted at /hostvarrun):\n    \
            kruise-daemon --addr=:10221\n  \
        By hand, against the cluster of KUBECONFIG:\n    \
            NODE_NAME=worker-1 kruise-daemon --socket-file /run/containerd/containerd.sock"
)]
pub(crate) struct Flags {
    /// Name of the node this daemon serves; in a pod, from the downward API (spec.nodeName).
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = node_name)]
    pub(crate) node_name: String,

    /// Where to serve /healthz, /readyz and /metrics.
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":10221", value_parser = listen)]
    pub(crate) addr: SocketAddr,

    /// The runtime's socket: an absolute path, unix:///PATH, or a path below --socket-dir such as crio/crio.sock. Without it
    /// the first that answers is taken, under --socket-dir: containerd.sock, containerd/containerd.sock, crio.sock,
    /// crio/crio.sock, cri-dockerd.sock, cri-dockerd/cri-dockerd.sock. It may appear later than this daemon.
    #[arg(long, value_name = "PATH", default_value = "")]
    pub(crate) socket_file: String,

    /// Folder that holds the runtimes' sockets: the host's /var/run as this process sees it.
    #[arg(long, value_name = "DIR", default_value = "/hostvarrun")]
    pub(crate) socket_dir: PathBuf,

    /// Namespace of the copies of pull secrets, the only Secrets this daemon reads.
    #[arg(
        long,
        env = "KRUISE_DAEMON_CONFIG_NS",
        value_name = "NAMESPACE",
        default_value = DAEMON_CONFIG_NAMESPACE
    )]
    pub(crate) daemon_config_namespace: String,

    /// How many images are pulled at once on this node; further ones wait in phase Waiting. -1 is no limit.
    #[arg(long, value_name = "N", default_value_t = 5, allow_negative_numbers = true, value_parser = workers)]
    pub(crate) max_workers_for_pull_image: i32,

    /// How many images are pulled at once from one registry host; further ones wait. -1 is no limit.
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true, value_parser = workers)]
    pub(crate) max_pulls_per_registry: i32,

    /// Spreads the start of pulls over this time after the job asked for them, each node at another moment; at most 5m.
    /// Images that are on the node already do not wait.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(crate) start_jitter: Duration,

    /// No pull starts while less than this part of the images' filesystem is free; 0 to start anyway. The kubelet deletes
    /// unused images at 15 % free.
    #[arg(long, value_name = "PERCENT", default_value_t = 15, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub(crate) min_free_disk_percent: u8,

    /// No pull starts while fewer bytes than this are free on the images' filesystem.
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) min_free_disk_bytes: u64,

    /// Where this process sees the node's filesystem, if not at /: the runtime's folder of images is looked for below it.
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) image_fs_root: PathBuf,

    /// Credential plugins: a CredentialProviderConfig of the kubelet, in YAML or JSON. Without the file there are none.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/kruise/CredentialProviderPlugin.yaml"
    )]
    pub(crate) plugin_config_file: PathBuf,

    /// Folder of the programs that the plugin configuration names.
    #[arg(long, value_name = "DIR", default_value = "/kruise/plugins")]
    pub(crate) plugin_bin_dir: PathBuf,

    /// Features to switch, as the manager has them. With `KruiseDaemon=false` this daemon does nothing but answer /healthz.
    #[arg(long, value_name = "LIST", default_value = "", long_help = feature_gates())]
    pub(crate) feature_gates: String,

    /// Requests a second to the API server; 0 is the default of 5.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rest_config_qps: u32,

    /// Requests at once on top of it; 0 is the default of 10.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rest_config_burst: u32,

    #[command(flatten)]
    pub(crate) log: LogFlags,
}

impl Flags {
    /// Where to look for the runtime, in this order.
    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, EndpointError> {
        let file = self.socket_file.as_str();
        if file.is_empty() {
            return Ok(Endpoint::candidates(&self.socket_dir));
        }
        if file.contains("://") {
            return Ok(vec![Endpoint::parse(file)?]);
        }
        // An absolute path stays as it is.
        Ok(vec![Endpoint::from(self.socket_dir.join(file))])
    }
}

fn feature_gates() -> String {
    format!(
        "{}\n\nWith KruiseDaemon=false this daemon does nothing but answer /healthz; the other gates are the manager's, and \
         are accepted so that both may be given the same list.",
        gates_help()
    )
}

fn node_name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("the name is empty".into())
    } else {
        Ok(text.to_owned())
    }
}

fn workers(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(n) if n == -1 || n > 0 => Ok(n),
        _ => Err("a number from 1 up, or -1 for no limit".into()),
    }
}

const PROFILER: &str = "there is no Go profiler in this program";

/// Flags of OpenKruise's daemon that this one lacks.
pub(crate) const REFUSED: &[Refused] = &[
    Refused::new("enable-pprof", PROFILER),
    Refused::new("pprof-addr", PROFILER),
    Refused::new(
        "max-concurrency",
        "OpenKruise never had it either; use --max-workers-for-pull-image",
    ),
    Refused::new("kubeconfig", "set the environment variable KUBECONFIG instead"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use kruise_support::flags::all_known;

    fn parse(args: &[&str]) -> Result<Flags, clap::Error> {
        Flags::try_parse_from([&["kruise-daemon", "--node-name=n"], args].concat())
    }

    #[test]
    fn the_command_line_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn openkruises_own_arguments_are_understood() {
        let flags = parse(&["--logtostderr=true", "--v=4", "--addr=:10221"]).unwrap();
        assert_eq!(flags.addr.port(), 10221);
        assert_eq!(flags.max_workers_for_pull_image, 5);
    }

    /// All flags of OpenKruise's daemon from 0.8 on, see section 5.1 of the specification of image pulls.
    const OPENKRUISE: &str = "addr=:10221 socket-file= socket-file=crio/crio.sock enable-pprof=true pprof-addr=:10222 \
        feature-gates= plugin-config-file=/a plugin-bin-dir=/b max-workers-for-pull-image=-1 max-concurrency=1 \
        rest-config-qps=0 rest-config-burst=0 logging-format=text \
        add_dir_header=true alsologtostderr=true log_backtrace_at=:0 log_dir=/log log_file=/log/a log_file_max_size=1 \
        logtostderr=true one_output=true skip_headers=true skip_log_headers=true stderrthreshold=2 v=4 vmodule=a=1";

    #[test]
    fn each_flag_of_openkruise_is_understood_or_refused_with_a_reason() {
        assert_eq!(
            all_known(OPENKRUISE, REFUSED, |flag| parse(&[flag]).is_ok()),
            Ok(())
        );
    }

    #[test]
    fn a_socket_is_named_by_a_path_a_url_or_below_the_folder_of_sockets() {
        let found = |file: &str| {
            let flags = parse(&["--socket-dir=/var/run", &format!("--socket-file={file}")]).unwrap();
            flags.endpoints().map(|found| match found.as_slice() {
                [one] => one.to_string(),
                many => format!("{} sockets", many.len()),
            })
        };
        assert_eq!(found("crio/crio.sock").unwrap(), "unix:///var/run/crio/crio.sock");
        assert_eq!(
            found("/run/k3s/containerd.sock").unwrap(),
            "unix:///run/k3s/containerd.sock"
        );
        assert_eq!(found("unix:///run/x.sock").unwrap(), "unix:///run/x.sock");
        assert_eq!(found("").unwrap(), "6 sockets");
        assert!(found("tcp://127.0.0.1:1").is_err());
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
    fn a_limit_of_zero_workers_is_refused() {
        assert!(parse(&["--max-workers-for-pull-image=0"]).is_err());
        assert_eq!(
            parse(&["--max-workers-for-pull-image=-1"])
                .unwrap()
                .max_workers_for_pull_image,
            -1
        );
    }

    #[test]
    fn limits_of_the_disk_the_start_and_registries_are_checked() {
        let flags = parse(&[
            "--start-jitter=90s",
            "--max-pulls-per-registry=2",
            "--min-free-disk-percent=0",
        ])
        .unwrap();
        assert_eq!(
            (flags.start_jitter.as_secs(), flags.max_pulls_per_registry),
            (90, 2)
        );
        assert!(parse(&["--min-free-disk-percent=100"]).is_err());
        assert!(parse(&["--max-pulls-per-registry=0"]).is_err());
        assert!(parse(&["--start-jitter=soon"]).is_err());
    }

    #[test]
    fn plugins_lie_where_openkruises_chart_puts_them() {
        let flags = parse(&[]).unwrap();
        assert_eq!(
            flags.plugin_config_file.to_str(),
            Some("/kruise/CredentialProviderPlugin.yaml")
        );
        assert_eq!(flags.plugin_bin_dir.to_str(), Some("/kruise/plugins"));
    }

    #[test]
    fn an_empty_node_name_is_refused() {
        assert!(Flags::try_parse_from(["kruise-daemon", "--node-name="]).is_err());
    }
}
