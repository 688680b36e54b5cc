//! [`RuntimeService`] over the wire.

use std::time::Duration;

use async_trait::async_trait;

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::service::RuntimeService;
use crate::types::{
    Container, ContainerFilter, ContainerStatus, ExecOutput, RuntimeCondition, RuntimeVersion, Sandbox,
    SandboxFilter, SandboxStatus,
};
use crate::wire;

#[async_trait]
impl RuntimeService for Client {
    async fn version(&self) -> Result<RuntimeVersion, Error> {
        let request = wire::VersionRequest {
            version: self.api.to_string(),
        };
        let answer: wire::VersionResponse = self
            .runtime_call("Version", request, self.config.call_timeout)
            .await?;
        Ok(RuntimeVersion {
            name: answer.runtime_name,
            version: answer.runtime_version,
            api: self.api,
        })
    }

    async fn status(&self) -> Result<Vec<RuntimeCondition>, Error> {
        let request = wire::StatusRequest { verbose: false };
        let answer: wire::StatusResponse = self
            .runtime_call("Status", request, self.config.call_timeout)
            .await?;
        let status = answer.status.ok_or_else(|| empty("Status"))?;
        Ok(status
            .conditions
            .into_iter()
            .map(RuntimeCondition::from)
            .collect())
    }

    async fn list_sandboxes(&self, filter: SandboxFilter) -> Result<Vec<Sandbox>, Error> {
        let request = wire::ListSandboxRequest {
            filter: Some(filter.into()),
        };
        let answer: wire::ListSandboxResponse = self
            .runtime_call("ListPodSandbox", request, self.config.list_timeout)
            .await?;
        Ok(answer.items.into_iter().map(Sandbox::from).collect())
    }

    async fn sandbox_status(&self, id: &str) -> Result<SandboxStatus, Error> {
        let request = wire::SandboxStatusRequest {
            pod_sandbox_id: id.to_owned(),
            verbose: false,
        };
        let answer: wire::SandboxStatusResponse = self
            .runtime_call("PodSandboxStatus", request, self.config.call_timeout)
            .await?;
        Ok(answer.status.ok_or_else(|| empty("PodSandboxStatus"))?.into())
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>, Error> {
        let request = wire::ListContainersRequest {
            filter: Some(filter.into()),
        };
        let answer: wire::ListContainersResponse = self
            .runtime_call("ListContainers", request, self.config.list_timeout)
            .await?;
        Ok(answer.containers.into_iter().map(Container::from).collect())
    }

    async fn container_status(&self, id: &str) -> Result<ContainerStatus, Error> {
        let request = wire::ContainerStatusRequest {
            container_id: id.to_owned(),
            verbose: false,
        };
        let answer: wire::ContainerStatusResponse = self
            .runtime_call("ContainerStatus", request, self.config.call_timeout)
            .await?;
        Ok(answer.status.ok_or_else(|| empty("ContainerStatus"))?.into())
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error> {
        let request = wire::StopContainerRequest {
            container_id: id.to_owned(),
            timeout: whole_seconds(grace),
        };
        // The runtime waits for the grace before it answers.
        let _: wire::Empty = self
            .runtime_call(
                "StopContainer",
                request,
                grace.saturating_add(self.config.call_timeout),
            )
            .await?;
        Ok(())
    }

    async fn exec_sync(&self, id: &str, command: &[String], timeout: Duration) -> Result<ExecOutput, Error> {
        let request = wire::ExecSyncRequest {
            container_id: id.to_owned(),
            cmd: command.to_vec(),
            // Zero would mean no limit at all.
            timeout: whole_seconds(timeout).max(1),
        };
        let answer: wire::ExecSyncResponse = self
            .runtime_call(
                "ExecSync",
                request,
                timeout.saturating_add(self.config.call_timeout),
            )
            .await?;
        Ok(ExecOutput {
            stdout: answer.stdout,
            stderr: answer.stderr,
            exit_code: answer.exit_code,
        })
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    let up = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    i64::try_from(up).unwrap_or(i64::MAX)
}

fn empty(call: &'static str) -> Error {
    Error::new(call, ErrorKind::Protocol, "the answer has no status")
}
