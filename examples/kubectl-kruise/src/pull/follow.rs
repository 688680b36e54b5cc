//! Following a job to its end.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;
use kruise_imagepull::api::{ImageListPullJob, ImagePullJob, NodeImage};
use kube_client::api::{Api, ListParams};
use tokio::time::sleep;

use super::delete;
use super::job::{Job, LIST, ONE};
use super::screen::Screen;
use super::state::{Image, Report};
use crate::connect::Connection;
use crate::failure::{Failure, Result, Trouble};

/// How often the job and the nodes are looked at; with many nodes less often.
const INTERVAL: Duration = Duration::from_millis(500);
/// Nodes that are looked at in a second, at most.
const NODES_A_SECOND: u32 = 400;
/// Objects that are asked for at once.
const PAGE: u32 = 500;

/// A job that is followed.
#[derive(Clone)]
pub(super) struct Followed {
    connection: Connection,
    kind: &'static str,
    name: String,
    uid: Option<String>,
}

/// How following ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// With the job.
    Ended(Report),
    /// By Ctrl-C.
    Interrupted,
    /// Because of the time.
    TimedOut,
}

impl Followed {
    /// A job that was created.
    pub(super) fn of(job: &Job, connection: &Connection) -> Self {
        let meta = match job {
            Job::One(job) => &job.metadata,
            Job::List(job) => &job.metadata,
        };
        Self {
            connection: connection.clone(),
            kind: job.singular(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone(),
        }
    }

    /// A job of this name, of whichever kind. `imagelistpulljob/NAME` is understood too.
    pub(super) async fn find(connection: &Connection, name: &str) -> Result<Self> {
        let (kind, plain) = match name.split_once('/') {
            None => (None, name),
            Some((kind, plain)) => (Some(crate::cli::Kind::find(kind)?.kind), plain),
        };
        let (client, namespace) = (connection.client.clone(), connection.namespace.as_str());
        let failed = |error| Failure::api("getting the job", &error);
        let found = |kind, uid| Self {
            connection: connection.clone(),
            kind,
            name: plain.to_owned(),
            uid,
        };
        if kind != Some("ImageListPullJob")
            && let Some(job) = Api::<ImagePullJob>::namespaced(client.clone(), namespace)
                .get_opt(plain)
                .await
                .map_err(failed)?
        {
            return Ok(found(ONE, job.metadata.uid));
        }
        if kind != Some("ImagePullJob")
            && let Some(job) = Api::<ImageListPullJob>::namespaced(client, namespace)
                .get_opt(plain)
                .await
                .map_err(failed)?
        {
            return Ok(found(LIST, job.metadata.uid));
        }
        Err(
            Failure::new(format!("there is no job \"{plain}\" in namespace {namespace}"))
                .next("List the jobs with: kubectl kruise get ipj,ilpj -A"),
        )
    }

    /// Shows the progress of the job until its end.
    ///
    /// # Errors
    /// The first request failed, or a later one for good, or the job is gone.
    pub(super) async fn follow(
        &self,
        limit: Option<Duration>,
        screen: &mut Screen,
        out: &mut impl Write,
    ) -> Result<Ending> {
        let late = async {
            match limit {
                Some(limit) => sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt, late);
        let mut trouble = Trouble::default();
        let mut answered = false;
        loop {
            let looked = tokio::select! {
                biased;
                _ = &mut interrupt => return Ok(Ending::Interrupted),
                looked = self.look() => looked,
                () = &mut late => return Ok(Ending::TimedOut),
            };
            let nodes = match looked {
                Ok((over, nodes, images)) => {
                    (answered, trouble) = (true, Trouble::default());
                    screen.show(&images, Timestamp::now(), out)?;
                    if over {
                        return Ok(Ending::Ended(Report(images)));
                    }
                    nodes
                }
                Err(failure) if answered => {
                    trouble.bear(failure)?;
                    0
                }
                Err(failure) => return Err(failure),
            };
            let seen = u32::try_from(nodes).unwrap_or(u32::MAX);
            let interval = INTERVAL.max(Duration::from_secs(1) * seen / NODES_A_SECOND);
            tokio::select! {
                biased;
                _ = &mut interrupt => return Ok(Ending::Interrupted),
                () = &mut late => return Ok(Ending::TimedOut),
                () = sleep(interval) => {}
            }
        }
    }

    /// Whether the job is over, how many nodes were looked at, and how far its images are.
    async fn look(&self) -> Result<(bool, usize, Vec<Image>)> {
        let (over, jobs) = self.jobs().await?;
        let nodes = self.nodes().await?;
        let images: Vec<Image> = jobs.iter().map(|job| Image::of(job, &nodes)).collect();
        let over = over && images.iter().all(|image| image.over);
        Ok((over, nodes.len(), images))
    }

    /// The jobs of the images, and whether there will be no more of them.
    async fn jobs(&self) -> Result<(bool, Vec<ImagePullJob>)> {
        let (client, namespace) = (self.connection.client.clone(), self.connection.namespace.as_str());
        let jobs = Api::<ImagePullJob>::namespaced(client.clone(), namespace);
        let failed = |error| Failure::api("getting the job", &error);
        if self.kind == ONE {
            let job = jobs.get_opt(&self.name).await.map_err(failed)?;
            let job = job
                .filter(|job| job.metadata.uid == self.uid)
                .ok_or_else(|| self.gone())?;
            return Ok((true, vec![job]));
        }
        let list = Api::<ImageListPullJob>::namespaced(client, namespace)
            .get_opt(&self.name)
            .await
            .map_err(failed)?;
        let list = list
            .filter(|list| list.metadata.uid == self.uid)
            .ok_or_else(|| self.gone())?;
        let mut children = jobs.list(&ListParams::default()).await.map_err(failed)?.items;
        children.retain(|job| {
            let mut owners = job.metadata.owner_references.iter().flatten();
            owners.any(|owner| Some(&owner.uid) == self.uid.as_ref())
        });
        let place = |job: &ImagePullJob| list.spec.images.iter().position(|image| *image == job.spec.image);
        children.retain(|job| place(job).is_some());
        children.sort_by_key(place);
        Ok((children.len() >= list.spec.images.len(), children))
    }

    async fn nodes(&self) -> Result<Vec<NodeImage>> {
        let api = Api::<NodeImage>::all(self.connection.client.clone());
        let mut params = ListParams::default().limit(PAGE);
        let mut nodes = Vec::new();
        loop {
            let page = api
                .list(&params)
                .await
                .map_err(|error| Failure::api("listing nodeimages", &error))?;
            nodes.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(nodes),
            }
        }
    }

    fn gone(&self) -> Failure {
        Failure::new(format!("{} \"{}\" has been deleted", self.kind, self.name))
    }

    /// Deletes the job.
    pub(super) async fn delete(&self, out: &mut impl Write) -> Result<()> {
        delete(self.kind, &self.name, &self.connection).await?;
        writeln!(out, "{}.apps.kruise.io \"{}\" deleted", self.kind, self.name)?;
        Ok(())
    }

    /// The failure of a command that stops following while the job continues.
    pub(super) fn left(&self, why: &str) -> Failure {
        let (kind, name, namespace) = (self.kind, &self.name, &self.connection.namespace);
        Failure::new(format!("{why}; {kind} \"{name}\" continues")).next(format!(
            "Follow it again:  kubectl kruise pull --follow {name} -n {namespace}\n\
             Stop and delete:  kubectl delete {kind} {name} -n {namespace}"
        ))
    }
}
