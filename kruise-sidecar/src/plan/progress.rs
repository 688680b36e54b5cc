//! Whether a container runs what its pod's spec says.
//!
//! Nodes report images by whatever name they know them, and two tags may be one image, so neither the name nor the id
//! of an image tells whether an upgrade has happened. What does is the container: a node restarts it whenever the
//! text of its image changes. So an upgrade records the id of the container that ran before.

use jiff::Timestamp;
use kruise_core::runtime::{SlimContainer, SlimContainerStatus};

use crate::api::LastStatus;
use crate::api::image::ImageRef;

/// Whether an upgrade of a container is over, as seen from its status. `upgraded` is when the pod was last upgraded,
/// which is looked at only where the container was not recorded, as OpenKruise does not.
pub(super) fn is_over(
    container: &SlimContainer,
    status: &SlimContainerStatus,
    before: &LastStatus,
    upgraded: Option<Timestamp>,
) -> bool {
    let running = status.container_id.as_deref().unwrap_or_default();
    match before.container_id.as_deref() {
        Some("") if !running.is_empty() => return true,
        // A node may report another id of the image without a restart.
        Some(ran) if !ran.is_empty() && !running.is_empty() => return running != ran,
        _ if status.image_id.as_ref() != before.image_id => return true,
        Some(ran) if !ran.is_empty() => return true,
        // Nothing is known of containers: OpenKruise made the upgrade, or the node does not name them.
        _ => {}
    }
    let same_image = ImageRef::parse(&container.image).same_image(&ImageRef::parse(&status.image));
    let since = status.running_since.zip(upgraded);
    same_image || since.is_some_and(|(since, upgraded)| since > upgraded)
}

/// Whether a container whose image is given by digest runs another one, or the node does not say which. The name beside
/// the digest does not count: it is the same image under each.
pub(super) fn digest_differs(container: &SlimContainer, status: Option<&SlimContainerStatus>) -> bool {
    ImageRef::parse(&container.image).digest.is_some_and(|wanted| {
        let id = status.map_or("", |status| &status.image_id);
        ImageRef::parse(id).digest != Some(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(image: &str) -> SlimContainer {
        serde_json::from_value(serde_json::json!({"name": "c", "image": image})).expect("a container")
    }

    fn status(image: &str, image_id: &str, container_id: &str) -> SlimContainerStatus {
        serde_json::from_value(serde_json::json!({
            "name": "c", "image": image, "imageID": image_id, "containerID": container_id, "ready": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2026-01-01T10:00:00Z"}},
        }))
        .expect("a status")
    }

    fn before(image_id: &str, container_id: Option<&str>) -> LastStatus {
        LastStatus {
            image_id: image_id.into(),
            container_id: container_id.map(Into::into),
            ..LastStatus::default()
        }
    }

    /// As OpenKruise recorded it, and as we do.
    fn over(spec: &str, status: &SlimContainerStatus, before: &LastStatus) -> bool {
        is_over(&container(spec), status, before, None)
    }

    #[test]
    fn examples_c3_to_c6_without_a_recorded_container() {
        let x = before("X", None);
        assert!(!over("a:v2", &status("a:v1", "X", "1"), &x), "C-3");
        assert!(over("a:v2", &status("a:v2", "X", "1"), &x), "C-4");
        assert!(over("a:v2", &status("a:v1", "Y", "1"), &x), "C-5");
        assert!(over("a:v2", &status("a:v2", "", ""), &x), "C-6");
    }

    #[test]
    fn kruise_635_a_new_tag_of_the_same_image_is_over_when_the_container_is_another() {
        let x = before("X", Some("containerd://1"));
        // containerd may go on to report the old tag.
        assert!(!over("a:v2", &status("a:v1", "X", "containerd://1"), &x));
        assert!(over("a:v2", &status("a:v1", "X", "containerd://2"), &x));
        assert!(over("a:v2", &status("a:v2", "Y", "containerd://2"), &x));
    }

    #[test]
    fn where_both_containers_are_known_they_alone_decide() {
        let x = before("X", Some("containerd://1"));
        assert!(!over("a:v2", &status("a:v1", "Y", "containerd://1"), &x));
        assert!(over("a:v2", &status("a:v1", "X", "containerd://2"), &x));
        assert!(over("a:v2", &status("a:v2", "X", ""), &x), "none runs any more");
    }

    #[test]
    fn kruise_2297_another_name_of_the_same_image_is_not_over_before_the_restart() {
        let x = before("X", Some("containerd://1"));
        let full = "docker.io/library/nginx:alpine";
        assert!(!over("nginx:alpine", &status(full, "X", "containerd://1"), &x));
        assert!(over("nginx:alpine", &status(full, "X", "containerd://2"), &x));
        // OpenKruise has recorded nothing that could tell; it is not to wait for ever.
        assert!(over(
            "nginx:alpine",
            &status(full, "X", "containerd://1"),
            &before("X", None)
        ));
    }

    #[test]
    fn kruise_1493_an_upgrade_by_openkruise_is_over_when_the_container_started_after_it() {
        let at = |text: &str| text.parse::<Timestamp>().ok();
        let stuck = status("a:v1", "X", "1");
        let over = |upgraded| is_over(&container("a:v2"), &stuck, &before("X", None), upgraded);
        assert!(over(at("2026-01-01T09:59:59Z")));
        assert!(!over(at("2026-01-01T10:00:00Z")));
        assert!(!over(None));
    }

    #[test]
    fn a_container_that_did_not_run_before_is_over_when_it_runs() {
        let nothing = before("", Some(""));
        assert!(over("a:v2", &status("a:v1", "", "containerd://1"), &nothing));
        assert!(!over("a:v2", &status("a:v1", "", ""), &nothing));
        assert!(over("a:v2", &status("a:v2", "", ""), &nothing));
    }

    #[test]
    fn examples_c8_and_c9_digests_are_compared_whatever_the_name() {
        let differs = |spec: &str, id: Option<&str>| {
            digest_differs(&container(spec), id.map(|id| status("", id, "1")).as_ref())
        };
        assert!(
            !differs("repo@sha256:d", Some("docker-pullable://repo@sha256:d")),
            "C-8"
        );
        assert!(
            !differs("busybox@sha256:d", Some("docker.io/library/busybox@sha256:d")),
            "C-9"
        );
        assert!(!differs(
            "mirror.example/busybox@sha256:d",
            Some("docker.io/library/busybox@sha256:d")
        ));
        assert!(differs("repo@sha256:d", Some("repo@sha256:e")));
        assert!(differs("repo@sha256:d", None));
        assert!(differs("repo@sha256:d", Some("")));
        assert!(!differs("repo:v1", Some("repo@sha256:e")));
    }
}
