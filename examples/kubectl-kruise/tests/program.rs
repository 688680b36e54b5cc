//! The program as a process: exit codes, and where it prints.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const DUMP: &str = "
apiVersion: apps.kruise.io/v1alpha1
kind: SidecarSet
metadata: {name: logs}
spec:
  selector: {matchLabels: {app: web}}
  containers: [{name: agent, image: 'agent:2'}]
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web}}
";

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-kruise"));
    command
        .args(line.split_whitespace())
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", "/nonexistent");
    command
}

fn run(line: &str) -> (Option<i32>, String, String) {
    read(program(line).output().expect("it starts"))
}

fn read(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_dump_is_explained_without_a_cluster_from_a_file_and_from_standard_input() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(DUMP.as_bytes()).expect("written");
    let (code, out, _) = run(&format!("explain sidecarset logs -f {}", file.path().display()));
    assert_eq!(code, Some(0));
    assert!(out.contains("web-1") && out.contains("not injected"), "{out}");
    assert!(!out.contains('\x1b'), "no colours into a pipe");
    let mut child = program("explain scs/logs -f - -o json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(DUMP.as_bytes())
        .expect("written");
    let (code, out, _) = read(child.wait_with_output().expect("it ends"));
    assert_eq!(code, Some(0));
    assert!(
        out.starts_with("{\n    \"otherPods\": 0,") && out.contains("\"set\": \"logs\""),
        "{out}"
    );
}

#[test]
fn errors_are_exit_code_1_and_go_to_standard_error() {
    for (line, says) in [
        (
            "explain scs logs -f /nonexistent/file",
            "error: reading /nonexistent/file: No such file",
        ),
        ("rollout status scs/logs", "error: no cluster to talk to: "),
        (
            "get ipj --kubeconfig /nonexistent/config",
            "error: no cluster to talk to: ",
        ),
        ("rollout undo scs/logs --to-revision=-1", "error: invalid value"),
        ("nonsense", "error: unrecognized subcommand"),
        ("pull", "error: the following required arguments"),
        ("get ipj -o xml", "the formats are: wide, json, yaml, name"),
    ] {
        let (code, out, err) = run(line);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{line}");
        assert!(err.contains(says), "{line}: {err}");
    }
}

#[test]
fn a_cluster_that_does_not_answer_is_told_with_what_to_do() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let config = "{apiVersion: v1, kind: Config, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], \
        contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}], current-context: c}";
    file.write_all(config.as_bytes()).expect("written");
    let (code, _, err) = run(&format!("get scs --kubeconfig {}", file.path().display()));
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the API server does not answer") && err.contains("--context"),
        "{err}"
    );
    let (_, _, err) = run(&format!(
        "get scs --context other --kubeconfig {}",
        file.path().display()
    ));
    assert!(err.contains("kubectl config get-contexts"), "{err}");
}

#[test]
fn help_teaches_and_versions_and_completions_need_no_cluster() {
    for (line, says) in [
        ("--help", "kubectl kruise explain sidecarset logs"),
        ("explain --help", "--readmit"),
        ("pull --help", "Ctrl-C leaves the job running"),
        ("rollout status --help", "Exit code 0"),
        ("version --client", "Client Version: v"),
        ("version --client -o json", "\"clientVersion\""),
        ("pull nginx --dry-run -o yaml", "kind: ImagePullJob"),
        ("completion bash", "kubectl-kruise"),
        ("completion zsh", "#compdef kubectl-kruise"),
        ("completion fish", "--command kubectl-kruise"),
        ("completion powershell", "Register-ArgumentCompleter"),
    ] {
        let (code, out, err) = run(line);
        assert_eq!(code, Some(0), "{line}: {err}");
        assert!(out.contains(says), "{line}: {out}");
    }
}
