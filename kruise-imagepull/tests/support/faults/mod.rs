//! Job, NodeImage and secret controllers of two managers that elect a leader, and a real agent on each node, in a cluster
//! in which everything fails from time to time.

pub(crate) mod managers;
pub(crate) mod nodes;
pub(crate) mod rules;
pub(crate) mod scenario;
