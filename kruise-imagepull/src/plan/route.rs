//! Which jobs a change of one NodeImage concerns: the ones whose task it touches, and no other (kruise#2483).

use std::collections::{BTreeSet, HashMap};

use kruise_core::policy::Selector;
use kruise_core::runtime::{ObjectKey, SlimPod};
use kube_core::Resource as _;

use super::select::{NodeSelection, working_node};
use crate::api::{ImageKey, ImagePullJob, ImageTagSpec, MAX_IMAGES_PER_NODE, NodeImage};

#[cfg(test)]
mod tests;

/// Index of running jobs by image and uid. Completed, deleted and unreadable jobs are not in it.
#[derive(Debug, Default)]
pub struct JobRoutes {
    jobs: HashMap<ObjectKey, Route>,
    /// Image name to tag to uid of the job.
    tasks: HashMap<String, HashMap<String, HashMap<String, ObjectKey>>>,
    /// By namespace: the jobs that select nodes by their pods.
    by_pods: HashMap<String, HashMap<ObjectKey, Selector>>,
}

#[derive(Debug)]
struct Route {
    uid: String,
    image: ImageKey,
    nodes: Nodes,
}

#[derive(Debug)]
enum Nodes {
    Selected(NodeSelection),
    /// The nodes of pods; which ones is not known here.
    OfPods,
}

impl Nodes {
    /// Returns whether the job may count on this NodeImage.
    fn include(&self, node: &NodeImage) -> bool {
        match self {
            Self::Selected(selection) => selection.selects_node_image(node),
            Self::OfPods => node.metadata.deletion_timestamp.is_none(),
        }
    }
}

impl JobRoutes {
    /// Takes in the newest state of a job.
    pub fn update(&mut self, key: &ObjectKey, job: &ImagePullJob) {
        self.remove(key);
        let completed = job
            .status
            .as_ref()
            .is_some_and(|status| status.completion_time.is_some());
        if completed || job.meta().deletion_timestamp.is_some() {
            return;
        }
        let nodes = match &job.spec.pod_selector {
            None => NodeSelection::of_nodes(job.spec.selector.as_ref()).map(Nodes::Selected),
            Some(selector) => Selector::compile(selector).map(|selector| {
                let namespace = self.by_pods.entry(key.namespace_str().to_owned()).or_default();
                namespace.insert(key.clone(), selector);
                Nodes::OfPods
            }),
        };
        let (Ok(image), Ok(nodes), Some(uid)) =
            (ImageKey::parse(&job.spec.image), nodes, job.meta().uid.clone())
        else {
            return;
        };
        let tags = self.tasks.entry(image.name.clone()).or_default();
        tags.entry(image.tag.clone())
            .or_default()
            .insert(uid.clone(), key.clone());
        self.jobs.insert(key.clone(), Route { uid, image, nodes });
    }

    /// Forgets a job.
    pub fn remove(&mut self, key: &ObjectKey) {
        if let Some(jobs) = self.by_pods.get_mut(key.namespace_str()) {
            jobs.remove(key);
            if jobs.is_empty() {
                self.by_pods.remove(key.namespace_str());
            }
        }
        let Some(route) = self.jobs.remove(key) else {
            return;
        };
        let Some(tags) = self.tasks.get_mut(&route.image.name) else {
            return;
        };
        if let Some(uids) = tags.get_mut(&route.image.tag) {
            uids.remove(&route.uid);
            if uids.is_empty() {
                tags.remove(&route.image.tag);
            }
        }
        if tags.is_empty() {
            self.tasks.remove(&route.image.name);
        }
    }

    /// Returns the number of jobs in the index.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether no job is in the index.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Calls `wake` for each job that the change from `old` to `new` concerns; a job may be named twice.
    ///
    /// A NodeImage that appears, vanishes or changes labels concerns the jobs that select it before or after, but not
    /// both; one that was full and has room again, all that select it. A changed task or result concerns the jobs that own the task before or after. Costs a comparison of the
    /// two objects, a lookup per changed task, and a pass over the jobs only in the first case.
    pub fn route(&self, old: Option<&NodeImage>, new: Option<&NodeImage>, mut wake: impl FnMut(&ObjectKey)) {
        if let (Some(old), Some(new)) = (old, new) {
            self.route_tasks(old, new, &mut wake);
        }
        let facts = |node: Option<&NodeImage>| {
            node.map(|node| {
                (
                    node.metadata.labels.clone(),
                    node.metadata.deletion_timestamp.is_some(),
                )
            })
        };
        let is_full =
            |node: Option<&NodeImage>| node.is_some_and(|node| node.spec.images.len() >= MAX_IMAGES_PER_NODE);
        let has_room_again = is_full(old) && !is_full(new);
        if facts(old) == facts(new) && !has_room_again {
            return;
        }
        for (key, route) in &self.jobs {
            let selects = |node: Option<&NodeImage>| node.is_some_and(|node| route.nodes.include(node));
            if selects(old) != selects(new) || (has_room_again && selects(new)) {
                wake(key);
            }
        }
    }

    /// Calls `wake` for each job whose nodes the change of a pod from `old` to `new` adds to or takes from.
    pub fn route_pod(&self, old: Option<&SlimPod>, new: Option<&SlimPod>, mut wake: impl FnMut(&ObjectKey)) {
        let Some(pod) = new.or(old) else { return };
        for (key, selector) in self.by_pods.get(pod.key.namespace_str()).into_iter().flatten() {
            let node = |pod: Option<&SlimPod>| {
                let pod = pod.filter(|pod| selector.matches(&pod.labels))?;
                working_node(pod).map(str::to_owned)
            };
            if node(old) != node(new) {
                wake(key);
            }
        }
    }

    fn route_tasks(&self, old: &NodeImage, new: &NodeImage, wake: &mut impl FnMut(&ObjectKey)) {
        for image in changed_images(old, new) {
            let Some(tags) = self.tasks.get(image) else {
                continue;
            };
            for (tag, uids) in tags {
                let (before, after) = (old.task(image, tag), new.task(image, tag));
                if before == after && old.result(image, tag) == new.result(image, tag) {
                    continue;
                }
                for uid in owner_uids(before).chain(owner_uids(after)) {
                    if let Some(key) = uids.get(uid) {
                        wake(key);
                    }
                }
            }
        }
    }
}

fn owner_uids(task: Option<&ImageTagSpec>) -> impl Iterator<Item = &str> {
    task.into_iter()
        .flat_map(|task| &task.owner_references)
        .filter_map(|owner| owner.uid.as_deref())
}

fn changed_images<'a>(old: &'a NodeImage, new: &'a NodeImage) -> BTreeSet<&'a str> {
    let names = |node: &'a NodeImage| {
        let results = node.status.as_ref().map(|status| status.image_statuses.keys());
        node.spec
            .images
            .keys()
            .chain(results.into_iter().flatten())
            .map(String::as_str)
    };
    let statuses =
        |node: &'a NodeImage, name: &str| node.status.as_ref().and_then(|s| s.image_statuses.get(name));
    names(old)
        .chain(names(new))
        .filter(|name| {
            old.spec.images.get(*name) != new.spec.images.get(*name)
                || statuses(old, name) != statuses(new, name)
        })
        .collect()
}
