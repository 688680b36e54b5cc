//! The tutorial of the documentation, line by line.

use std::time::Duration;

use kruise_e2e::tutorial::{Step, steps};
use kruise_e2e::{Cluster, PATIENCE, Said};
use tokio::time::{Instant, sleep};

async fn run(cluster: &Cluster, step: &Step) -> anyhow::Result<Said> {
    const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let script = format!("cd \"$0\"; {}", step.command);
    cluster.command("bash", &["-c", &script, ROOT], "").await
}

/// Commands that only look are run until what they show is there, as a person would.
fn only_looks(step: &Step) -> bool {
    step.command.starts_with("kubectl get ")
}

#[tokio::test]
async fn every_line_of_the_tutorial_does_what_it_says() {
    let cluster = Cluster::load().await.unwrap();
    if cluster.var("TARGET").unwrap() != "own" {
        eprintln!("left out: the tutorial's images are in our own cluster's registry");
        return;
    }
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/tutorial.md")).unwrap();
    let steps = steps(&page);
    assert!(steps.len() > 20);
    let begin = Instant::now();
    for step in &steps {
        println!("{:6.1} s  {}", begin.elapsed().as_secs_f64(), step.command);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = run(&cluster, step).await.unwrap();
            let printed = format!("{}\n{}", said.out, said.err);
            if step.matches(printed.trim()) {
                break;
            }
            assert!(
                only_looks(step) && Instant::now() < deadline,
                "docs/tutorial.md:{}: {}\nprinted:\n{printed}",
                step.line,
                step.command
            );
            // A person looks again, too: there is nothing to watch in the output of a command.
            sleep(Duration::from_millis(500)).await;
        }
    }
}
