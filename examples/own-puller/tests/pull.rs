//! Against runtimes that do as they are told: one on a socket, and one that only fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use kruise_cri::testing::FakeRuntime;
use kruise_cri::{
    ClientConfig, Endpoint, Error, ErrorKind, FilesystemUsage, Image, ImageService, PullRequest, Runtime,
};
use kruise_own_puller::{Done, keep};

#[tokio::test]
async fn what_is_missing_is_pulled_and_what_can_not_be_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let fake = FakeRuntime::start(folder.path().join("containerd.sock"))?;
    fake.publish("docker.io/library/nginx:1.27");
    let runtime = Runtime::new(Endpoint::candidates(folder.path()), ClientConfig::default())?;
    let images = ["nginx:1.27", "nobody/pushed:this", "NOT A REFERENCE"].map(str::to_owned);
    for (round, expected) in [(1, "Pulled"), (2, "Present")] {
        let mut done = keep(&runtime, &images).await;
        done.sort_by_key(|(image, _)| images.iter().position(|listed| listed == image));
        let [(_, nginx), (_, missing), (_, wrong)] = done.as_slice() else {
            panic!("{done:?}");
        };
        assert_eq!(format!("{nginx:?}"), expected, "round {round}");
        assert!(
            matches!(missing, Done::Failed(why) if why.contains("not found")),
            "{missing:?}"
        );
        assert!(matches!(wrong, Done::Failed(_)), "{wrong:?}");
    }
    Ok(())
}

/// Fails each pull as `fails` says of its number, counted from 0; `None` succeeds.
struct Failing<F> {
    pulls: AtomicUsize,
    fails: F,
}

#[async_trait]
impl<F: Fn(usize) -> Option<ErrorKind> + Send + Sync> ImageService for Failing<F> {
    async fn list_images(&self, _: Option<&str>) -> Result<Vec<Image>, Error> {
        Ok(Vec::new())
    }

    async fn image_status(&self, _: &str) -> Result<Option<Image>, Error> {
        Ok(None)
    }

    async fn pull_image(&self, _: PullRequest) -> Result<String, Error> {
        let number = self.pulls.fetch_add(1, Ordering::Relaxed);
        match (self.fails)(number) {
            None => Ok("sha256:0".to_owned()),
            Some(kind) => Err(Error {
                call: "PullImage",
                kind,
                message: String::new(),
            }),
        }
    }

    async fn remove_image(&self, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        Ok(Vec::new())
    }
}

/// What becomes of one image, and after how many pulls.
async fn outcome(fails: impl Fn(usize) -> Option<ErrorKind> + Send + Sync) -> (String, usize) {
    let runtime = Failing {
        pulls: AtomicUsize::new(0),
        fails,
    };
    let done = keep(&runtime, &["nginx:1.27".to_owned()]).await;
    let (_, done) = done.into_iter().next().expect("one image, one outcome");
    (format!("{done:?}"), runtime.pulls.into_inner())
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_away_costs_no_attempt_and_is_not_waited_for_without_end() {
    // Away a hundred times, then four failures, which are one fewer than there are attempts.
    let (done, pulls) = outcome(|number| match number {
        0..100 => Some(ErrorKind::RuntimeUnavailable),
        100..104 => Some(ErrorKind::Other),
        _ => None,
    })
    .await;
    assert_eq!((done.as_str(), pulls), ("Pulled", 105));
    let (done, pulls) = outcome(|_| Some(ErrorKind::Other)).await;
    assert!(done.starts_with("Failed") && pulls == 5, "{done} after {pulls}");
    let (done, pulls) = outcome(|_| Some(ErrorKind::RuntimeUnavailable)).await;
    assert!(done.starts_with("Failed") && pulls == 300, "{done} after {pulls}");
}
