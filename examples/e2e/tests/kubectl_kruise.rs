//! The kubectl plugin as a process, against a real API server.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use kruise_e2e::sidecar::{Scene, image_of, scene};
use kruise_e2e::{PATIENCE, Said};
use kube_core::params::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::timeout;

/// The program, beside the manager and the daemon.
fn program() -> PathBuf {
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/debug");
    let folder = std::env::var_os("KRUISE_BIN").unwrap_or_else(|| built.into());
    PathBuf::from(folder).join("kubectl-kruise")
}

/// Runs a command line in the namespace of the scene.
async fn kruise(scene: &Scene, line: &str) -> Result<Said> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["-n", &scene.space]);
    scene
        .cluster
        .command(&program().to_string_lossy(), &words, "")
        .await
}

/// The same for a command that has to succeed; its standard output.
async fn printed(scene: &Scene, line: &str) -> Result<String> {
    let said = kruise(scene, line).await?;
    ensure!(said.ok, "{line}: {said:?}");
    Ok(said.out)
}

#[tokio::test]
async fn a_pull_ends_well_with_an_image_that_exists_and_groups_the_errors_of_one_that_does_not() -> Result<()>
{
    scene(async |scene| {
        let nodes = scene.cluster.nodes()?.len();
        scene.push(&["plugin:v1"]).await?;
        let image = scene.image("plugin:v1")?;
        let out = printed(scene, &format!("pull {image} --parallelism 5 --rm")).await?;
        ensure!(out.contains(&format!("{image}: pulled on {nodes} node")), "{out}");
        ensure!(out.contains("\" deleted"), "{out}");
        let missing = scene.image("plugin:none")?;
        let line = format!("pull {missing} --parallelism 5 --backoff-limit 0 --name none");
        let said = kruise(scene, &line).await?;
        ensure!(!said.ok, "{said:?}");
        let text = format!("error: {missing}: pulled on 0 of {nodes} node");
        ensure!(said.err.starts_with(&text), "{said:?}");
        // One line for all nodes.
        let group = said.err.lines().nth(1).unwrap_or_default();
        ensure!(
            group.starts_with(&format!("  {nodes} node")) && group.contains("not found"),
            "{said:?}"
        );
        let names = printed(scene, "get ipj -o name").await?;
        ensure!(names == "imagepulljob.apps.kruise.io/none", "{names}");
        let row = "get ipj -o custom-columns=NAME:.metadata.name,FAILED:.status.failed --no-headers";
        let row = printed(scene, row).await?;
        let cells: Vec<&str> = row.split_whitespace().collect();
        ensure!(cells == ["none", &nodes.to_string()], "{row}");
        Ok(())
    })
    .await
}

/// The next line with these words.
async fn line_with(lines: &mut Lines<BufReader<ChildStdout>>, words: &str) -> Result<String> {
    let found = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(words) {
                return Ok(line);
            }
        }
        bail!("it ended before it printed {words}")
    };
    timeout(PATIENCE, found)
        .await
        .with_context(|| format!("not printed: {words}"))?
}

#[tokio::test]
async fn a_watch_prints_a_row_for_each_change() -> Result<()> {
    scene(async |scene| {
        let spec = json!({"containers": [scene.container("shipper", "side:v1")?]});
        scene.create_set("logs", spec).await?;
        let name = scene.name("logs");
        let mut child = Command::new(program())
            .args(["get", "scs", &name, "-w", "--show-labels"])
            .env("KUBECONFIG", scene.cluster.var("KUBECONFIG")?)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("piped")?).lines();
        let headers = line_with(&mut lines, "NAME").await?;
        ensure!(
            headers.contains("MATCHED") && headers.ends_with("LABELS"),
            "{headers}"
        );
        for step in ["step=1", "step=2", "step=3"] {
            let number = step.trim_start_matches("step=");
            let patch = Patch::Merge(json!({"metadata": {"labels": {"step": number}}}));
            scene.sets().patch(&name, &PatchParams::default(), &patch).await?;
            let row = line_with(&mut lines, step).await?;
            ensure!(row.starts_with(&name), "{row}");
        }
        child.kill().await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_rollout_is_explained_followed_paused_resumed_and_undone() -> Result<()> {
    scene(async |scene| {
        scene.push(&["app:v1", "side:v1", "side:v2"]).await?;
        let spec = json!({"containers": [scene.container("shipper", "side:v1")?]});
        scene.create_set("logs", spec).await?;
        scene.deploy(2).await?;
        let name = scene.name("logs");
        let follow = format!("rollout status sidecarset/{name} --timeout=100s");
        let done = format!("sidecarset \"{name}\" successfully rolled out");
        ensure!(printed(scene, &follow).await?.ends_with(&done));

        printed(scene, &format!("rollout pause scs/{name}")).await?;
        scene.upgrade("logs", "side:v2").await?;
        let explain = format!("explain scs {name} -o json");
        let told: Value = serde_json::from_str(&printed(scene, &explain).await?)?;
        let verdicts: Vec<&Value> = told["pods"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pod| &pod["verdict"])
            .collect();
        ensure!(verdicts == ["Paused", "Paused"], "{told:#}");
        let again = kruise(scene, &format!("rollout pause scs/{name}")).await?;
        ensure!(!again.ok && again.err.ends_with("is already paused"), "{again:?}");

        printed(scene, &format!("rollout resume scs/{name}")).await?;
        let out = printed(scene, &follow).await?;
        ensure!(out.starts_with("Waiting for ") && out.ends_with(&done), "{out}");
        let history = printed(scene, &format!("rollout history scs/{name}")).await?;
        ensure!(history.contains("\n2*  "), "{history}");
        let other = kruise(scene, &format!("{follow} --revision=1")).await?;
        ensure!(
            !other.ok && other.err.contains("different from the running revision (2)"),
            "{other:?}"
        );

        let out = printed(scene, &format!("rollout undo scs/{name}")).await?;
        ensure!(out.ends_with("rolled back to revision 1"), "{out}");
        ensure!(printed(scene, &follow).await?.ends_with(&done));
        let image = scene.image("side:v1")?;
        let pods = scene.list().await?;
        ensure!(
            pods.values().all(|pod| image_of(pod, "shipper") == image),
            "{pods:#?}"
        );

        // As the script of a shell asks.
        let program = program();
        let asked = [
            "KUBECTL_KRUISE_COMPLETE=fish",
            &program.to_string_lossy(),
            "--",
            "kubectl-kruise",
            "explain",
            "scs",
            &scene.space,
        ];
        let offered = scene.cluster.command("env", &asked, "").await?;
        ensure!(offered.out == name, "{offered:?}");
        Ok(())
    })
    .await
}
