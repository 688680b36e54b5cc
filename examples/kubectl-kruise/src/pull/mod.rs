//! `pull`.

mod follow;
mod job;
mod screen;
mod state;
#[cfg(test)]
mod tests;

use std::io::Write;

use kruise_imagepull::api::{ImageListPullJob, ImagePullJob};
use kube_client::api::{Api, DeleteParams, PostParams};
use kube_core::Resource as _;

use crate::cli::{DryRun, PullFlags};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::output::Format;
use follow::{Ending, Followed};
use job::Job;
use screen::Screen;

/// Prints the job that would be created.
///
/// # Errors
/// It is not valid.
pub(crate) fn offline(flags: &PullFlags, namespace: Option<&str>, out: &mut impl Write) -> Result<()> {
    flags.output.refuse(&[Format::Wide])?;
    let job = job::build(flags)?;
    job.check()?;
    tell(&job, namespace, flags, " (dry run)", out)
}

/// Creates a job and follows it, or follows one that is there.
///
/// # Errors
/// The job cannot be created, or some node does not have an image.
pub(crate) async fn online(
    flags: &PullFlags,
    connection: &Connection,
    bars: bool,
    out: &mut impl Write,
) -> Result<()> {
    flags.output.refuse(&[Format::Wide])?;
    let followed = match &flags.follow {
        Some(name) => Followed::find(connection, name).await?,
        None => {
            let job = job::build(flags)?;
            job.check()?;
            let created = create(&job, flags.dry_run == DryRun::Server, connection).await?;
            let suffix = match flags.dry_run {
                DryRun::Server => " (server dry run)",
                _ => " created",
            };
            if flags.dry_run == DryRun::Server || flags.output != Format::Default || !flags.wait {
                return tell(&created, Some(&connection.namespace), flags, suffix, out);
            }
            tell(&created, Some(&connection.namespace), flags, suffix, out)?;
            Followed::of(&created, connection)
        }
    };
    let mut screen = match bars {
        true => Screen::bars(),
        false => Screen::plain(),
    };
    let limit = Some(flags.wait_timeout).filter(|limit| !limit.is_zero());
    let ending = followed.follow(limit, &mut screen, out).await;
    screen.clear();
    match ending? {
        Ending::Ended(report) => {
            let done = report.finish(out);
            if flags.rm {
                followed.delete(out).await?;
            }
            done
        }
        Ending::Interrupted => Err(followed.left("interrupted")),
        Ending::TimedOut => Err(followed.left("timed out waiting for the nodes")),
    }
}

async fn create(job: &Job, dry_run: bool, connection: &Connection) -> Result<Job> {
    let params = PostParams {
        dry_run,
        ..PostParams::default()
    };
    let (client, namespace) = (connection.client.clone(), &connection.namespace);
    let created = match job {
        Job::One(job) => Api::<ImagePullJob>::namespaced(client, namespace)
            .create(&params, job)
            .await
            .map(|job| Job::One(Box::new(job))),
        Job::List(job) => Api::<ImageListPullJob>::namespaced(client, namespace)
            .create(&params, job)
            .await
            .map(|job| Job::List(Box::new(job))),
    };
    created.map_err(|error| Failure::api("creating the job", &error))
}

/// Prints what was, or would be, created.
fn tell(
    job: &Job,
    namespace: Option<&str>,
    flags: &PullFlags,
    suffix: &str,
    out: &mut impl Write,
) -> Result<()> {
    let mut value = job.to_value()?;
    if let Some(namespace) = namespace {
        value["metadata"]["namespace"] = namespace.into();
    }
    if flags.output.print(&value, out)? {
        return Ok(());
    }
    let meta = match job {
        Job::One(job) => job.meta(),
        Job::List(job) => job.meta(),
    };
    let name = meta
        .name
        .clone()
        .or_else(|| Some(format!("{}*", meta.generate_name.as_deref()?)));
    let name = format!("{}.apps.kruise.io/{}", job.singular(), name.unwrap_or_default());
    match flags.output {
        Format::Name => writeln!(out, "{name}")?,
        _ => writeln!(out, "{name}{suffix}")?,
    }
    Ok(())
}

/// Deletes a job; one that is gone is fine.
async fn delete(kind: &'static str, name: &str, connection: &Connection) -> Result<()> {
    let (client, namespace) = (connection.client.clone(), &connection.namespace);
    let params = DeleteParams::background();
    let deleted = match kind {
        job::LIST => Api::<ImageListPullJob>::namespaced(client, namespace)
            .delete(name, &params)
            .await
            .map(|_| ()),
        _ => Api::<ImagePullJob>::namespaced(client, namespace)
            .delete(name, &params)
            .await
            .map(|_| ()),
    };
    match deleted {
        Err(kube_client::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map_err(|error| Failure::api("deleting the job", &error)),
    }
}
