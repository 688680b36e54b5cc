//! What the end-to-end tests share: the cluster they run on, its commands, namespaces that go away, and waiting by watch.
//!
//! `examples/e2e/run` (or `make e2e`) brings the cluster, the manager and the daemons up and then runs `tests/*.rs`.
//! Nothing here sleeps: a test waits for an object to look as it should, through a watch, with a deadline.
//! Tests run side by side, each in a namespace of its own. One that stops or adds parts of the cluster, or that all nodes matter to,
//! is in a module `alone` and runs alone; so does one that installs the programs anew, in a module `install`.

pub mod archive;
pub mod front;
pub mod rights;
pub mod scale;
pub mod sidecar;
pub mod tutorial;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kruise_core::manager::without_retry;
use kruise_cri::{ClientConfig, Endpoint, ImageService};
use kube_client::{Api, Client, Config, config::KubeConfigOptions};
use kube_core::{ApiResource, DynamicObject, params::DeleteParams, params::PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a test waits for something before it fails. Generous: two cores run the whole cluster.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The cluster under test and its commands.
#[derive(Debug, Clone)]
pub struct Cluster {
    vars: BTreeMap<String, String>,
    examples: PathBuf,
}

/// What a finished command said.
#[derive(Debug)]
pub struct Said {
    /// Whether it exited with 0.
    pub ok: bool,
    /// Its standard output, trimmed.
    pub out: String,
    /// Its standard error, trimmed.
    pub err: String,
}

impl Cluster {
    /// Reads where the running cluster is from `cluster env` (or, with a KUBECONFIG of the user's own, from the environment).
    pub async fn load() -> Result<Self> {
        let examples = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()?;
        let said = Command::new("bash")
            .arg("-c")
            .arg(". \"$0/local/lib/target.sh\" && target_load && env | grep -E '^(KUBECONFIG|PATH|TARGET|CLUSTER_[A-Z_]+)='")
            .arg(&examples)
            .output()
            .await?;
        if !said.status.success() {
            bail!("no cluster to test on: {}", String::from_utf8_lossy(&said.stderr));
        }
        let vars = String::from_utf8(said.stdout)?
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self { vars, examples })
    }

    /// One variable of `cluster env`, such as `CLUSTER_REGISTRY`.
    pub fn var(&self, name: &str) -> Result<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("{name} is not set"))
    }

    /// The names of the nodes, in order.
    pub fn nodes(&self) -> Result<Vec<String>> {
        Ok(self
            .var("CLUSTER_NODES")?
            .split_whitespace()
            .map(str::to_owned)
            .collect())
    }

    /// A full image name in the open registry.
    pub fn image(&self, name: &str) -> Result<String> {
        Ok(format!("{}/{name}", self.var("CLUSTER_REGISTRY")?))
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Result<Client> {
        Ok(Client::try_from(self.config(self.var("KUBECONFIG")?).await?)?)
    }

    /// A client configuration of what a kubeconfig file says.
    pub async fn config(&self, path: &str) -> Result<Config> {
        let file = kube_client::config::Kubeconfig::read_from(path)?;
        Ok(Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?)
    }

    /// The path of a kubeconfig file with a token of a service account, `NAMESPACE/NAME`.
    pub async fn credentials(&self, account: &str) -> Result<String> {
        self.target("target_kubeconfig", &[account]).await
    }

    /// A client with the administrator's rights whose reads have no time limit, for watches, and that tries nothing twice.
    pub async fn watching_client(&self) -> Result<Client> {
        let mut config = self.config(self.var("KUBECONFIG")?).await?;
        config.read_timeout = None;
        Ok(Client::try_from(without_retry(config))?)
    }

    /// Runs a program with the cluster's environment; input may be empty.
    pub async fn command(&self, program: &str, args: &[&str], input: &str) -> Result<Said> {
        let mut child = Command::new(program)
            .args(args)
            .envs(&self.vars)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let mut stdin = child.stdin.take().context("no standard input")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let done = child.wait_with_output().await?;
        Ok(Said {
            ok: done.status.success(),
            out: String::from_utf8_lossy(&done.stdout).trim().to_owned(),
            err: String::from_utf8_lossy(&done.stderr).trim().to_owned(),
        })
    }

    async fn script(&self, script: &str, args: &[&str]) -> Result<String> {
        let path = self.examples.join(script);
        let said = self.command(&path.to_string_lossy(), args, "").await?;
        if !said.ok {
            bail!("{script} {}: {}", args.join(" "), said.err);
        }
        Ok(said.out)
    }

    /// `examples/cluster/cluster ARGS`; its standard output. For tests that run alone.
    pub async fn cluster(&self, args: &[&str]) -> Result<String> {
        ensure_alone(args)?;
        match std::env::var("CLUSTER_BIN") {
            Ok(path) => {
                let said = self.command(&path, args, "").await?;
                if said.ok {
                    Ok(said.out)
                } else {
                    bail!("cluster {}: {}", args.join(" "), said.err)
                }
            }
            Err(_) => self.script("cluster/cluster", args).await,
        }
    }

    /// `examples/local/kruise ARGS`: starts, stops and kills our manager and daemons. For tests that run alone; all may ask for `logs`.
    pub async fn kruise(&self, args: &[&str]) -> Result<String> {
        if !matches!(args, ["logs", ..]) {
            ensure_alone(args)?;
        }
        self.script("local/kruise", args).await
    }

    /// [`Cluster::kruise`] with a variable `NAME=value` of its environment, such as `KRUISE_MANAGER_ARGS=…`.
    pub async fn kruise_with(&self, variable: &str, args: &[&str]) -> Result<String> {
        ensure_alone(args)?;
        let script = self.examples.join("local/kruise");
        let script = script.to_string_lossy();
        let mut all = vec![variable, &script];
        all.extend(args);
        let said = self.command("env", &all, "").await?;
        if !said.ok {
            bail!("kruise {}: {}", args.join(" "), said.err);
        }
        Ok(said.out)
    }

    /// `examples/deploy/kruise ARGS`: the programs as pods. For tests that run alone.
    pub async fn deploy(&self, args: &[&str]) -> Result<String> {
        ensure_alone(args)?;
        self.script("deploy/kruise", args).await
    }

    /// `kubectl ARGS` with a manifest on standard input, successful or not.
    pub async fn kubectl(&self, args: &[&str], input: &str) -> Result<Said> {
        self.command("kubectl", args, input).await
    }

    /// A function of `examples/local/lib/target.sh`, which knows both kinds of cluster; its standard output.
    async fn target(&self, function: &str, args: &[&str]) -> Result<String> {
        const CALL: &str = r#". "$0/local/lib/target.sh" && target_load && "$@""#;
        let examples = self.examples.to_string_lossy();
        let mut all = vec!["-c", CALL, &examples, function];
        all.extend(args);
        let said = self.command("bash", &all, "").await?;
        if !said.ok {
            bail!("{function} {}: {}", args.join(" "), said.err);
        }
        Ok(said.out)
    }

    /// Whether nodes, runtimes and registries may be stopped and added: not on a cluster that the user has named. Says so.
    pub fn may_be_stopped(&self) -> Result<bool> {
        let own = self.var("TARGET")? == "own";
        if !own {
            eprintln!("left out: this test stops or adds parts of the cluster, and this cluster is not ours");
        }
        Ok(own)
    }

    /// Builds and pushes a tiny image; its digest. `options` as `cluster push` takes them.
    pub async fn push(&self, image: &str, options: &[&str]) -> Result<String> {
        let mut args = vec![image];
        args.extend(options);
        self.target("target_push", &args).await
    }

    /// The socket of a node's runtime.
    pub async fn runtime(&self, node: &str) -> Result<Endpoint> {
        let socket = self.target("target_socket", &[node]).await?;
        Ok(Endpoint::parse(&format!("unix://{socket}"))?)
    }

    /// Whether a node's runtime has the image, a name without the registry.
    pub async fn has_image(&self, node: &str, image: &str) -> Result<bool> {
        let client = kruise_cri::Client::connect(&self.runtime(node).await?, ClientConfig::default()).await?;
        Ok(client.image_status(&self.image(image)?).await?.is_some())
    }
}

/// Refuses what would disturb tests that run beside this one. The runner that tells its tests their names runs them side by side.
fn ensure_alone(args: &[&str]) -> Result<()> {
    match std::env::var("NEXTEST_TEST_NAME") {
        Ok(test) if !test.starts_with("alone::") && !test.starts_with("install::") => {
            bail!(
                "{test} does `{}`, so it has to be in a module `alone`",
                args.join(" ")
            )
        }
        _ => Ok(()),
    }
}

/// A namespace of one test; [`TestNamespace::remove`] takes it away.
pub struct TestNamespace {
    /// Its generated name.
    pub name: String,
    client: Client,
}

impl std::fmt::Debug for TestNamespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestNamespace")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl TestNamespace {
    /// Creates `e2e-<random>`.
    pub async fn create(client: &Client) -> Result<Self> {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &core("v1", "Namespace", "namespaces"));
        let object = serde_json::from_value(json!({"metadata": {"generateName": "e2e-"}}))?;
        let made = api.create(&PostParams::default(), &object).await?;
        Ok(Self {
            name: made.metadata.name.context("a namespace without a name")?,
            client: client.clone(),
        })
    }

    /// Asks for its deletion, without waiting for the end of it.
    pub async fn remove(self) -> Result<()> {
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &core("v1", "Namespace", "namespaces"));
        api.delete(&self.name, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// A kind that the API server has built in.
pub fn core(version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: String::new(),
        version: version.into(),
        api_version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
    }
}

/// Any kind of the group `apps.kruise.io/v1alpha1`, as plain JSON.
pub fn kruise_kind(kind: &str) -> ApiResource {
    ApiResource {
        group: "apps.kruise.io".into(),
        version: "v1alpha1".into(),
        api_version: "apps.kruise.io/v1alpha1".into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

/// The ImagePullJobs of a namespace.
pub fn jobs(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &kruise_kind("ImagePullJob"))
}

/// All NodeImages.
pub fn node_images(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &kruise_kind("NodeImage"))
}

/// The status of one (image, tag) on a node, from its NodeImage.
pub fn tag_status<'a>(node_image: &'a Value, image: &str, tag: &str) -> Option<&'a Value> {
    node_image["status"]["imageStatuses"][image]["tags"]
        .as_array()?
        .iter()
        .find(|entry| entry["tag"] == tag)
}

/// Creates an ImagePullJob from its name and spec.
pub async fn create_job(api: &Api<DynamicObject>, name: &str, spec: Value) -> Result<DynamicObject> {
    let object = json!({"apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob", "metadata": {"name": name}, "spec": spec});
    Ok(api
        .create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?)
}

/// Waits, by watch, until the object looks as it should; the object. `None` stands for an object that is not there.
pub async fn until(
    api: &Api<DynamicObject>,
    name: &str,
    what: &str,
    is_so: impl Fn(Option<&Value>) -> bool + Send,
) -> Result<Value> {
    let seen = std::sync::Mutex::new(Value::Null);
    let condition = |object: Option<&DynamicObject>| {
        let value = object.and_then(|object| serde_json::to_value(object).ok());
        let so = is_so(value.as_ref());
        if let Ok(mut last) = seen.lock() {
            *last = value.unwrap_or(Value::Null);
        }
        so
    };
    let wait = kube_runtime::wait::await_condition(api.clone(), name, condition);
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(done) => {
            done?;
            Ok(seen.into_inner().unwrap_or_default())
        }
        Err(_) => bail!(
            "{name}: not {what} after {PATIENCE:?}; last seen: {:#}",
            seen.into_inner().unwrap_or_default()
        ),
    }
}

/// Asks again and again until something is so that no watch of one object shows.
pub async fn eventually<F: Future<Output = Result<bool>>>(what: &str, is_so: impl Fn() -> F) -> Result<()> {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !is_so().await? {
        if tokio::time::Instant::now() > end {
            bail!("not within {PATIENCE:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Waits until a job has a completion time; the job.
pub async fn until_complete(api: &Api<DynamicObject>, name: &str) -> Result<Value> {
    until(api, name, "complete", |job| {
        job.is_some_and(|job| job["status"]["completionTime"].is_string())
    })
    .await
}
