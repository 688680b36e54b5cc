//! Tests of the manager module, in one program so that it is linked once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are tests")]

mod client;
mod election;
mod election_chaos;
mod events;
mod health;
mod lease_faults;
mod lease_server;
mod run;
mod scale;
mod support;
