//! Hot upgrade: of two containers, the idle one gets the new image and takes over.

use crate::plan::target::HotSidecar;
use crate::plan::{SidecarPod, Target, TargetSidecar};

/// The two containers of a sidecar in a pod.
pub(crate) struct Pair<'p> {
    /// The one that works.
    pub(crate) working: &'p str,
    /// The other one.
    pub(crate) idle: &'p str,
}

/// Which container of a sidecar works. A pod that names neither has the first one work.
pub(crate) fn pair<'p>(sidecar: &TargetSidecar, hot: &'p HotSidecar, pod: &SidecarPod) -> Pair<'p> {
    let [first, second] = &hot.containers;
    if pod.working(&sidecar.name) == Some(second) {
        Pair {
            working: second,
            idle: first,
        }
    } else {
        Pair {
            working: first,
            idle: second,
        }
    }
}

/// Whether all idle containers run the empty image, without which a pod does not count as ready.
pub(super) fn idle_are_empty(target: &Target, pod: &SidecarPod) -> bool {
    target.hot().all(|(sidecar, hot)| {
        let idle = pair(sidecar, hot, pod).idle;
        image(pod, idle) == Some(&*hot.empty_image)
    })
}

/// Whether the idle containers of a pod are to get the empty image: some do not have it, and those that work have been
/// upgraded and are ready.
pub(super) fn wants_reset(target: &Target, pod: &SidecarPod) -> bool {
    if idle_are_empty(target, pod) {
        return false;
    }
    let idle: Vec<&str> = target
        .hot()
        .map(|(sidecar, hot)| pair(sidecar, hot, pod).idle)
        .collect();
    let is_idle = |name: &str| idle.contains(&name);
    let over = target.sidecars.iter().all(|sidecar| {
        let names: Vec<&str> = match &sidecar.hot {
            None => vec![&sidecar.name],
            Some(hot) => hot.containers.iter().map(|name| &**name).collect(),
        };
        let mut names = names.into_iter().filter(|name| !is_idle(name));
        names.all(|name| pod.is_container_over(&target.name, name))
    });
    let others_ready = || {
        let containers = pod.pod().containers.iter();
        let mut others = containers.filter(|container| !is_idle(&container.name));
        others.all(|container| pod.status(&container.name).is_some_and(|status| status.ready))
    };
    over && (pod.is_ready() || others_ready())
}

/// What an upgrade does with the two containers of a sidecar.
pub(super) struct Swap<'p> {
    /// The one whose image changes.
    pub(super) chosen: &'p str,
    /// The one that is left as it is.
    pub(super) other: &'p str,
}

/// Chooses the container of a sidecar that an upgrade changes.
///
/// It is the one that runs the empty image. If neither does, a previous upgrade was not finished: then it is the one that
/// is not in order, and if both are or neither is, the idle one.
pub(super) fn choose<'p>(
    target: &Target,
    sidecar: &TargetSidecar,
    hot: &'p HotSidecar,
    pod: &SidecarPod,
) -> Swap<'p> {
    let [first, second] = &hot.containers;
    let swap = |chosen, other| Swap { chosen, other };
    let is_empty = |name: &str| image(pod, name) == Some(&*hot.empty_image);
    if is_empty(first) {
        return swap(first, second);
    }
    if is_empty(second) {
        return swap(second, first);
    }
    let in_order = |name: &str| {
        pod.status(name).is_some_and(|status| status.ready) && pod.is_container_over(&target.name, name)
    };
    match (in_order(first), in_order(second)) {
        (true, false) => swap(second, first),
        (false, true) => swap(first, second),
        _ => {
            let pair = pair(sidecar, hot, pod);
            swap(pair.idle, pair.working)
        }
    }
}

pub(super) fn image<'p>(pod: &'p SidecarPod, container: &str) -> Option<&'p str> {
    pod.container(container).map(|(_, container)| &*container.image)
}
