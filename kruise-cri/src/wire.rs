//! The messages on the wire, for both versions of the interface: field numbers are the same in `runtime.v1` and
//! `runtime.v1alpha2`. Fields that nobody here reads are left out; protobuf skips them.

use std::collections::BTreeMap;

use prost::Message;

type Map = BTreeMap<String, String>;

macro_rules! messages {
    ($($(#[$doc:meta])* $name:ident { $($(#[$kind:meta])* $field:ident: $type:ty,)* })*) => {
        $($(#[$doc])* #[derive(Clone, PartialEq, Message)]
        pub(crate) struct $name { $($(#[$kind])* pub(crate) $field: $type,)* })*
    };
}

messages! {
    VersionRequest { #[prost(string, tag = "1")] version: String, }
    VersionResponse {
        #[prost(string, tag = "1")] version: String,
        #[prost(string, tag = "2")] runtime_name: String,
        #[prost(string, tag = "3")] runtime_version: String,
        #[prost(string, tag = "4")] runtime_api_version: String,
    }
    StatusRequest { #[prost(bool, tag = "1")] verbose: bool, }
    StatusResponse { #[prost(message, optional, tag = "1")] status: Option<RuntimeStatus>, }
    RuntimeStatus { #[prost(message, repeated, tag = "1")] conditions: Vec<Condition>, }
    Condition {
        #[prost(string, tag = "1")] kind: String,
        #[prost(bool, tag = "2")] status: bool,
        #[prost(string, tag = "3")] reason: String,
        #[prost(string, tag = "4")] message: String,
    }

    ImageSpec {
        #[prost(string, tag = "1")] image: String,
        #[prost(btree_map = "string, string", tag = "2")] annotations: Map,
    }
    ImageFilter { #[prost(message, optional, tag = "1")] image: Option<ImageSpec>, }
    ListImagesRequest { #[prost(message, optional, tag = "1")] filter: Option<ImageFilter>, }
    ListImagesResponse { #[prost(message, repeated, tag = "1")] images: Vec<Image>, }
    Image {
        #[prost(string, tag = "1")] id: String,
        #[prost(string, repeated, tag = "2")] repo_tags: Vec<String>,
        #[prost(string, repeated, tag = "3")] repo_digests: Vec<String>,
        #[prost(uint64, tag = "4")] size: u64,
        #[prost(bool, tag = "8")] pinned: bool,
    }
    ImageStatusRequest {
        #[prost(message, optional, tag = "1")] image: Option<ImageSpec>,
        #[prost(bool, tag = "2")] verbose: bool,
    }
    ImageStatusResponse { #[prost(message, optional, tag = "1")] image: Option<Image>, }
    PullImageResponse { #[prost(string, tag = "1")] image_ref: String, }
    RemoveImageRequest { #[prost(message, optional, tag = "1")] image: Option<ImageSpec>, }
    Empty {}
    ImageFsInfoResponse { #[prost(message, repeated, tag = "1")] image_filesystems: Vec<FilesystemUsage>, }
    FilesystemUsage {
        #[prost(int64, tag = "1")] timestamp: i64,
        #[prost(message, optional, tag = "2")] fs_id: Option<FilesystemIdentifier>,
        #[prost(message, optional, tag = "3")] used_bytes: Option<UInt64Value>,
        #[prost(message, optional, tag = "4")] inodes_used: Option<UInt64Value>,
    }
    FilesystemIdentifier { #[prost(string, tag = "1")] mountpoint: String, }
    UInt64Value { #[prost(uint64, tag = "1")] value: u64, }

    /// Only the fields that matter to a pull.
    SandboxConfig {
        #[prost(message, optional, tag = "1")] metadata: Option<SandboxMetadata>,
        #[prost(btree_map = "string, string", tag = "6")] labels: Map,
        #[prost(btree_map = "string, string", tag = "7")] annotations: Map,
        #[prost(message, optional, tag = "8")] linux: Option<Empty>,
    }
    SandboxMetadata {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] uid: String,
        #[prost(string, tag = "3")] namespace: String,
        #[prost(uint32, tag = "4")] attempt: u32,
    }
    SandboxStateValue { #[prost(int32, tag = "1")] state: i32, }
    SandboxFilter {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "2")] state: Option<SandboxStateValue>,
        #[prost(btree_map = "string, string", tag = "3")] label_selector: Map,
    }
    ListSandboxRequest { #[prost(message, optional, tag = "1")] filter: Option<SandboxFilter>, }
    ListSandboxResponse { #[prost(message, repeated, tag = "1")] items: Vec<Sandbox>, }
    Sandbox {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "2")] metadata: Option<SandboxMetadata>,
        #[prost(int32, tag = "3")] state: i32,
        #[prost(int64, tag = "4")] created_at: i64,
        #[prost(btree_map = "string, string", tag = "5")] labels: Map,
        #[prost(btree_map = "string, string", tag = "6")] annotations: Map,
    }
    SandboxStatusRequest {
        #[prost(string, tag = "1")] pod_sandbox_id: String,
        #[prost(bool, tag = "2")] verbose: bool,
    }
    SandboxStatusResponse { #[prost(message, optional, tag = "1")] status: Option<SandboxStatus>, }
    SandboxStatus {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "2")] metadata: Option<SandboxMetadata>,
        #[prost(int32, tag = "3")] state: i32,
        #[prost(int64, tag = "4")] created_at: i64,
        #[prost(message, optional, tag = "5")] network: Option<Network>,
        #[prost(btree_map = "string, string", tag = "7")] labels: Map,
        #[prost(btree_map = "string, string", tag = "8")] annotations: Map,
    }
    Network {
        #[prost(string, tag = "1")] ip: String,
        #[prost(message, repeated, tag = "2")] additional_ips: Vec<PodIp>,
    }
    PodIp { #[prost(string, tag = "1")] ip: String, }

    ContainerMetadata {
        #[prost(string, tag = "1")] name: String,
        #[prost(uint32, tag = "2")] attempt: u32,
    }
    ContainerStateValue { #[prost(int32, tag = "1")] state: i32, }
    ContainerFilter {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "2")] state: Option<ContainerStateValue>,
        #[prost(string, tag = "3")] pod_sandbox_id: String,
        #[prost(btree_map = "string, string", tag = "4")] label_selector: Map,
    }
    ListContainersRequest { #[prost(message, optional, tag = "1")] filter: Option<ContainerFilter>, }
    ListContainersResponse { #[prost(message, repeated, tag = "1")] containers: Vec<Container>, }
    Container {
        #[prost(string, tag = "1")] id: String,
        #[prost(string, tag = "2")] pod_sandbox_id: String,
        #[prost(message, optional, tag = "3")] metadata: Option<ContainerMetadata>,
        #[prost(message, optional, tag = "4")] image: Option<ImageSpec>,
        #[prost(string, tag = "5")] image_ref: String,
        #[prost(int32, tag = "6")] state: i32,
        #[prost(int64, tag = "7")] created_at: i64,
        #[prost(btree_map = "string, string", tag = "8")] labels: Map,
        #[prost(btree_map = "string, string", tag = "9")] annotations: Map,
    }
    ContainerStatusRequest {
        #[prost(string, tag = "1")] container_id: String,
        #[prost(bool, tag = "2")] verbose: bool,
    }
    ContainerStatusResponse { #[prost(message, optional, tag = "1")] status: Option<ContainerStatus>, }
    ContainerStatus {
        #[prost(string, tag = "1")] id: String,
        #[prost(message, optional, tag = "2")] metadata: Option<ContainerMetadata>,
        #[prost(int32, tag = "3")] state: i32,
        #[prost(int64, tag = "4")] created_at: i64,
        #[prost(int64, tag = "5")] started_at: i64,
        #[prost(int64, tag = "6")] finished_at: i64,
        #[prost(int32, tag = "7")] exit_code: i32,
        #[prost(message, optional, tag = "8")] image: Option<ImageSpec>,
        #[prost(string, tag = "9")] image_ref: String,
        #[prost(string, tag = "10")] reason: String,
        #[prost(string, tag = "11")] message: String,
        #[prost(btree_map = "string, string", tag = "12")] labels: Map,
        #[prost(btree_map = "string, string", tag = "13")] annotations: Map,
    }
    StopContainerRequest {
        #[prost(string, tag = "1")] container_id: String,
        #[prost(int64, tag = "2")] timeout: i64,
    }
    ExecSyncRequest {
        #[prost(string, tag = "1")] container_id: String,
        #[prost(string, repeated, tag = "2")] cmd: Vec<String>,
        #[prost(int64, tag = "3")] timeout: i64,
    }
    ExecSyncResponse {
        #[prost(bytes = "vec", tag = "1")] stdout: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] stderr: Vec<u8>,
        #[prost(int32, tag = "3")] exit_code: i32,
    }
}

/// Holds a password, so that it has no derived `Debug`.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(crate) struct AuthConfig {
    #[prost(string, tag = "1")]
    pub(crate) username: String,
    #[prost(string, tag = "2")]
    pub(crate) password: String,
}

impl std::fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A pull.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PullImageRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) image: Option<ImageSpec>,
    #[prost(message, optional, tag = "2")]
    pub(crate) auth: Option<AuthConfig>,
    #[prost(message, optional, tag = "3")]
    pub(crate) sandbox_config: Option<SandboxConfig>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_a_password_does_not_show_it() {
        let auth = AuthConfig {
            username: "me".into(),
            password: "s3cret".into(),
        };
        let request = PullImageRequest {
            auth: Some(auth.clone()),
            ..Default::default()
        };
        for text in [
            format!("{auth:?}"),
            format!("{request:?}"),
            format!("{request:#?}"),
        ] {
            assert!(text.contains("me") && !text.contains("s3cret"), "{text}");
        }
    }
}
