//! Image pre-pull on many nodes: `ImagePullJob` and `NodeImage` of OpenKruise, as a library.
//!
//! A job names an image and some nodes. Its controller writes a task into the [`NodeImage`](api::NodeImage) of a few nodes
//! at a time; the agent on each node pulls through the container runtime interface and reports; the job counts, goes on
//! with the next nodes, and completes. The custom resources are OpenKruise's on the wire.
//!
//! What a job would do now can be asked without a cluster:
//! ```
//! use kruise_imagepull::api::{ImagePullJob, NodeImage};
//! use kruise_imagepull::plan::job::{JobContext, JobPlanConfig, plan_job};
//! use serde_json::json;
//!
//! let job: ImagePullJob = serde_json::from_value(json!({
//!     "apiVersion": "apps.kruise.io/v1alpha1", "kind": "ImagePullJob",
//!     "metadata": {"name": "warm-up", "namespace": "shop", "uid": "1"},
//!     "spec": {"image": "nginx:1.27", "parallelism": 2},
//! }))?;
//! let nodes = ["a", "b", "c"].map(|name| NodeImage::new(name, Default::default()));
//! let now = "2030-01-01T00:00:00Z".parse()?;
//! let plan = plan_job(&job, &nodes, &JobContext::default(), now, &JobPlanConfig::default(), 0);
//! let told: Vec<_> = plan.decisions.iter().map(|d| format!("{}: {}", d.node, d.verdict)).collect();
//! assert_eq!(told[0], "a: dispatch: a slot is free");
//! assert_eq!(told[2], "c: waits: as many nodes as parallelism allows are active");
//! assert_eq!(plan.dispatch.len(), 2); // each with the JSON patch that would be sent
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Data flow
//! ```text
//!  ImagePullJob ──▶ job controller ──JSON patch of one task──▶ NodeImage.spec ──watch──▶ agent of the node
//!       ▲                 ▲                                       ▲                          │ pulls (CRI)
//!       └──── status ─────┴── routes: only jobs of that task ─────┼── NodeImage.status ◀─────┘ merge patch
//!                                                                 │
//!  Node ──▶ NodeImage controller: create, labels, delete, drop what is over, fail what is silent
//! ```
//!
//! # Parts
//! | module | what it is | needs |
//! | --- | --- | --- |
//! | [`api`] | types, defaults, validation, CRDs | nothing |
//! | [`plan`] | every decision, as pure functions | nothing |
//! | [`job`] | the controller of jobs | a client, caches of jobs, NodeImages, copies of secrets, Pods |
//! | [`list`] | the controller of lists of images | a client, caches of lists and jobs |
//! | [`nodeimage`] | the controller of NodeImages | a client, caches of NodeImages, Nodes and jobs |
//! | [`secrets`] | the controller that deletes copies of pull secrets nobody needs | a client, caches of jobs and copies |
//! | [`agent`] | the agent of a node | a client, a cache of one NodeImage, a container runtime |
//! | [`caches`] | builders of those caches | a client |
//! | [`events`] | Events as they are made here | a closure that takes them |
//! | [`rbac`] | the rights that each part needs | nothing |
//! | [`guard`] | agents that share an account write the status of their own node only | a router, a cache of Pods |
//! | [`webhook`] | defaulting and validation at admission | a router of `kruise_core::webhook` |
//!
//! Each part can be run alone, beside the others of OpenKruise. Nothing is global: two of each in one process work.
//!
//! # What this does not do
//! * It does not look at taints, conditions or architectures of nodes: what the selector selects is told to pull.
//! * It does not keep images: kubelet may collect an image that nobody uses.
//! * It shows no progress between 0 and 100: the container runtime interface tells none.
//! * Percentages of nodes are refused for `parallelism`; OpenKruise has never supported them either.

pub mod agent;
pub mod api;
pub mod caches;
pub mod error;
pub mod events;
pub mod guard;
pub mod job;
pub mod list;
mod lookup;
pub mod nodeimage;
pub mod plan;
pub mod rbac;
pub mod secrets;
pub mod webhook;

#[cfg(test)]
mod fixtures;

// Compiles the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
