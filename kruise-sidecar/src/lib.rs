//! `SidecarSet` of OpenKruise as a library: sidecar containers are injected into pods at admission and upgraded in place.

pub mod api;
pub mod inject;
pub mod plan;
pub mod webhook;
