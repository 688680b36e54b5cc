//! `SidecarSet` of OpenKruise as a library: sidecar containers are injected into pods at admission and upgraded in place.
//!
//! ```text
//!  SidecarSet ──▶ api (defaults, validation, hashes) ──┬─▶ inject ──▶ JSON patch of a pod that is created
//!                                                      └─▶ plan ────▶ verdict on each pod of an upgrade
//!                                                                          │
//!                                         pods ◀──one patch each── controller ──▶ status, revisions, Events
//! ```
//! | module | what it is | needs |
//! | --- | --- | --- |
//! | [`api`] | types, defaults, validation, hashes, conversion, CRD | nothing |
//! | [`inject`] | what becomes of a pod, as a pure function | nothing |
//! | [`plan`] | which pods are upgraded next and why the others are not, as pure functions | nothing |
//! | [`controller`] | upgrades pods in place, keeps status and history of sets | a client, watches |
//! | [`webhook`] | admission of pods and of sets | a client, watches |
//!
//! # What this does not do
//! * `resourcesPolicy` is refused, and sets are no canaries of others.

pub mod api;
pub mod controller;
pub mod inject;
pub mod plan;
pub mod webhook;

// Compiles and runs the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
