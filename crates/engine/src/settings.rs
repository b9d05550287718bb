//! The engine's settings in the words of the crates below.

use std::net::IpAddr;

use contree_images::import::{AllowedRegistry, ImportConfig, Limits};
use contree_sandbox::NetworkConfig;
use contree_sandbox::network::Ipv4Cidr;

use crate::EngineConfig;
use crate::engine::StartError;

/// The sandboxes' network.
pub(crate) fn network(config: &EngineConfig) -> Result<NetworkConfig, StartError> {
    let range = |text: &String| {
        text.parse::<Ipv4Cidr>()
            .map_err(|error| StartError::Network {
                value: text.clone(),
                reason: error.to_string(),
            })
    };
    let mut network = NetworkConfig {
        subnet: config.network.subnet.as_ref().map(range).transpose()?,
        allow: config
            .network
            .allow
            .iter()
            .map(range)
            .collect::<Result<_, _>>()?,
        ..Default::default()
    };
    for resolver in &config.network.resolvers {
        match resolver {
            IpAddr::V4(address) => network.resolvers.push(*address),
            IpAddr::V6(address) => {
                return Err(StartError::Network {
                    value: address.to_string(),
                    reason: "sandboxes have IPv4 only".to_owned(),
                });
            }
        }
    }
    if let Some(pool) = config.network.pool {
        network.pool = pool;
    }
    Ok(network)
}

/// The importer's.
pub(crate) fn import(config: &EngineConfig) -> Result<ImportConfig, StartError> {
    let allowed = config
        .allow_registries
        .iter()
        .map(|registry| {
            let value = registry.to_string();
            value
                .parse::<AllowedRegistry>()
                .map_err(|_| StartError::Registry { value })
        })
        .collect::<Result<_, _>>()?;
    let limits = Limits {
        unpacked_bytes: config.limits.images_import_max_bytes,
        entries: config.limits.images_import_max_entries,
        reserved_bytes: config.min_free_bytes,
        ..Limits::default()
    };
    Ok(ImportConfig {
        allowed,
        limits,
        ..ImportConfig::default()
    })
}
