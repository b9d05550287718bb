//! The sandboxes' network.

mod config;
mod plan;

pub use config::{CidrError, Ipv4Cidr, NetworkConfig};
pub use plan::{AddressPlan, PlanError};
