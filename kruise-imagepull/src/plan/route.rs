//! Which jobs a change of one NodeImage concerns: the ones whose task it touches, and no other (kruise#2483).

use std::collections::{BTreeSet, HashMap};

use kruise_core::runtime::ObjectKey;
use kube_core::Resource as _;

use super::select::NodeSelection;
use crate::api::{ImageKey, ImagePullJob, ImageTagSpec, NodeImage};

#[cfg(test)]
mod tests;

/// Index of running jobs by image and uid. Completed, deleted and unreadable jobs are not in it.
#[derive(Debug, Default)]
pub struct JobRoutes {
    jobs: HashMap<ObjectKey, Route>,
    /// Image name to tag to uid of the job.
    tasks: HashMap<String, HashMap<String, HashMap<String, ObjectKey>>>,
}

#[derive(Debug)]
struct Route {
    uid: String,
    image: ImageKey,
    selection: NodeSelection,
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
        let (Ok(image), Ok(selection), Some(uid)) = (
            ImageKey::parse(&job.spec.image),
            NodeSelection::of(job.spec.selector.as_ref()),
            job.meta().uid.clone(),
        ) else {
            return;
        };
        let tags = self.tasks.entry(image.name.clone()).or_default();
        tags.entry(image.tag.clone())
            .or_default()
            .insert(uid.clone(), key.clone());
        self.jobs.insert(
            key.clone(),
            Route {
                uid,
                image,
                selection,
            },
        );
    }

    /// Forgets a job.
    pub fn remove(&mut self, key: &ObjectKey) {
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
    /// both. A changed task or result concerns the jobs that own the task before or after. Costs a comparison of the
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
        if facts(old) == facts(new) {
            return;
        }
        for (key, route) in &self.jobs {
            let selects =
                |node: Option<&NodeImage>| node.is_some_and(|node| route.selection.selects_node_image(node));
            if selects(old) != selects(new) {
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
