//! Names of objects, for words that are being completed.

use std::time::Duration;

use clap::FromArgMatches as _;
use kruise_core::api::names::GROUP;
use kube_client::api::{Api, ApiResource, DynamicObject, ListParams};
use kube_core::GroupVersionKind;

use crate::cli::{Cli, Command, Global, Kind, RolloutCommand};
use crate::connect::Connection;
use crate::run;

/// How long the shell waits for names.
const PATIENCE: Duration = Duration::from_secs(3);
/// More names than this help nobody.
const MOST: u32 = 500;

/// What the words before the one that is completed say.
#[derive(Clone, Debug, Default)]
pub(super) struct Context {
    global: Global,
    /// Types and names so far, as `get` and `rollout` take them.
    objects: Vec<String>,
    /// Whether the command works on SidecarSets alone.
    sets_only: bool,
}

impl Context {
    /// Reads words, beginning with the program; what is missing or wrong is passed over.
    pub(super) fn read(words: &[std::ffi::OsString]) -> Self {
        let command = run::command().ignore_errors(true);
        let Ok(cli) = command
            .try_get_matches_from(words)
            .and_then(|matches| Cli::from_arg_matches(&matches))
        else {
            return Self::default();
        };
        let (objects, sets_only) = match cli.command {
            Command::Get(flags) => (flags.objects, false),
            Command::Explain(flags) => (flags.objects, true),
            Command::Rollout { command } => match command {
                RolloutCommand::Status(flags) => (flags.set.objects, true),
                RolloutCommand::Pause(flags) | RolloutCommand::Resume(flags) => (flags.objects, true),
                RolloutCommand::Undo(flags) => (flags.set.objects, true),
                RolloutCommand::History(flags) => (flags.set.objects, true),
            },
            _ => (Vec::new(), false),
        };
        Self {
            global: cli.global,
            objects,
            sets_only,
        }
    }

    /// What may stand where a type or a name is due.
    pub(super) fn objects(&self, word: &str) -> Vec<String> {
        if let Some((kind, _)) = word.split_once('/') {
            let names = Kind::find(kind).map(|found| self.names(&[found]));
            return names
                .into_iter()
                .flatten()
                .map(|name| format!("{kind}/{name}"))
                .collect();
        }
        match self.objects.first() {
            None => Kind::all()
                .iter()
                .filter(|kind| !self.sets_only || kind.kind == "SidecarSet")
                .flat_map(Kind::words)
                .map(str::to_owned)
                .collect(),
            // Another TYPE/NAME.
            Some(first) if first.contains('/') => {
                let kind = first.split_once('/').and_then(|(kind, _)| Kind::find(kind).ok());
                let names = kind.map(|kind| (kind, self.names(&[kind])));
                names
                    .into_iter()
                    .flat_map(|(kind, names)| {
                        names
                            .into_iter()
                            .map(|name| format!("{}/{name}", kind.singular()))
                    })
                    .collect()
            }
            Some(first) => Kind::find(first).map_or_else(|_| Vec::new(), |kind| self.names(&[kind])),
        }
    }

    /// Names of objects of these kinds, sorted; none if the cluster does not answer.
    pub(super) fn names(&self, kinds: &[&'static Kind]) -> Vec<String> {
        let resources = kinds.iter().map(|kind| {
            let kind_of = GroupVersionKind::gvk(GROUP, "v1alpha1", kind.kind);
            (
                ApiResource::from_gvk_with_plural(&kind_of, kind.plural),
                kind.namespaced,
            )
        });
        self.list(resources.collect())
    }

    /// Names of namespaces.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.list(vec![(
            ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&()),
            false,
        )])
    }

    /// The contexts of the kubeconfig.
    pub(super) fn contexts(&self) -> Vec<String> {
        let file = crate::connect::kubeconfig(&self.global);
        let contexts = file.into_iter().flat_map(|file| file.contexts);
        contexts.map(|context| context.name).collect()
    }

    /// Asks the cluster, on a thread of its own: completion itself cannot wait inside of a runtime.
    fn list(&self, resources: Vec<(ApiResource, bool)>) -> Vec<String> {
        let global = self.global.clone();
        let asked = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?;
            runtime.block_on(async {
                tokio::time::timeout(PATIENCE, list(&global, &resources))
                    .await
                    .ok()
            })
        });
        let mut names = asked.join().ok().flatten().unwrap_or_default();
        names.sort_unstable();
        names
    }
}

async fn list(global: &Global, resources: &[(ApiResource, bool)]) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(connection) = Connection::connect(global).await else {
        return names;
    };
    for (resource, namespaced) in resources {
        let client = connection.client.clone();
        let api: Api<DynamicObject> = match namespaced {
            true => Api::namespaced_with(client, &connection.namespace, resource),
            false => Api::all_with(client, resource),
        };
        let listed = api.list_metadata(&ListParams::default().limit(MOST)).await;
        let items = listed.into_iter().flat_map(|list| list.items);
        names.extend(items.filter_map(|item| item.metadata.name));
    }
    names
}
