//! Between wire messages and public types. Unknown enum values become the cautious one.

use crate::types::{
    Container, ContainerFilter, ContainerState, ContainerStatus, FilesystemUsage, Image, RuntimeCondition,
    Sandbox, SandboxFilter, SandboxState, SandboxStatus,
};
use crate::wire;

impl From<wire::Image> for Image {
    fn from(image: wire::Image) -> Self {
        Self {
            id: image.id,
            repo_tags: image.repo_tags,
            repo_digests: image.repo_digests,
            size: image.size,
            pinned: image.pinned,
        }
    }
}

impl From<wire::FilesystemUsage> for FilesystemUsage {
    fn from(usage: wire::FilesystemUsage) -> Self {
        Self {
            mountpoint: usage.fs_id.unwrap_or_default().mountpoint,
            used_bytes: usage.used_bytes.unwrap_or_default().value,
            used_inodes: usage.inodes_used.unwrap_or_default().value,
        }
    }
}

impl From<wire::Condition> for RuntimeCondition {
    fn from(condition: wire::Condition) -> Self {
        Self {
            type_: condition.kind,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
        }
    }
}

impl SandboxState {
    fn from_wire(state: i32) -> Self {
        if state == 0 { Self::Ready } else { Self::NotReady }
    }

    pub(crate) fn to_wire(self) -> i32 {
        match self {
            Self::Ready => 0,
            Self::NotReady => 1,
        }
    }
}

impl ContainerState {
    fn from_wire(state: i32) -> Self {
        match state {
            0 => Self::Created,
            1 => Self::Running,
            2 => Self::Exited,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn to_wire(self) -> i32 {
        match self {
            Self::Created => 0,
            Self::Running => 1,
            Self::Exited => 2,
            Self::Unknown => 3,
        }
    }
}

impl From<wire::Sandbox> for Sandbox {
    fn from(sandbox: wire::Sandbox) -> Self {
        let metadata = sandbox.metadata.unwrap_or_default();
        Self {
            id: sandbox.id,
            pod_name: metadata.name,
            pod_uid: metadata.uid,
            pod_namespace: metadata.namespace,
            attempt: metadata.attempt,
            state: SandboxState::from_wire(sandbox.state),
            created_at: sandbox.created_at,
            labels: sandbox.labels,
            annotations: sandbox.annotations,
        }
    }
}

impl From<wire::SandboxStatus> for SandboxStatus {
    fn from(status: wire::SandboxStatus) -> Self {
        let network = status.network.unwrap_or_default();
        let ips = std::iter::once(network.ip)
            .chain(network.additional_ips.into_iter().map(|more| more.ip))
            .filter(|ip| !ip.is_empty())
            .collect();
        let sandbox = wire::Sandbox {
            id: status.id,
            metadata: status.metadata,
            state: status.state,
            created_at: status.created_at,
            labels: status.labels,
            annotations: status.annotations,
        };
        Self {
            sandbox: sandbox.into(),
            ips,
        }
    }
}

impl From<SandboxFilter> for wire::SandboxFilter {
    fn from(filter: SandboxFilter) -> Self {
        Self {
            id: filter.id.unwrap_or_default(),
            state: filter.state.map(|state| wire::SandboxStateValue {
                state: state.to_wire(),
            }),
            label_selector: filter.labels,
        }
    }
}

impl From<wire::Container> for Container {
    fn from(container: wire::Container) -> Self {
        let metadata = container.metadata.unwrap_or_default();
        Self {
            id: container.id,
            sandbox_id: container.pod_sandbox_id,
            name: metadata.name,
            attempt: metadata.attempt,
            image: container.image.unwrap_or_default().image,
            image_ref: container.image_ref,
            state: ContainerState::from_wire(container.state),
            created_at: container.created_at,
            labels: container.labels,
            annotations: container.annotations,
        }
    }
}

impl From<wire::ContainerStatus> for ContainerStatus {
    fn from(status: wire::ContainerStatus) -> Self {
        let container = wire::Container {
            id: status.id,
            pod_sandbox_id: String::new(),
            metadata: status.metadata,
            image: status.image,
            image_ref: status.image_ref,
            state: status.state,
            created_at: status.created_at,
            labels: status.labels,
            annotations: status.annotations,
        };
        Self {
            container: container.into(),
            started_at: status.started_at,
            finished_at: status.finished_at,
            exit_code: status.exit_code,
            reason: status.reason,
            message: status.message,
        }
    }
}

impl From<ContainerFilter> for wire::ContainerFilter {
    fn from(filter: ContainerFilter) -> Self {
        Self {
            id: filter.id.unwrap_or_default(),
            state: filter.state.map(|state| wire::ContainerStateValue {
                state: state.to_wire(),
            }),
            pod_sandbox_id: filter.sandbox_id.unwrap_or_default(),
            label_selector: filter.labels,
        }
    }
}
