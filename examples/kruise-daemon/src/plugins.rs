//! Credential plugins, from their configuration file.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};
use kruise_imagepull::agent::plugins::{ExecPlugins, PluginLimits};

/// Reads the configuration; `None` if there is no such file.
pub(crate) fn load(file: &Path, folder: &Path) -> Result<Option<ExecPlugins>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            tracing::info!(file = %file.display(), "no credential plugins: the file does not exist");
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("--plugin-config-file: {}", file.display())),
    };
    let within = || format!("--plugin-config-file: {}", file.display());
    let config = serde_yaml::from_str(&text).with_context(within)?;
    let plugins = ExecPlugins::new(config, folder, PluginLimits::default()).with_context(within)?;
    tracing::info!(?plugins, folder = %folder.display(), "credential plugins");
    Ok(Some(plugins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_means_no_plugins_and_a_wrong_one_is_refused_with_its_field() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        assert!(load(&file, folder.path()).unwrap().is_none());
        let config = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\nproviders:\n\
            - {name: p, matchImages: [r.io], defaultCacheDuration: 5m, apiVersion: credentialprovider.kubelet.k8s.io/v1}\n";
        std::fs::write(&file, config).unwrap();
        assert!(load(&file, folder.path()).unwrap().is_some());
        std::fs::write(&file, config.replace("name: p", "name: a/p")).unwrap();
        let error = load(&file, folder.path()).unwrap_err();
        assert!(format!("{error:#}").contains("providers[0].name"), "{error:#}");
    }
}
