//! What the fake answers when no script says otherwise: like containerd, with an in-memory registry.

use prost::Message;
use tonic::{Code, Status};

use super::{Call, State};
use crate::types::{ApiVersion, Container, ContainerState, Credentials, Image, Sandbox};
use crate::wire;

/// A stable id for an image name.
pub(super) fn id_of(image: &str) -> String {
    // FNV-1a, four times with different seeds, to the length of a digest.
    let digits: String = (0_u64..4)
        .map(|seed| {
            let start = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
            let hash = image.bytes().fold(start, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
            format!("{hash:016x}")
        })
        .collect();
    format!("sha256:{digits}")
}

fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Status> {
    M::decode(body).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// What of a request is worth remembering.
pub(super) fn record(method: &str, api: ApiVersion, authority: &str, body: &[u8]) -> Result<Call, Status> {
    let mut call = Call {
        method: method.to_owned(),
        api,
        authority: authority.to_owned(),
        image: String::new(),
        credentials: None,
        annotations: None,
    };
    match method {
        "PullImage" => {
            let request: wire::PullImageRequest = decode(body)?;
            call.image = request.image.unwrap_or_default().image;
            call.credentials = request.auth.map(|auth| Credentials {
                username: auth.username,
                password: auth.password,
            });
            call.annotations = request.sandbox_config.map(|config| config.annotations);
        }
        "ImageStatus" => {
            call.image = decode::<wire::ImageStatusRequest>(body)?
                .image
                .unwrap_or_default()
                .image
        }
        "RemoveImage" => {
            call.image = decode::<wire::RemoveImageRequest>(body)?
                .image
                .unwrap_or_default()
                .image
        }
        _ => {}
    }
    Ok(call)
}

/// The answer to a call.
pub(super) fn answer(state: &mut State, call: &Call, body: &[u8]) -> Result<Vec<u8>, Status> {
    match call.method.as_str() {
        "Version" => Ok(wire::VersionResponse {
            version: "0.1.0".into(),
            runtime_name: "fake".into(),
            runtime_version: "1.0.0".into(),
            runtime_api_version: call.api.to_string(),
        }
        .encode_to_vec()),
        "Status" => {
            let ready = |kind: &str| wire::Condition {
                kind: kind.into(),
                status: true,
                ..Default::default()
            };
            let conditions = vec![ready("RuntimeReady"), ready("NetworkReady")];
            Ok(wire::StatusResponse {
                status: Some(wire::RuntimeStatus { conditions }),
            }
            .encode_to_vec())
        }
        "ImageFsInfo" => {
            let used: u64 = state.images.values().map(|image| image.size).sum();
            let usage = wire::FilesystemUsage {
                timestamp: 0,
                fs_id: Some(wire::FilesystemIdentifier {
                    mountpoint: "/var/lib/fake".into(),
                }),
                used_bytes: Some(wire::UInt64Value { value: used }),
                inodes_used: Some(wire::UInt64Value {
                    value: state.images.len() as u64,
                }),
            };
            Ok(wire::ImageFsInfoResponse {
                image_filesystems: vec![usage],
            }
            .encode_to_vec())
        }
        "ListImages" => {
            // containerd ignores the filter too.
            let images = state.images.values().map(image).collect();
            Ok(wire::ListImagesResponse { images }.encode_to_vec())
        }
        "ImageStatus" => {
            let found = find(state, &call.image).map(|found| image(&found));
            Ok(wire::ImageStatusResponse { image: found }.encode_to_vec())
        }
        "PullImage" => pull(state, call),
        "RemoveImage" => {
            if let Some(found) = find(state, &call.image) {
                state.images.retain(|_, image| image.id != found.id);
            }
            Ok(wire::Empty {}.encode_to_vec())
        }
        "ListPodSandbox" => list_sandboxes(state, body),
        "PodSandboxStatus" => {
            let id = decode::<wire::SandboxStatusRequest>(body)?.pod_sandbox_id;
            let found = state.sandboxes.iter().find(|sandbox| sandbox.id == id);
            let found = sandbox(found.ok_or_else(|| Status::not_found(format!("sandbox {id:?} not found")))?);
            let status = wire::SandboxStatus {
                id: found.id,
                metadata: found.metadata,
                state: found.state,
                created_at: found.created_at,
                network: Some(wire::Network {
                    ip: "10.0.0.1".into(),
                    additional_ips: vec![wire::PodIp { ip: "fd00::1".into() }],
                }),
                labels: found.labels,
                annotations: found.annotations,
            };
            Ok(wire::SandboxStatusResponse { status: Some(status) }.encode_to_vec())
        }
        "ListContainers" => list_containers(state, body),
        "ContainerStatus" => {
            let id = decode::<wire::ContainerStatusRequest>(body)?.container_id;
            let found = container(known(state, &id)?);
            let status = wire::ContainerStatus {
                id: found.id,
                metadata: found.metadata,
                state: found.state,
                created_at: found.created_at,
                started_at: found.created_at,
                finished_at: 0,
                exit_code: 0,
                image: found.image,
                image_ref: found.image_ref,
                reason: String::new(),
                message: String::new(),
                labels: found.labels,
                annotations: found.annotations,
            };
            Ok(wire::ContainerStatusResponse { status: Some(status) }.encode_to_vec())
        }
        "StopContainer" => {
            let id = decode::<wire::StopContainerRequest>(body)?.container_id;
            for container in state.containers.iter_mut().filter(|container| container.id == id) {
                container.state = ContainerState::Exited;
            }
            Ok(wire::Empty {}.encode_to_vec())
        }
        "ExecSync" => {
            let request = decode::<wire::ExecSyncRequest>(body)?;
            known(state, &request.container_id)?;
            let stdout = request.cmd.join(" ").into_bytes();
            Ok(wire::ExecSyncResponse {
                stdout,
                stderr: vec![],
                exit_code: 0,
            }
            .encode_to_vec())
        }
        other => Err(Status::unimplemented(format!("unknown method {other}"))),
    }
}

fn known<'a>(state: &'a State, id: &str) -> Result<&'a Container, Status> {
    let found = state.containers.iter().find(|container| container.id == id);
    found.ok_or_else(|| Status::not_found(format!("container {id:?} not found")))
}

fn find(state: &State, image: &str) -> Option<Image> {
    state
        .images
        .get(image)
        .or_else(|| state.images.values().find(|found| found.id == image))
        .cloned()
}

fn pull(state: &mut State, call: &Call) -> Result<Vec<u8>, Status> {
    let image = &call.image;
    let Some(published) = state.registry.get(image).cloned() else {
        let text = format!(
            r#"failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found"#
        );
        return Err(Status::new(Code::NotFound, text));
    };
    if published.needs.is_some() && published.needs != call.credentials {
        let text = format!(r#"failed to resolve reference "{image}": unexpected status: 401 Unauthorized"#);
        return Err(Status::unknown(text));
    }
    let image_ref = published.image.id.clone();
    state.images.insert(image.clone(), published.image);
    Ok(wire::PullImageResponse { image_ref }.encode_to_vec())
}

fn list_sandboxes(state: &State, body: &[u8]) -> Result<Vec<u8>, Status> {
    let filter = decode::<wire::ListSandboxRequest>(body)?
        .filter
        .unwrap_or_default();
    let items = state
        .sandboxes
        .iter()
        .map(sandbox)
        .filter(|item| item.id.starts_with(&filter.id))
        .filter(|item| {
            filter
                .state
                .as_ref()
                .is_none_or(|wanted| wanted.state == item.state)
        })
        .filter(|item| {
            filter
                .label_selector
                .iter()
                .all(|(key, value)| item.labels.get(key) == Some(value))
        })
        .collect();
    Ok(wire::ListSandboxResponse { items }.encode_to_vec())
}

fn list_containers(state: &State, body: &[u8]) -> Result<Vec<u8>, Status> {
    let filter = decode::<wire::ListContainersRequest>(body)?
        .filter
        .unwrap_or_default();
    let containers = state
        .containers
        .iter()
        .map(container)
        .filter(|item| item.id.starts_with(&filter.id))
        .filter(|item| filter.pod_sandbox_id.is_empty() || item.pod_sandbox_id == filter.pod_sandbox_id)
        .filter(|item| {
            filter
                .state
                .as_ref()
                .is_none_or(|wanted| wanted.state == item.state)
        })
        .filter(|item| {
            filter
                .label_selector
                .iter()
                .all(|(key, value)| item.labels.get(key) == Some(value))
        })
        .collect();
    Ok(wire::ListContainersResponse { containers }.encode_to_vec())
}

fn image(image: &Image) -> wire::Image {
    wire::Image {
        id: image.id.clone(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        size: image.size,
        pinned: image.pinned,
    }
}

fn sandbox(sandbox: &Sandbox) -> wire::Sandbox {
    wire::Sandbox {
        id: sandbox.id.clone(),
        metadata: Some(wire::SandboxMetadata {
            name: sandbox.pod_name.clone(),
            uid: sandbox.pod_uid.clone(),
            namespace: sandbox.pod_namespace.clone(),
            attempt: sandbox.attempt,
        }),
        state: sandbox.state.to_wire(),
        created_at: sandbox.created_at,
        labels: sandbox.labels.clone(),
        annotations: sandbox.annotations.clone(),
    }
}

fn container(container: &Container) -> wire::Container {
    wire::Container {
        id: container.id.clone(),
        pod_sandbox_id: container.sandbox_id.clone(),
        metadata: Some(wire::ContainerMetadata {
            name: container.name.clone(),
            attempt: container.attempt,
        }),
        image: Some(wire::ImageSpec {
            image: container.image.clone(),
            ..Default::default()
        }),
        image_ref: container.image_ref.clone(),
        state: container.state.to_wire(),
        created_at: container.created_at,
        labels: container.labels.clone(),
        annotations: container.annotations.clone(),
    }
}
