//! [`ImageService`] over the wire.

use async_trait::async_trait;

use super::Client;
use crate::error::{Error, ErrorKind};
use crate::service::ImageService;
use crate::types::{FilesystemUsage, Image, PullRequest};
use crate::wire;

fn spec(image: &str) -> Option<wire::ImageSpec> {
    Some(wire::ImageSpec {
        image: image.to_owned(),
        ..Default::default()
    })
}

#[async_trait]
impl ImageService for Client {
    async fn list_images(&self, image: Option<&str>) -> Result<Vec<Image>, Error> {
        let filter = image.map(|image| wire::ImageFilter { image: spec(image) });
        let request = wire::ListImagesRequest { filter };
        let answer: wire::ListImagesResponse = self
            .image_call("ListImages", request, self.config.list_timeout, &[])
            .await?;
        Ok(answer.images.into_iter().map(Image::from).collect())
    }

    async fn image_status(&self, image: &str) -> Result<Option<Image>, Error> {
        let request = wire::ImageStatusRequest {
            image: spec(image),
            verbose: false,
        };
        let answer: wire::ImageStatusResponse = self
            .image_call("ImageStatus", request, self.config.call_timeout, &[])
            .await?;
        // An absent image is an answer without one, or with an empty one.
        Ok(answer.image.filter(|image| !image.id.is_empty()).map(Image::from))
    }

    async fn pull_image(&self, request: PullRequest) -> Result<String, Error> {
        let timeout = request.timeout.unwrap_or(self.config.pull_timeout);
        let password = request
            .credentials
            .as_ref()
            .map(|credentials| credentials.password.clone());
        let auth = request.credentials.map(|credentials| wire::AuthConfig {
            username: credentials.username,
            password: credentials.password,
        });
        let wire_request = wire::PullImageRequest {
            image: spec(&request.image),
            auth,
            sandbox_config: Some(wire::SandboxConfig {
                metadata: Some(wire::SandboxMetadata::default()),
                labels: request.labels,
                annotations: request.annotations,
                linux: Some(wire::Empty {}),
            }),
        };
        let secrets: Vec<&str> = password.as_deref().into_iter().collect();
        let answer: wire::PullImageResponse = self
            .image_call("PullImage", wire_request, timeout, &secrets)
            .await?;
        if answer.image_ref.is_empty() {
            return Err(Error::new(
                "PullImage",
                ErrorKind::Protocol,
                "the pull succeeded without naming an image",
            ));
        }
        Ok(answer.image_ref)
    }

    async fn remove_image(&self, image: &str) -> Result<(), Error> {
        let request = wire::RemoveImageRequest { image: spec(image) };
        let _: wire::Empty = self
            .image_call("RemoveImage", request, self.config.list_timeout, &[])
            .await?;
        Ok(())
    }

    async fn image_fs_info(&self) -> Result<Vec<FilesystemUsage>, Error> {
        let answer: wire::ImageFsInfoResponse = self
            .image_call("ImageFsInfo", wire::Empty {}, self.config.call_timeout, &[])
            .await?;
        Ok(answer
            .image_filesystems
            .into_iter()
            .map(FilesystemUsage::from)
            .collect())
    }
}
