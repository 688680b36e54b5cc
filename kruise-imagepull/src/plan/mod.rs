//! Pure decisions: a snapshot and the time in, a plan out. No client, no clock, no randomness, no logging.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`job`] | what does a job do now: dispatch, report, wait, delete itself? |
//! | [`list`] | which jobs of single images does a list create and delete, and how far is it? |
//! | [`select`] | which nodes does a job select? |
//! | [`dispatch`] | which patch hands the task of a job to a node? |
//! | [`nodeimage`] | what happens to a NodeImage: create, mirror labels, drop tasks, fail silent ones, delete? |
//! | [`route`] | which jobs have to look again after a NodeImage changed? |
//! | [`agent`] | which pulls does a node start and stop, and what does it report? |
//! | [`secrets`] | which copies of pull secrets are made, changed and deleted for nodes? |
//! | [`keyring`] | which credentials fit an image, in which order? |

pub mod agent;
pub mod dispatch;
pub mod job;
pub mod keyring;
pub mod list;
#[cfg(test)]
mod model;
pub mod nodeimage;
pub mod route;
pub mod secrets;
pub mod select;
pub mod status_patch;
mod time;

pub use time::{pick, task_time_limit};
