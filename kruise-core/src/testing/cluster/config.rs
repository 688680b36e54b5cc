//! How long things take.

use std::time::Duration;

/// Settings of a [`SimulatedCluster`](super::SimulatedCluster).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// From the creation of a pod to its assignment to a node. Default 100 ms.
    pub schedule_after: Duration,
    /// From the assignment, or the end of the container before, to the start of a container. Default 1 s.
    pub start_after: Duration,
    /// From the start of a container to its readiness. Default 1 s.
    pub ready_after: Duration,
    /// From the deletion of a pod to its end, if its grace period is not shorter. Default 1 s.
    pub stop_after: Duration,
    /// From the death of a node to when it and its pods are marked as not ready. Default 40 s.
    pub notice_after: Duration,
    /// From the death of a node to the deletion of its pods. Default 340 s.
    pub evict_after: Duration,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            schedule_after: Duration::from_millis(100),
            start_after: Duration::from_secs(1),
            ready_after: Duration::from_secs(1),
            stop_after: Duration::from_secs(1),
            notice_after: Duration::from_secs(40),
            evict_after: Duration::from_secs(340),
        }
    }
}
