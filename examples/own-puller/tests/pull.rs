//! Against a runtime on a socket that does as it is told.

use kruise_cri::testing::FakeRuntime;
use kruise_cri::{ClientConfig, Endpoint, Runtime};
use kruise_own_puller::{Done, keep};

#[tokio::test]
async fn what_is_missing_is_pulled_and_what_can_not_be_is_told() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let fake = FakeRuntime::start(folder.path().join("containerd.sock"))?;
    fake.publish("docker.io/library/nginx:1.27");
    let runtime = Runtime::new(Endpoint::candidates(folder.path()), ClientConfig::default());
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
